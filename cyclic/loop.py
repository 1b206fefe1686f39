"""Recurrent generation (arXiv:2408.00418): draw, review, stop at the first image fit to publish, give up early on those
that won't be. Knows no engine.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import torch

from .early_rejection import Gate
from .remedies import Policy

ON_EXHAUSTED = ("best", "last", "stop", "error")


class NoneAccepted(RuntimeError):
    """No attempt was accepted (or usable) and the caller asked for an error; `run` holds what was drawn."""

    def __init__(self, message: str, run: "RecurrentRun"):
        super().__init__(message)
        self.run = run


@dataclass
class Attempt:
    """One draw.

    image (3, H, W); review: a row of Review.rows(), with "error" where there was nothing to review; payload: what the
    engine wants to keep of it, such as its latent; steps: how many were paid; looks: [{"step", "available"}] of the
    gates that it met; dropped: given up at a gate, so that image and review are of the picture predicted there, and
    there is no payload; remedies: a Policy's changes that it was drawn with; picture: in a run joined of several, which
    of them it is a draw of, from 1.
    """

    index: int
    seed: int
    image: torch.Tensor
    review: dict
    seconds: float
    payload: Any = None
    steps: int = 0
    looks: list = field(default_factory=list)
    dropped: bool = False
    remedies: list = field(default_factory=list)
    picture: int = 1

    @property
    def defect(self) -> str | None:
        """The likeliest defect, whatever the verdict; None where there was nothing to review."""
        defects = {label: p for label, p in self.review["probabilities"].items() if label != "available"}
        return max(defects, key=defects.get) if defects else None

    @property
    def score(self) -> float:
        """p(available); below every probability where there was nothing to review."""
        return self.review["probabilities"].get("available", -1.0)


@dataclass
class RecurrentRun:
    """What a run drew and what it gives back: accepted says whether as many passed as were asked for; returned is the
    first of them, or else what on_exhausted says, None for "stop"; ended_by: "accepted", or the budget that was spent:
    "attempts", "seconds" or "steps"; runs: those that it was joined of, one for each picture of a batch.
    """

    attempts: list = field(default_factory=list)
    accepted: bool = False
    returned: Attempt | None = None
    seconds: float = 0.0
    on_exhausted: str = "best"
    ended_by: str = ""
    wanted: int = 1
    runs: list = field(default_factory=list)

    @classmethod
    def joined(cls, runs: list) -> "RecurrentRun":
        """The run of a batch, of its pictures' runs (one at least): their attempts follow each other, renumbered in
        place. One run stays as it is.
        """
        if len(runs) == 1:
            return runs[0]
        for picture, run in enumerate(runs, 1):
            for attempt in run.attempts:
                attempt.picture = picture
        attempts = [attempt for run in runs for attempt in run.attempts]
        for index, attempt in enumerate(attempts):
            attempt.index = index
        results = [result for run in runs for result in run.results]
        return cls(
            attempts,
            accepted=all(run.accepted for run in runs),
            returned=results[0] if results else None,
            seconds=sum(run.seconds for run in runs),
            on_exhausted=runs[0].on_exhausted,
            ended_by=next((run.ended_by for run in runs if not run.accepted), "accepted"),
            wanted=sum(run.wanted for run in runs),
            runs=runs,
        )

    def report(self) -> dict:
        """JSON-able: {"accepted", "attempts": [{"attempt", "seed", "label", "probabilities", "accepted", "dropped",
        "steps", "looks", "remedies", "seconds"}], "returned", "usable", "steps", "seconds", "ended_by"}; attempts count
        from 1. That of a joined run has "picture" in each attempt, from 1, and "results", the attempts that are given
        back.
        """
        given_back = {"results": [a.index + 1 for a in self.results]} if self.runs else {}
        rows = [
            {
                "attempt": a.index + 1,
                **({"picture": a.picture} if self.runs else {}),
                "seed": a.seed,
                **a.review,
                "dropped": a.dropped,
                "steps": a.steps,
                "looks": a.looks,
                "remedies": a.remedies,
                "seconds": round(a.seconds, 3),
            }
            for a in self.attempts
        ]
        returned = self.returned.index + 1 if self.returned else None
        return {
            "accepted": self.accepted,
            "attempts": rows,
            "returned": returned,
            "usable": [a.index + 1 for a in self.usable],
            **given_back,
            "steps": self.steps,
            "on_exhausted": self.on_exhausted,
            "ended_by": self.ended_by,
            "seconds": round(self.seconds, 3),
        }

    @property
    def usable(self) -> list:
        """The attempts that were accepted, in order."""
        return [attempt for attempt in self.attempts if attempt.review["accepted"]]

    @property
    def results(self) -> list:
        """What the run gives back, of each picture: the accepted attempts, no more than were asked for, or else the one
        that on_exhausted says.
        """
        if self.runs:
            return [result for run in self.runs for result in run.results]
        return self.usable[: self.wanted] or ([self.returned] if self.returned else [])

    @property
    def steps(self) -> int:
        """Sampling steps paid over all attempts."""
        return sum(attempt.steps for attempt in self.attempts)


class TooMany(RuntimeError):
    """What `together` raises where so many draws at once don't fit into memory: the loop then draws one at a time."""


