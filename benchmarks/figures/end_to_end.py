"""Figures of `python -m benchmarks.end_to_end`."""

from .entry import Entry

FIGURES = [
    Entry("setup_seconds", "Set-up from nothing, wheels cached", "s", "<= 600"),
    Entry("demo_seconds", "`python dev.py demo` after set-up", "s", "<= 90"),
    Entry(
        "accepted_within_5",
        "Accepted within five attempts",
        "share",
        ">= 0.90",
        {"figures": "Products served within five attempts"},
    ),
    Entry(
        "mean_attempts",
        "Attempts per product (at most five)",
        "attempts",
        shown={"figures": "Attempts per product, five at most"},
    ),
    Entry("available_rate_rfnet", "One sample per unseen product: usable, says RFNet", "share", "0.40 to 0.70"),
    Entry(
        "available_rate_labels",
        "... those of them that language models labelled, blind: usable",
        "share",
        "0.40 to 0.70",
    ),
    Entry(
        "agreement",
        "... RFNet and these labels agree on them",
        "share",
        shown={"figures": "The reviewer agrees with language models, blind"},
    ),
    Entry("ap", 'Compact RFNet, average precision of "available"', "AP", ">= 0.80"),
    Entry("memory_growth", "Server memory, the last attempt against attempt 10", "share", "<= 0.02"),
]
