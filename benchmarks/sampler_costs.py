"""What each way of benchmarks/sampler.py paid for a usable picture, and how the ways compare."""

from __future__ import annotations

import numpy as np

from .common import Figure, share

# early_words: without the tuned ControlNet among the remedies; remedies: every draw goes to its end
WAYS = ("plain", "early", "early_words", "early_remedies", "remedies")
EQUAL = "early_equal"  # early rejection with as many steps as the plain loop may pay
COLUMNS = {"steps": 0, "seconds": 1, "usable": 2, "attempts": 3}
DRAWS = 2000  # of the bootstrap


def cost(rows: np.ndarray) -> float:
    """Rows (N, 2) of what was paid and how many usable pictures came → paid per usable picture."""
    paid, usable = rows.sum(0)
    return float(paid / usable) if usable else float("inf")


def ratio(one: np.ndarray, other: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """cost(one) / cost(other) with a bootstrap 95 % interval over products, both on the same draws."""
    random = np.random.default_rng(seed)
    draws = [cost(one[rows]) / cost(other[rows]) for rows in random.integers(len(one), size=(DRAWS, len(one)))]
    return cost(one) / cost(other), float(np.percentile(draws, 2.5)), float(np.percentile(draws, 97.5))


def figures_of(found: dict[str, np.ndarray]) -> dict[str, Figure]:
    """The ratios on all products, on their harder half and on the hardest quarter, and every way's costs."""
    every = np.arange(len(found["plain"]))
    parts = {"": every, "_half": hardest(found["pilot"], 2), "_hard": hardest(found["pilot"], 4)}

    def compared(way: str, against: str, column: str, rows) -> Figure:
        paid = (found[name][rows][:, [COLUMNS[column], COLUMNS["usable"]]] for name in (way, against))
        return Figure(*ratio(*paid), n=len(rows))

    figures = {
        f"{kind}_ratio_{way}{part}": compared(way, "plain", column, rows)
        for way in ("early", "early_remedies")
        for kind, column in (("steps", "steps"), ("wall", "seconds"))
        for part, rows in parts.items()
    }
    figures |= {
        f"steps_ratio_{way}{part}": compared(way, "plain", "steps", parts[part])
        for way in ("early_words", "remedies", EQUAL)
        for part in ("", "_hard")
    }
    figures |= {
        "attempts_ratio_early_words": compared("early_words", "early", "attempts", every),
        "attempts_ratio_early_remedies": compared("early_remedies", "early", "attempts", every),
        "attempts_ratio_early_remedies_plain": compared("early_remedies", "plain", "attempts", every),
        "attempts_ratio_remedies": compared("remedies", "plain", "attempts", every),
    }
    for part, rows in parts.items():
        usable, attempts = found["plain"][rows][:, [COLUMNS["usable"], COLUMNS["attempts"]]].sum(0)
        figures[f"plain_rate{part}"] = Figure(*share(int(usable), int(attempts)), int(attempts))
    for way in (*WAYS, EQUAL):
        for column in ("steps", "seconds", "attempts"):
            paid = found[way][:, [COLUMNS[column], COLUMNS["usable"]]]
            figures[f"{column}_per_usable_{way}"] = Figure(cost(paid), n=len(every))
        served = int(found[way][:, COLUMNS["usable"]].sum())
        figures[f"served_{way}"] = Figure(*share(served, len(every)), n=len(every))
    return figures


def hardest(pilot: np.ndarray, part: int) -> np.ndarray:
    """Rows of the hardest half (part = 2), quarter (4), ... by the steps that the pilot's draws took."""
    return np.argsort(-pilot[:, COLUMNS["steps"]], kind="stable")[: max(1, len(pilot) // part)]
