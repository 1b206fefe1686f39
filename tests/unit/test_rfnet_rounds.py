"""Learning while somebody labels: ten at a time, from features that are computed once, in a thread that no click waits
for.
"""

import json
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

from reliable_ads.rfnet.cli import main
from reliable_ads.rfnet.data.journal import SECOND_LOOK
from reliable_ads.rfnet.data.labelling import LabelFolder
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.training.background import Background, sequence
from reliable_ads.rfnet.training.rounds import CACHE, Learner, Round, choose, labels_for_gain
from reliable_ads.rfnet.weights import save_reviewer

from .rfnet_examples import COLOURS, bottle_rgba, small_networks

PRODUCT = Image.fromarray(bottle_rgba(64, 64), "RGBA")


@pytest.fixture(scope="module")
def reviewer(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_reviewer(path, *small_networks(), {"maps": "builtin"})
    return path


def fill(folder, count=45) -> tuple[LabelFolder, dict]:
    """(pictures that wait, whose colour shows what is wrong with them; {key: label} of all)."""
    labels = LabelFolder(folder)
    truth = {}
    for number in range(count):
        label = LABELS[number % 5]
        picture = Image.new("RGB", PRODUCT.size, COLOURS[label])
        picture.putpixel((0, 0), (number, 0, 0))
        labels.add(picture, PRODUCT, f"p{number % 7}", "a box")
        truth |= dict.fromkeys(labels.read().items.keys() - truth.keys(), label)
    return labels, truth


def learned(learner: Learner):
    return [*learner.learn()][-1]


@pytest.fixture(scope="module")
def taught(tmp_path_factory, reviewer):
    """(folder, truth, learner) after 30 labels, each of what teaches most."""
    labels, truth = fill(tmp_path_factory.mktemp("taught"))
    learner = Learner(labels, reviewer)
    for number in range(30):
        key = (learned(learner) if number % 10 == 0 else learner.learned).plan[number % 10]
        labels.label(key, truth[key])
    learned(learner)
    return labels, truth, learner


def test_agreement_grows_with_the_labels(taught):
    _, _, learner = taught
    rounds = learner.learned.rounds
    assert [one.learned for one in rounds] == [0, 10, 20] and learner.learned.full == 30
    assert rounds[0].agreed == rounds[0].before  # nothing was learned yet
    n, agreed, before = learner.learned.recent
    assert n == 20 and agreed > before and f"agreed with {agreed} of the last 20" in str(learner.learned)


def test_what_comes_next_waits_and_comes_once(taught):
    labels, truth, learner = taught
    plan = learner.learned.plan
    assert set(plan) == set(labels.read().waiting) and len(plan) == 15
    said = {key: label for key, (label, _) in learner.learned.likely.items()}
    assert np.mean([said[key] == truth[key] for key in plan]) > 0.8  # it has learned what the colours mean


def test_another_process_goes_on_without_a_look_at_the_pictures(taught, reviewer):
    labels, _, learner = taught
    stored = (labels.folder / CACHE).stat().st_mtime_ns
    again = Learner(labels, reviewer)
    assert learned(again) == learner.learned
    assert (labels.folder / CACHE).stat().st_mtime_ns == stored


def test_a_label_taken_back_was_never_learned(tmp_path, reviewer):
    labels, truth = fill(tmp_path / "labels", 12)
    learner = Learner(labels, reviewer)
    for key in labels.read().waiting[:10]:
        labels.label(key, truth[key])
    assert learned(learner).full == 10
    labels.label(labels.read().last, None)
    assert learned(learner).full == 0 and learner.learned.rounds[0].n == 9


def test_a_damaged_picture_is_left_out(tmp_path, reviewer):
    labels, truth = fill(tmp_path / "labels", 4)
    first, second, *_ = labels.read().waiting
    for key in (first, second):
        labels.label(key, truth[key])
    labels.picture(first).write_bytes(b"no picture")
    found = learned(Learner(labels, reviewer))
    assert found.damaged == 1 and found.rounds == (Round(0, 1, found.rounds[0].agreed, found.rounds[0].before),)


def test_no_random_number_is_drawn(tmp_path, reviewer):
    labels, truth = fill(tmp_path / "labels", 12)
    for key in labels.read().waiting[:10]:
        labels.label(key, truth[key])
    before = torch.random.get_rng_state()
    learned(Learner(labels, reviewer))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    "agreed, few, many",
    [((2, 4, 6, 7), 10, 100), ((5, 5, 5, 5, 5, 5, 5, 5, 5, 5), 60, None), ((10, 10, 10, 10), None, None)],
)
def test_how_many_more_would_help(agreed, few, many):
    rounds = [Round(10 * number, 10, count, 0) for number, count in enumerate(agreed)]
    more = labels_for_gain(rounds)
    assert labels_for_gain(rounds[:2]) is None
    assert more is None if few is None else more is None or few <= more <= (many or 300)


