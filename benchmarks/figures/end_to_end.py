"""Figures of `python -m benchmarks.end_to_end`."""

from .definition import Definition

FIGURES = [
    Definition(
        "accepted_within_5",
        "Products with an accepted picture within five attempts",
        "share",
        ">= 0.90",
        {"figures": "Products accepted within five attempts"},
    ),
    Definition(
        "mean_attempts",
        "Attempts per product, at most five",
        "attempts",
        shown={"figures": "Attempts per product, at most five"},
    ),
    Definition(
        "available_rate_rfnet",
        "Single pictures of products never seen: accepted by RFNet",
        "share",
        "0.40 to 0.70",
    ),
    Definition(
        "available_rate_labels",
        "Single pictures labelled by language models, blind: available",
        "share",
        "0.40 to 0.70",
    ),
    Definition(
        "agreement",
        "Single pictures labelled by language models, blind: RFNet agrees with them",
        "share",
        shown={"figures": "The reviewer agrees with language models, blind"},
    ),
    Definition("ap", 'The shipped reviewer, rendered scenes: average precision of "available"', target=">= 0.80"),
    Definition("memory_growth", "Server memory, the last attempt against attempt 10: more", "share", "<= 0.02"),
    Definition("setup_seconds", "Set-up from nothing, wheels cached", "s", "<= 600"),
    Definition("demo_seconds", "`python dev.py demo` after set-up", "s", "<= 90"),
]
