"""Figures of `python -m benchmarks.end_to_end`."""

from .definition import Definition

FIGURES = [
    Definition(
        "accepted_within_5",
        "Unseen products with an accepted picture within five attempts",
        "share",
        ">= 0.95",
        {"figures": "Products accepted within five attempts"},
    ),
    Definition(
        "mean_attempts",
        "Attempts per product, at most five",
        "attempts",
    ),
    Definition(
        "available_rate_rfnet",
        "Single pictures of unseen products: accepted by RFNet",
        "share",
        "0.40 to 0.70",
    ),
    Definition(
        "available_rate_labels",
        "Single pictures of unseen products: available, say language models, blind",
        "share",
        "0.40 to 0.70",
    ),
    Definition(
        "agreement",
        "Single pictures labelled by language models, blind: RFNet agrees with them",
        "share",
        shown={"figures": "The reviewer agrees with language models, blind"},
    ),
    Definition("real_products", "Of ten photographs of real products, accepted within five attempts", "count", ">= 9"),
    Definition("draw_seconds", "A draw with its review inside ComfyUI, one thread", "s", "<= 2.5"),
    Definition("ap", 'The shipped reviewer, rendered scenes: average precision of "available"', target=">= 0.80"),
    Definition("memory_growth", "Server memory, the last attempt against attempt 20: more", "share", "<= 0.02"),
    Definition("setup_seconds", "Set-up from nothing, wheels cached", "s", "<= 600"),
    Definition("demo_seconds", "`python dev.py demo` after set-up", "s", "<= 45"),
]
