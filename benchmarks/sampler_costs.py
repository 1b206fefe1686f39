"""What each arm of benchmarks/sampler.py pays for an accepted picture, from the steps, seconds and attempts of its
draws.
"""

from __future__ import annotations

import numpy as np

from .common import DRAWS, Figure, between

ARMS = ("plain", "early", "remedies", "tuned", "best_of_n", "early_tuned")
PAID = ("steps", "seconds", "attempts")
KINDS = (*PAID, "served")


def table(rows: list, arm: str) -> np.ndarray:
    """(products, KINDS): the sums over a product's seeds."""
    found = np.zeros((1 + max(row["product"] for row in rows), len(KINDS)))
    for row in rows:
        if row["arm"] == arm:
            found[row["product"]] += [row[kind] for kind in KINDS]
    return found


def cost(rows: np.ndarray, kind: str) -> float:
    """Paid per accepted picture."""
    paid, served = rows[..., KINDS.index(kind)].sum(-1), rows[..., -1].sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(served, paid / served, np.inf)


def ratio(one: np.ndarray, other: np.ndarray, kind: str) -> tuple[float, float, float]:
    """cost(one) / cost(other) as a ratio of sums, with a bootstrap 95 % interval over products, both on the same
    draws.
    """
    chosen = np.random.default_rng(0).integers(len(one), size=(DRAWS, len(one)))
    with np.errstate(invalid="ignore"):
        draws = cost(one[chosen], kind) / cost(other[chosen], kind)
        return float(cost(one, kind) / cost(other, kind)), *between(np.nan_to_num(draws, nan=np.inf))


def figures_of(rows: list) -> dict[str, Figure]:
    """What every arm pays, against the plain loop, on all products and on the hardest quarter; and what it serves."""
    found = {arm: table(rows, arm) for arm in (*ARMS, "pilot")}
    seeds = 1 + max(row["seed"] for row in rows)
    parts = {"": np.arange(len(found["plain"])), "_hard": hardest(found["pilot"], 4)}
    figures = {}
    for part, chosen in parts.items():
        plain = found["plain"][chosen]
        for arm in ARMS:
            own = found[arm][chosen]
            served, asked = int(own[:, -1].sum()), seeds * len(chosen)
            products = np.random.default_rng(0).integers(len(chosen), size=(DRAWS, len(chosen)))
            interval = between(own[:, -1][products].mean(1) / seeds)
            figures[f"served_{arm}{part}"] = Figure(served / asked, *interval, asked)
            figures[f"steps_per_accepted_{arm}{part}"] = Figure(float(cost(own, "steps")), n=asked)
            if arm != "plain":
                for kind in ("steps", "seconds"):
                    key = f"{'wall' if kind == 'seconds' else kind}_ratio_{arm}{part}"
                    figures[key] = Figure(*ratio(own, plain, kind), len(chosen))
        figures[f"attempts_before{part}"] = attempts(plain)
        figures[f"attempts_after{part}"] = attempts(found["tuned"][chosen])
    return figures


def attempts(rows: np.ndarray) -> Figure:
    """Attempts per accepted picture."""
    chosen = np.random.default_rng(0).integers(len(rows), size=(DRAWS, len(rows)))
    return Figure(float(cost(rows, "attempts")), *between(cost(rows[chosen], "attempts")), len(rows))


def hardest(pilot: np.ndarray, part: int) -> np.ndarray:
    """Rows of the hardest half (part = 2), quarter (4), ... by the steps that the pilot's draws took."""
    return np.argsort(-pilot[:, KINDS.index("steps")], kind="stable")[: max(1, len(pilot) // part)]
