"""What several painters share: inks, and finishes by chance."""

from __future__ import annotations

import numpy as np

DARK, LIGHT = np.array([0.08, 0.08, 0.09], np.float32), np.array([0.95, 0.95, 0.93], np.float32)


def ink(paper) -> np.ndarray:
    return DARK if np.mean(paper) > 0.45 else LIGHT


def plastic(rng) -> str:
    return str(rng.choice(["gloss", "gloss", "soft", "chrome"], p=[0.4, 0.2, 0.3, 0.1]))


def metal(rng) -> str:
    return str(rng.choice(["chrome", "gold", "gloss"]))
