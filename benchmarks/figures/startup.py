"""Figures of `python -m benchmarks.startup`."""

from .definition import Definition

FIGURES = [
    Definition(
        "start_ms",
        "What the pack adds to ComfyUI's start",
        "ms",
        "<= 150",
        {"figures": "What the pack adds to ComfyUI's start"},
    ),
    Definition("javascript_bytes", "JavaScript that the page loads", "bytes", "<= 30000"),
]
