"""The shipped test split, the products that benchmarks draw, and the jobs made of both."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from reliable_ads.rfnet.data.sources import read_shards
from reliable_ads.synthetic import scenes
from reliable_ads.synthetic.composed.products import UNSEEN
from reliable_ads.synthetic.jobs import TEST_SPLIT, jobs_of, prompt_for
from reliable_ads.synthetic.products import CUTOUTS

PRODUCTS = Path(__file__).parents[2] / "benchmarks" / "products"


@pytest.fixture(scope="module")
def shipped():
    return read_shards(TEST_SPLIT, 128).in_memory()


def test_the_shipped_split_has_a_thousand_whole_scenes(shipped):
    assert len(shipped) == 1000 and not shipped.findings.counts
    assert 0.45 < np.mean(shipped.labels == 0) < 0.56
    assert set(shipped.labels.tolist()) == {0, 1, 2, 3, 4}


def test_its_scenes_are_those_of_the_generator(shipped):
    for row in (0, 123, 500, 999):
        scene = scenes.make_scene("test", int(shipped.texts["id"][row].split("-")[1]))
        assert (scene.prompt, scene.product.caption, scene.cause or scene.twist, scene.room_id) == (
            shipped.texts["prompt"][row],
            shipped.texts["caption"][row],
            shipped.texts["cause"][row],
            shipped.texts["room_id"][row],
        )


def test_products_fill_the_frame_as_the_paper_places_them(shipped):
    solid = shipped.arrays["product"][:200, :, :, 3] >= 128
    for alpha, label, cause in zip(solid, shipped.labels, shipped.column("cause")):
        if label == 0:
            rows, columns = np.nonzero(alpha.any(1))[0], np.nonzero(alpha.any(0))[0]
            extent = max(np.ptp(rows), np.ptp(columns)) + 1
            # a part of the product's own stands out of the place that the product takes without it, as a grown one does
            assert 0.6 * 128 < extent < (1.0 if cause.startswith("own_") else 0.82) * 128 + 1


def test_depth_puts_the_product_before_the_backdrop(shipped):
    for row in range(100):
        sample = shipped[row]
        solid = sample["product"][:, :, 3] > 200
        assert sample["depth"][solid].mean() > sample["depth"][0].mean()


@pytest.mark.parametrize("source, count", [(TEST_SPLIT, 120), (PRODUCTS / "validation.zip", 80)])
def test_jobs_are_distinct_products_with_prompts_the_checkpoint_knows(source, count):
    jobs = jobs_of(source)
    assert len({job.product_id for job in jobs}) == len(jobs) >= count
    for job in jobs:
        assert job.prompt == prompt_for(job.product_id)
        assert any(f"on {surface}, " in job.prompt for surface in scenes.SURFACES)


def test_unseen_products_are_of_kinds_that_come_equally_often():
    jobs = jobs_of(PRODUCTS / "unseen.zip")
    kinds = Counter(job.kind for job in jobs)
    assert len(jobs) == 240 and len(kinds) == 25 and max(kinds.values()) - min(kinds.values()) <= 1
    assert set(kinds) == {kind if kind == "sneaker" else CUTOUTS[kind][0] for kind in UNSEEN}
    assert "handbag" not in kinds and all(job.product_id.startswith("test-") for job in jobs)
    validation = {job.kind for job in jobs_of(PRODUCTS / "validation.zip")}
    assert len(validation) > 15 and not validation & set(kinds)
