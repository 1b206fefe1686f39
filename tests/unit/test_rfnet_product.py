"""A product and its placing: geometry, masks, exact pasting, and the sentences for input that can't be placed."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reliable_ads.rfnet.product import PictureError, Product, place

from .rfnet_examples import bottle, bottle_rgba


def test_a_picture_without_alpha_and_mask_is_refused():
    with pytest.raises(PictureError, match="no transparency and no mask: connect a mask"):
        Product.from_arrays(np.ones((32, 32, 3)))


def test_a_mask_of_another_size_is_refused_with_both_sizes():
    with pytest.raises(PictureError, match="mask is 10x20 pixels but the picture is 32x40"):
        Product.from_arrays(np.ones((40, 32, 3)), np.ones((20, 10)))


@pytest.mark.parametrize(
    "value, message", [(0, "empty"), (0.4, "empty"), (1, "fills its whole picture"), (0.6, "fills its whole picture")]
)
def test_empty_and_full_alpha_are_refused(value, message):
    with pytest.raises(PictureError, match=message):
        Product.from_arrays(np.ones((32, 32, 3)), np.full((32, 32), value))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_refused(bad):
    image = np.full((32, 32, 3), 0.5)
    image[3, 3] = bad
    with pytest.raises(PictureError, match="NaN"):
        Product.from_arrays(image, np.eye(32))


def test_values_of_another_scale_are_refused():
    with pytest.raises(PictureError, match="from 0 to 255: give floats"):
        Product.from_arrays(bottle_rgba().astype(float))


def test_boolean_masks_are_masks():
    mask = np.zeros((60, 40), bool)
    mask[10:20] = True
    assert Product.from_arrays(bottle_rgba(), mask).rgba[..., 3].sum() == 400


@pytest.mark.parametrize(
    "shape, mask",
    [((1, 1, 4), None), ((32, 32), None), ((32, 32, 2), None), ((32, 32, 3), (1, 32, 32)), ((9000, 16, 3), (9000, 16))],
)
def test_wrong_shapes_are_refused(shape, mask):
    with pytest.raises(PictureError):
        Product.from_arrays(np.zeros(shape), None if mask is None else np.ones(mask))


def test_the_mask_wins_over_the_alpha_channel():
    mask = np.zeros((60, 40))
    mask[10:20, 10:20] = 1
    assert np.array_equal(Product.from_arrays(bottle_rgba(), mask).rgba[..., 3], mask)


def test_tensors_and_bytes_give_the_same_product():
    rgba = bottle_rgba()
    assert Product.from_arrays(torch.from_numpy(rgba) / 255).fingerprint == Product.from_arrays(rgba).fingerprint


@given(st.text(max_size=300))
def test_any_caption_becomes_one_clean_line(text):
    caption = bottle(text).caption
    assert caption == caption.strip() and "\n" not in caption and "  " not in caption
    assert bottle(caption).fingerprint == bottle(text).fingerprint


def test_caption_and_pixels_both_name_a_product():
    changed = bottle_rgba()
    changed[30, 20, 0] += 1
    names = {
        bottle().fingerprint,
        bottle("保湿面霜").fingerprint,
        Product.from_arrays(changed, caption="a blue bottle").fingerprint,
    }
    assert len(names) == 3


def test_centred_product_fits_image_scale_of_the_canvas():
    canvas = place(bottle(), 256, 128, image_scale=0.75)
    left, top, right, bottom = canvas.box
    assert bottom - top == 96 and abs((top + bottom) / 2 - 64) <= 1 and abs((left + right) / 2 - 128) <= 1


def test_keep_leaves_the_product_where_it_was():
    rgba = np.zeros((128, 128, 4), np.uint8)
    rgba[10:30, 90:120] = 255
    canvas = place(Product.from_arrays(rgba), 128, 128, position="keep")
    assert canvas.box == (90, 10, 120, 30)
    assert np.array_equal(canvas.alpha.numpy() * 255, rgba[..., 3])


def test_the_inpaint_mask_reaches_under_the_edge_by_half_the_box():
    rgba = np.zeros((128, 128, 4), np.uint8)
    rgba[32:96, 32:96] = 255
    canvas = place(Product.from_arrays(rgba), 128, 128, position="keep", mask_dilation=5)
    assert canvas.inpaint_mask[64, 32 + 1] == 1 and canvas.inpaint_mask[64, 32 + 2] == 0
    undilated = place(Product.from_arrays(rgba), 128, 128, position="keep", mask_dilation=0).inpaint_mask
    assert torch.equal(undilated, 1 - canvas.alpha)


def test_hidden_colours_do_not_bleed_into_the_edge():
    rgba = np.zeros((200, 200, 4), np.uint8)
    rgba[..., :3] = (0, 255, 0)  # what cut-out tools leave under full transparency
    rgba[50:150, 50:150] = (255, 255, 255, 255)
    canvas = place(Product.from_arrays(rgba), 64, 64, position="keep")
    assert canvas.rgb[:, canvas.alpha > 0].min() > 0.98


def test_the_hint_is_canny_on_black():
    canvas = place(bottle(), 128, 128)
    assert set(canvas.hint.unique().tolist()) == {0.0, 1.0}
    left, top, right, bottom = canvas.box
    outside = canvas.hint.clone()
    outside[:, max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = 0
    assert outside.sum() == 0 and canvas.hint.sum() > 0


def test_paste_back_is_exact_and_survives_nan_behind_the_product():
    canvas = place(bottle(), 128, 128)
    generated = torch.rand(2, 3, 128, 128)
    pasted = canvas.paste(generated)
    opaque, clear = canvas.alpha == 1, canvas.alpha == 0
    assert torch.equal(pasted[:, :, opaque], canvas.rgb[:, opaque].expand(2, -1, -1))
    assert torch.equal(pasted[:, :, clear], generated[:, :, clear])
    assert torch.equal(canvas.paste(torch.full((1, 3, 128, 128), torch.nan))[0][:, opaque], canvas.rgb[:, opaque])


def test_pasting_on_another_size_names_both():
    with pytest.raises(PictureError, match="pictures are 64x96 but the product was placed on 128x128"):
        place(bottle(), 128, 128).paste(torch.rand(1, 3, 96, 64))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"width": 100, "height": 128}, "width is 100: it must be a multiple of 8"),
        ({"width": 128, "height": 8192}, "height is 8192"),
        ({"width": 128, "height": 128, "image_scale": 0}, "image_scale"),
        ({"width": 128, "height": 128, "image_scale": 1.2}, "image_scale"),
        ({"width": 128, "height": 128, "alpha_threshold": 0}, "alpha_threshold"),
        ({"width": 128, "height": 128, "position": "left"}, "position"),
    ],
)
def test_wrong_settings_are_refused(arguments, message):
    with pytest.raises(PictureError, match=message):
        place(bottle(), **arguments)


def test_a_threshold_above_the_products_alpha_is_refused():
    soft = bottle_rgba()
    soft[..., 3] = soft[..., 3] * 0.6
    with pytest.raises(PictureError, match="lower alpha_threshold"):
        place(Product.from_arrays(soft), 128, 128, alpha_threshold=0.9)


sides = st.integers(8, 64).map(lambda n: 8 * n)


@settings(deadline=None, max_examples=40)
@example(width=64, height=64, scale=0.75, left=0, top=2, right=3, bottom=3, position="centre")  # enlarged sixteen times
@given(
    width=sides,
    height=sides,
    scale=st.floats(0.2, 1),
    left=st.integers(0, 40),
    top=st.integers(0, 40),
    right=st.integers(3, 50),
    bottom=st.integers(3, 50),
    position=st.sampled_from(["centre", "keep"]),
)
def test_any_placing_keeps_its_promises(width, height, scale, left, top, right, bottom, position):
    rgba = np.zeros((100, 90, 4), np.float32)
    rgba[top : top + bottom, left : left + right] = (0.2, 0.4, 0.9, 1)
    canvas = place(Product.from_arrays(rgba), width, height, scale, position=position)
    assert canvas.rgb.shape == (3, height, width) and canvas.hint.shape == (3, height, width)
    assert canvas.alpha.shape == canvas.inpaint_mask.shape == (height, width)
    for values in (canvas.rgb, canvas.alpha, canvas.hint, canvas.inpaint_mask):
        assert values.min() >= 0 and values.max() <= 1 and values.dtype == torch.float32
    x0, y0, x1, y1 = canvas.box
    assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
    assert (canvas.rgb[:, canvas.alpha == 0] == 0.5).all()
    assert (canvas.inpaint_mask[canvas.alpha < 0.5] == 1).all()  # everything that isn't product gets painted
    if position == "centre":
        assert x1 - x0 <= round(scale * width) + 1 and y1 - y0 <= round(scale * height) + 1
        assert abs(x0 + x1 - width) <= 2 and abs(y0 + y1 - height) <= 2
        assert abs(max((x1 - x0) / width, (y1 - y0) / height) - scale) <= 1 / min(width, height) + 0.01
    generated = torch.rand(1, 3, height, width)
    opaque = canvas.alpha == 1
    assert torch.equal(canvas.paste(generated)[0][:, opaque], canvas.rgb[:, opaque])
