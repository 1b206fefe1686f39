"""An attempt in words survives infotext; which evaluation of the network ends which step."""

import torch
from hypothesis import given
from hypothesis import strategies as some

from reliable_ads.cyclic.attempts import SKIPPED, Attempt
from reliable_ads.cyclic.loop import judged, unreviewed
from reliable_ads.cyclic.preview_check import finished_step
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.risks import NOT_CERTIFIED, UNKNOWN_PAINTER
from reliable_ads.sdwebui.words import plain, said_of, verdict_text

from .webui_infotext import read, written


def row(label: str, **more) -> dict:
    rest = dict.fromkeys(LABELS, 0.05)
    return {"label": label, "probabilities": {**rest, label: 0.8}, "accepted": label == "available", **more}


ROWS = [
    *map(row, LABELS),
    row("size_mismatch", missing=True),
    row("space_mismatch", decided_by="contact"),
    unreviewed(SKIPPED),
    judged(lambda image: {}, torch.full((3, 8, 8), torch.nan)),
]


@given(some.sampled_from(ROWS), some.booleans(), some.integers(1, 1000), some.integers(1, 1000))
def test_a_verdict_survives_infotext(review, stopped, number, attempts):
    attempt = Attempt(number - 1, 7, torch.zeros(3, 8, 8), review, 0.0, stopped_early=stopped)
    line = written({"Steps": 4, "RF caption": "a mug, red"}) + verdict_text(attempt, attempts)
    values = read(line)
    assert values.keys() == {"Steps", "RF caption", "RF attempt", "RF verdict", "RF available"}
    assert values["RF attempt"] == f"{number} of {attempts}" and values["RF caption"] == "a mug, red"
    assert abs(float(values["RF available"]) - attempt.score) < 1e-4
    assert values["RF verdict"].split() == plain(attempt).replace(": ", " - ").replace(",", "").split()


def test_a_doubt_survives_infotext():
    attempt = Attempt(0, 7, torch.zeros(3, 8, 8), row("available"), 0.0)
    for why in (NOT_CERTIFIED, UNKNOWN_PAINTER):
        values = read(written({"Steps": 4}) + verdict_text(attempt, 5, why))
        assert values["RF certificate"] == why.replace(",", "") and values["RF available"] == "0.8000"


def test_what_it_says():
    def said(review, **more):
        return plain(Attempt(0, 7, torch.zeros(3, 8, 8), review, 0.0, **more))

    assert said(row("available")) == "accepted: fit to publish 0.80"
    assert said(row("indistinctiveness")) == "rejected: hardly stands out 0.80"
    assert said(row("indistinctiveness"), stopped_early=True) == "stopped early: hardly stands out 0.80"
    assert said(row("size_mismatch", missing=True)) == "rejected: the product is missing 0.80"
    assert said(unreviewed(SKIPPED)) == "skipped by the user"


@given(some.integers(1, 150), some.integers(0, 2))
def test_each_step_ends_once_and_in_order(steps, spared):
    """With one evaluation a step, or with two, of which the host spares a few."""
    for evaluations in (steps, max(steps, 2 * steps - spared)):
        ended = [finished_step(seen, steps, evaluations) for seen in range(1, evaluations + 1)]
        assert [step for step in ended if step] == list(range(1, steps + 1))


@given(some.integers(1, 50), some.integers(0, 100))
def test_more_evaluations_than_were_announced_end_no_step(steps, more):
    assert finished_step(steps + 1 + more, steps, steps) == 0


def test_an_accepted_picture_is_called_available_whatever_is_likeliest():
    """A threshold below one half accepts pictures whose likeliest label is a defect."""
    probabilities = {**dict.fromkeys(LABELS, 0.0), "shape_hallucination": 0.56, "available": 0.44}
    review = {"label": "shape_hallucination", "probabilities": probabilities, "accepted": True}
    assert said_of(review) == "accepted: fit to publish 0.44"
    assert said_of({**review, "accepted": False}) == "rejected: grew extra parts 0.56"


def test_a_rejected_picture_is_called_by_its_likeliest_defect():
    """A threshold above one half, or five labels that share the rest, reject pictures that are likeliest available."""
    probabilities = {**dict.fromkeys(LABELS, 0.0), "available": 0.4, "space_mismatch": 0.25, "size_mismatch": 0.35}
    review = {"label": "available", "probabilities": probabilities, "accepted": False}
    assert said_of(review) == "rejected: wrong size 0.35"


def test_an_opinion_that_decided_is_named():
    assert said_of(row("space_mismatch", decided_by="contact")).endswith("0.80, says contact")
    assert "says" not in said_of(row("space_mismatch", decided_by="rfnet"))
