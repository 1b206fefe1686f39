"""Early rejection: after which share of the steps to look at the predicted picture, and below which p(available) to
give the draw up.

A draw pays for all of its steps before the reviewer sees it. Its predicted clean picture shows much earlier what it
will become, so a draw that will almost surely fail can end there. How early, and at which probability, depends on
model, sampler and reviewer: `fit_gates` reads it off draws that went to their end while every candidate point was
looked at.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from msgspec import Meta

from ..rfnet.files import quoted
from ..rfnet.structured import StructureError, convert, parse_json, shortened
from ..rfnet.textfiles import TextError, decoded, read_bytes

CANDIDATES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75)  # of the steps
SHARE = 0.03  # of the finally accepted pictures that may be lost at most
PARTS = (0.25, 0.5, 0.75, 1.0)  # of that share: losing fewer may be cheaper
MOST = 3  # gates; each look costs a decode and a review
LEAST_ACCEPTED = 20  # draws that must have been accepted before a threshold means anything
FORMAT = "reliable-ads/gates"
LIMIT = 8 << 20  # bytes of a profile
Share = Annotated[float, Meta(ge=0, le=1)]
Inside = Annotated[float, Meta(gt=0, lt=1)]
Cost = Annotated[float, Meta(ge=0, le=1e6)]
Word = Annotated[str, Meta(max_length=200)]
Factors = Annotated[list[Annotated[float, Meta(ge=-1e4, le=1e4)]], Meta(min_length=2, max_length=257)]


class GateError(ValueError):
    """A profile that can't be made or read; one sentence that says what to do."""


@dataclass(frozen=True)
class Gate:
    """After this share of the steps, in (0, 1), a draw goes on only with at least this p(available) of its predicted
    picture.
    """

    progress: Inside
    threshold: Share

    def step(self, steps: int) -> int:
        """The step, counted from 1, after which this gate looks."""
        return min(max(1, round(self.progress * steps)), max(1, steps - 1))

    def at(self, steps: int) -> dict:
        """As reports show it."""
        return {"step": self.step(steps), "threshold": self.threshold}


@dataclass(frozen=True)
class Draws:
    """N draws to their end.

    progress (K,): where each was looked at; scores (N, K): p(available) there; accepted (N,): the final verdict; groups
    (N,): what they were drawn for, such as product ids; look: what one look costs, in steps; review: a final decode and
    review, too.
    """

    progress: np.ndarray
    scores: np.ndarray
    accepted: np.ndarray
    groups: list
    look: float
    review: float

    def __len__(self) -> int:
        return len(self.accepted)

    def select(self, rows) -> Draws:
        return Draws(
            self.progress,
            self.scores[rows],
            self.accepted[rows],
            [self.groups[row] for row in rows],
            self.look,
            self.review,
        )


