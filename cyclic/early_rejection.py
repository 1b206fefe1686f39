"""Early rejection: after which share of the steps to check a preview, and below which p(available) to stop a draw.

A draw pays for all of its steps before the reviewer sees it. Its predicted clean picture, the preview, shows much
earlier what comes, so a draw that will probably fail can end there. How early, and at which probability, depends
on model, sampler and reviewer: `fit_thresholds` reads it off draws that went to their end while every candidate point
was checked. A `Profile` keeps these draws and the thresholds in a file.
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
PARTS = (0.25, 0.5, 0.75, 1.0)  # of that share: losing fewer may be cheaper, since a lost picture is drawn again
MOST = 3  # thresholds; each preview check costs a decode and a review
LEAST_ACCEPTED = 20  # draws that must have been accepted before a threshold means anything
FORMAT = "reliable-ads/gates"
FILE_KEYS = {"thresholds": "gates", "check_cost": "look", "review_cost": "review"}  # where a file has another name
LIMIT = 8 << 20  # bytes of a profile
Share = Annotated[float, Meta(ge=0, le=1)]
Inside = Annotated[float, Meta(gt=0, lt=1)]
Cost = Annotated[float, Meta(ge=0, le=1e6)]
Word = Annotated[str, Meta(max_length=200)]
Factors = Annotated[list[Annotated[float, Meta(ge=-1e4, le=1e4)]], Meta(min_length=2, max_length=257)]


class ProfileError(ValueError):
    """A profile that can't be made or read; one sentence that says what to do."""


@dataclass(frozen=True)
class EarlyThreshold:
    """After this share of the steps, in (0, 1), a draw goes on only with at least this p(available) of its preview."""

    progress: Inside
    threshold: Share

    def step(self, steps: int) -> int:
        """The step, counted from 1, after which the preview is checked: inside the draw, never after its last step."""
        return min(max(1, round(self.progress * steps)), max(1, steps - 1))

    def at(self, steps: int) -> dict:
        """As reports show it."""
        return {"step": self.step(steps), "threshold": self.threshold}


@dataclass(frozen=True)
class Draws:
    """N draws to their end.

    progress (K,): where previews were checked; scores (N, K): p(available) there; accepted (N,): the final verdict;
    groups (N,): what they were drawn for, such as product ids; check_cost: of one preview check, in steps; review_cost:
    of the final decode and review, in steps.
    """

    progress: np.ndarray
    scores: np.ndarray
    accepted: np.ndarray
    groups: list
    check_cost: float
    review_cost: float

    def __len__(self) -> int:
        return len(self.accepted)

    def select(self, rows) -> Draws:
        return Draws(
            self.progress,
            self.scores[rows],
            self.accepted[rows],
            [self.groups[row] for row in rows],
            self.check_cost,
            self.review_cost,
        )


def far(value: float | None, measured: float | None) -> bool:
    """Whether a setting is too far from the one that was measured."""
    if value is None or measured is None:
        return value is not measured
    return abs(value - measured) > 0.25 * abs(measured)


