"""Figures of `python -m benchmarks.explanation`."""

from .entry import Entry

FIGURES = [
    Entry("drop_hottest", "Log-odds of the defect lost when the hottest 15 % are painted over", "log-odds"),
    Entry("drop_random", "... when random places are", "log-odds"),
    Entry("drop_elsewhere", "... when another scene's hot places are", "log-odds"),
    Entry("hottest_over_random", "Hottest more than random", "log-odds", "> 0, interval too"),
    Entry("hottest_over_elsewhere", "Hottest more than another scene's", "log-odds", "> 0, interval too"),
    Entry("cost", "Cost of a heat map, in reviews", "reviews"),
    Entry("seconds", "Seconds per heat map", "s"),
]
