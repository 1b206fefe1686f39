"""What each arm of benchmarks/sampler.py pays for an accepted picture, from the steps, seconds and attempts of its
draws.
"""

from __future__ import annotations

import numpy as np

from .common import DRAWS, Figure, between

ARMS = ("plain", "early", "remedies", "tuned", "best_of_n", "early_tuned")
PAID = ("steps", "seconds", "attempts")
SERVED, ASKED = len(PAID), len(PAID) + 1  # columns of a table, after what was paid


def table(rows: list, arm: str) -> np.ndarray:
    """(products, 5): the sums over a product's seeds of PAID and of what was served, and how many seeds there were."""
    found = np.zeros((1 + max(row["product"] for row in rows), ASKED + 1))
    for row in rows:
        if row["arm"] == arm:
            found[row["product"]] += [*(row[kind] for kind in PAID), row["served"], 1]
    return found


def cost(rows: np.ndarray, kind: str) -> float:
    """Paid per accepted picture."""
    paid, served = rows[..., PAID.index(kind)].sum(-1), rows[..., SERVED].sum(-1)
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
    parts = {"": np.arange(len(found["plain"])), "_hard": hardest(found["pilot"], 4)}
    figures = {}
    for part, chosen in parts.items():
        plain = found["plain"][chosen]
        for arm in ARMS:
            own = found[arm][chosen]
            served, asked = own[:, SERVED], own[:, ASKED]
            products = np.random.default_rng(0).integers(len(chosen), size=(DRAWS, len(chosen)))
            interval = between(served[products].sum(1) / asked[products].sum(1))
            asked = int(asked.sum())
            figures[f"served_{arm}{part}"] = Figure(float(served.sum() / asked), *interval, asked)
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
    return np.argsort(-pilot[:, PAID.index("steps")], kind="stable")[: max(1, len(pilot) // part)]
