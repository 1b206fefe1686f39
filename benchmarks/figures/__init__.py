"""All figures, benchmark by benchmark. To add one, add an Entry to its benchmark's list: the tables follow."""

from __future__ import annotations

from . import end_to_end, explanation, reviewer, rfft, robustness, sampler, startup
from .entry import Entry

REGISTRY: dict[str, dict[str, Entry]] = {}


def add(benchmark: str, *entries: Entry) -> None:
    """Adds figures of a benchmark, new or known. ValueError: a key that is there already."""
    known = REGISTRY.setdefault(benchmark, {})
    for entry in entries:
        if entry.key in known:
            raise ValueError(f'{benchmark} has a figure "{entry.key}" already')
        known[entry.key] = entry


def find(benchmark: str, key: str) -> Entry:
    """The entry of a figure. KeyError: it has none."""
    try:
        return REGISTRY[benchmark][key]
    except KeyError:
        raise KeyError(f'benchmarks/figures/{benchmark}.py has no entry "{key}": add one with title and unit') from None


for module in (end_to_end, explanation, startup, reviewer, rfft, robustness, sampler):
    add(module.__name__.rpartition(".")[2], *module.FIGURES)
