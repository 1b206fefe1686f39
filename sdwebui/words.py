"""An attempt in words: under the gallery, in the progress text, in infotext. Knows no web UI."""

from __future__ import annotations

from ..cyclic.attempts import Attempt
from ..rfnet.labels import PLAIN, RFNET, shown_label


def plain(attempt: Attempt) -> str:
    """An attempt's verdict in words."""
    return said_of(attempt.review, attempt.stopped_early)


def said_of(row: dict, stopped_early: bool = False) -> str:
    """A row of Review.rows() in words: "rejected: hardly stands out 0.81"; one with "error" says that."""
    if "error" in row:
        return row["error"]
    label = shown_label(row)
    said = "the product is missing" if row.get("missing") else PLAIN[label]
    if label == "available" and not (row["accepted"] or row.get("missing")):
        said = "not surely fit to publish,"
    verdict = "accepted" if row["accepted"] else "stopped early" if stopped_early else "rejected"
    unlike = " (unfamiliar picture: label a few)" if row.get("unfamiliar") else ""
    decided = row.get("decided_by", RFNET)
    says = f", says {decided}" if decided != RFNET else ""
    says += "".join(f" ({text})" for name, text in row.get("said", {}).items() if name == decided)
    return f"{verdict}: {said} {row['probabilities'][label]:.2f}{unlike}{says}"


def verdict_text(attempt: Attempt, attempts: int, doubtful: str = "") -> str:
    """The end of a picture's infotext. Commas and colons would end its values.

    doubtful: why the risk that it was accepted at isn't certified for it.
    """
    said = plain(attempt).replace(": ", " - ").replace(",", "")
    certified = f", RF certificate: {doubtful.replace(',', '')}" if doubtful else ""
    return (
        f", RF attempt: {attempt.index + 1} of {attempts}, RF verdict: {said}, RF available: {attempt.score:.4f}"
        f"{certified}"
    )