def test_simulated_labelling_asks_for_what_a_labeller_is_asked(taught):
    labels, truth, learner = taught
    keys = sorted(truth)
    features = learner._features(keys)
    contents = labels.read()
    rows = choose(
        features, [LABELS.index(truth[key]) for key in keys], [contents.items[key].product_id for key in keys], 25
    )
    assert len(set(rows)) == 25 and [keys[row] for row in rows[:10]] == [*contents.labels][:10]


def settle(study) -> None:
    until = time.monotonic() + 60
    while study.busy and time.monotonic() < until:
        time.sleep(0.02)
    assert not study.busy


def test_the_background_learns_and_skipped_pictures_come_last(tmp_path, reviewer):
    labels, truth = fill(tmp_path / "labels", 24)
    told = []
    background = Background(lambda study: told.append((threading.current_thread().name, study.learned.full)))
    contents = labels.read()
    study = background.study(labels, reviewer, contents)
    settle(study)
    plan = sequence(study, contents)
    assert sorted(plan) == contents.waiting and plan == list(study.learned.plan)
    study = background.study(labels, reviewer, contents, passed=plan[0])
    assert sequence(study, contents) == [*plan[1:], plan[0]]
    for key in plan[1:11]:
        contents = labels.label(key, truth[key])
        background.study(labels, reviewer, contents)
    settle(study)
    assert study.summary()["learned"] == 10 and told[-1] == ("reliable-ads-learning", 10)
    assert sequence(study, contents)[-1] == plan[0]


def test_what_goes_wrong_in_the_background_is_said(tmp_path):
    labels, _ = fill(tmp_path / "labels", 1)
    weights = tmp_path / "broken.safetensors"
    weights.write_bytes(b"no weights")
    study = Background().study(labels, weights, labels.read())
    settle(study)
    assert "broken.safetensors" in study.summary()["error"] and sequence(study, labels.read()) == labels.read().waiting


def test_every_fifth_picture_is_another_labellers(tmp_path):
    labels, truth = fill(tmp_path / "labels", 12)
    for key in labels.read().waiting[:6]:
        labels.label(key, truth[key], by="Ana")
    seen = []
    while item := labels.read().next(by="Bo"):
        seen.append(item.key)
        labels.label(item.key, truth[item.key], by="Bo")
    anas = [number for number, key in enumerate(seen) if (key, "Ana") in labels.read().said]
    assert sorted(seen) == sorted(truth) and anas[0] == SECOND_LOOK - 1 and anas[-5:] == list(range(7, 12))