class Dropped(Exception):
    """What a Look raises where a gate closes; an engine lets it pass through, as it lets a cancel."""

    def __init__(self, image: torch.Tensor, review: dict):
        super().__init__("given up at a gate")
        self.image, self.review = image, review


class Look:
    """What an engine calls after each step of a draw: it counts the steps, and raises Dropped where a gate closes."""

    def __init__(self, review: Callable[[torch.Tensor], dict], gates=()):
        self.review, self.gates, self.steps, self.seen = review, gates, 0, []

    def __call__(self, step: int, steps: int, picture: Callable[[], torch.Tensor]) -> None:
        """step: how many of `steps` are done; picture() -> the predicted clean picture (3, H, W), asked for only where
        a gate looks.
        """
        self.steps = step
        for gate in self.gates:
            if gate.step(steps) == step:
                image = picture()
                if not torch.isfinite(image).all():
                    return  # the finished picture will say so
                row = self.review(image)
                self.seen.append({"step": step, "available": row["probabilities"]["available"]})
                if row["probabilities"]["available"] < gate.threshold:
                    raise Dropped(image, {**row, "accepted": False})


class Looks:
    """What an engine calls after each step of several draws at once: a Look for each.

    Rows that a gate closes on are no longer `alive`: the engine may leave them out of its work, and Dropped comes only
    when none is left.
    """

    def __init__(self, review: Callable[[torch.Tensor], dict], gates, count: int):
        self.rows, self.dropped = [Look(review, gates) for _ in range(count)], {}

    @property
    def alive(self) -> list:
        return [row for row in range(len(self.rows)) if row not in self.dropped]

    def __call__(self, step: int, steps: int, pictures: Callable[[list], torch.Tensor]) -> None:
        """pictures(rows) -> their predicted clean pictures (len(rows), 3, H, W), asked for only where a gate looks."""
        alive = self.alive
        seen = pictures(alive) if any(gate.step(steps) == step for gate in self.rows[0].gates) else [None] * len(alive)
        for row, image in zip(alive, seen):
            try:
                self.rows[row](step, steps, lambda: image)
            except Dropped as early:
                self.dropped[row] = early
                if len(self.dropped) == len(self.rows):
                    raise


@dataclass(frozen=True)
class Started:
    """Attempt index of attempts begins to draw with seed."""

    index: int
    attempts: int
    seed: int


@dataclass(frozen=True)
class Reviewed:
    attempt: Attempt
    attempts: int

    @property
    def text(self) -> str:
        """A line for a progress bar: "attempt 2/5 · size_mismatch 0.81"."""
        review = self.attempt.review
        verdict = "error" if "error" in review else f"{review['label']} {review['probabilities'][review['label']]:.2f}"
        dropped = f"given up after step {self.attempt.steps} · " if self.attempt.dropped else ""
        return f"attempt {self.attempt.index + 1}/{self.attempts} · {dropped}{verdict}"


@dataclass(frozen=True)
class OneAtATime:
    """Drawing several at once failed; reason says why."""

    reason: str


