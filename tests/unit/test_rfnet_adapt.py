"""Adapting a reviewer to one's own labels: it is kept only where it is no worse, says why, and a cancel leaves
nothing.
"""

import json
from dataclasses import replace

import pytest
import torch

from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.labelling import LabelFolder
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.model import RFNet
from reliable_ads.rfnet.training.adapt import Progress, adapt
from reliable_ads.rfnet.weights import load_networks, load_reviewer, read_metadata, save_reviewer

from .rfnet_examples import SMALL, labelled, scene, small_networks, write_split

pytestmark = pytest.mark.slow(reason="tests train a reviewer")


@pytest.fixture(scope="module")
def reviewer(tmp_path_factory):
    path = tmp_path_factory.mktemp("reviewer") / "start.safetensors"
    save_reviewer(path, *small_networks())
    return path


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return labelled(tmp_path_factory.mktemp("labels"), 48)


@pytest.fixture(scope="module")
def good(labels, reviewer, tmp_path_factory):
    told = []
    page = tmp_path_factory.mktemp("page")
    adapted = adapt(
        reviewer,
        labels,
        tmp_path_factory.mktemp("good") / "mine.safetensors",
        epochs=1,
        lr=4e-3,
        tell=told.append,
        page=page,
    )
    adapted.page = (page / "index.html").read_text(encoding="utf-8")
    adapted.pictures = sorted(path.name for path in (page / "pictures").glob("*"))
    adapted.told = told
    return adapted


def test_a_better_reviewer_is_kept_and_says_what_made_it(good):
    report = good.report
    scores = report["held_out"]
    assert good.path.name == report["file"] == "mine.safetensors" and report["kept"]
    assert scores["after"]["ap"]["value"] >= scores["before"]["ap"]["value"]
    assert scores["after"]["n"] == report["n"] == sum(report["labels"].values()) == 48
    assert report["split"] == "by product" and report["products"] == 12
    assert set(scores["difference"]["defects"]) == set(LABELS[1:])
    assert "average precision" in report["reason"] and json.loads(json.dumps(report, allow_nan=False))
    assert read_metadata(good.path)["created_with"] == "RF Adapt Reviewer" and load_reviewer(good.path)
    assert [path.name for path in good.path.parent.iterdir()] == ["mine.safetensors"]


def test_every_way_was_tried_and_the_best_one_taken(good):
    tried = {row["name"]: row["loss"] for row in good.report["candidates"]}
    assert {"keep", "head ridge 3", "head ridge inf", "low_rank", "full"} <= tried.keys()
    best = min(tried, key=tried.get)
    assert best.startswith(good.report["method"]) and tried[best] < tried["keep"]
    assert good.told[0] == "keep, fold 1 of 3" and good.told[-1] == f"{best}, all labels"


def test_one_page_shows_what_was_learned(good):
    assert "48 labels of 12 products" in good.page and good.report["reason"].split(":")[0] in good.page
    assert all(row["name"] in good.page for row in good.report["candidates"])
    assert good.page.count("<svg") == sum(count > 0 for count in good.report["labels"].values())
    assert good.page.count("<img") == len(good.pictures) <= 10 and "http" not in good.page


def test_a_head_leaves_the_network_as_it_was(labels, reviewer, tmp_path):
    found = adapt(reviewer, labels, tmp_path / "mine.safetensors", method="head")
    assert found.report["method"] == "head" and found.path
    before, after = load_networks(reviewer)[0], load_networks(found.path)[0]
    assert after.added is not None and before.added is None
    assert torch.equal(before.head.weight, after.head.weight)
    assert read_metadata(found.path)["format_version"] == "2"


def test_an_adapted_reviewer_learns_on(labels, reviewer, tmp_path):
    """Its head goes on, and training trains the head, too."""
    first = adapt(reviewer, labels, tmp_path / "first.safetensors", method="head").path
    second = adapt(first, labels, tmp_path / "second.safetensors", method="head", keep_worse=True)
    assert load_networks(second.path)[0].added is not None
    third = adapt(first, labels, tmp_path / "third.safetensors", method="full", epochs=0.1, keep_worse=True)
    assert load_networks(third.path)[0].added is not None


