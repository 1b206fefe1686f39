"""All figures, benchmark by benchmark, in the order in which tables show them. To add one, add a Definition to its
benchmark's list: the tables follow.
"""

from __future__ import annotations

from . import end_to_end, explanation, overhead, reviewer, rfft, robustness, sampler, sdwebui, startup
from .definition import Definition

REGISTRY: dict[str, dict[str, Definition]] = {}


def add(benchmark: str, *definitions: Definition) -> None:
    """Adds figures of a benchmark, new or known. ValueError: a key that is there already."""
    known = REGISTRY.setdefault(benchmark, {})
    for definition in definitions:
        if definition.key in known:
            raise ValueError(f'{benchmark} has a figure "{definition.key}" already')
        known[definition.key] = definition


def find(benchmark: str, key: str) -> Definition:
    """The definition of a figure; one that says nothing but the key where it has none, so that no measurement is
    lost.
    """
    return REGISTRY.get(benchmark, {}).get(key) or Definition(key, key)


for module in (end_to_end, reviewer, sampler, rfft, startup, overhead, explanation, robustness, sdwebui):
    add(module.__name__.rpartition(".")[2], *module.FIGURES)
