"""Adapting a reviewer to one's own labels: how they are divided, that it is kept only where it is no worse, and that a
cancel leaves nothing.
"""

import json
from dataclasses import replace

import pytest
import torch

from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.labelling import LabelFolder
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.model import RFNet
from reliable_ads.rfnet.training.adapt import LEAST, adapt, divide
from reliable_ads.rfnet.weights import load_reviewer, read_metadata, save_reviewer

from .rfnet_examples import SMALL, labelled, scene, small_networks, write_split

pytestmark = pytest.mark.slow(reason="every test trains a reviewer")


def rows(count: int, products: int, labels=LABELS) -> list:
    return [
        {
            "image": f"pictures/{number:016x}.png",
            "product": "x",
            "label": labels[number % len(labels)],
            "product_id": f"p{number * 7 % products}",
        }
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def reviewer(tmp_path_factory):
    path = tmp_path_factory.mktemp("reviewer") / "start.safetensors"
    save_reviewer(path, *small_networks())
    return path


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return labelled(tmp_path_factory.mktemp("labels"))


def test_products_are_kept_together_where_there_are_enough():
    parts = divide(rows(200, 31))
    assert parts.by == "product" and len(parts.train) + len(parts.val) + len(parts.held) == 200
    products = [{row["product_id"] for row in part} for part in (parts.train, parts.val, parts.held)]
    assert all(len(some) >= 2 for some in products) and len(set.union(*products)) == sum(map(len, products))
    more = divide(rows(400, 31))
    assert {row["product_id"] for row in more.held} == products[2]  # labels that come later don't move a product


@pytest.mark.parametrize("labels", [LABELS, ("available", "available", "available", "available", "size_mismatch")])
def test_few_products_are_divided_by_picture_and_every_part_can_be_scored(labels):
    parts = divide(rows(LEAST, 1, labels))
    assert parts.by == "picture"
    for part in (parts.train, parts.val, parts.held):
        assert {row["label"] for row in part} > {"available"}
    assert len(parts.train) > len(parts.held) > len(parts.val) > 0


@pytest.mark.parametrize(
    "some, told",
    [
        (rows(LEAST - 1, 9), "39 pictures are labelled: at least 40 are needed, 200 are recommended"),
        (rows(60, 9, ("available",)), "0 pictures are labelled with a defect: at least 4"),
        (rows(60, 9, ("size_mismatch", "space_mismatch")), "0 pictures are labelled as available: at least 4"),
    ],
)
def test_too_few_labels_are_refused(some, told):
    with pytest.raises(DataError, match=told):
        divide(some)


@pytest.fixture(scope="module")
def good(labels, reviewer, tmp_path_factory):
    return adapt(reviewer, labels, tmp_path_factory.mktemp("good") / "mine.safetensors", epochs=4, lr=4e-3)


def test_a_better_reviewer_is_kept_and_says_what_made_it(good):
    scores = good.report["held_out"]
    assert (
        good.path.name == good.report["file"] == "mine.safetensors"
        and good.report["kept"]
        and scores["after"]["ap"]["value"] >= scores["before"]["ap"]["value"]
    )
    assert scores["before"]["n"] == good.report["labels"]["held"] and sum(good.report["labels"].values()) == 96
    assert "average precision" in good.report["reason"] and json.loads(json.dumps(good.report, allow_nan=False))
    assert read_metadata(good.path)["created_with"] == "RF Adapt Reviewer" and load_reviewer(good.path)
    assert [path.name for path in good.path.parent.iterdir()] == ["mine.safetensors"]


def test_a_reviewer_of_another_backbone_is_adapted_too(labels, tmp_path):
    save_reviewer(tmp_path / "other.safetensors", *small_networks(config=replace(SMALL, backbone="resnet18")))
    assert adapt(tmp_path / "other.safetensors", labels, tmp_path / "mine.safetensors", epochs=0.1).report["steps"] >= 1


def test_a_worse_reviewer_is_not(good, labels, tmp_path):
    """Training that goes wrong: the network's verdicts are turned round, and the steps are too small to mend that."""

    def spoil(network, steps):
        if steps and isinstance(network, RFNet):
            last = [
                module
                for module in network.modules()
                if isinstance(module, torch.nn.Linear) and module.out_features == len(LABELS)
            ][-1]
            with torch.no_grad():
                last.weight.neg_(), last.bias.neg_()

    found = adapt(good.path, labels, tmp_path / "bad.safetensors", epochs=1, lr=1e-7, watch=spoil)
    assert found.path is None and found.report["file"] is None and not list(tmp_path.iterdir())
    assert found.report["reason"].startswith("The old reviewer stays and nothing was written")


def test_missing_labels_come_from_what_is_mixed_in_or_are_refused(reviewer, tmp_path):
    labels = LabelFolder(tmp_path / "labels")
    for number in range(44):
        made = scene(number, "available", "p")
        labels.add(made["image"], made["product"], "p", "a box")
    for number, key in enumerate(labels.read().waiting):
        labels.label(key, LABELS[number % 2])
    with pytest.raises(
        DataError, match="no picture to train on is labelled size_mismatch, indistinctiveness, shape_hallucination"
    ):
        adapt(reviewer, labels, tmp_path / "mine.safetensors")
    mixed = {"train": str(write_split(tmp_path / "train")), "val": str(write_split(tmp_path / "val"))}
    report = adapt(reviewer, labels, tmp_path / "mine.safetensors", epochs=1, mixed=mixed).report
    assert report["mixed_in"] == 20 and report["split"] == "by picture" and "share products" in report["reason"]


def test_cancelled_at_any_pass_nothing_is_written(labels, reviewer, tmp_path):
    class Cancelled(Exception):
        pass

    def cancelling(passes):
        left = iter(range(passes))

        def look(module, _):
            if next(left, None) is None:
                raise Cancelled

        return lambda network, steps: network.register_forward_pre_hook(look)

    for passes in (0, 3, 9, 14):
        with pytest.raises(Cancelled):
            adapt(reviewer, labels, tmp_path / "mine.safetensors", epochs=4, watch=cancelling(passes))
        assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_never_overwritten(labels, reviewer, tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"another's")
    with pytest.raises(DataError, match=r'"mine.safetensors" is there already: choose another name'):
        adapt(reviewer, labels, path)
    assert path.read_bytes() == b"another's"
