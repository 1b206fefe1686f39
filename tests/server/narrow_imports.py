"""Becomes `sitecustomize.py` of a server: the distributions in the file `refused` beside it, and the checkout itself,
can't be imported, as if they were not installed.
"""

import sys
from importlib.machinery import PathFinder
from pathlib import Path

REFUSED, DISTRIBUTIONS = (
    set(line.split()) for line in Path(__file__).with_name("refused").read_text(encoding="utf-8").splitlines()
)


class NarrowFinder(PathFinder):
    """Finds what PathFinder finds, but the refused: neither as modules nor as installed distributions."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in REFUSED else super().find_spec(name, path, target)

    @classmethod
    def find_distributions(cls, *arguments, **options):
        return (
            found
            for found in super().find_distributions(*arguments, **options)
            if found.name.lower().replace("_", "-") not in DISTRIBUTIONS
        )


# finders of editable installs would find what is refused
sys.meta_path[:] = [
    NarrowFinder if finder is PathFinder else finder
    for finder in sys.meta_path
    if "editable" not in getattr(finder, "__module__", "").lower()
]
