"""Recurrent generation (arXiv:2408.00418): draw, review, stop at the first image fit to publish.

Knows no engine: `generate` draws, `review` judges. Draws that will hardly pass are stopped early, where a profile says
so, and remedies change the next draw after a rejected one.
"""

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import torch

from ..rfnet.labels import shown_label
from .attempts import INTERRUPTED, SKIPPED, Attempt, RecurrentRun
from .early_rejection import EarlyThreshold
from .preview_check import PreviewCheck, PreviewChecks, StoppedEarly
from .remedies import Policy

ON_EXHAUSTED = ("best", "last", "stop", "error")


class NoneAccepted(RuntimeError):
    """No attempt was accepted (or usable) and the caller asked for an error; `run` holds what was drawn."""

    def __init__(self, message: str, run: RecurrentRun):
        super().__init__(message)
        self.run = run


class Skipped(Exception):
    """What `generate` raises where the user ends this attempt alone: it is rejected, unreviewed, and the run goes on.

    image (3, H, W): what was drawn so far.
    """

    def __init__(self, image: torch.Tensor):
        super().__init__("skipped")
        self.image = image


class Interrupted(Exception):
    """What `generate` raises where the user ends the run and keeps what there is.

    image (3, H, W): what was drawn so far of this attempt, or None.
    """

    def __init__(self, image: torch.Tensor | None = None):
        super().__init__("interrupted")
        self.image = image
        self.attempt: Attempt | None = None  # which the loop makes of it


class TooMany(RuntimeError):
    """What `together` raises where so many draws at once don't fit into memory: the loop then draws one at a time."""


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
        label = shown_label(review)
        verdict = "error" if "error" in review else f"{label} {review['probabilities'][label]:.2f}"
        stopped = f"stopped early after step {self.attempt.steps} · " if self.attempt.stopped_early else ""
        return f"attempt {self.attempt.index + 1}/{self.attempts} · {stopped}{verdict}"


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


@dataclass(frozen=True)
class Budget:
    """What a run may spend; None is no limit."""

    attempts: int
    seconds: float | None = None
    steps: int | None = None

    def spent_by(self, run: RecurrentRun) -> str:
        """The name of a budget that is spent, or "". One attempt is always drawn."""
        used = {"attempts": len(run.attempts), "seconds": run.seconds, "steps": run.steps}
        for name, amount in used.items():
            most = getattr(self, name)
            if run.attempts and most is not None and amount >= most:
                return name
        return ""


def recurrent(
    generate: Callable[[int, int, PreviewCheck], tuple],
    review: Callable[[torch.Tensor], dict],
    seed: int,
    attempts: int,
    on_exhausted: str = "best",
    thresholds: Sequence[EarlyThreshold] = (),
    usable: int = 1,
    seconds: float | None = None,
    steps: int | None = None,
    together: Callable[[int, list, PreviewChecks], tuple] | None = None,
    parallel: int = 1,
    remedies: Policy | None = None,
    stride: int = 1,
    review_preview: Callable[[torch.Tensor], dict] | None = None,
) -> Generator[object, None, RecurrentRun]:
    """Yield Started and Reviewed per attempt, then Accepted or Exhausted; the generator's return value is the
    RecurrentRun.

    generate(index, seed, check) -> (image (3, H, W), payload): draws attempt index, from 0, with seed, seed + stride,
    ... modulo 2**64, and calls check(step, steps, preview) after each step. It may raise Skipped and Interrupted; what
    else it raises, such as the user's cancel, passes through. An image with NaN counts as a failed attempt.
    review(image) -> a row of Review.rows().
    thresholds: of early rejection; below them a draw is stopped early.
    together(index, seeds, checks) -> (images, payloads) of the rows in checks.alive: draws `parallel` attempts from
    `index` on at once. It calls checks after each step, and may raise TooMany.
    remedies: answers every rejected attempt; the engine draws with its present values.
    review_preview: reviews previews, where `review` is too slow for them, or thresholds were measured without what it
    asks besides; by default `review`.

    It ends with `usable` accepted images, before an attempt once `attempts`, `seconds` or sampling `steps` are spent,
    or with Interrupted. When none is accepted, on_exhausted says what is returned: "best" (highest p(available)),
    "last", "stop" (nothing), or "error" (raises NoneAccepted). Raises ValueError on wrong arguments, at once.
    """
    for name, value in (("attempts", attempts), ("usable", usable), ("parallel", parallel), ("stride", stride)):
        if value < 1:
            raise ValueError(f"{name} is {value}: at least 1 is needed.")
    if on_exhausted not in ON_EXHAUSTED:
        raise ValueError(f'on_exhausted is "{on_exhausted}": use one of {", ".join(ON_EXHAUSTED)}.')
    run = RecurrentRun(on_exhausted=on_exhausted, wanted=usable)
    runner = _Runner(generate, review, together, parallel, thresholds, remedies or Policy(()), review_preview or review)
    return _events(run, runner, (seed, stride), Budget(attempts, seconds, steps))


