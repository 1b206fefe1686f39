"""Figures of `python -m benchmarks.drawing`."""

from .definition import Definition

WAYS = (("dpmpp_2m", 8), ("dpmpp_2m", 12), ("ddim", 12))
FIGURES = [
    Definition(
        f"{kind}_{sampler}_{steps}",
        f"Validation products, one picture each, {sampler} in {steps} steps: {title}",
        unit,
        shown={"drawing": (f"`{sampler}`, {steps} steps", title)},
    )
    for sampler, steps in WAYS
    for kind, title, unit in (
        ("rate", "accepted by RFNet", "share"),
        ("second", "accepted by the second reviewer", "share"),
        ("seconds", "computing time of a draw with both reviews", "s"),
    )
]
