"""Figures of `python -m benchmarks.startup`."""

from .definition import Definition

FIGURES = [
    Definition("start_ms", "What the pack adds to ComfyUI's start", "ms", "<= 150"),
    Definition("import_seconds", "Importing rfnet with all names that it offers, torch loaded", "s", "<= 1.5"),
    Definition("javascript_bytes", "JavaScript that the page loads", "bytes", "<= 30000"),
]