def pass_through(draws: Draws, thresholds, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """(alive (N,) bool, paid (N,)): which draws come through all thresholds, and what each costs in steps, checks and
    reviews included.
    """
    alive = np.ones(len(draws), bool)
    paid = np.zeros(len(draws))
    for threshold in thresholds:
        column = int(np.abs(draws.progress - threshold.progress).argmin())
        paid += alive * draws.check_cost
        fails = alive & (draws.scores[:, column] < threshold.threshold)
        paid += fails * threshold.step(steps)
        alive &= ~fails
    return alive, paid + alive * (steps + draws.review_cost)


def cost(draws: Draws, thresholds, steps: int) -> float:
    """Steps paid per accepted picture; infinite where none comes through."""
    alive, paid = pass_through(draws, thresholds, steps)
    usable = (alive & draws.accepted).sum()
    return float(paid.sum() / usable) if usable else float("inf")


def highest_threshold(scores: np.ndarray, losses: int) -> float:
    """The highest threshold below which at most `losses` of these scores lie."""
    return float(np.sort(scores)[losses])


def thresholds_at(draws: Draws, columns, losses: int) -> tuple[EarlyThreshold, ...]:
    """Thresholds at these columns that lose at most `losses` accepted draws together, shared out evenly, the earlier
    ones first.
    """
    alive = draws.accepted.copy()
    thresholds = []
    for number, column in enumerate(columns):
        # what earlier thresholds did not use up is left for the later ones, which judge better
        allowed = losses * (number + 1) // len(columns) - int((draws.accepted & ~alive).sum())
        least = highest_threshold(draws.scores[alive, column], max(0, allowed))
        thresholds.append(EarlyThreshold(float(draws.progress[column]), least))
        alive &= draws.scores[:, column] >= least
    return tuple(thresholds)


def fit_thresholds(draws: Draws, steps: int, share: float = SHARE) -> tuple[EarlyThreshold, ...]:
    """The thresholds that lose at most `share` of the accepted draws and make an accepted picture cheapest; none where
    checking doesn't pay.

    Every choice of at most MOST points is tried: with 8 candidates these are 92, so that nothing need be clever.

    Raises ProfileError where too few draws were accepted to say.
    """
    accepted = int(draws.accepted.sum())
    if accepted < LEAST_ACCEPTED:
        raise ProfileError(
            f"{accepted} of {len(draws)} draws were accepted, and {LEAST_ACCEPTED} are needed: profile with more draws."
        )
    losses = sorted({int(share * accepted * part) for part in PARTS})
    points = range(len(draws.progress))
    places = [columns for count in range(1, MOST + 1) for columns in itertools.combinations(points, count)]
    return min(
        [(), *(thresholds_at(draws, columns, most) for columns in places for most in losses)],
        key=lambda thresholds: cost(draws, thresholds, steps),
    )


def cross_validate(draws: Draws, steps: int, share: float = SHARE, folds: int = 5) -> dict:
    """What thresholds fitted on the other groups' draws do, group by group: {"lost", "accepted", "cost_ratio"}, None
    where nothing can be said. No draw judges a threshold that it helped to set, and no picture of its product does.
    """
    names = sorted(set(draws.groups))
    fold_of = {name: number % folds for number, name in enumerate(names)}
    fold = np.array([fold_of[group] for group in draws.groups])
    lost = usable = 0
    paid = plain = survived = 0.0  # steps with thresholds, steps without, accepted draws that come through
    for number in range(min(folds, len(names))):
        inside = np.flatnonzero(fold == number)
        held = draws.select(inside)
        rest = draws.select(np.flatnonzero(fold != number))
        try:
            thresholds = fit_thresholds(rest, steps, share)
        except ProfileError:
            continue  # the others were accepted too seldom: this fold says nothing
        alive, spent = pass_through(held, thresholds, steps)
        usable += int(held.accepted.sum())
        lost += int((held.accepted & ~alive).sum())
        survived += float((held.accepted & alive).sum())
        paid += float(spent.sum())
        plain += float(pass_through(held, (), steps)[1].sum())
    if not usable or not survived:
        return {"lost": None, "accepted": usable, "cost_ratio": None}
    return {"lost": lost / usable, "accepted": usable, "cost_ratio": (paid / survived) / (plain / usable)}


@dataclass
class Settings:
    """What a profile holds for, of the sampler; threshold: of the reviewer; guidance: of a distilled model."""

    steps: Annotated[int, Meta(ge=1, le=100_000)]
    cfg: Annotated[float, Meta(ge=-1000, le=1000)]
    sampler_name: Word
    scheduler: Word
    denoise: Share
    threshold: Share
    guidance: Annotated[float, Meta(ge=-1000, le=1000)] | None = None


REQUIRED = Settings.__dataclass_fields__.keys() - {"guidance"}


@dataclass
class Profile:
    """Thresholds for one model, reviewer and way of sampling, with the draws behind them, so that more can be added.

    model, reviewer: fingerprints; settings: {"steps", "cfg", "sampler_name", "scheduler", "denoise", "threshold"} and,
    of a distilled model, "guidance"; about: what `fit` found out; progress, scores, accepted, groups, check_cost,
    review_cost: as in Draws; preview: factors of the preview.Preview that made the previews, none where the VAE did.
    The order is the file's.
    """

    model: Word
    reviewer: Word
    settings: dict
    thresholds: Annotated[tuple[EarlyThreshold, ...], Meta(max_length=16)] = ()
    share: Share = SHARE
    about: dict = field(default_factory=dict)
    progress: Annotated[list[Inside], Meta(min_length=1, max_length=64)] = field(
        default_factory=lambda: list(CANDIDATES)
    )
    scores: list[list[Share]] = field(default_factory=list)
    accepted: list[bool] = field(default_factory=list)
    groups: list[Word] = field(default_factory=list)
    check_cost: Cost = 0.0
    review_cost: Cost = 0.0
    preview: list[Factors] = field(default_factory=list)

    def add(self, scores, accepted: bool, group: str) -> None:
        """One more draw that went to its end; scores: p(available) at each of `progress`."""
        if len(scores) != len(self.progress):
            raise ProfileError(
                f"a draw had {len(scores)} preview checks where {len(self.progress)} are due: a preview was"
                " NaN, or the sampler took fewer steps than asked for. Try another sampler."
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
            self.check_cost,
            self.review_cost,
        )

    def fit(self) -> Profile:
        """Fits the thresholds to all draws. Raises ProfileError."""
        steps = self.settings["steps"]
        self.thresholds = fit_thresholds(self.draws, steps, self.share)
        self.about = {
            "draws": len(self.accepted),
            "accepted": int(sum(self.accepted)),
            "groups": len(set(self.groups)),
            "held_out": cross_validate(self.draws, steps, self.share),
        }
        return self

    def report(self) -> dict:
        """Fits the thresholds if that can be done. Says what they save and lose, or, as "note", why there are none."""
        try:
            about = self.fit().about
        except ProfileError as error:
            about = {"draws": len(self.accepted), "accepted": int(sum(self.accepted)), "note": str(error)}
        return {
            **about,
            "gates": [threshold.at(self.settings["steps"]) for threshold in self.thresholds],
            "look": self.check_cost,
            "review": self.review_cost,
        }

    def why_not(self, model: str, reviewer: str, settings: dict) -> str | None:
        """Why this profile says nothing about such draws; None where it does."""
        if model != self.model:
            return "it was made with another model"
        if reviewer != self.reviewer:
            return "it was made with another reviewer"
        differs = [name for name in ("sampler_name", "scheduler") if settings[name] != self.settings[name]]
        differs += [
            name for name in ("steps", "cfg", "denoise", "guidance") if far(settings.get(name), self.settings.get(name))
        ]
        differs += ["threshold"] if abs(settings["threshold"] - self.settings["threshold"]) > 0.05 else []
        return f"it was made with another {' and '.join(differs)}" if differs else None

    def to_json(self) -> str:
        values = {FILE_KEYS.get(name, name): value for name, value in asdict(self).items()}
        return json.dumps({"format": FORMAT, **values}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes, name: str = "the profile") -> Profile:
        """Raises ProfileError on anything but what to_json wrote."""
        try:
            values = parse_json(text if isinstance(text, str) else decoded(text, name), "it")
            if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
                raise StructureError("it is of another format")
            names = {FILE_KEYS.get(name, name): name for name in cls.__dataclass_fields__}
            if lacking := sorted(names.keys() - values.keys()):
                raise StructureError(f"it lacks {', '.join(lacking)}")
            if unknown := sorted(values.keys() - names.keys()):
                raise StructureError(f"it has an unknown {shortened(unknown[0])}")
            values = {names[key]: value for key, value in values.items()}
            settings = values.get("settings")
            if isinstance(settings, dict) and (lacking := sorted(REQUIRED - settings.keys())):
                raise StructureError(f"its settings lack {', '.join(lacking)}")
            convert(settings, Settings, "its settings")
            profile = convert(values, cls, "it")
            profile.check()
            return profile
        except (StructureError, TextError) as error:
            raise ProfileError(
                f"{quoted(name)} is no profile of early rejection ({str(error).rstrip('.')[:220]}): choose another"
                " file, or profile again."
            ) from error

    @classmethod
    def read(cls, path) -> Profile:
        """The profile in a file. Raises ProfileError."""
        try:
            return cls.from_json(read_bytes(path, LIMIT), Path(path).name)
        except TextError as error:
            raise ProfileError(str(error)) from error

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
