"""Figures of `python -m benchmarks.robustness`."""

from .entry import Entry

FIGURES = [
    Entry(
        "bad_inputs",
        "Bad inputs generated: pictures, weights, configs, tables, galleries, command lines, nodes over HTTP",
        "count",
    ),
    Entry("unclear", "... whose refusal is no clear sentence", "count", "0"),
    Entry("tracebacks", "... that end in a traceback", "count", "0"),
    Entry("hangs", "... that take more than 20 s", "count", "0"),
    Entry("over_memory", "... that take more than 1 GB", "count", "0"),
    Entry("accepted_that_matter", "... accepted though they change a result", "count", "0"),
    Entry("cases_right", "Pictures and files of users' reports that come out right", "count", "14"),
]
