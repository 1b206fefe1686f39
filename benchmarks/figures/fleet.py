"""Figures of `python -m benchmarks.fleet`."""

from .definition import Definition

FIGURES = [
    Definition(
        "speedup_two_workers", "Two workers of Ray on two cores: products per second, against one", "times", ">= 1.8"
    ),
    Definition("overhead_per_product", "One worker of Ray, against none: more time per product", "share", "<= 0.03"),
    Definition("plan_seconds", "Planning a catalogue of a million rows", "s", "<= 20"),
    Definition("plan_mib", "Planning a catalogue of a million rows: peak resident memory", "MiB", "<= 1024"),
    Definition("lost", "200 products, workers killed 20 times and the driver 5 times: without a result", "count", "0"),
    Definition("doubled", "The same: attempts twice in the manifest, and files that can't be read", "count", "0"),
    Definition("driver_ms", "The driver's own time per job", "ms"),
    Definition("scales_to_at_10_s", "Workers that one driver keeps busy with jobs of 10 s, on paper", "count"),
]