def test_the_command_line(tmp_path, reviewer, capsys):
    labels, _ = fill(tmp_path / "labels", 12)
    weights = ["--weights", str(reviewer)]

    def run(*arguments) -> str:
        assert main([*map(str, arguments)]) == 0
        return capsys.readouterr().out

    rows = [json.loads(line) for line in run("next", labels.folder, *weights, "--count", 3, "--json").splitlines()]
    assert len(rows) == 3 and all(labels.picture(row["image"][-20:-4]) and "label" not in row for row in rows)
    told = run("next", labels.folder, *weights, "--count", 1, "--verdict").split()
    assert told[0] == rows[0]["image"] and told[-2] in LABELS and 0 <= float(told[-1]) <= 1
    for name in ("Ana", "Bo"):
        assert "1 of 12" in run("label", labels.folder, rows[0]["image"], "size_mismatch", "--by", name)
    run("label", labels.folder, rows[1]["image"], "available")
    assert "1 of 12" in run("label", labels.folder, rows[1]["image"], "undo")
    shown = run("next", labels.folder, *weights, "--by", "Cy", "--count", 6).splitlines()
    assert shown[4].split()[0] == rows[0]["image"], "the fifth is one that others have labelled"
    told = run("rounds", labels.folder, *weights)
    assert "Ana and Bo agree on 1 of 1" in told and "learned  labels" in told
    assert json.loads(run("rounds", labels.folder, *weights, "--json"))["labellers"][0]["n"] == 1


def test_pictures_of_a_folder_are_added(tmp_path, reviewer, capsys):
    (tmp_path / "drawn").mkdir()
    PRODUCT.save(tmp_path / "box.png")
    for number in range(3):
        Image.new("RGB", (64, 64), (80 * number, 9, 9)).save(tmp_path / "drawn" / f"{number}.png")
    command = ["next", str(tmp_path / "labels"), "--weights", str(reviewer), "--pictures", str(tmp_path / "drawn")]
    assert main([*command, "--product", str(tmp_path / "box.png"), "--caption", "a box"]) == 0
    shown = capsys.readouterr()
    assert "3 pictures added" in shown.err and len(shown.out.splitlines()) == 3
    assert main(command) == 1 and "belong together" in capsys.readouterr().err


def test_what_is_no_picture_of_the_product_is_left_out_and_named(tmp_path, reviewer, capsys):
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    PRODUCT.save(drawn / "box.png")
    Image.new("RGB", (64, 64), (80, 9, 9)).save(drawn / "b.png")
    Image.new("RGB", (48, 48)).save(drawn / "small.png")
    (drawn / "._b.png").write_bytes(b"of the Finder")
    (drawn / "a.png").write_bytes(b"broken")
    command = ["next", str(tmp_path / "labels"), "--weights", str(reviewer), "--pictures", str(drawn)]
    assert main([*command, "--product", str(drawn / "box.png")]) == 1
    shown = capsys.readouterr()
    assert "1 pictures added" in shown.err and len(shown.out.splitlines()) == 1
    assert '"a.png"' in shown.err and '"small.png": the canvas width is 48' in shown.err and "._b" not in shown.err


def test_taking_back_what_is_anothers_says_whose(tmp_path, capsys):
    labels, _ = fill(tmp_path / "labels", 1)
    (key,) = labels.read().items
    command = ["label", str(labels.folder), key]
    assert main([*command, "undo"]) == 1 and "has no label" in capsys.readouterr().err
    assert main([*command, "available", "--by", "Ana"]) == 0
    assert main([*command, "undo"]) == 1 and "was labelled by Ana" in capsys.readouterr().err
    assert main([*command, "undo", "--by", "Ana"]) == 0


def test_that_nothing_can_be_read_is_no_sign_that_all_is_labelled(tmp_path, reviewer, capsys):
    labels, _ = fill(tmp_path / "labels", 1)
    (key,) = labels.read().items
    labels.picture(key).write_bytes(b"")
    assert main(["next", str(labels.folder), "--weights", str(reviewer)]) == 1
    assert "1 pictures wait, and none of them can be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["rounds", "{folder}"], "holds no journal.jsonl"),
        (["label", "{labels}", "x.png", "available"], "is no picture of this dataset"),
        (["label", "{labels}", "0123456789abcdef", "available", "--by", "two\nlines"], "can't name a labeller"),
    ],
)
def test_what_the_command_line_refuses(tmp_path, capsys, arguments, told):
    fill(tmp_path / "labels", 1)
    places = {"folder": tmp_path, "labels": tmp_path / "labels"}
    assert main([part.format(**places) for part in arguments]) == 1
    assert told in capsys.readouterr().err
