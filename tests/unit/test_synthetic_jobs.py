"""The shipped test split and the orders drawn from it."""

import numpy as np
import pytest

from reliable_ads.rfnet.data.sources import read_shards
from reliable_ads.synthetic import scenes
from reliable_ads.synthetic.jobs import TEST_SPLIT, prompt_for
from reliable_ads.synthetic.jobs import test_jobs as make_jobs


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


def test_jobs_are_distinct_products_with_prompts_the_checkpoint_knows():
    jobs = make_jobs(120)
    assert len({job.product_id for job in jobs}) == 120
    for job in jobs:
        assert job.prompt == prompt_for(job.product_id)
        assert any(f"on {surface}, " in job.prompt for surface in scenes.SURFACES)


def test_more_briefs_than_products_is_refused():
    with pytest.raises(ValueError, match="were asked for"):
        make_jobs(100_000)