@dataclass
class _Runner:
    """Draws attempts, one or several at once. Its fields are recurrent's arguments."""

    generate: Callable
    review: Callable
    together: Callable | None
    parallel: int
    thresholds: Sequence[EarlyThreshold]
    remedies: Policy
    review_preview: Callable

    @property
    def at_once(self) -> int:
        return self.parallel if self.together else 1

    def draw(self, first: int, seeds: list[int]) -> list[Attempt]:
        """Attempts `first`, first + 1, ... with these seeds. Raises TooMany."""
        # thresholds were measured on draws of the graph's own network
        thresholds = () if self.remedies.other_network else self.thresholds
        if len(seeds) > 1:
            return self.several(first, seeds, thresholds)
        return [self.one(first, seeds[0], thresholds)]

    def one(self, index: int, seed: int, thresholds: Sequence[EarlyThreshold]) -> Attempt:
        began = time.monotonic()
        check = PreviewCheck(self.review_preview, thresholds)
        try:
            drawn = self.generate(index, seed, check)
        except (StoppedEarly, Skipped) as ended:
            drawn = ended.with_traceback(None)  # it would hold itself, and all of the draw
        except Interrupted as ended:
            if ended.image is not None:
                ended.attempt = Attempt(index, seed, ended.image, unreviewed(INTERRUPTED), time.monotonic() - began)
                self.tell(ended.attempt, check)
            raise
        attempt = self.attempt(index, seed, check, drawn)
        attempt.seconds = time.monotonic() - began
        return attempt

    def several(self, first: int, seeds: list[int], thresholds: Sequence[EarlyThreshold]) -> list[Attempt]:
        assert self.together is not None  # or at_once would be 1
        began = time.monotonic()
        checks = PreviewChecks(self.review_preview, thresholds, len(seeds))
        try:
            images, payloads = self.together(first, seeds, checks)
            finished = dict(zip(checks.alive, zip(images, payloads)))
        except StoppedEarly as stop:  # all of them
            stop.with_traceback(None)
            finished = {}
        attempts = [
            self.attempt(first + row, seed, check, checks.stopped.get(row) or finished[row])
            for row, (seed, check) in enumerate(zip(seeds, checks.rows))
        ]
        for attempt in attempts:  # they shared the time
            attempt.seconds = (time.monotonic() - began) / len(attempts)
        return attempts

    def attempt(self, index: int, seed: int, check: PreviewCheck, drawn) -> Attempt:
        """drawn: (image, payload), or the StoppedEarly or Skipped that ended the draw."""
        if isinstance(drawn, StoppedEarly):
            result = Attempt(index, seed, drawn.image, drawn.review, 0.0, stopped_early=True)
        elif isinstance(drawn, Skipped):
            result = Attempt(index, seed, drawn.image, unreviewed(SKIPPED), 0.0)
        else:
            image, payload = drawn
            result = Attempt(index, seed, image, judged(self.review, image), 0.0, payload)
        return self.tell(result, check)

    def tell(self, attempt: Attempt, check: PreviewCheck) -> Attempt:
        """Notes in the attempt what it was drawn with, and what it cost."""
        attempt.remedies = self.remedies.changes
        attempt.steps = check.steps
        attempt.checks = check.results
        return attempt


