"""Losses compared by their fronts: rate against diversity, over betas and seeds (docs/protocol.md, 4).

The betas of KL and of the consistent condition are of different quantities, so that only fronts can be compared.
Intervals are drawn over the seeds of the trainings and over products together.
"""

from __future__ import annotations

import numpy as np

from . import tuning
from .common import DRAWS, Figure, between

KINDS = ("rate", "second", "diversity", "colour")
PLACES = 9  # diversities at which two fronts are compared


def of_products(values: np.ndarray, seeds: int) -> np.ndarray:
    """The mean of each product's pictures: what intervals are drawn over."""
    return values.reshape(-1, seeds).mean(1)


def measured(drawn, studio) -> dict[str, np.ndarray]:
    """{kind: (P,)} of what one way drew."""
    found = {
        "rate": of_products(drawn.reviewer >= studio.reviewer.threshold, studio.seeds),
        "diversity": drawn.diversity,
        "colour": drawn.colour,
    }
    if drawn.second is not None:
        found["second"] = of_products(drawn.second >= studio.second.threshold, studio.seeds)
    return found


def figures_of(drawn: dict, studio) -> tuple[dict[str, Figure], list]:
    """(figures, the rows of all fronts); drawn: {"before", run: tuning.Drawn}."""
    found = {name: measured(each, studio) for name, each in drawn.items()}
    before = found.pop("before")
    figures = {"rate_before": together(before["rate"][None])}
    if "second" in before:
        figures["second_before"] = together(before["second"][None])
    ways = {way: seeds_of(way, found) for way in tuning.WAYS}
    if tuning.TUNED in found:
        figures |= after(one(found[tuning.TUNED]), before, "")
    if tuning.LONG in found:
        figures["collapse_diversity"] = of_before(one(found[tuning.LONG])["diversity"], before["diversity"])
    for way, arrays in ways.items():
        if arrays:
            figures |= after(arrays, before, f"_{way}")
    if (gap := cc_above_kl(ways, before)) is not None:
        figures["cc_above_kl"] = gap
    return figures, rows_of(found, before)


def one(found: dict) -> dict[str, np.ndarray]:
    return {kind: values[None] for kind, values in found.items()}


def seeds_of(way: str, found: dict) -> dict[str, np.ndarray]:
    """{kind: (S, P)} of the trainings of a way; empty where none was drawn."""
    runs = [found[name] for seed in tuning.TRAINING_SEEDS if (name := f"{way}_{seed}") in found]
    return {kind: np.stack([run[kind] for run in runs]) for kind in runs[0]} if runs else {}


def after(arrays: dict, before: dict, way: str) -> dict[str, Figure]:
    """What a way brings: rates, gains and what is left of the diversity. way: "" for what ships."""
    figures = {
        f"rate{way or '_after'}": together(arrays["rate"]),
        f"gain{way}": together(arrays["rate"] - before["rate"]),
        f"diversity{way or '_after'}": of_before(arrays["diversity"], before["diversity"]),
        f"diversity_colour{way or '_after'}": of_before(arrays["colour"], before["colour"]),
    }
    if "second" in arrays:
        figures[f"second_gain{way}" if way else "second_reviewer_gain"] = together(arrays["second"] - before["second"])
    return figures


def draws_of(shape: tuple, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(DRAWS, S) seeds and (DRAWS, P) products."""
    random = np.random.default_rng(seed)
    return random.integers(shape[0], size=(DRAWS, shape[0])), random.integers(shape[1], size=(DRAWS, shape[1]))


def drawn_means(values: np.ndarray) -> np.ndarray:
    """(DRAWS,) means of values (S, P), seeds and products drawn anew."""
    seeds, products = draws_of(values.shape)
    return np.array([values[np.ix_(chosen, rows)].mean() for chosen, rows in zip(seeds, products)])


def together(values: np.ndarray) -> Figure:
    """The mean of values (S, P), with an interval over seeds and products together."""
    return Figure(float(values.mean()), *between(drawn_means(values)), values.shape[1])


def of_before(values: np.ndarray, before: np.ndarray) -> Figure:
    """mean(values) / mean(before), values (S, P), before (P,)."""
    ratios = drawn_means(values) / drawn_means(np.broadcast_to(before, values.shape))
    return Figure(float(values.mean() / before.mean()), *between(ratios), len(before))


def cc_above_kl(ways: dict, before: dict) -> Figure | None:
    """How far CC's front lies above KL's at the diversity where it does least, of those that both reach; None where
    trainings are missing or both reach none.
    """
    losses = {loss: [ways[f"{loss}_{beta:g}"] for beta in tuning.BETAS] for loss in ("cc", "kl")}
    if not all(arrays for group in losses.values() for arrays in group):
        return None
    shape = losses["cc"][0]["rate"].shape
    value = least_gap(losses, before, np.arange(shape[0]), np.arange(shape[1]))
    if value is None:
        return None
    draws = [least_gap(losses, before, seeds, rows) for seeds, rows in zip(*draws_of(shape))]
    return Figure(value, *between([gap for gap in draws if gap is not None]), shape[1])


def least_gap(losses: dict, before: dict, seeds: np.ndarray, rows: np.ndarray) -> float | None:
    fronts = {}
    for loss, group in losses.items():
        points = sorted(
            (
                arrays["diversity"][np.ix_(seeds, rows)].mean() / before["diversity"][rows].mean(),
                arrays["rate"][np.ix_(seeds, rows)].mean(),
            )
            for arrays in group
        )
        fronts[loss] = np.array(points).T
    low, high = (pick(front[0][end] for front in fronts.values()) for pick, end in ((max, 0), (min, -1)))
    if low > high:
        return None
    places = np.linspace(low, high, PLACES)
    cc, kl = (np.interp(places, *fronts[loss]) for loss in ("cc", "kl"))
    return float((cc - kl).min())


def rows_of(found: dict, before: dict) -> list[dict]:
    """A row for each training: what docs/pictures/rfft_front.png shows."""
    rows = []
    for name, arrays in found.items():
        about = tuning.RUNS[name]
        rows.append(
            {
                "run": name,
                "loss": about["loss"],
                "beta": about["beta"],
                "seed": about.get("seed", 0),
                "rate": float(arrays["rate"].mean()),
                "second": float(arrays["second"].mean()) if "second" in arrays else None,
                "diversity": float(arrays["diversity"].mean() / before["diversity"].mean()),
            }
        )
    return rows
