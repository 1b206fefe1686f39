"""What can't be done as it was asked for is refused before the first step: one sentence, in the answer and the log."""

import numpy as np
import pytest
from PIL import Image

from reliable_ads.devtools import thin_models
from reliable_ads.devtools.thin_models import plain
from reliable_ads.devtools.webui import WebUI

from .ads import base64_png, canvas, draw, ours, refused

OPAQUE = base64_png(Image.new("RGB", (80, 80), "red"))


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"product": None}, "no product: drop a product picture"),
        ({"product": OPAQUE}, "no transparency"),
        ({"product": "no picture"}, "as base64"),
        ({"product_name": "../../secret", "product": None}, "there is no product"),
        ({"atempts": 3}, 'there is no setting "atempts": use some of'),
        ({"attempts": 0}, "attempts is 0: it must be a whole number between 1 and 1000"),
        ({"threshold": "high"}, "between 0 and 1"),
        ({"on_exhausted": "error"}, "choose one of best, last, stop"),
        ({"remedies": ["prayer"]}, 'there is no remedy "prayer"'),
        ({"reviewer_name": "none.safetensors"}, "there is no reviewer"),
        ({"early_rejection": "none-here"}, "there is no profile"),
        ({"opinions": ["server=gone.json"]}, "there is no second opinion"),
        ({"opinions": ["hope"]}, "there is no second opinion"),
        ({"control_net_name": "none-here"}, "there is no ControlNet"),
        ({"use_init_image": True}, "no img2img picture"),
        ({"begin_at": "dilation down"}, "no list of remedies"),
        ({"begin_at": "tuned 1"}, "begin_at asks for tuned, which can't be done here"),
    ],
)
def test_settings_that_cannot_be_meant(web, settings, said):
    assert said in refused(web, settings)


@pytest.mark.parametrize(
    "request_, said",
    [
        ({"width": 68}, "multiples of 8"),
        ({"tiling": True}, "Tiling and Reliable Ads"),
        ({"enable_hr": True, "hr_scale": 1.3, "denoising_strength": 0.5}, "multiples of 8"),
        ({"enable_hr": True, "hr_resize_x": 128, "hr_resize_y": 96, "denoising_strength": 0.5}, "another shape"),
    ],
)
def test_what_the_rest_of_the_page_asks_for(web, request_, said):
    assert said in refused(web, **request_)


def test_an_inpaint_mask(web):
    white = base64_png(Image.new("RGB", (64, 64), "white"))
    assert "inpaint mask" in refused(web, tab="img2img", init_images=[white], mask=white)


def test_a_controlnet_of_another_family(web):
    said = refused(web, {"control_net_name": "sdxl_depth"})
    assert "of another family" in said and "2048" in said and "768" in said


def test_a_controlnet_that_cannot_be_loaded(web):
    """The host says so in its log alone, and draws on without it."""
    assert "could not be loaded" in refused(web, {"control_net_name": "damaged_depth"})


def test_a_file_that_is_cut_short(web):
    """It is told to who asks for it, and else stands in nobody's way."""
    folder = web.data / "models" / "ControlNet"
    path = folder / "a_canny.safetensors"
    path.write_bytes((folder / "thin_canny.safetensors").read_bytes()[:5000])
    try:
        assert "a_canny.safetensors" in (said := refused(web, {"control_net_name": "a_canny"})) and "cut short" in said
        assert "thin_canny" in draw(web, {"attempts": 1}).report["settings"]["control_net"]
    finally:
        path.unlink()


def test_no_controlnet_at_all(web, tmp_path):
    """None is found by itself, and "none" draws without."""
    folder = web.data / "models" / "ControlNet"
    paths = list(folder.glob("*.safetensors"))
    for path in paths:
        path.rename(tmp_path / path.name)
    try:
        assert "there is no ControlNet for this checkpoint" in refused(web)
        report = draw(web, {"control_net_name": "none", "attempts": 1}).report
        assert report["settings"]["control_net"] is None and len(report["attempts"]) == 1
    finally:
        for path in paths:
            (tmp_path / path.name).rename(path)
    assert draw(web, {"attempts": 1}).report["settings"]["control_net"]  # it looks again


def test_units_of_controlnet_that_the_user_needs(web):
    unit = plain(web, canvas())["controlnet"]["args"][0]
    units = {"controlnet": {"args": [unit] * 10}}  # more than there are
    assert "all units of ControlNet are in use" in refused(web, alwayson_scripts={**units, **ours()})


def test_a_unit_of_the_users_own_stays(web):
    """Two units: the picture differs from that with ours alone, and only the user's stands in infotext."""
    unit = {**plain(web, canvas())["controlnet"]["args"][0], "weight": 0.5}
    both = draw(web, {"attempts": 1}, alwayson_scripts={"controlnet": {"args": [unit]}, **ours(attempts=1)})
    alone = draw(web, {"attempts": 1})
    assert (np.asarray(both.pictures[0]) != np.asarray(alone.pictures[0])).any()
    assert "Weight: 0.5" in both.infotexts[0] and "ControlNet 1" not in both.infotexts[0]
    assert "ControlNet 0" not in alone.infotexts[0]


def test_no_controlnet_extension(host, tmp_path):
    if host.kind != "Automatic1111":
        pytest.skip(f"{host.kind} has a ControlNet of its own")
    checkpoint = thin_models.data_folder(host, tmp_path)
    (tmp_path / "extensions" / "sd-webui-controlnet").unlink()
    with WebUI(host, tmp_path, tmp_path / "server.log", checkpoint) as alone:
        assert "needs the extension sd-webui-controlnet" in refused(alone)
        report = draw(alone, {"control_net_name": "none", "attempts": 1}).report
        assert report["settings"]["control_net"] is None
