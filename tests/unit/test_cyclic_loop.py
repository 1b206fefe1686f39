"""The loop: seeds, order of events, what comes back when nothing passes, and how it stops."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reliable_ads.cyclic.early_rejection import EarlyThreshold
from reliable_ads.cyclic.loop import (
    Accepted,
    Exhausted,
    Interrupted,
    NoneAccepted,
    OneAtATime,
    RecurrentRun,
    Reviewed,
    Skipped,
    Started,
    TooMany,
    recurrent,
    run,
)

from .loop_examples import drawing


def test_it_stops_at_the_first_accepted_image():
    result = run(*drawing([0.1, 0.7, 0.9]), seed=40, attempts=3)
    assert (
        result.accepted
        and result.returned.index == 1
        and result.returned.seed == 41
        and result.returned.payload == "latent 1"
    )
    assert len(result.attempts) == 2


def test_events_come_in_order():
    events = []
    run(*drawing([0.1, 0.7]), seed=0, attempts=5, on_event=events.append)
    assert [type(event) for event in events] == [Started, Reviewed, Started, Reviewed, Accepted]
    assert events[1].text == "attempt 1/5 · size_mismatch 0.90"


@pytest.mark.parametrize("on_exhausted, index", [("best", 1), ("last", 2), ("stop", None)])
def test_what_comes_back_when_none_passes(on_exhausted, index):
    events = []
    result = run(*drawing([0.1, 0.4, 0.2]), seed=0, attempts=3, on_exhausted=on_exhausted, on_event=events.append)
    assert not result.accepted and isinstance(events[-1], Exhausted)
    assert (result.returned.index if result.returned else None) == index


def test_error_keeps_what_was_drawn():
    with pytest.raises(
        NoneAccepted, match=r"none of 2 attempts was accepted; the best was attempt 2 with p\(available\) 0.40"
    ) as caught:
        run(*drawing([0.1, 0.4]), seed=0, attempts=2, on_exhausted="error")
    assert len(caught.value.run.attempts) == 2


def test_seeds_wrap_around():
    result = run(*drawing([0, 0, 0]), seed=2**64 - 2, attempts=3)
    assert [attempt.seed for attempt in result.attempts] == [2**64 - 2, 2**64 - 1, 0]


@pytest.mark.parametrize("attempts", [0, -1])
def test_no_attempts_are_refused_before_anything_is_drawn(attempts):
    with pytest.raises(ValueError, match=f"attempts is {attempts}: at least 1"):
        recurrent(*drawing([]), seed=0, attempts=attempts)
    with pytest.raises(ValueError, match="on_exhausted"):
        recurrent(*drawing([]), seed=0, attempts=1, on_exhausted="cry")


def with_nan(generate, broken):
    return lambda index, seed, check: (
        (torch.full((3, 8, 8), torch.nan), None) if index in broken else generate(index, seed, check)
    )


def test_nan_is_a_failed_attempt_that_says_so():
    generate, review = drawing([0.0, 0.4, 0.3])
    events = []
    result = run(with_nan(generate, {0}), review, seed=0, attempts=3, on_event=events.append)
    assert result.returned.index == 1 and "NaN" in result.report()["attempts"][0]["error"]
    assert events[1].text == "attempt 1/3 · error"
    json.dumps(result.report())


@pytest.mark.parametrize("on_exhausted", ["best", "last", "error"])
def test_nothing_but_nan_is_an_error(on_exhausted):
    generate, review = drawing([0, 0])
    with pytest.raises(NoneAccepted):
        run(with_nan(generate, {0, 1}), review, seed=0, attempts=2, on_exhausted=on_exhausted)


def test_a_cancel_passes_through():
    class Cancel(Exception):
        pass

    def generate(index, seed, check):
        raise Cancel

    with pytest.raises(Cancel):
        run(generate, drawing([])[1], seed=0, attempts=3)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.integers(0, 2**64 - 1))
def test_for_any_scores_the_run_tells_the_truth(scores, seed):
    result = run(*drawing(scores), seed=seed, attempts=len(scores))
    report = json.loads(json.dumps(result.report()))
    first = next((i for i, p in enumerate(scores) if p >= 0.5), None)
    assert result.accepted == (first is not None)
    assert len(report["attempts"]) == (len(scores) if first is None else first + 1)
    assert result.returned.score == (max(scores) if first is None else scores[first])
    assert report["returned"] == result.returned.index + 1


STEPS = 10


def stepping(scores):
    """As `drawing`, with STEPS steps whose predicted picture tells the final score."""
    _plain, review = drawing(scores)

    def generate(index, seed, check):
        picture = torch.full((3, 8, 8), float(seed - 100))  # the seed decides, as in life
        for step in range(1, STEPS + 1):
            check(step, STEPS, lambda: picture)
        return picture, f"latent {seed}"

    return generate, review


def test_a_draw_below_a_threshold_is_stopped_early():
    events = []
    result = run(
        *stepping([0.05, 0.3, 0.9]),
        seed=100,
        attempts=5,
        thresholds=(EarlyThreshold(0.2, 0.1), EarlyThreshold(0.5, 0.4)),
        on_event=events.append,
    )
    assert [(a.stopped_early, a.steps) for a in result.attempts] == [(True, 2), (True, 5), (False, 10)]
    assert result.accepted and result.returned.index == 2 and result.steps == 17
    assert events[1].text == "attempt 1/5 · stopped early after step 2 · size_mismatch 0.95"
    report = json.loads(json.dumps(result.report()))
    assert (
        report["attempts"][2]["looks"] == [{"step": 2, "available": 0.9}, {"step": 5, "available": 0.9}]
        and report["ended_by"] == "accepted"
    )
    assert report["attempts"][0]["dropped"] and not report["attempts"][0]["accepted"]


def test_when_all_were_given_up_the_best_is_drawn_to_its_end():
    result = run(*stepping([0.1, 0.3, 0.2]), seed=100, attempts=3, thresholds=(EarlyThreshold(0.5, 0.6),))
    assert [a.stopped_early for a in result.attempts] == [True, True, True, False]
    assert result.returned.seed == 101 and result.returned.payload == "latent 101" and not result.accepted
    assert (
        run(
            *stepping([0.1, 0.3, 0.2]),
            seed=100,
            attempts=3,
            on_exhausted="last",
            thresholds=(EarlyThreshold(0.5, 0.6),),
        ).returned.seed
        == 102
    )
    assert (
        run(
            *stepping([0.1, 0.3, 0.2]),
            seed=100,
            attempts=3,
            on_exhausted="stop",
            thresholds=(EarlyThreshold(0.5, 0.6),),
        ).returned
        is None
    )


def test_a_threshold_that_was_wrong_about_the_best_still_gives_it():
    result = run(*stepping([0.1, 0.7]), seed=100, attempts=2, thresholds=(EarlyThreshold(0.5, 0.8),))
    assert result.accepted and result.returned.seed == 101


def test_a_predicted_picture_with_nan_is_left_to_the_final_review():
    def generate(index, seed, check):
        check(5, STEPS, lambda: torch.full((3, 8, 8), torch.nan))
        return torch.zeros(3, 8, 8), None

    assert (
        not run(generate, drawing([0.9])[1], seed=0, attempts=1, thresholds=(EarlyThreshold(0.5, 0.5),))
        .attempts[0]
        .stopped_early
    )


def test_several_usable_pictures():
    result = run(*stepping([0.6, 0.1, 0.7, 0.8]), seed=100, attempts=4, usable=2)
    assert result.accepted and [a.seed for a in result.results] == [100, 102] and result.returned.seed == 100
    short = run(*stepping([0.6, 0.1, 0.2]), seed=100, attempts=3, usable=2)
    assert not short.accepted and [a.seed for a in short.results] == [100] and short.ended_by == "attempts"
    with pytest.raises(ValueError, match="usable is 0"):
        recurrent(*stepping([]), seed=0, attempts=1, usable=0)


def test_budgets_of_steps_and_seconds_end_it():
    result = run(*stepping([0.1] * 9), seed=100, attempts=9, steps=25)
    assert len(result.attempts) == 3 and result.ended_by == "steps"
    result = run(*stepping([0.1] * 9), seed=100, attempts=9, seconds=0.0)
    assert len(result.attempts) == 1 and result.ended_by == "seconds"


def drawing_together(scores, early=None, steps=10):
    """As `drawing`, several at once; early: the predicted pictures' scores.

    Notes which rows were still worked on after each step.
    """
    generate, review = drawing([*scores, *(early or [])])
    worked = []

    def together(index, seeds, checks):
        for step in range(1, steps + 1):
            worked.append(len(checks.alive))
            checks(
                step,
                steps,
                lambda rows: torch.stack([torch.full((3, 8, 8), float(len(scores) + index + row)) for row in rows]),
            )
        return torch.stack([torch.full((3, 8, 8), float(index + row)) for row in checks.alive]), [
            f"latent {index + row}" for row in checks.alive
        ]

    return generate, review, together, worked


def test_several_at_once_draw_what_one_at_a_time_draws():
    generate, review, together, _ = drawing_together([0.1, 0.2, 0.3, 0.9, 0.8])
    alone = run(generate, review, seed=5, attempts=5)
    result = run(generate, review, seed=5, attempts=5, together=together, parallel=2)
    assert [attempt.seed for attempt in result.attempts] == [5, 6, 7, 8]
    assert (
        result.returned.index == alone.returned.index == 3
        and result.returned.payload == "latent 3"
        and result.steps == 40
    )
    more = run(generate, review, seed=5, attempts=5, together=together, parallel=8)
    assert (
        len(more.attempts) == 5
        and [attempt.index for attempt in more.usable] == [3, 4]
        and [attempt.index for attempt in more.results] == [3]
    )


def test_rows_that_were_stopped_early_are_no_longer_worked_on():
    generate, review, together, worked = drawing_together([0.1, 0.9, 0.1], early=[0.05, 0.6, 0.05])
    result = run(
        generate, review, seed=0, attempts=3, thresholds=(EarlyThreshold(0.5, 0.2),), together=together, parallel=3
    )
    assert worked == [3] * 5 + [1] * 5
    assert result.accepted and result.returned.payload == "latent 1"
    assert [(attempt.stopped_early, attempt.steps) for attempt in result.attempts] == [
        (True, 5),
        (False, 10),
        (True, 5),
    ]


def test_when_all_of_them_are_given_up_the_rest_of_the_steps_is_saved():
    generate, review, together, worked = drawing_together([0.1, 0.1], early=[0.05, 0.06])
    result = run(
        generate,
        review,
        seed=0,
        attempts=2,
        on_exhausted="stop",
        thresholds=(EarlyThreshold(0.3, 0.2),),
        together=together,
        parallel=2,
    )
    assert len(worked) == 3 and all(attempt.stopped_early for attempt in result.attempts) and result.returned is None


def test_too_many_at_once_goes_on_one_at_a_time():
    generate, review, _, _ = drawing_together([0.1, 0.2, 0.9])
    events = []

    def together(index, seeds, checks):
        raise TooMany("no room")

    result = run(generate, review, seed=0, attempts=3, on_event=events.append, together=together, parallel=3)
    assert result.accepted and [attempt.seed for attempt in result.attempts] == [0, 1, 2]
    assert [event.reason for event in events if isinstance(event, OneAtATime)] == ["no room"]


def test_runs_of_a_batch_are_joined_picture_by_picture():
    scores = ([0.1, 0.7], [0.3, 0.2], [0.9])
    runs = [run(*drawing(each), seed=40, attempts=2) for each in scores]
    whole = RecurrentRun.joined(runs)
    assert [(a.picture, a.index, a.seed) for a in whole.attempts] == [
        (1, 0, 40),
        (1, 1, 41),
        (2, 2, 40),
        (2, 3, 41),
        (3, 4, 40),
    ]
    assert [result.index for result in whole.results] == [1, 2, 4] and whole.returned is whole.results[0]
    assert not whole.accepted and whole.ended_by == "attempts" and whole.seconds == sum(each.seconds for each in runs)
    report = json.loads(json.dumps(whole.report()))
    assert [(row["attempt"], row["picture"]) for row in report["attempts"]] == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)]
    assert (report["returned"], report["usable"], report["results"]) == (2, [2, 5], [2, 3, 5])


def test_one_run_is_joined_to_itself():
    alone = run(*drawing([0.7]), seed=1, attempts=1)
    assert RecurrentRun.joined([alone]) is alone
    assert "results" not in alone.report() and "picture" not in alone.report()["attempts"][0]


def test_a_batch_is_accepted_when_each_picture_is_and_gives_what_there_is():
    fit, none = (
        run(*drawing([0.7, 0.9]), seed=1, attempts=2, usable=2),
        run(*drawing([0.1]), seed=1, attempts=1, on_exhausted="stop"),
    )
    whole = RecurrentRun.joined([none, fit])
    assert (
        whole.results == fit.results
        and whole.returned is fit.returned
        and not whole.accepted
        and whole.ended_by == "attempts"
    )
    both = RecurrentRun.joined([run(*drawing([0.7]), seed=1, attempts=1), run(*drawing([0.8]), seed=1, attempts=1)])
    assert both.accepted and both.ended_by == "accepted" and len(both.results) == 2


def ending(kinds: list):
    """(generate, review): an attempt is "good", "bad", "skipped" or "interrupted"."""
    generate, review = drawing([{"good": 0.9}.get(kind, 0.1) for kind in kinds])

    def ended(index, seed, check):
        image, payload = generate(index, seed, check)
        if kinds[index] == "skipped":
            raise Skipped(image)
        if kinds[index] == "interrupted":
            raise Interrupted(image)
        return image, payload

    return ended, review


def test_a_skipped_attempt_is_rejected_unreviewed_and_the_run_goes_on():
    result = run(*ending(["skipped", "good"]), seed=0, attempts=3)
    assert result.accepted and result.returned.index == 1 and result.attempts[0].skipped
    assert result.report()["attempts"][0]["error"] == "skipped by the user"


def test_of_attempts_that_were_all_skipped_the_last_is_given_back_as_far_as_it_was_drawn():
    result = run(*ending(["skipped", "skipped"]), seed=0, attempts=2)
    assert not result.accepted and result.returned.index == 1


def test_an_interrupt_ends_the_run_and_keeps_what_there_is():
    events = []
    result = run(*ending(["bad", "interrupted", "good"]), seed=0, attempts=3, on_event=events.append)
    assert not result.accepted and result.ended_by == "interrupted" and len(result.attempts) == 2
    assert result.returned.index == 0 and isinstance(events[-1], Exhausted)
    alone = run(*ending(["interrupted"]), seed=0, attempts=3)
    assert alone.returned.index == 0 and alone.report()["attempts"][0]["error"] == "interrupted by the user"


def test_seeds_may_stride_so_that_several_runs_share_none():
    result = run(*drawing([0.1, 0.1, 0.1]), seed=7, attempts=3, stride=4)
    assert [attempt.seed for attempt in result.attempts] == [7, 11, 15]


def test_previews_may_be_reviewed_by_something_quicker():
    finished, previews = [], []

    def judge(seen):
        def review(image):
            seen.append(float(image.mean()))
            return {"label": "available", "probabilities": {"available": 0.9}, "accepted": True}

        return review

    def generate(index, seed, check):
        check(1, 2, lambda: torch.zeros(3, 4, 4))
        check(2, 2, lambda: torch.zeros(3, 4, 4))
        return torch.ones(3, 4, 4), None

    run(generate, judge(finished), 0, 1, thresholds=[EarlyThreshold(0.5, 0.1)], review_preview=judge(previews))
    assert finished == [1.0] and previews == [0.0]
