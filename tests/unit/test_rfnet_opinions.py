"""Second opinions that only measure: contact and own label."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from reliable_ads.rfnet.opinions.contact import Contact
from reliable_ads.rfnet.opinions.opening import open_opinion
from reliable_ads.rfnet.opinions.own_label import OwnLabel
from reliable_ads.rfnet.opinions.protocol import DEFECTS, PROVEN, SURE, OpinionError
from reliable_ads.rfnet.product import Product, place

from .opinion_examples import boxed, on_table

SPACE, SHAPE = DEFECTS.index("space_mismatch"), DEFECTS.index("shape_hallucination")


def only(evidence: torch.Tensor, defect: int) -> torch.Tensor:
    """The column of one defect, after a look that the others are unknown."""
    assert evidence.isnan().sum() >= evidence.shape[0] * 3 and evidence.shape[1] == 4
    return evidence[:, defect]


def test_a_shadow_and_near_ground_under_the_foot_speak_for_contact():
    canvas = boxed()
    (stands, near), (floats, far) = on_table(canvas, shadow=True), on_table(canvas, shadow=False)
    images = torch.cat([stands, floats, stands, floats])
    depth = torch.cat([near, near, far, far])
    both, dark_far, near_light, none = only(Contact().evidence(canvas, images, depth), SPACE)[[0, 2, 1, 3]].tolist()
    assert both < near_light < none and both < dark_far < none
    without_depth = only(Contact().evidence(canvas, images[:2]), SPACE)
    assert without_depth[0] < without_depth[1]


def test_each_picture_is_measured_by_itself():
    canvas = boxed()
    (stands, near), (floats, far) = on_table(canvas, shadow=True), on_table(canvas, shadow=False)
    together = Contact().evidence(canvas, torch.cat([stands, floats]), torch.cat([near, far]))
    alone = torch.cat([Contact().evidence(canvas, stands, near), Contact().evidence(canvas, floats, far)])
    torch.testing.assert_close(together, alone, equal_nan=True)


def test_contact_does_not_know_where_the_picture_ends_at_the_foot():
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[20:, 10:50] = 255
    canvas = place(Product.from_arrays(rgba), 64, 64, position="keep", image_scale=1.0)
    assert Contact().evidence(canvas, canvas.shown[None]).isnan().all()


def lettered(text="SOAP 42") -> Product:
    picture = Image.new("RGBA", (160, 120))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((15, 10, 145, 110), (230, 225, 210, 255))
    for row in range(3):
        draw.text((25, 20 + 28 * row), text, (30, 30, 90, 255), font_size=24)
    return Product.from_arrays(np.asarray(picture))


def through_jpeg(images: torch.Tensor, quality: int) -> torch.Tensor:
    picture = Image.fromarray((images[0].permute(1, 2, 0) * 255).byte().numpy())
    stored = io.BytesIO()
    picture.save(stored, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(stored))).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="module")
def label_canvas():
    return place(lettered(), 256, 192)


def test_own_pixels_are_surely_kept(label_canvas):
    images = label_canvas.paste(torch.rand(2, 3, 192, 256))
    assert (only(OwnLabel().evidence(label_canvas, images), SHAPE) == -SURE).all()


def test_light_and_compression_keep_the_lettering(label_canvas):
    images = label_canvas.paste(torch.full((1, 3, 192, 256), 0.5))
    for changed in (0.85 * images, through_jpeg(images, 70)):
        assert only(OwnLabel().evidence(label_canvas, changed), SHAPE) < 0


def test_other_letters_are_a_proof(label_canvas):
    other = place(lettered("5OVB G7"), 256, 192)
    assert only(OwnLabel().evidence(label_canvas, other.shown[None]), SHAPE) >= PROVEN


def test_own_label_does_not_know_products_without_lines_or_elsewhere(label_canvas):
    plain = boxed()
    assert OwnLabel().evidence(plain, (0.9 * plain.shown)[None]).isnan().all()
    assert OwnLabel().evidence(label_canvas, torch.zeros(1, 3, 192, 256)).isnan().all()


@pytest.mark.parametrize(
    "text, said",
    [("contakt", "use contact"), ("contact=x", "write contact alone"), ("", "no second opinion")],
)
def test_what_names_no_opinion_is_refused(text, said):
    with pytest.raises(OpinionError, match=said):
        open_opinion(text)
