"""Merge: an RFFT adapter folded into its ControlNet, as a file that every host can use."""

from __future__ import annotations

TITLE = "Merge"


def build(opened) -> None:
    pass