@dataclass(frozen=True)
class Accepted:
    attempt: Attempt


@dataclass(frozen=True)
class Exhausted:
    attempts: int
    returned: Attempt | None


def recurrent(
    generate: Callable[[int, int, Look], tuple],
    review: Callable[[torch.Tensor], dict],
    seed: int,
    attempts: int,
    on_exhausted: str = "best",
    gates: tuple[Gate, ...] = (),
    usable: int = 1,
    seconds: float | None = None,
    steps: int | None = None,
    together: Callable[[int, list, Looks], tuple] | None = None,
    parallel: int = 1,
    remedies: Policy | None = None,
) -> Generator[object, None, RecurrentRun]:
    """Yield Started and Reviewed per attempt, then Accepted or Exhausted; the generator's return value is the
    RecurrentRun.

    generate(index, seed, look) -> (image (3, H, W), payload) draws attempt index, from 0, with seed, seed + 1, ...
    modulo 2**64, and calls look(step, steps, picture) after each step. review(image) -> a row of Review.rows(). An
    image with NaN counts as a failed attempt. together(index, seeds, looks) -> (images, payloads), of the rows in
    looks.alive, draws `parallel` attempts from `index` on at once; it calls looks after each step, and may raise
    TooMany. remedies: answers every rejected attempt; the engine draws with its present values. gates: where a draw
    that will hardly pass is given up, but not while remedies have another network paint, which the gates weren't
    measured with. It ends with `usable` accepted images, or before an attempt once `attempts`, `seconds` or sampling
    `steps` are spent. When none is accepted, on_exhausted says what is returned: "best" (highest p(available)), "last",
    "stop" (nothing), or "error" (raises NoneAccepted); where every attempt was given up, the best (last) of them is
    drawn to its end for that. What generate raises, such as the user's cancel, passes through. Raises ValueError on
    wrong arguments, at once.
    """
    for name, value in (("attempts", attempts), ("usable", usable), ("parallel", parallel)):
        if value < 1:
            raise ValueError(f"{name} is {value}: at least 1 is needed.")
    if on_exhausted not in ON_EXHAUSTED:
        raise ValueError(f'on_exhausted is "{on_exhausted}": use one of {", ".join(ON_EXHAUSTED)}.')
    return _events(
        generate,
        review,
        seed,
        {"attempts": attempts, "seconds": seconds, "steps": steps},
        on_exhausted,
        gates,
        usable,
        together,
        parallel,
        remedies or Policy(()),
    )


def _events(generate, review, seed, budget, on_exhausted, gates, usable, together, parallel, remedies):
    run, start = RecurrentRun(on_exhausted=on_exhausted, wanted=usable), time.monotonic()
    attempts = budget["attempts"]
    while not (spent := _spent(run, budget)):
        first = len(run.attempts)
        seeds = [(seed + index) % 2**64 for index in range(first, min(first + (parallel if together else 1), attempts))]
        for row, attempt_seed in enumerate(seeds):
            yield Started(first + row, attempts, attempt_seed)
        try:
            closing = () if remedies.other_painter else gates
            drawn = (
                [_draw(generate, review, first, seeds[0], closing)]
                if len(seeds) == 1
                else _draw_together(together, review, first, seeds, closing)
            )
        except TooMany as reason:
            parallel = 1
            yield OneAtATime(str(reason))
            continue
        for attempt in drawn:
            attempt.remedies = remedies.changes
            run.attempts.append(attempt)
            run.seconds = time.monotonic() - start
            yield Reviewed(attempt, attempts)
        if len(run.usable) >= usable:
            run.accepted, run.returned, run.ended_by = True, run.usable[0], "accepted"
            yield Accepted(run.returned)
            return run
        if not any(attempt.review["accepted"] for attempt in drawn):
            remedies.answer(max(drawn, key=lambda attempt: attempt.score).defect)
    run.ended_by = spent
    given_up = [attempt for attempt in run.attempts if attempt.dropped]
    if len(given_up) == len(run.attempts) and on_exhausted in ("best", "last"):
        chosen = given_up[-1] if on_exhausted == "last" else max(given_up, key=lambda attempt: attempt.score)
        yield Started(len(run.attempts), attempts, chosen.seed)
        remedies.values = {change["remedy"]: change["after"] for change in chosen.remedies}
        run.attempts.append(_draw(generate, review, len(run.attempts), chosen.seed, ()))
        run.attempts[-1].remedies = chosen.remedies
        run.seconds = time.monotonic() - start
        yield Reviewed(run.attempts[-1], attempts)
        run.accepted = usable == 1 and run.attempts[-1].review["accepted"]
    run.returned = run.usable[0] if run.usable else _fallback(run)
    yield Exhausted(attempts, run.returned)
    return run


