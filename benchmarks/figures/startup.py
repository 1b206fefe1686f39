"""Figures of `python -m benchmarks.startup`."""

from .entry import Entry

FIGURES = [
    Entry("start_ms", "What the pack adds to ComfyUI's start, milliseconds", "ms", "<= 150"),
    Entry("javascript_bytes", "JavaScript that the page loads, bytes", "bytes", "<= 30000"),
]
