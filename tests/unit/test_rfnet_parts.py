"""What counts as the product: glass, shadows, thin and black things, soft edges of another background, masks the wrong
way round.
"""

import cv2
import numpy as np
import pytest
import torch

from reliable_ads.rfnet.pictures import PictureError
from reliable_ads.rfnet.product import Product, place

from .drawn_products import (
    BLACK,
    DARK,
    GREEN,
    RED,
    WHITE,
    as_bytes,
    bottle_shapes,
    cut_from,
    glass_bottle,
    mug,
    mug_with_shadow,
    over,
    painted,
    premultiplied,
    ring,
)

SIDES = (128, 512)


def placed(rgba: np.ndarray, side: int = 512, **placing):
    return place(Product.from_arrays(rgba), side, side, **placing)


def proportion(canvas) -> float:
    left, top, right, bottom = canvas.box
    return (right - left) / (bottom - top)


def kept_share(canvas) -> float:
    product = canvas.alpha >= 0.5
    return float((canvas.inpaint_mask[product] == 0).float().mean())


@pytest.mark.parametrize(
    "colour, alpha, threshold",
    [
        (GREEN, 0.4, 0.05),
        (GREEN, 0.4, 0.1),
        (GREEN, 0.4, 0.5),
        (GREEN, 0.1, 0.5),
        (GREEN, 0.8, 0.5),
        (GREEN, 0.8, 0.9),
        (BLACK, 0.4, 0.5),
        (BLACK, 0.8, 0.5),
        ((255, 255, 255), 0.4, 0.5),
    ],
)
def test_glass_belongs_to_the_product_and_the_scene_is_painted_behind_it(colour, alpha, threshold):
    canvas = placed(glass_bottle(colour, alpha), alpha_threshold=threshold)
    assert proportion(canvas) == pytest.approx(161 / 391, abs=0.02)
    left, top, right, bottom = canvas.box
    middle = (top + 2 * bottom) // 3, (left + right) // 2
    assert canvas.inpaint_mask[middle] == 1
    assert (
        canvas.paste(torch.zeros(1, 3, 512, 512))[0, :, middle[0], middle[1]].max() + 0.06 > 0.05
    )  # its own colour in front
    seen = canvas.paste(torch.ones(1, 3, 512, 512)) - canvas.paste(torch.zeros(1, 3, 512, 512))
    assert seen[0, 0, middle[0], middle[1]] == pytest.approx(1 - alpha, abs=0.02)


@pytest.mark.parametrize("threshold", [0.1, 0.3])
def test_a_product_that_is_see_through_everywhere_is_placed(threshold):
    canvas = placed(as_bytes(painted(WHITE, bottle_shapes()[1] * 0.35)), alpha_threshold=threshold)
    assert proportion(canvas) == pytest.approx(161 / 340, abs=0.02)
    assert canvas.inpaint_mask.all() and "see-through everywhere" in canvas.notes[-1]


