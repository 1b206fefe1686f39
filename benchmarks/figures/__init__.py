"""All figures, benchmark by benchmark, in the order in which tables show them. To add one, add a Definition to its
benchmark's list: the tables follow.
"""

from __future__ import annotations

from dataclasses import replace

from . import (
    adapting,
    advised,
    drawing,
    end_to_end,
    explanation,
    fleet,
    flow,
    labelling,
    opinions,
    overhead,
    photographed,
    reviewer,
    rfft,
    robustness,
    sampler,
    sdwebui,
    sizes,
    startup,
)
from .definition import Definition

BEFORE = "128"  # the family before: what its figures say where others have the hash of theirs
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
    lost. A figure of the family before that stands beside the next (KEY_128) is what KEY is, and in no other table.
    """
    known = REGISTRY.get(benchmark, {})
    if key not in known and (first := known.get(key.removesuffix(f"_{BEFORE}"))):
        return replace(first, key=key, shown={})
    return known.get(key) or Definition(key, key)


for module in (
    end_to_end,
    reviewer,
    sampler,
    rfft,
    startup,
    overhead,
    explanation,
    robustness,
    sdwebui,
    adapting,
    labelling,
    advised,
    photographed,
    sizes,
    fleet,
    flow,
    opinions,
    drawing,
):
    add(module.__name__.rpartition(".")[2], *module.FIGURES)
