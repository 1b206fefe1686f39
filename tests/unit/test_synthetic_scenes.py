"""The small world: the same number is the same scene, splits share nothing, labels follow their causes."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reliable_ads.rfnet.labels import LABELS
from reliable_ads.synthetic import geometry, products, props, scenes
from reliable_ads.synthetic.rendered_causes import CAUSES, WIDE

SPLITS = ("train", "val", "test")


def plain(scene):
    return {k: v for k, v in vars(scene).items() if k != "product"} | {"product_id": scene.product.product_id}


@settings(deadline=None, max_examples=40)
@given(split=st.sampled_from(SPLITS), number=st.integers(0, 10**6))
def test_same_number_is_same_scene(split, number):
    a, b = scenes.make_scene(split, number), scenes.make_scene(split, number)
    assert plain(a) == plain(b)
    assert np.array_equal(a.product.mesh.vertices, b.product.mesh.vertices)


def test_scenes_from_a_million_on_show_products_that_no_other_training_scene_shows():
    usual = {scenes.make_scene("train", n).product.product_id for n in range(2000)}
    apart = [scenes.make_scene("train", scenes.APART + n).product for n in range(300)]
    assert all(product.family != "cutout" for product in apart)
    assert not usual & {product.product_id for product in apart}


def test_splits_share_no_product_and_no_room():
    drawn = {split: [scenes.make_scene(split, n) for n in range(400)] for split in SPLITS}
    for field in (lambda s: s.product.product_id, lambda s: s.room_id, lambda s: s.product.materials[0].picture):
        seen = [{field(s) for s in drawn[split]} - {None} for split in SPLITS]
        assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


def test_half_of_the_scenes_are_available_and_defects_are_even():
    counts = Counter(scenes.make_scene("train", n).label for n in range(2000))
    assert 0.46 < counts["available"] / 2000 < 0.54
    for label in LABELS[1:]:
        assert 0.095 < counts[label] / 2000 < 0.155


def test_size_mismatch_always_shows_a_thing_of_known_size_and_it_is_wrong_by_half_at_least():
    found = 0
    for n in range(600):
        scene = scenes.make_scene("train", n)
        if scene.label == "size_mismatch":
            found += 1
            assert scene.props
            for prop in scene.props:
                true = props.PROPS[prop.kind] / scene.product.metres
                assert max(prop.height / true, true / prop.height) > 1.9
    assert found > 30


def test_props_of_other_scenes_have_their_true_size():
    for n in range(400):
        scene = scenes.make_scene("train", n)
        if scene.label != "size_mismatch":
            for prop in scene.props:
                true = props.PROPS[prop.kind] / scene.product.metres
                assert max(prop.height / true, true / prop.height) < 1.25


@settings(deadline=None, max_examples=40)
@given(number=st.integers(0, 3000))
def test_products_stand_on_the_floor_with_largest_side_one(number):
    mesh = products.make_product("train", number).mesh
    assert mesh.size.max() == pytest.approx(1.0)
    assert mesh.low[2] == pytest.approx(0.0, abs=1e-9)
    assert max(max(face) for face in mesh.faces) < len(mesh.vertices) and len(mesh.materials) == len(mesh.faces)


@pytest.mark.parametrize("kind", list(props.PROPS))
def test_every_prop_stands_with_height_one(kind):
    mesh, materials = props.make_prop(kind, 5)
    assert mesh.size[2] == pytest.approx(1.0) and mesh.low[2] == pytest.approx(0.0, abs=1e-9)
    assert max(mesh.materials) < len(materials) + 1


@settings(deadline=None, max_examples=40)
@given(
    side=st.sampled_from([-1, 1]),
    gap=st.floats(0.0, 0.6),
    height=st.floats(0.15, 2.2),
    kind=st.sampled_from(list(props.PROPS)),
    number=st.integers(0, 500),
)
def test_props_never_stand_inside_the_product(side, gap, height, kind, number):
    product = products.make_product("train", number).mesh
    prop = props.put_beside(props.make_prop(kind, 1)[0].scaled(height), product, side, gap)
    beside = prop.low[0] >= product.high[0] - 1e-6 or prop.high[0] <= product.low[0] + 1e-6
    behind = prop.low[1] >= product.high[1] - 1e-6
    assert beside or behind


def test_small_things_beside_a_wide_product_stay_in_the_frame():
    """The largest image_scale shows 0.64 product units on each side of the middle; half of a thing that fits must be
    inside.
    """
    fits = 0
    for scene in (
        s
        for s in (scenes.make_scene("train", n) for n in range(600))
        if s.cause == "tiny_surroundings" and s.product.mesh.size[0] > WIDE
    ):
        prop = scene.props[0]
        mesh = props.make_prop(prop.kind, prop.seed)[0].scaled(prop.height)
        placed = props.put_beside(mesh, scene.product.mesh, prop.side, prop.gap)
        if scene.product.mesh.size[0] / 2 + mesh.size[0] / 2 < 0.62:
            fits += 1
            assert min(abs(placed.low[0]), abs(placed.high[0])) + placed.size[0] / 2 <= props.HALF_FRAME + 1e-6
    assert fits > 5


def test_other_props_keep_the_scene():
    scene = next(s for s in (scenes.make_scene("train", n) for n in range(100)) if s.label == "size_mismatch")
    other = scenes.with_other_props(scene, 1)
    assert other.props != scene.props and other.props == scenes.with_other_props(scene, 1).props
    assert plain(replace(other, props=scene.props)) == plain(scene)


@pytest.mark.parametrize("cause", CAUSES.of("shape_hallucination"), ids=lambda cause: cause.name)
def test_grown_parts_touch_the_product(cause):
    product = products.make_product("train", 0).mesh
    part, lift = cause.part(product, np.random.default_rng(3))
    placed = product.moved(z=lift)
    assert (part.low <= placed.high + 1e-6).all() and (part.high >= placed.low - 1e-6).all()


def test_box_with_bevel_stays_in_its_bounds():
    mesh = geometry.box(1, 0.5, 2, 0.1)
    assert np.allclose(mesh.size, (1, 0.5, 2))