def _spent(run: RecurrentRun, budget: dict) -> str:
    """The name of a budget that is spent, or "". One attempt is always drawn."""
    used = {"attempts": len(run.attempts), "seconds": run.seconds, "steps": run.steps}
    return next((name for name, most in budget.items() if run.attempts and most is not None and used[name] >= most), "")


def _draw(generate, review, index: int, seed: int, gates) -> Attempt:
    began, look = time.monotonic(), Look(review, gates)
    try:
        image, payload = generate(index, seed, look)
    except Dropped as early:
        return Attempt(
            index, seed, early.image, early.review, time.monotonic() - began, None, look.steps, look.seen, dropped=True
        )
    return Attempt(index, seed, image, _judged(review, image), time.monotonic() - began, payload, look.steps, look.seen)


def _draw_together(together, review, first: int, seeds: list, gates) -> list:
    began, looks = time.monotonic(), Looks(review, gates, len(seeds))
    try:
        images, payloads = together(first, seeds, looks)
        drawn = dict(zip(looks.alive, zip(images, payloads)))
    except Dropped:
        drawn = {}
    attempts = []
    for row, (seed, look) in enumerate(zip(seeds, looks.rows)):
        if early := looks.dropped.get(row):
            attempt = Attempt(
                first + row, seed, early.image, early.review, 0.0, None, look.steps, look.seen, dropped=True
            )
        else:
            image, payload = drawn[row]
            attempt = Attempt(first + row, seed, image, _judged(review, image), 0.0, payload, look.steps, look.seen)
        attempts.append(attempt)
    for attempt in attempts:
        attempt.seconds = (time.monotonic() - began) / len(attempts)
    return attempts


def _judged(review, image: torch.Tensor) -> dict:
    return review(image) if torch.isfinite(image).all() else _unusable()


def _unusable() -> dict:
    return {
        "label": None,
        "probabilities": {},
        "accepted": False,
        "error": "the image holds NaN or infinite values: the sampler or VAE overflowed",
    }


def _fallback(run: RecurrentRun) -> Attempt | None:
    """What to give back when no attempt was accepted; never an image with NaN."""
    usable = [attempt for attempt in run.attempts if "error" not in attempt.review and not attempt.dropped]
    count = len(run.attempts)
    if run.on_exhausted == "stop":
        return None
    if run.on_exhausted == "error":
        best = max(
            [attempt for attempt in run.attempts if "error" not in attempt.review],
            key=lambda attempt: attempt.score,
            default=None,
        )
        nearest = f"; the best was attempt {best.index + 1} with p(available) {best.score:.2f}" if best else ""
        raise NoneAccepted(
            f"none of {count} attempts was accepted{nearest}: allow more attempts, lower the threshold, or change the"
            " prompt.",
            run,
        )
    if not usable:
        raise NoneAccepted(
            f"all of {count} attempts gave NaN or infinite values: run the sampler and VAE in fp32, or try another"
            " VAE.",
            run,
        )
    return usable[-1] if run.on_exhausted == "last" else max(usable, key=lambda attempt: attempt.score)


def run(
    generate,
    review,
    seed: int,
    attempts: int,
    on_exhausted: str = "best",
    on_event: Callable[[object], None] = lambda event: None,
    **limits,
) -> RecurrentRun:
    """`recurrent` to its end, each event handed to on_event; returns the RecurrentRun.

    limits: recurrent's other arguments.
    """
    events = recurrent(generate, review, seed, attempts, on_exhausted, **limits)
    while True:
        try:
            on_event(next(events))
        except StopIteration as end:
            return end.value
