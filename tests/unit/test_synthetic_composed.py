"""Composites: the same number is the same picture, labels follow their causes, nothing but the defect tells a label."""

import functools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reliable_ads.rfnet.data.shards import write_shard
from reliable_ads.rfnet.data.sources import read_shards
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.synthetic import cli, shard_pool
from reliable_ads.synthetic.composed import backdrops, cutouts, scene_plans, shadows, shards
from reliable_ads.synthetic.composed.causes import CAUSES, WRONG_BY
from reliable_ads.synthetic.composed.composer import Composer

from .composed_examples import SmallAssets, composer, finishes

HELD = {name for name, cause in CAUSES.items() if cause.held}
YOUNGER = {name for name, cause in CAUSES.items() if cause.splits == ("train",)}


@functools.lru_cache(maxsize=256)
def composed(split, number):
    return composer().compose(split, number)


@functools.cache
def setting_of(split, number):
    return scene_plans.make_setting(split, number, 96)


def numbers_with(wanted, count, split="train", start=0):
    """The first composites of a split whose setting has this label or cause."""
    found = [n for n in range(start, start + 300) if wanted in ((s := setting_of(split, n)).label, s.cause)]
    return found[:count]


def some():
    return [composed("train", n) for n in range(10)]


def test_same_number_is_same_composite_whatever_was_drawn_before():
    fresh = Composer(SmallAssets(), finishes(), 96).compose("train", 7)
    before = composed("train", 7)
    assert all(np.array_equal(getattr(fresh, name), getattr(before, name)) for name in ("image", "product", "depth"))
    assert (
        not np.array_equal(before.image, composed("train", 8).image)
        or before.image.shape != composed("train", 8).image.shape
    )


def test_pictures_of_one_composite_have_one_size_and_the_whole_range_of_depth():
    for composite in some():
        assert (
            composite.image.shape[:2]
            == composite.product.shape[:2]
            == composite.depth.shape
            == (composite.plan.view.height, composite.plan.view.width)
        )
        assert composite.image.dtype == composite.product.dtype == composite.depth.dtype == np.uint8
        assert composite.depth.max() == 255 and composite.image.std() > 4


def test_the_products_own_pixels_are_on_the_picture():
    for composite in some():
        solid = composite.product[..., 3] == 255
        if solid.any():
            assert np.abs(composite.image[solid].astype(int) - composite.product[solid][:, :3]).max() <= 1


def test_a_product_on_its_ground_lies_at_the_depth_of_the_ground():
    for composite in some():
        plan = composite.plan
        if plan.cause in ("sky", "on_wall"):
            continue
        assert plan.view.away(plan.ground) == pytest.approx(plan.away, rel=1e-6)
        if composite.plan.setting.label == "available":
            assert plan.ground == plan.box[1] + plan.box[3]


def test_sizes_are_wrong_exactly_where_the_label_says_so_and_something_tells():
    for number in numbers_with("size_mismatch", 6):
        composite = composed("train", number)
        error = composite.plan.believed / composite.cutout.metres
        assert max(error, 1 / error) >= WRONG_BY - 1e-6
        assert composite.objects
    for composite in some():
        if composite.plan.setting.label != "size_mismatch":
            assert composite.plan.believed == composite.cutout.metres


def test_floating_things_are_above_their_ground_and_sunk_ones_below_it():
    for cause, sign in (("float", 1), ("sink", -1)):
        plan = next(c.plan for n in numbers_with(cause, 6) if (c := composed("train", n)).plan.cause == cause)
        assert sign * (plan.ground - plan.box[1] - plan.box[3]) > 0.04 * plan.box[3]


@pytest.mark.parametrize("cause", CAUSES.of("shape_hallucination"), ids=lambda cause: cause.name)
def test_grown_parts_touch_the_outline_and_lie_outside_of_it(cause):
    placed = np.zeros((96, 96, 4), np.float32)
    placed[26:66, 34:62] = (0.2, 0.4, 0.8, 1)
    solid = placed[..., 3] > 0.5
    for seed in range(4):
        part = cause.part(placed, 84.0, np.random.default_rng(seed), 0.5)
        grown = part[..., 3] > 0.5
        assert (grown & ~solid).sum() > 0.01 * solid.sum()
        assert (grown & solid).any(), "the part must reach under the product"
        assert np.abs(part[grown][:, :3].mean(0) - (0.2, 0.4, 0.8)).max() < 0.3


def test_held_out_causes_and_families_are_in_the_test_split_only():
    for split in ("train", "val"):
        assert not {setting_of(split, n).cause for n in range(800)} & HELD
        assert not set(cutouts.families_of(split)) & set(cutouts.HELD_FAMILIES)
    seen = {setting_of("test", n).cause for n in range(1500)}
    assert seen >= HELD
    assert set(CAUSES) == seen | YOUNGER


def test_younger_causes_are_in_training_scenes_only_so_that_the_splits_to_score_on_stay_as_they_were():
    assert {setting_of("train", n).cause for n in range(800)} >= YOUNGER
    for split in ("val", "test"):
        assert not {setting_of(split, n).cause for n in range(1500)} & YOUNGER


def test_every_label_has_a_cause_that_is_held_out():
    for label in LABELS[1:]:
        assert any(cause.held for cause in CAUSES.of(label)), label