def test_where_nothing_reaches_the_threshold_the_sentence_names_both_numbers():
    with pytest.raises(PictureError, match=r"alpha of 0.5 or more, the highest is 0.35: lower alpha_threshold"):
        placed(as_bytes(painted(WHITE, bottle_shapes()[1] * 0.35)))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    "alpha, blur, colour",
    [(0.2, 6, (0, 0, 0)), (0.45, 14, (0, 0, 0)), (0.8, 14, (0, 0, 0)), (0.45, 25, (25, 20, 35)), (0.4, 0, (0, 0, 0))],
)
def test_a_shadow_neither_shifts_the_product_nor_is_sliced(alpha, blur, colour, side):
    alone, canvas = placed(as_bytes(painted(RED, mug())), side), placed(mug_with_shadow(alpha, blur, colour), side)
    assert np.abs(np.array(canvas.box) - alone.box).max() <= max(2, side // 128)
    assert canvas.notes == ("A soft shadow or glow in the cut-out is kept; size and place go by the product alone.",)
    left, _top, right, bottom = canvas.box
    shadow = canvas.alpha[bottom + side // 100, left:right].max()
    assert shadow == pytest.approx(alpha, abs=0.12)  # it goes on below the product's box
    assert canvas.inpaint_mask[bottom + side // 100].all()
    if blur:  # and fades: no step beyond what its blur has
        below = canvas.alpha[bottom + 3 :, (left + right) // 2]
        assert (below[1:] - below[:-1]).abs().max() < 0.2


def test_a_shadow_beside_glass_is_told_from_it():
    shadow = np.zeros((500, 400), np.float32)
    cv2.ellipse(shadow, (230, 455), (110, 14), 0, 0, 360, 1, -1)
    both = over(glass_bottle().astype(np.float32) / 255, painted((0, 0, 0), cv2.GaussianBlur(shadow, (0, 0), 8) * 0.5))
    assert proportion(placed(as_bytes(both))) == pytest.approx(161 / 391, abs=0.02)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    "colour, feather", [((0, 0, 0), 0), (BLACK, 2), ((40, 40, 40), 2), (WHITE, 0), ((255, 255, 255), 2), (RED, 0)]
)
def test_the_outline_is_always_in_the_hint(colour, side, feather):
    canvas = placed(as_bytes(painted(colour, mug(feather))), side)
    lines = canvas.hint[0].numpy()
    shape = (canvas.alpha >= 0.5).numpy().astype(np.uint8)
    outline = shape - cv2.erode(shape, np.ones((3, 3), np.uint8))
    near = 2 * max(2, round(0.01 * side)) + 3
    assert cv2.dilate(lines, np.ones((near, near), np.uint8))[outline > 0].mean() > 0.98
    assert lines.sum() < 4 * outline.sum()


def test_hidden_colours_make_no_lines():
    rgba = as_bytes(painted(RED, mug()))
    rgba[rgba[..., 3] == 0, :3] = (255, 255, 0)
    assert torch.equal(placed(rgba).hint, placed(as_bytes(painted(RED, mug()))).hint)


def test_a_product_as_large_as_its_canvas_still_has_a_hint():
    rgba = np.zeros((200, 200, 4), np.uint8)
    rgba[50:150, 50:150, 3] = 255
    canvas = placed(rgba, 128, image_scale=1.0)
    assert canvas.alpha.min() > 0.4 and canvas.hint.sum() > 0


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("thickness", [3, 6, 18, 40])
def test_thin_parts_keep_about_half_of_themselves(thickness, side):
    assert kept_share(placed(ring(thickness), side)) >= 0.3


def test_painting_still_reaches_under_thick_parts_by_half_the_box():
    rgba = np.zeros((512, 512, 4), np.uint8)
    rgba[156:356, 156:356] = 255
    mask = placed(rgba, position="keep").inpaint_mask
    assert mask[256, 156 + 9] == 1 and mask[256, 156 + 10] == 0


@pytest.mark.parametrize(
    "product, ground, feather",
    [
        (DARK, (255, 255, 255), 0.5),
        (DARK, (255, 255, 255), 3),
        (DARK, (0, 177, 64), 1.5),
        (WHITE, (0, 0, 0), 1.5),
        (WHITE, (0, 177, 64), 3),
        (RED, (255, 255, 255), 1.5),
        (BLACK, (255, 255, 255), 3),
    ],
)
def test_the_old_background_leaves_the_edge(product, ground, feather):
    mixed, clean = cut_from(ground, product, feather)
    for scene in (torch.full((1, 3, 512, 512), 0.06), torch.full((1, 3, 512, 512), 0.94)):
        wanted = placed(clean, clean_edges=False).paste(scene)
        assert (placed(mixed).paste(scene) - wanted).abs().max() < 0.08


def test_edges_stay_as_cut_where_the_user_says_so():
    mixed, _ = cut_from((255, 255, 255))
    as_cut, clean = placed(mixed, clean_edges=False), placed(mixed)
    edge = (clean.alpha > 0.2) & (clean.alpha < 0.8)
    assert as_cut.rgb[:, edge].mean() > clean.rgb[:, edge].mean() + 0.15
    assert torch.equal(as_cut.again(clean_edges=True).rgb, clean.rgb)
    as_cut, clean = (placed(mixed, 400, position="keep", clean_edges=how) for how in (False, True))
    assert torch.equal(
        as_cut.rgb[:, as_cut.alpha == 1], clean.rgb[:, clean.alpha == 1]
    )  # opaque pixels are nobody's to change


@pytest.mark.parametrize(
    "rgba",
    [as_bytes(painted(colour, mug(3))) for colour in (WHITE, RED, GREEN)] + [glass_bottle(), glass_bottle(WHITE)],
)
def test_multiplied_colours_are_made_straight(rgba):
    scene = torch.full((1, 3, 512, 512), 0.9)
    assert (placed(premultiplied(rgba)).paste(scene) - placed(rgba).paste(scene)).abs().max() < 0.02


@pytest.mark.parametrize("shape", [mug(), 0.9 * mug(), np.roll(mug(), 80, 0), mug(6)])
def test_a_mask_the_other_way_round_is_named(shape):
    with pytest.raises(PictureError, match=r"covers the border .* mask is inverted: set mask_marks"):
        Product.from_arrays(as_bytes(painted(WHITE, np.clip(1 - shape, 0, 1))))


def test_a_tight_crop_and_an_empty_frame_are_products():
    tight = np.zeros((300, 200), np.uint8)
    cv2.ellipse(tight, (100, 150), (100, 150), 0, 0, 360, 255, -1)
    frame = np.zeros((400, 400), np.uint8)
    cv2.rectangle(frame, (40, 40), (360, 360), 255, 40)
    for shape in (tight, frame):
        assert placed(as_bytes(painted(RED, shape / np.float32(255)))).box


def test_a_veil_over_the_whole_picture_is_taken_away():
    clean, veiled = placed(as_bytes(painted(RED, mug()))), placed(as_bytes(painted(RED, np.maximum(mug(), 0.1))))
    assert veiled.box == clean.box and veiled.alpha[0, 0] == 0


def test_dust_is_left_out_and_said_and_a_pair_is_not_dust():
    dusty, pair = mug(), np.zeros((400, 400), np.float32)
    dusty[10:16, 10:16] = dusty[380, 390] = 1
    canvas = placed(as_bytes(painted(RED, dusty)))
    assert canvas.box == placed(as_bytes(painted(RED, mug()))).box and canvas.notes == (
        "2 specks beside the product were left out.",
    )
    pair[150:200, 50:100] = pair[150:170, 300:320] = 1
    assert proportion(placed(as_bytes(painted(RED, pair)))) > 4


@pytest.mark.parametrize("side", [128, 512, 1000])
def test_what_is_well_inside_of_a_product_is_opaque_at_every_size(side):
    canvas = placed(as_bytes(painted(RED, mug(0))), side)
    assert (canvas.alpha[canvas.inpaint_mask == 0] == 1).float().mean() > 0.99  # but for the tips of corners


def test_what_is_encoded_is_the_product_over_grey():
    canvas = placed(mug_with_shadow())
    wanted = canvas.alpha * canvas.rgb + (1 - canvas.alpha) * 0.5
    assert torch.equal(canvas.shown, wanted) and (canvas.shown[:, canvas.alpha == 0] == 0.5).all()


@pytest.mark.parametrize("side", [16, 2500])
def test_small_and_large_files_are_taken_apart_alike(side):
    rgba = cv2.resize(glass_bottle(), (side, side * 5 // 4), interpolation=cv2.INTER_AREA)
    assert proportion(placed(rgba)) == pytest.approx(161 / 391, abs=0.1 if side == 16 else 0.02)