def test_a_reviewer_of_another_backbone_is_adapted_too(labels, tmp_path):
    save_reviewer(tmp_path / "other.safetensors", *small_networks(config=replace(SMALL, backbone="resnet18")))
    found = adapt(
        tmp_path / "other.safetensors",
        labels,
        tmp_path / "mine.safetensors",
        epochs=0.1,
        method="full",
        keep_worse=True,
    )
    assert found.path and found.report["method"] == "full"


def spoil(network, steps):
    """Training that goes wrong: verdicts are turned round, and the steps are too small to mend that."""
    if steps and isinstance(network, RFNet):
        with torch.no_grad():
            network.head.weight.neg_(), network.head.bias.neg_()
            if network.added is not None:
                network.added.weight.neg_(), network.added.bias.neg_()


@pytest.mark.parametrize("keep_worse", [False, True])
def test_a_worse_reviewer_is_kept_only_where_one_asks_for_it(good, labels, tmp_path, keep_worse):
    out = tmp_path / "out" / "bad.safetensors"
    found = adapt(good.path, labels, out, epochs=0.1, lr=1e-7, method="full", watch=spoil, keep_worse=keep_worse)
    assert (found.path is not None) == out.exists() == keep_worse
    if not keep_worse:
        assert found.report["file"] is None
        assert found.report["reason"].startswith("The old reviewer stays and nothing was written")


def test_missing_labels_stay_as_they_were_and_are_said(reviewer, tmp_path):
    labels = LabelFolder(tmp_path / "labels")
    for number in range(44):
        made = scene(number, "available", "p")
        labels.add(made["image"], made["product"], "p", "a box")
    for number, key in enumerate(labels.read().waiting):
        labels.label(key, LABELS[number % 2])
    report = adapt(reviewer, labels, tmp_path / "mine.safetensors", method="head").report
    notes = " ".join(report["notes"])
    assert "No picture is labelled size_mismatch, indistinctiveness, shape_hallucination" in notes
    assert report["split"] == "by picture" and "are all of one product" in notes and notes in report["reason"]


def test_what_is_mixed_in_must_not_be_forgotten(reviewer, labels, tmp_path):
    mixed = {"train": str(write_split(tmp_path / "train")), "val": str(write_split(tmp_path / "val", 20, 50))}
    report = adapt(reviewer, labels, tmp_path / "mine.safetensors", mixed=mixed, method="head").report
    assert report["mixed_in"] == 20
    remembered = report["remembered"]
    assert remembered is None or remembered["n"] == 20
    if report["kept"]:
        assert remembered["after"] >= remembered["before"] - 0.02
    else:
        assert "was passed over" in " ".join(report["notes"]) or not report["kept"]


def test_data_of_other_kinds_can_be_learned_from(reviewer, tmp_path):
    split = write_split(tmp_path / "shop", 40)
    report = adapt(reviewer, split, tmp_path / "mine.safetensors", method="head").report
    assert report["dataset"] == "shop" and report["n"] == 40


def test_progress_says_what_is_done():
    said = []
    progress = Progress(lambda text, done, steps: said.append((text, done, steps)))
    rfnet = small_networks()[0]
    progress.tell("full")
    progress(rfnet, 3)
    rfnet.train()
    for hook in rfnet._forward_pre_hooks.values():
        hook(rfnet, ()), hook(rfnet, ())
    assert said == [("full", 0, 0), ("full: step 1/3", 0, 3), ("full: step 2/3", 1, 3)]


def test_cancelled_at_any_pass_nothing_is_written(labels, reviewer, tmp_path):
    class Cancelled(Exception):
        pass

    def cancelling(passes):
        left = iter(range(passes))

        def look(module, _):
            if next(left, None) is None:
                raise Cancelled

        return lambda network, steps: network.register_forward_pre_hook(look)

    for passes in (0, 9, 14):
        with pytest.raises(Cancelled):
            adapt(reviewer, labels, tmp_path / "mine.safetensors", epochs=4, watch=cancelling(passes), method="full")
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "changes, told", [({"method": "best"}, 'the method is "best": use one of auto, head, low_rank, full')]
)
def test_unknown_methods_are_refused(labels, reviewer, tmp_path, changes, told):
    with pytest.raises(DataError, match=told):
        adapt(reviewer, labels, tmp_path / "mine.safetensors", **changes)


def test_a_file_that_is_there_is_never_overwritten(labels, reviewer, tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"another's")
    with pytest.raises(DataError, match=r'"mine.safetensors" is there already: choose another name'):
        adapt(reviewer, labels, path)
    assert path.read_bytes() == b"another's"
