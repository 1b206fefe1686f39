"""Remedies: which defect moves which number, how far, and how a report leads back there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliable_ads.cyclic.early_rejection import EarlyThreshold
from reliable_ads.cyclic.loop import run
from reliable_ads.cyclic.remedies import EVERY, NAMES, REMEDIES, Policy, Remedy, register, replaced
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.product import Product, place

from .loop_examples import drawing


def test_a_defect_moves_its_own_remedies_one_step():
    policy = Policy()
    policy.answer("shape_hallucination")
    assert policy.changes == [
        {"remedy": "guidance", "before": 1.0, "after": 1.5},
        {"remedy": "control", "before": 1.0, "after": 1.15},
        {"remedy": "dilation", "before": 0.0, "after": -4.0},
        {"remedy": "avoid", "before": 0.0, "after": 1.0},
        {"remedy": "tuned", "before": 0.0, "after": 1.0},
    ]
    policy.answer("space_mismatch")
    assert policy["surface"] == 1 and policy["position"] == 0.03 and policy["control"] == 1.15 and policy["scale"] == 1


@pytest.mark.parametrize("label, moved", [("size_mismatch", 1), ("indistinctiveness", 1), ("available", 0), (None, 0)])
def test_words_to_avoid_and_guidance_answer_every_defect_and_nothing_else(label, moved):
    policy = Policy(("avoid", "guidance"))
    policy.answer(label)
    policy.answer(label)
    assert policy["avoid"] == moved and policy["guidance"] == 1 + 0.5 * moved


def test_what_is_switched_off_stays():
    policy = Policy(("guidance",))
    policy.answer("indistinctiveness")
    assert [change["remedy"] for change in policy.changes] == ["guidance"]
    with pytest.raises(ValueError, match="no remedy prayer"):
        Policy(("prayer",))


@given(st.lists(st.sampled_from([*LABELS, None]), max_size=30), st.sets(st.sampled_from(NAMES)))
def test_whatever_happens_the_numbers_stay_within_their_bounds(labels, allowed):
    policy = Policy(tuple(allowed))
    for label in labels:
        policy.answer(label)
    for remedy in REMEDIES:
        low, high = sorted((remedy.neutral, remedy.bound))
        assert low <= policy[remedy.name] <= high
        assert policy[remedy.name] == remedy.neutral or (
            remedy.name in allowed and any(remedy.answers(label) for label in labels)
        )
    assert Policy().begin_at(policy.changes).changes == policy.changes


@pytest.mark.parametrize(
    "changes, says",
    [
        ([{"remedy": "guidance"}], "no remedies of a report"),
        ([{"remedy": "scale", "after": 3}], "between 0.7 and 1.0"),
        ([{"remedy": "prayer", "after": 1}], "no remedy prayer"),
        (5, "no remedies of a report"),
        ({}, "no remedies of a report"),
        (["scale"], "no remedies of a report"),
    ],
)
def test_what_no_report_says_is_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        Policy().begin_at(changes)


def test_the_loop_answers_each_rejection_and_reports_what_each_attempt_was_drawn_with():
    policy, seen = Policy(("scale",)), []
    generate, review = drawing([0.1, 0.2, 0.9])

    def watched(index, seed, check):
        seen.append(policy["scale"])
        return generate(index, seed, check)

    report = run(watched, review, seed=0, attempts=5, remedies=policy).report()
    assert seen == [1.0, 0.9, 0.8]
    assert [[change["after"] for change in row["remedies"]] for row in report["attempts"]] == [[], [0.9], [0.8]]


def test_no_threshold_stops_draws_of_another_network_than_it_was_measured_with():
    """After a rejection the tuned ControlNet paints: its draws go to their end, while other remedies leave the
    thresholds as they are.
    """
    for allowed, dropped in ((("tuned",), [True, False, False]), (("guidance",), [True, True, True])):
        generate, review = drawing([0.1, 0.1, 0.1])

        def looked_at(index, seed, check, generate=generate):
            image, payload = generate(index, seed, check)
            check(1, 10, lambda: image)
            return image, payload

        report = run(
            looked_at,
            review,
            seed=0,
            attempts=3,
            on_exhausted="stop",
            thresholds=(EarlyThreshold(0.1, 0.5),),
            remedies=Policy(allowed),
        ).report()
        assert [row["dropped"] for row in report["attempts"]] == dropped


@pytest.fixture
def own():
    """A remedy of another package, as long as the test runs: the product goes up when its size is wrong."""
    remedy = Remedy(
        "up", "size_mismatch", 0.0, -0.02, -0.04, lambda draw, value: draw.place(down=value), "Moves it up."
    )
    register(remedy)
    yield remedy
    REMEDIES.remove(remedy)


def test_a_remedy_of_another_package_is_one_more_entry(own):
    policy = Policy()
    assert "up" in policy.allowed
    for _ in range(3):
        policy.answer("size_mismatch")
    assert {"remedy": "up", "before": 0.0, "after": -0.04} in policy.changes
    assert Policy().begin_at(policy.changes)["up"] == -0.04
    with pytest.raises(ValueError, match="a remedy up already"):
        register(own)


def test_what_it_does_to_a_draw_stands_in_its_entry_alone(own):
    rgba = np.zeros((60, 50, 4), np.float32)
    rgba[10:50, 10:40] = (0.9, 0.5, 0.1, 1)
    canvas = place(Product.from_arrays(rgba, None, "a box"), 128, 128)
    moved = replaced(canvas, {"up": -0.04, "position": 0.03})
    assert round(moved.placing["down"], 4) == -0.01
    assert replaced(canvas, {}) is canvas


def test_a_profile_says_nothing_of_a_network_that_another_package_puts_in_place():
    remedy = Remedy("other", EVERY, 0.0, 1.0, 1.0, lambda draw, value: draw.use_tuned(), "Paints.", other_network=True)
    register(remedy)
    try:
        policy = Policy(("other",))
        policy.answer("size_mismatch")
        assert policy.other_network
    finally:
        REMEDIES.remove(remedy)
