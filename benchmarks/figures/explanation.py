"""Figures of `python -m benchmarks.explanation`."""

from .definition import Definition

LOST = "Log-odds of the defect lost when 15 % of the picture are painted over"

FIGURES = [
    Definition("drop_hottest", f"{LOST}: the hottest", "log-odds"),
    Definition("drop_random", f"{LOST}: random places", "log-odds"),
    Definition("drop_elsewhere", f"{LOST}: where another scene is hottest", "log-odds"),
    Definition("hottest_over_random", f"{LOST}: hottest more than random", "log-odds", "> 0"),
    Definition("hottest_over_elsewhere", f"{LOST}: hottest more than another scene's", "log-odds", "> 0"),
    Definition("cost", "Cost of a heat map, in reviews", "reviews"),
    Definition("seconds", "Seconds per heat map", "s"),
]
