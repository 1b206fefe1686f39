"""Recurrent generation (arXiv:2408.00418): draw, review, stop at the first image fit to publish. Knows no engine."""

import time
from dataclasses import dataclass, field
from typing import Any, Callable, Generator

import torch

ON_EXHAUSTED = ("best", "last", "stop", "error")


class NoneAccepted(RuntimeError):
    """No attempt was accepted (or usable) and the caller asked for an error; `run` holds what was drawn."""

    def __init__(self, message: str, run: "RecurrentRun"):
        super().__init__(message)
        self.run = run


@dataclass
class Attempt:
    """One draw. image (3, H, W); review: a row of Review.rows(), with "error" where there was nothing to review; payload: what the
    engine wants to keep of it, such as its latent."""

    index: int
    seed: int
    image: torch.Tensor
    review: dict
    seconds: float
    payload: Any = None

    @property
    def score(self) -> float:
        """p(available); below every probability where there was nothing to review."""
        return self.review["probabilities"].get("available", -1.0)


@dataclass
class RecurrentRun:
    """What a run drew and what it gives back: returned is None where none passed and on_exhausted is "stop"."""

    attempts: list = field(default_factory=list)
    accepted: bool = False
    returned: Attempt | None = None
    seconds: float = 0.0
    on_exhausted: str = "best"

    def report(self) -> dict:
        """JSON-able: {"accepted", "attempts": [{"attempt", "seed", "label", "probabilities", "accepted", "seconds"}], "returned", "seconds"}; attempts count from 1."""
        rows = [{"attempt": a.index + 1, "seed": a.seed, **a.review, "seconds": round(a.seconds, 3)} for a in self.attempts]
        returned = self.returned.index + 1 if self.returned else None
        return {"accepted": self.accepted, "attempts": rows, "returned": returned, "on_exhausted": self.on_exhausted, "seconds": round(self.seconds, 3)}


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
        return f"attempt {self.attempt.index + 1}/{self.attempts} · {verdict}"


@dataclass(frozen=True)
class Accepted:
    attempt: Attempt


@dataclass(frozen=True)
class Exhausted:
    attempts: int
    returned: Attempt | None


def recurrent(generate: Callable[[int, int], tuple], review: Callable[[torch.Tensor], dict], seed: int, attempts: int,
              on_exhausted: str = "best") -> Generator[object, None, RecurrentRun]:
    """Yield Started and Reviewed per attempt, then Accepted or Exhausted; the generator's return value is the RecurrentRun.

    generate(index, seed) -> (image (3, H, W), payload) draws attempt index, from 0, with seed, seed + 1, ... modulo 2**64.
    review(image) -> a row of Review.rows(). An image with NaN counts as a failed attempt. When none is accepted, on_exhausted
    says what is returned: "best" (highest p(available)), "last", "stop" (nothing), or "error" (raises NoneAccepted). What generate
    raises, such as the user's cancel, passes through. Raises ValueError on wrong arguments, at once.
    """
    if attempts < 1:
        raise ValueError(f"attempts is {attempts}: at least 1 is needed.")
    if on_exhausted not in ON_EXHAUSTED:
        raise ValueError(f'on_exhausted is "{on_exhausted}": use one of {", ".join(ON_EXHAUSTED)}.')
    return _events(generate, review, seed, attempts, on_exhausted)


def _events(generate, review, seed, attempts, on_exhausted):
    run, start = RecurrentRun(on_exhausted=on_exhausted), time.monotonic()
    for index in range(attempts):
        attempt_seed, began = (seed + index) % 2**64, time.monotonic()
        yield Started(index, attempts, attempt_seed)
        image, payload = generate(index, attempt_seed)
        row = review(image) if torch.isfinite(image).all() else _unusable()
        attempt = Attempt(index, attempt_seed, image, row, time.monotonic() - began, payload)
        run.attempts.append(attempt)
        run.seconds = time.monotonic() - start
        yield Reviewed(attempt, attempts)
        if row["accepted"]:
            run.accepted, run.returned = True, attempt
            yield Accepted(attempt)
            return run
    run.returned = _fallback(run)
    yield Exhausted(attempts, run.returned)
    return run


def _unusable() -> dict:
    return {"label": None, "probabilities": {}, "accepted": False, "error": "the image holds NaN or infinite values: the sampler or VAE overflowed"}


def _fallback(run: RecurrentRun) -> Attempt | None:
    """What to give back when no attempt was accepted; never an image with NaN."""
    usable = [attempt for attempt in run.attempts if "error" not in attempt.review]
    count = len(run.attempts)
    if run.on_exhausted == "stop":
        return None
    if run.on_exhausted == "error":
        best = max(usable, key=lambda attempt: attempt.score, default=None)
        nearest = f"; the best was attempt {best.index + 1} with p(available) {best.score:.2f}" if best else ""
        raise NoneAccepted(f"none of {count} attempts was accepted{nearest}: allow more attempts, lower the threshold, or change the prompt.", run)
    if not usable:
        raise NoneAccepted(f"all of {count} attempts gave NaN or infinite values: run the sampler and VAE in fp32, or try another VAE.", run)
    return usable[-1] if run.on_exhausted == "last" else max(usable, key=lambda attempt: attempt.score)


def run(generate, review, seed: int, attempts: int, on_exhausted: str = "best", on_event: Callable[[object], None] = lambda event: None) -> RecurrentRun:
    """`recurrent` to its end, each event handed to on_event; returns the RecurrentRun."""
    events = recurrent(generate, review, seed, attempts, on_exhausted)
    while True:
        try:
            on_event(next(events))
        except StopIteration as end:
            return end.value