def test_half_is_available_and_defects_are_even():
    counts = Counter(setting_of("train", n).label for n in range(2000))
    assert 0.46 < counts["available"] / 2000 < 0.54
    assert all(0.095 < counts[label] / 2000 < 0.155 for label in LABELS[1:])


def test_light_blur_style_and_format_do_not_tell_the_label():
    drawn = [setting_of("train", n) for n in range(2000)]
    for value in (
        lambda s: s.aperture,
        lambda s: s.lamp.strength,
        lambda s: s.width / s.height,
        lambda s: s.style == "photo",
        lambda s: s.centred,
    ):
        good, bad = ([float(value(s)) for s in drawn if (s.label == "available") == which] for which in (True, False))
        assert abs(np.mean(good) - np.mean(bad)) < 4 * np.std(good + bad) / np.sqrt(500)


def test_formats_keep_the_area_and_go_through_a_shard(tmp_path):
    shapes = {(s.width, s.height) for n in range(300) if (s := setting_of("train", n))}
    assert any(w > h for w, h in shapes) and any(w < h for w, h in shapes) and (96, 96) in shapes
    assert all(w % 8 == h % 8 == 0 and 0.75 < w * h / 96**2 < 1.3 for w, h in shapes)
    number = next(n for n in range(300) if setting_of("train", n).width > 96)
    composite = composed("train", number)
    path = shards.composite_path(tmp_path, "train", 0)
    path.parent.mkdir()
    write_shard(path, [composite.row()])
    scenes = read_shards(path.parent, 96).in_memory()
    assert (
        scenes.arrays["image"].shape == (1, 96, 96, 3)
        and scenes.labels[0] == LABELS.index(composite.plan.setting.label)
        and scenes.column("cause") == [composite.plan.cause]
    )
    solid = scenes.arrays["product"][0][..., 3] == 255  # squeezed alike, so the product still lies on itself
    assert np.abs(scenes.arrays["image"][0][solid].astype(int) - scenes.arrays["product"][0][solid][:, :3]).mean() < 12
    assert shard_pool.length(path) == 1 and shard_pool.length(tmp_path / "none.zip") == 0


@settings(deadline=None, max_examples=60)
@given(horizon=st.floats(-200, 200), focal=st.floats(50, 900), eye=st.floats(0.01, 5), away=st.floats(0.05, 50))
def test_a_row_of_the_surface_and_its_distance_are_inverse(horizon, focal, eye, away):
    view = backdrops.View(96, 96, horizon, focal, eye)
    if view.row(away) > horizon + 1e-3:
        assert view.away(view.row(away)) == pytest.approx(away, rel=1e-3)
    with pytest.raises(ValueError, match="horizon"):
        view.away(horizon)


@settings(deadline=None, max_examples=40)
@given(height=st.integers(2, 60), width=st.integers(2, 60))
def test_resizing_lets_no_hidden_colour_in(height, width):
    rgba = np.zeros((30, 30, 4), np.float32)
    rgba[..., 0] = 1  # hidden red around a blue square
    rgba[10:20, 10:20] = (0, 0, 1, 1)
    small = cutouts.resize(rgba, height, width)
    seen = small[..., 3] > 0.05
    assert small[seen][:, 0].max(initial=0) < 0.02


@pytest.mark.parametrize("lift", (0.0, 12.0))
def test_shadows_lie_where_the_surface_is_under_the_thing(lift):
    alpha = np.zeros((96, 96), np.float32)
    alpha[30:60, 40:56] = 1
    lamp = backdrops.Lamp(0.0, -0.2, 0.5, 0.6, (1, 1, 1))
    dark = shadows.contact(alpha, 60 + lift, lift, lamp)
    row = int((dark.sum(1) * np.arange(96)).sum() / dark.sum())
    assert abs(row - (59 + lift)) < 3
    assert dark.min() >= 0 and dark.max() <= 1 and shadows.cast(alpha, 60 + lift, lift, lamp).max() <= 1
    assert shadows.contact(np.zeros((8, 8), np.float32), 4, 0, lamp).max() == 0


def said(capsys, *arguments) -> str:
    assert cli.main([str(argument) for argument in arguments]) == 2
    line = capsys.readouterr().err
    assert line.startswith("synthetic: ") and len(line) < 400 and "Traceback" not in line
    return line


@pytest.mark.parametrize("command", ("render", "compose", "photographed"))
def test_the_command_says_what_is_missing_before_it_makes_a_folder(tmp_path, capsys, command):
    data = tmp_path / "data"
    line = said(capsys, command, "--data", data, "--assets", tmp_path)
    assert "npm install" in line or "pip install" in line
    assert not data.exists()


def test_packages_that_are_missing_are_named_with_what_to_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for command, package in (("render", "bpy"), ("compose", "cv2")):
        line = said(capsys, command, "--data", tmp_path, "--assets", tmp_path)
        assert f"the package {package} is not installed" in line and "pip install" in line


@pytest.mark.parametrize(
    "option, value, words", (("--size", 100, "a multiple of 8"), ("--start", 50, "a multiple of 100"))
)
def test_numbers_that_can_not_be_are_refused_before_any_work(tmp_path, capsys, monkeypatch, option, value, words):
    monkeypatch.setattr(cli, "need", lambda *packages, remedy: None)
    data = tmp_path / "data"
    line = said(capsys, "compose", "--data", data, "--assets", tmp_path, option, value)
    assert f"{option} is {value}" in line and words in line
    assert not data.exists()
