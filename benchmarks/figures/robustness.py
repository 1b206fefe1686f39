"""Figures of `python -m benchmarks.robustness`."""

from .definition import Definition

FIGURES = [
    Definition(
        "bad_inputs",
        "Bad inputs generated: pictures, weights, configs, tables, galleries, command lines, nodes over HTTP",
        "count",
    ),
    Definition("unclear", "Bad inputs whose refusal is no clear sentence", "count", "0"),
    Definition("tracebacks", "Bad inputs that end in a traceback", "count", "0"),
    Definition("hangs", "Bad inputs that take more than 20 s", "count", "0"),
    Definition("over_memory", "Bad inputs that take more than 1 GB", "count", "0"),
    Definition("accepted_that_matter", "Bad inputs accepted though they change a result", "count", "0"),
    Definition("cases_right", "Pictures and files of users' reports that come out right", "count", "14"),
]
