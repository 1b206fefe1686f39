"""What each way of benchmarks/sampler.py pays for an accepted picture, from its draws' steps, seconds and attempts."""

from __future__ import annotations

import numpy as np

from .common import Figure, share
from .figures import REGISTRY

# words: remedies without the tuned ControlNet; answered: all remedies, and every draw goes to its end
WAYS = ("plain", "early", "words", "remedies", "answered")
EQUAL = "equal"  # early rejection with as many steps as the plain loop may pay
RATIOS = {  # what each way pays per accepted picture, against another one
    "steps_ratio": ("early", "plain", "steps"),
    "wall_ratio": ("early", "plain", "seconds"),
    "steps_ratio_equal": (EQUAL, "plain", "steps"),
    "attempts_ratio_words": ("words", "early", "attempts"),
    "steps_ratio_words": ("words", "plain", "steps"),
    "attempts_ratio_remedies": ("remedies", "early", "attempts"),
    "attempts_ratio_remedies_plain": ("remedies", "plain", "attempts"),
    "steps_ratio_remedies": ("remedies", "plain", "steps"),
    "wall_ratio_remedies": ("remedies", "plain", "seconds"),
    "attempts_ratio_answered": ("answered", "plain", "attempts"),
    "steps_ratio_answered": ("answered", "plain", "steps"),
}
COLUMNS = {"steps": 0, "seconds": 1, "usable": 2, "attempts": 3}
DRAWS = 2000  # of the bootstrap


def cost(rows: np.ndarray) -> float:
    """Rows (N, 2) of what was paid and how many accepted pictures came → paid per accepted picture."""
    paid, usable = rows.sum(0)
    return float(paid / usable) if usable else float("inf")


def ratio(one: np.ndarray, other: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """cost(one) / cost(other) with a bootstrap 95 % interval over products, both on the same draws."""
    random = np.random.default_rng(seed)
    draws = [cost(one[rows]) / cost(other[rows]) for rows in random.integers(len(one), size=(DRAWS, len(one)))]
    return cost(one) / cost(other), float(np.percentile(draws, 2.5)), float(np.percentile(draws, 97.5))


def figures_of(found: dict[str, np.ndarray]) -> dict[str, Figure]:
    """The ratios that have a definition, on all products, on their harder half or on the hardest quarter, and every
    way's costs; found: {way: (products, COLUMNS)}.
    """
    every = np.arange(len(found["plain"]))
    parts = {"": every, "_half": hardest(found["pilot"], 2), "_hard": hardest(found["pilot"], 4)}
    figures = {}
    for part, rows in parts.items():
        usable, attempts = found["plain"][rows][:, [COLUMNS["usable"], COLUMNS["attempts"]]].sum(0)
        figures[f"plain_rate{part}"] = Figure(*share(int(usable), int(attempts)), int(attempts))
        for key, (way, against, column) in RATIOS.items():
            if f"{key}{part}" in REGISTRY["sampler"]:
                columns = [COLUMNS[column], COLUMNS["usable"]]
                pair = (found[name][rows][:, columns] for name in (way, against))
                figures[f"{key}{part}"] = Figure(*ratio(*pair), len(rows))
    for way in (*WAYS, EQUAL):
        for column in ("steps", "seconds", "attempts"):
            paid = cost(found[way][:, [COLUMNS[column], COLUMNS["usable"]]])
            figures[f"{column}_per_usable_{way}"] = Figure(paid, n=len(every))
        usable = int(found[way][:, COLUMNS["usable"]].sum())
        figures[f"usable_{way}"] = Figure(*share(usable, len(every)), len(every))
    return figures


def hardest(pilot: np.ndarray, part: int) -> np.ndarray:
    """Rows of the hardest half (part = 2), quarter (4), ... by the steps that the pilot's draws took."""
    return np.argsort(-pilot[:, COLUMNS["steps"]], kind="stable")[: max(1, len(pilot) // part)]
