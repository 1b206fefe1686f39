"""What may be accepted though it is bad, and why it harms nobody. Read by hand; what isn't listed here and changes a result counts as a fault.

An input that comes out as the good one that it was made from needs no entry.
"""

from __future__ import annotations

HARMLESS: dict[tuple[str, str], str] = {}


def reason(kind: str, way: str) -> str | None:
    return HARMLESS.get((kind, way))
