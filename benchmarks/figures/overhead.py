"""Figures of `python -m benchmarks.overhead`."""

from .definition import Definition

FIGURES = [
    Definition(
        "overhead",
        "RF Cyclic Sampler, against stock KSampler and VAE Decode: more time (interval: all pairs)",
        "share",
        "<= 0.03",
    ),
    Definition("extra_mib", "RF Cyclic Sampler: more resident memory, reviewer included", "MiB"),
    Definition("preview_overhead", "Previews: more time (interval: the middle half of the pairs)", "share", "<= 0.05"),
    Definition("memory_growth", "Server memory, the last attempt against attempt 10: more", "share", "<= 0.02"),
]
