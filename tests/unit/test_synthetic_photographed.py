"""The stand-in for photographs: the same number is the same picture, labels follow their causes, and neither its
things nor its code for defects are the other composer's.
"""

import ast
import functools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reliable_ads.rfnet.data.shards import write_shard
from reliable_ads.rfnet.data.sources import read_shards
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.synthetic.composed.scene_objects import SCENE_OBJECTS
from reliable_ads.synthetic.photographed import camera, causes, places, things
from reliable_ads.synthetic.photographed.composer import Composer
from reliable_ads.synthetic.photographed.plans import make_plan
from reliable_ads.synthetic.products import CUTOUTS

from .composed_examples import SmallAssets

SIZE = 96
ASSETS = SmallAssets()
COMPOSER = Composer(ASSETS, SIZE)
ROOM = Path(things.__file__).parent


@functools.cache
def plan_of(split, number):
    return make_plan(split, number, SIZE, ASSETS)


@functools.cache
def photograph(split, number):
    return COMPOSER.compose(split, number)


def first_with(wanted, count=1, split="train"):
    numbers = (n for n in range(400) if wanted in ((p := plan_of(split, n)).label, p.cause))
    return [photograph(split, next(numbers)) for _ in range(count)]


def test_the_same_number_is_the_same_picture_whatever_was_drawn_before():
    again = Composer(SmallAssets(), SIZE).compose("train", 7)
    assert all(
        np.array_equal(getattr(again, name), getattr(photograph("train", 7), name)) for name in ("image", "depth")
    )
    assert not np.array_equal(photograph("train", 8).image[:64, :64], again.image[:64, :64])


def test_kinds_belong_to_one_split_and_to_this_composer_alone():
    kinds = {split: set(things.kinds_of(split)) for split in ("train", "val", "test")}
    assert sum(map(len, kinds.values())) == len(things.KINDS) and min(map(len, kinds.values())) >= 10
    shown_elsewhere = set(CUTOUTS) | {source for source, *_ in SCENE_OBJECTS.values()}
    assert not shown_elsewhere & (set(things.KINDS) | {code for code, *_ in things.PROPS.values()})
    products = {split: {plan_of(split, n).product.product_id for n in range(60)} for split in kinds}
    assert not products["train"] & products["test"] and not products["val"] & products["test"]


def test_it_takes_readers_and_cut_outs_from_the_other_composer_and_nothing_that_makes_a_picture():
    taken = set()
    for file in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and "composed" in (node.module or ""):
                taken.add(node.module)
    assert taken == {"composed.cutouts"}


def test_labels_are_even_and_every_cause_occurs():
    plans = [plan_of("train", n) for n in range(400)]
    counts = Counter(plan.label for plan in plans)
    assert 170 < counts["available"] < 230 and all(30 < counts[label] < 75 for label in LABELS[1:])
    assert {plan.cause for plan in plans} == set(causes.CAUSES)


def test_sizes_are_wrong_exactly_where_the_label_says_so_and_something_tells():
    for one in first_with("giant", 2) + first_with("dwarf", 2):
        error = one.plan.believed / one.plan.product.metres
        assert (error if one.plan.cause == "giant" else 1 / error) >= causes.WRONG_BY - 1e-6
        assert one.objects and not one.plan.product.vague
    assert all(
        plan.believed == plan.product.metres
        for plan in (plan_of("val", n) for n in range(60))
        if plan.label != "size_mismatch"
    )


def test_props_stand_at_their_true_size_and_leave_the_rest_of_the_picture_as_it_is():
    one = next(photograph("train", n) for n in range(60) if photograph("train", n).objects)
    for name, drawn in one.objects:
        assert 0.3 < drawn / (things.PROPS[name][1] / one.plan.believed) < 1.1  # smaller only where it stands behind
    number = int(one.plan.picture_id[-6:])
    alone = COMPOSER.compose("train", number, props=False)
    plain = COMPOSER.compose("train", number, props=False, place=False)
    assert alone.objects == () and not np.array_equal(alone.image, one.image)
    assert np.array_equal(alone.product, one.product) and np.array_equal(plain.product, one.product)
    assert plain.image[: SIZE // 8].std() < alone.image.std()


def test_the_products_own_pixels_are_on_the_picture_up_to_grain_and_jpeg():
    for number in range(8):
        one = photograph("train", number)
        solid = one.product[..., 3] == 255
        if solid.any():
            assert np.abs(one.image[solid].astype(int) - one.product[solid][:, :3]).mean() < 20


def test_floating_things_hang_above_their_ground_and_sunk_ones_lie_below_it():
    (hover,), (buried,), (aloft,) = (first_with(cause) for cause in ("hover", "buried", "aloft"))
    assert hover.plan.ground - hover.plan.box[1] > 0.1 * hover.plan.box[3]
    assert buried.plan.ground < buried.plan.box[1] and buried.product[..., 3].sum() > 0
    assert aloft.plan.camera.horizon > aloft.plan.box[1]
    (sound,) = first_with("available")
    assert sound.plan.ground == sound.plan.box[1]


@pytest.mark.parametrize("cause", causes.CAUSES.of("shape_hallucination"), ids=lambda cause: cause.name)
def test_copied_parts_touch_the_outline_and_lie_outside_of_it(cause):
    placed = np.zeros((SIZE, SIZE, 4), np.float32)
    placed[26:66, 34:62] = (0.2, 0.4, 0.8, 1)
    solid = placed[..., 3] > 0.5
    for seed in range(3):
        part = cause.part(placed, 84.0, np.random.default_rng(seed))
        grown = part[..., 3] > 0.5
        assert (grown & ~solid).sum() > 0.04 * solid.sum() and (grown & solid).any()
        assert np.abs(part[grown][:, :3].mean(0) - (0.2, 0.4, 0.8)).max() < 0.3


@settings(deadline=None, max_examples=40)
@given(foot=st.floats(40, 95), away=st.floats(0.2, 20), focal=st.floats(80, 200), pitch=st.floats(0, 0.5) | st.none())
def test_a_camera_sees_the_surface_where_it_was_told_to(foot, away, focal, pitch):
    seen = camera.looking_at(SIZE, SIZE, focal, foot, away, pitch)
    assert seen.eye > 0 and seen.row(away) == pytest.approx(foot, abs=1e-6)
    assert 1 / seen.inverse(foot) == pytest.approx(away, rel=1e-6)


def test_what_resampling_left_around_lamps_is_mended():
    panorama = np.full((16, 32, 3), 0.5, np.float32)
    panorama[8, 8], panorama[8, 9] = 6.0, -3.0
    mended = places.mended(panorama)
    assert mended.min() >= 0 and mended[8, 9].max() == 6.0 and mended[2, 2].max() == 0.5


def test_rows_go_through_a_shard(tmp_path):
    one = first_with("giant")[0]
    path = tmp_path / "train" / "train-p00000.zip"
    path.parent.mkdir()
    write_shard(path, [one.row()])
    read = read_shards(path.parent, SIZE)
    assert read.labels[0] == LABELS.index("size_mismatch") and read.column("cause") == ["giant"]
    assert read.product_id(0) == one.plan.product.product_id
