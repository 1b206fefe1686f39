"""How sure one may be of a share."""

from __future__ import annotations

Z = 1.959964  # of 95 %


def wilson(successes: int, n: int) -> tuple[float, float, float]:
    """A share with its Wilson 95 % interval: value, low, high. Of nothing: NaN, 0, 1."""
    if n == 0:
        return float("nan"), 0.0, 1.0
    p = successes / n
    middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * (p * (1 - p) / n + Z * Z / (4 * n * n)) ** 0.5 / (1 + Z * Z / n)
    return p, float(max(middle - half, 0.0)), float(min(middle + half, 1.0))