def _events(run: RecurrentRun, runner: _Runner, seeds_from: tuple, budget: Budget):
    """seeds_from: (seed of the first attempt, from one to the next)."""
    seed, stride = seeds_from
    start = time.monotonic()
    attempts = budget.attempts
    while not (spent := budget.spent_by(run)):
        first = len(run.attempts)
        last = min(first + runner.at_once, attempts)
        seeds = [(seed + index * stride) % 2**64 for index in range(first, last)]
        for row, attempt_seed in enumerate(seeds):
            yield Started(first + row, attempts, attempt_seed)
        try:
            drawn = runner.draw(first, seeds)
        except TooMany as reason:  # nothing was kept of them: the same attempts begin again, one at a time
            runner.parallel = 1
            yield OneAtATime(str(reason))
            continue
        except Interrupted as interrupted:
            yield _interrupted(run, interrupted)
            return run
        for attempt in drawn:
            run.attempts.append(attempt)
            run.seconds = time.monotonic() - start
            yield Reviewed(attempt, attempts)
        if len(run.usable) >= run.wanted:
            run.accepted = True
            run.returned = run.usable[0]
            run.ended_by = "accepted"
            yield Accepted(run.returned)
            return run
        if not any(attempt.review["accepted"] for attempt in drawn):
            # of several at once the most hopeful one is answered: one step for all of them together
            runner.remedies.answer(max(drawn, key=lambda attempt: attempt.score).defect)
    run.ended_by = spent
    if chosen := _to_finish(run):
        yield Started(len(run.attempts), attempts, chosen.seed)
        try:
            finished = _finished(chosen, runner, len(run.attempts))
        except Interrupted as interrupted:
            yield _interrupted(run, interrupted)
            return run
        run.attempts.append(finished)
        run.seconds = time.monotonic() - start
        yield Reviewed(finished, attempts)
        run.accepted = run.wanted == 1 and finished.review["accepted"]
    run.returned = run.usable[0] if run.usable else _fallback(run)
    yield Exhausted(attempts, run.returned)
    return run


def _interrupted(run: RecurrentRun, interrupted: Interrupted) -> Exhausted:
    """Ends the run with what there is: an accepted picture, else the best of those that were drawn to their end, else
    what was drawn so far.
    """
    count = len(run.attempts)
    if interrupted.attempt:
        run.attempts.append(interrupted.attempt)
    run.ended_by = "interrupted"
    finished = [attempt for attempt in run.attempts if "error" not in attempt.review and not attempt.stopped_early]
    best = max(finished, key=lambda attempt: attempt.score, default=None)
    run.returned = run.usable[0] if run.usable else best or (run.attempts[-1] if run.attempts else None)
    return Exhausted(count, run.returned)


def _to_finish(run: RecurrentRun) -> Attempt | None:
    """The attempt to draw to its end, where on_exhausted asks for a picture and all attempts were stopped early, or
    skipped: a preview is no picture to give back.
    """
    stopped = [attempt for attempt in run.attempts if attempt.stopped_early]
    skipped = [attempt for attempt in run.attempts if attempt.skipped]
    if run.on_exhausted not in ("best", "last") or not stopped or len(stopped) + len(skipped) < len(run.attempts):
        return None
    return stopped[-1] if run.on_exhausted == "last" else max(stopped, key=lambda attempt: attempt.score)


def _finished(attempt: Attempt, runner: _Runner, index: int) -> Attempt:
    """The attempt drawn again, now to its end: with its own remedies, and no thresholds."""
    runner.remedies.values = {change["remedy"]: change["after"] for change in attempt.remedies}
    return runner.one(index, attempt.seed, ())


def judged(review: Callable[[torch.Tensor], dict], image: torch.Tensor) -> dict:
    """The image's review; of one with NaN, which no reviewer takes, a row that says so."""
    if torch.isfinite(image).all():
        return review(image)
    return unreviewed("the image holds NaN or infinite values: the sampler or VAE overflowed")


def unreviewed(why: str) -> dict:
    """The row of an image that was not reviewed."""
    return {"label": None, "probabilities": {}, "accepted": False, "error": why}


def _fallback(run: RecurrentRun) -> Attempt | None:
    """What to give back when no attempt was accepted; never an image with NaN."""
    count = len(run.attempts)
    sound = [attempt for attempt in run.attempts if "error" not in attempt.review]
    if run.on_exhausted == "stop":
        return None
    if run.on_exhausted == "error":
        best = max(sound, key=lambda attempt: attempt.score, default=None)
        nearest = f"; the best was attempt {best.index + 1} with p(available) {best.score:.2f}" if best else ""
        raise NoneAccepted(
            f"none of {count} attempts was accepted{nearest}: allow more attempts, lower the threshold, or change the"
            " prompt.",
            run,
        )
    finished = [attempt for attempt in sound if not attempt.stopped_early]
    if not finished and (skipped := [attempt for attempt in run.attempts if attempt.skipped]):
        return skipped[-1]
    if not finished:
        raise NoneAccepted(
            f"all of {count} attempts gave NaN or infinite values: run the sampler and VAE in fp32, or try another"
            " VAE.",
            run,
        )
    return finished[-1] if run.on_exhausted == "last" else max(finished, key=lambda attempt: attempt.score)


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