def pass_through(draws: Draws, gates, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """(alive (N,) bool, paid (N,)): which draws come through all gates, and what each costs in steps, looks and reviews
    included.
    """
    alive, paid = np.ones(len(draws), bool), np.zeros(len(draws))
    for gate in gates:
        column = int(np.abs(draws.progress - gate.progress).argmin())
        paid += alive * draws.look
        fails = alive & (draws.scores[:, column] < gate.threshold)
        paid += fails * gate.step(steps)
        alive &= ~fails
    return alive, paid + alive * (steps + draws.review)


def cost(draws: Draws, gates, steps: int) -> float:
    """Steps paid per accepted picture; infinite where none comes through."""
    alive, paid = pass_through(draws, gates, steps)
    usable = (alive & draws.accepted).sum()
    return float(paid.sum() / usable) if usable else float("inf")


def threshold(scores: np.ndarray, losses: int) -> float:
    """The highest threshold below which at most `losses` of these scores lie."""
    return float(np.sort(scores)[losses])


def gates_at(draws: Draws, columns, losses: int) -> tuple:
    """Gates at these columns that lose at most `losses` accepted draws together, shared out evenly, the earlier gates
    first.
    """
    alive, gates = draws.accepted.copy(), []
    for number, column in enumerate(columns):
        allowed = losses * (number + 1) // len(columns) - int((draws.accepted & ~alive).sum())
        least = threshold(draws.scores[alive, column], max(0, allowed))
        gates.append(Gate(float(draws.progress[column]), least))
        alive &= draws.scores[:, column] >= least
    return tuple(gates)


def fit_gates(draws: Draws, steps: int, share: float = SHARE) -> tuple:
    """The gates that lose at most `share` of the accepted draws and make an accepted picture cheapest; none where
    looking doesn't pay.

    Raises GateError where too few draws were accepted to say.
    """
    accepted = int(draws.accepted.sum())
    if accepted < LEAST_ACCEPTED:
        raise GateError(
            f"{accepted} of {len(draws)} draws were accepted, and {LEAST_ACCEPTED} are needed: profile with more draws."
        )
    losses = sorted({int(share * accepted * part) for part in PARTS})
    places = [
        columns for count in range(1, MOST + 1) for columns in itertools.combinations(range(len(draws.progress)), count)
    ]
    return min(
        [(), *(gates_at(draws, columns, most) for columns in places for most in losses)],
        key=lambda gates: cost(draws, gates, steps),
    )


def judge(draws: Draws, steps: int, share: float = SHARE, folds: int = 5) -> dict:
    """What gates fitted on the other groups' draws do, group by group: {"lost": (value, n), "cost_ratio": value}, so
    that no draw judges a threshold that it helped to set.
    """
    names = sorted(set(draws.groups))
    fold_of = {name: number % folds for number, name in enumerate(names)}
    fold = np.array([fold_of[group] for group in draws.groups])
    lost = usable = 0
    paid = plain = kept = 0.0
    for number in range(min(folds, len(names))):
        inside = np.flatnonzero(fold == number)
        held, rest = draws.select(inside), draws.select(np.flatnonzero(fold != number))
        try:
            gates = fit_gates(rest, steps, share)
        except GateError:
            continue
        alive, spent = pass_through(held, gates, steps)
        usable += int(held.accepted.sum())
        lost += int((held.accepted & ~alive).sum())
        kept += float((held.accepted & alive).sum())
        paid += float(spent.sum())
        plain += float(pass_through(held, (), steps)[1].sum())
    if not usable or not kept:
        return {"lost": None, "accepted": usable, "cost_ratio": None}
    return {"lost": lost / usable, "accepted": usable, "cost_ratio": (paid / kept) / (plain / usable)}


@dataclass
class Settings:
    """What a profile holds for, of the sampler; threshold: of the reviewer."""

    steps: Annotated[int, Meta(ge=1, le=100_000)]
    cfg: Annotated[float, Meta(ge=-1000, le=1000)]
    sampler_name: Word
    scheduler: Word
    denoise: Share
    threshold: Share


@dataclass
class Profile:
    """Gates for one model, reviewer and way of sampling, with the draws behind them, so that more can be added.

    model, reviewer: fingerprints; settings: {"steps", "cfg", "sampler_name", "scheduler", "denoise", "threshold"};
    preview: factors of the preview.Preview that was looked through, none where it was the VAE.
    """

    model: Word
    reviewer: Word
    settings: dict
    gates: Annotated[tuple[Gate, ...], Meta(max_length=16)] = ()
    share: Share = SHARE
    about: dict = field(default_factory=dict)
    progress: Annotated[list[Inside], Meta(min_length=1, max_length=64)] = field(
        default_factory=lambda: list(CANDIDATES)
    )
    scores: list[list[Share]] = field(default_factory=list)
    accepted: list[bool] = field(default_factory=list)
    groups: list[Word] = field(default_factory=list)
    look: Cost = 0.0
    review: Cost = 0.0
    preview: list[Factors] = field(default_factory=list)

    def add(self, scores, accepted: bool, group: str) -> None:
        """One more draw that went to its end; scores: p(available) at each of `progress`."""
        if len(scores) != len(self.progress):
            raise GateError(
                f"a draw was looked at {len(scores)} times where {len(self.progress)} are due: with few steps two looks"
                " fall on the same one; use at least 10."
            )
        self.scores.append([round(float(score), 5) for score in scores])
        self.accepted.append(bool(accepted))
        self.groups.append(group)

    @property
    def draws(self) -> Draws:
        return Draws(
            np.array(self.progress),
            np.array(self.scores).reshape(-1, len(self.progress)),
            np.array(self.accepted, bool),
            self.groups,
            self.look,
            self.review,
        )

    def fit(self) -> Profile:
        """Fits the gates to all draws. Raises GateError."""
        steps = self.settings["steps"]
        self.gates = fit_gates(self.draws, steps, self.share)
        self.about = {
            "draws": len(self.accepted),
            "accepted": int(sum(self.accepted)),
            "groups": len(set(self.groups)),
            "held_out": judge(self.draws, steps, self.share),
        }
        return self

    def report(self) -> dict:
        """Fits the gates if that can be done and says what came out: what they save and lose, or, as "note", why there
        are none.
        """
        try:
            about = self.fit().about
        except GateError as error:
            about = {"draws": len(self.accepted), "accepted": int(sum(self.accepted)), "note": str(error)}
        return {
            **about,
            "gates": [gate.at(self.settings["steps"]) for gate in self.gates],
            "look": self.look,
            "review": self.review,
        }

    def why_not(self, model: str, reviewer: str, settings: dict) -> str | None:
        """Why this profile says nothing about such draws; None where it does."""
        if model != self.model:
            return "it was made with another model"
        if reviewer != self.reviewer:
            return "it was made with another reviewer"
        differs = [name for name in ("sampler_name", "scheduler") if settings[name] != self.settings[name]]
        differs += [
            name
            for name in ("steps", "cfg", "denoise")
            if abs(settings[name] - self.settings[name]) > 0.25 * abs(self.settings[name])
        ]
        differs += ["threshold"] if abs(settings["threshold"] - self.settings["threshold"]) > 0.05 else []
        return f"it was made with another {' and '.join(differs)}" if differs else None

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes, name: str = "the profile") -> Profile:
        """Raises GateError on anything but what to_json wrote."""
        try:
            values = parse_json(text if isinstance(text, str) else decoded(text, name), "it")
            if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
                raise StructureError("it is of another format")
            if lacking := sorted(cls.__dataclass_fields__.keys() - values.keys()):
                raise StructureError(f"it lacks {', '.join(lacking)}")
            settings = values.get("settings")
            if isinstance(settings, dict) and (
                lacking := sorted(Settings.__dataclass_fields__.keys() - settings.keys())
            ):
                raise StructureError(f"its settings lack {', '.join(lacking)}")
            convert(settings, Settings, "its settings")
            profile = convert(values, cls, "it")
            profile.check()
            return profile
        except (StructureError, TextError) as error:
            raise GateError(
                f"{quoted(name)} is no profile of early rejection ({str(error).rstrip('.')[:220]}): delete it, and"
                " profile again."
            ) from error

    @classmethod
    def read(cls, path) -> Profile:
        """The profile in a file. Raises GateError."""
        try:
            return cls.from_json(read_bytes(path, LIMIT), Path(path).name)
        except TextError as error:
            raise GateError(str(error)) from error

    def check(self) -> None:
        """Raises StructureError where its parts don't fit one another."""
        if not len(self.scores) == len(self.accepted) == len(self.groups):
            raise StructureError(
                f"it has {len(self.scores)} scores, {len(self.accepted)} verdicts and {len(self.groups)} groups"
            )
        if odd := [row for row in self.scores if len(row) != len(self.progress)]:
            raise StructureError(f"it has {len(odd[0])} scores of a draw where {len(self.progress)} are due")
        if self.preview and (len(self.preview) != 3 or len({len(row) for row in self.preview}) > 1):
            raise StructureError(f"its preview is {shortened(self.preview)}: it must be 3 rows of one length")
