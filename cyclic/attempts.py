"""What a run of the loop drew: its attempts, and what it gives back of them."""

from dataclasses import dataclass, field
from typing import Any

import torch

SKIPPED, INTERRUPTED = "skipped by the user", "interrupted by the user"  # the error of such an attempt


@dataclass
class Attempt:
    """One draw.

    image (3, H, W); review: a row of Review.rows(), with "error" where there was nothing to review; payload: what the
    engine wants to keep of it, such as its latent; steps: how many were paid; checks: [{"step", "available"}] of its
    preview checks; stopped_early: image and review are then of the last preview, and there is no payload; remedies: a
    Policy's changes that it was drawn with; picture: in a run joined of several, which of them it is a draw of, from 1.
    """

    index: int
    seed: int
    image: torch.Tensor
    review: dict
    seconds: float
    payload: Any = None
    steps: int = 0
    checks: list = field(default_factory=list)
    stopped_early: bool = False
    remedies: list = field(default_factory=list)
    picture: int = 1

    @property
    def defect(self) -> str | None:
        """The likeliest defect, whatever the verdict; None where there was nothing to review."""
        defects = {label: p for label, p in self.review["probabilities"].items() if label != "available"}
        return max(defects, key=lambda label: defects[label]) if defects else None

    @property
    def skipped(self) -> bool:
        return self.review.get("error") == SKIPPED

    @property
    def score(self) -> float:
        """p(available); below every probability where there was nothing to review."""
        return self.review["probabilities"].get("available", -1.0)


@dataclass
class RecurrentRun:
    """What a run drew and what it gives back: accepted says whether as many passed as were asked for; returned is the
    first of them, or else what on_exhausted says, None for "stop"; ended_by: "accepted", "interrupted", or the budget
    that was spent: "attempts", "seconds" or "steps"; runs: those that it was joined of, one for each picture of a
    batch; certificate: what the threshold stands on where a certified risk decided, as Reviewer.certificate says it.
    """

    attempts: list = field(default_factory=list)
    accepted: bool = False
    returned: Attempt | None = None
    seconds: float = 0.0
    on_exhausted: str = "best"
    ended_by: str = ""
    wanted: int = 1
    runs: list = field(default_factory=list)
    certificate: dict | None = None

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
        back. One with a certificate has "certificate".
        """
        given_back = {"results": [a.index + 1 for a in self.results]} if self.runs else {}
        rows = [
            {
                "attempt": a.index + 1,
                **({"picture": a.picture} if self.runs else {}),
                "seed": a.seed,
                **a.review,
                "dropped": a.stopped_early,
                "steps": a.steps,
                "looks": a.checks,
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
            **({"certificate": self.certificate} if self.certificate else {}),
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
