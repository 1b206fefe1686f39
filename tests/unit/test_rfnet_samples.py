"""Shards, splits by product, selections with names, and maps that are computed once."""

import json
import pickle

import numpy as np
import pytest
import torch

from reliable_ads.rfnet.data import bulk_maps
from reliable_ads.rfnet.data.bulk_maps import precompute_maps
from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.map_files import MapFiles, chunk_file
from reliable_ads.rfnet.data.rf1m import read_rf1m
from reliable_ads.rfnet.data.samples import split
from reliable_ads.rfnet.data.shards import write_shard
from reliable_ads.rfnet.data.sources import read_shards
from reliable_ads.rfnet.data.spans import mix
from reliable_ads.rfnet.labels import UNSUITABLE

from .rfnet_examples import scene, write_split
from .source_examples import FIVE, loose


def test_faulty_scenes_are_counted(tmp_path):
    write_shard(tmp_path / "a.zip", [scene(0, "available", "p"), scene(1, UNSUITABLE, "p"), scene(2, "wonderful", "p")])
    (tmp_path / "b.zip").write_bytes(b"no zip")
    samples = read_shards(tmp_path)
    assert len(samples) == 1 and samples.findings.counts == {
        "unsuitable": 1,
        "unknown_labels": 1,
        "unreadable_archives": 1,
    }
    with pytest.raises(DataError, match=r"holds no .zip shards"):
        read_shards(tmp_path / "nowhere")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return read_shards(write_split(tmp_path_factory.mktemp("shards"), 60), 32)


def test_a_split_is_by_product_and_the_same_everywhere(shards):
    parts = split(shards, {"train": 0.5, "val": 0.25, "test": 0.25})
    products = [set(part.product_ids) for part in parts.values()]
    assert sum(map(len, parts.values())) == 60 and sum(map(len, products)) == 7 == len(set().union(*products))
    half = shards.select(np.arange(59, -1, -2))
    assert set(split(half, {"train": 0.5})["train"].product_ids) <= products[0]
    other = split(shards, {"train": 0.5}, salt="again")["train"]
    assert set(other.product_ids) != products[0]
    with pytest.raises(DataError, match="sum to at most 1"):
        split(shards, {"train": 0.9, "test": 0.2})


def test_shares_are_kept():
    from reliable_ads.rfnet.data.archives import Files
    from reliable_ads.rfnet.data.samples import Findings, Samples

    keys = mix(np.arange(4000, dtype=np.uint64))
    many = Samples(
        np.zeros(4000, np.uint8),
        np.arange(4000, dtype=np.int32),
        keys,
        keys,
        {"image": Files.join([]).select(np.full(4000, -1))},
        {},
        8,
        Findings(),
    )
    sizes = [len(part) for part in split(many, {"train": 0.8, "val": 0.1, "test": 0.1}).values()]
    assert sum(sizes) == 4000 and np.allclose(sizes, [3200, 400, 400], atol=80)


def test_a_selection_is_named_by_what_is_in_it(shards):
    part = shards.select([5, 3])
    assert part.fingerprint == shards.select([3, 5]).fingerprint != shards.fingerprint
    assert np.array_equal(part.read(1)["image"], shards.read(3)["image"]) and part.read(0)["id"] == "s5"
    relabelled = shards.select([3, 5])
    relabelled.labels[0] = (relabelled.labels[0] + 1) % 5
    assert relabelled.fingerprint != part.fingerprint


def test_worker_processes_read_what_one_process_reads(shards):
    part = pickle.loads(pickle.dumps(shards.select(range(6))))
    loader = torch.utils.data.DataLoader(part, batch_size=2, num_workers=2, collate_fn=list)
    found = [sample for batch in loader for sample in batch]
    assert (
        all(
            np.array_equal(a["image"], shards.read(row)["image"]) and a["id"] == f"s{row}"
            for row, a in enumerate(found)
        )
        and len(found) == 6
    )


def brightness(images):
    """Depth: mean colour; saliency: the red channel."""
    return images.mean(1, keepdim=True), images[:, :1]


def test_maps_are_computed_once_and_read_by_any_selection(shards, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk_maps, "CHUNK", 25)
    seen = []
    summary = precompute_maps(
        shards, lambda images: seen.append(len(images)) or brightness(images), tmp_path / "maps", 32, batch=10
    )
    assert (
        summary["chunks"] == 3 and sum(seen) == 60 and json.loads((tmp_path / "maps/maps.json").read_text()) == summary
    )
    part = shards.select([40, 2]).with_maps(tmp_path / "maps")
    for row, original in enumerate((40, 2)):
        image = shards.read(original)["image"].astype(float)
        assert np.abs(part.read(row)["depth"] - image.mean(2)).max() <= 1 and np.array_equal(
            part.read(row)["saliency"], image[..., 0]
        )
    assert pickle.loads(pickle.dumps(part)).resized(16).read(0)["depth"].shape == (16, 16)


def test_an_interrupted_run_goes_on(shards, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk_maps, "CHUNK", 25)

    calls = iter(range(1, 10))

    def stops(images):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return brightness(images)

    with pytest.raises(KeyboardInterrupt):
        precompute_maps(shards, stops, tmp_path, 32, batch=25)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maps-00000.safetensors", "maps-00001.safetensors"]
    with pytest.raises(DataError, match="holds no finished maps"):
        MapFiles.open(tmp_path)
    damaged = chunk_file(tmp_path, 1)
    damaged.write_bytes(damaged.read_bytes()[:-100])
    seen = []
    precompute_maps(shards, lambda images: seen.append(len(images)) or brightness(images), tmp_path, 32, batch=25)
    assert seen == [25, 10] and len(shards.with_maps(tmp_path)) == 60


def test_maps_of_other_samples_are_refused(shards, tmp_path):
    precompute_maps(shards.select(range(4)), brightness, tmp_path, 16)
    with pytest.raises(DataError, match="maps of another selection and samples: give an empty folder"):
        precompute_maps(shards, brightness, tmp_path, 16)
    with pytest.raises(DataError, match="lacks the maps of 56 of 60 samples"):
        shards.with_maps(tmp_path)
    with pytest.raises(DataError, match="the estimator gave a depth of shape"):
        precompute_maps(shards, lambda images: (images, images), tmp_path / "b", 16)


def test_images_that_cannot_be_read_have_no_maps(tmp_path):
    root = loose(tmp_path / "data", FIVE)
    (root / "images/2.png").write_bytes(b"no picture")
    samples = read_rf1m(root, size=8)
    summary = precompute_maps(samples, brightness, tmp_path / "maps", 8)
    assert (
        len(summary["broken"]) == 1
        and '"2.png"' in summary["broken"][0]
        and precompute_maps(samples, brightness, tmp_path / "maps", 8) == summary
    )
    assert len(samples.without_broken().with_maps(tmp_path / "maps")) == 4
