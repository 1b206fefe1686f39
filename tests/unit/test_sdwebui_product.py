"""The accordion's product: as a picture, as base64, by its name from the folder of kept products."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image

from reliable_ads.rfnet.pictures import PictureError
from reliable_ads.rfnet.product import Product
from reliable_ads.sdwebui.product import keep, kept, pixels, product_of
from reliable_ads.sdwebui.settings import Refused, Settings


def cut_out() -> Image.Image:
    rgba = np.zeros((90, 70, 4), np.uint8)
    rgba[20:-20, 15:-15] = (230, 120, 30, 255)
    rgba[20:24, 15:-15, 3] = 100
    return Image.fromarray(rgba, "RGBA")


def base64_png(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def same(one: Product, other: Product) -> bool:
    return np.array_equal(one.rgba, other.rgba) and one.caption == other.caption


@pytest.mark.parametrize(
    "given_as", [lambda p: p, np.asarray, base64_png, lambda p: "data:image/png;base64," + base64_png(p)]
)
def test_a_picture_is_the_same_product_however_it_comes(tmp_path, given_as):
    settings = Settings(product=given_as(cut_out()), caption="a box")
    assert same(product_of(settings, tmp_path), Product.from_arrays(np.asarray(cut_out()), None, "a box"))


def test_a_mask_of_either_side(tmp_path):
    opaque = cut_out().convert("RGB")
    alpha = cut_out().getchannel("A").point(lambda a: 255 if a else 0)
    marked = product_of(Settings(product=opaque, mask=alpha), tmp_path)
    other = product_of(Settings(product=opaque, mask=alpha.point(lambda a: 255 - a), mask_marks="background"), tmp_path)
    assert same(marked, other) and 0 < (np.asarray(marked.rgba)[..., 3] > 0.5).mean() < 1


def test_the_img2img_picture(tmp_path):
    assert same(
        product_of(Settings(use_init_image=True, product="never read"), tmp_path, cut_out()),
        product_of(Settings(product=cut_out()), tmp_path),
    )
    with pytest.raises(Refused, match="no img2img picture"):
        product_of(Settings(use_init_image=True), tmp_path)


def test_a_kept_product_comes_back_by_its_name(tmp_path):
    product = product_of(Settings(product=cut_out(), caption="a box"), tmp_path)
    store = tmp_path / "made" / "when" / "needed"
    name = keep(product, store)
    assert keep(product, store) == name and [path.name for path in store.iterdir()] == [f"{name}.png"]
    again = product_of(Settings(product_name=name, caption="a box"), store)
    assert same(again, product) and keep(again, store) == name


def test_other_pixels_have_another_name(tmp_path):
    names = {
        keep(product_of(Settings(product=each), tmp_path), tmp_path) for each in (cut_out(), cut_out().resize((35, 45)))
    }
    assert len(names) == 2


@settings(deadline=None)  # it writes a file
@given(some.text(max_size=30) | some.from_regex(r"[0-9a-f]{16}", fullmatch=True))
def test_a_name_never_leaves_the_folder(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp() / "names"
    (folder / "store").mkdir(parents=True, exist_ok=True)
    cut_out().save(folder / "secret.png")
    with pytest.raises(PictureError, match="there is no product"):
        kept(name, folder / "store")


@pytest.mark.parametrize(
    "name", ["../secret", "..\\secret", "/etc/passwd", "secret", "0" * 15, "0" * 16 + "\n", "", "é" * 16]
)
def test_names_of_none(tmp_path, name):
    store = tmp_path / "store"
    store.mkdir()
    cut_out().save(tmp_path / "secret.png")
    cut_out().save(store / "secret.png")
    with pytest.raises(PictureError, match="there is no product") as failure:
        kept(name, store)
    assert len(str(failure.value)) < 400 + len(str(store))


@pytest.mark.parametrize(
    "nonsense", ["", "no base64!", "aGVsbG8=", "data:image/png;base64,", "data:", 5, b"bytes", {"image": 1}, "é"]
)
def test_what_is_no_picture(nonsense):
    with pytest.raises(PictureError) as failure:
        pixels(nonsense, "the mask")
    assert "the mask" in str(failure.value) and len(str(failure.value)) < 400


def test_no_product_and_no_transparency(tmp_path):
    with pytest.raises(Refused, match="no product"):
        product_of(Settings(), tmp_path)
    with pytest.raises(PictureError, match="no transparency"):
        product_of(Settings(product=cut_out().convert("RGB")), tmp_path)
