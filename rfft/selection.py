"""Which evaluation of a run is kept, and when a run stops: the rate against the diversity.

history: rows of evaluations, each with "step", "rate" {"value", ...}, "diversity" and "probabilities"; the first is of
the ControlNet as it was. diversity_loss: the share of its diversity that may be lost.
"""

from __future__ import annotations


def best(history: list, diversity_loss: float) -> int:
    """The row that is kept: the highest rate, then the highest mean p(available), among those that aren't dull."""
    floor = (1 - diversity_loss) * history[0]["diversity"]
    lively = [i for i, row in enumerate(history) if row["diversity"] >= floor]
    return max(lively, key=lambda i: (history[i]["rate"]["value"], history[i]["probabilities"]["available"]))


def collapse(history: list, diversity_loss: float) -> str:
    """Why to stop after the last row: the rate rose, and too much of the diversity is gone. Else nothing.

    Both at once are what a reward model does that is fooled by one kind of picture (arXiv:2408.00418, without a
    regulariser); a diversity that falls with the rate may come back.
    """
    before, now = history[0], history[-1]
    rose = now["rate"]["value"] > before["rate"]["value"]
    if not rose or now["diversity"] >= (1 - diversity_loss) * before["diversity"]:
        return ""
    return (
        f"stopped at step {now['step']}: the rate rose from {before['rate']['value']:.1%} to"
        f" {now['rate']['value']:.1%}, but diversity fell to {now['diversity'] / before['diversity']:.0%} of the"
        " start's. Raise diversity_loss to go on, or start over with a larger beta."
    )


def front(points: list) -> list[int]:
    """Indices of the (rate, diversity) points that no other point beats in both; of equal points the first."""

    def beats(a, b):
        return a[0] >= b[0] and a[1] >= b[1] and (a[0] > b[0] or a[1] > b[1])

    return [
        i
        for i, p in enumerate(points)
        if not any(beats(q, p) or (tuple(q) == tuple(p) and j < i) for j, q in enumerate(points))
    ]
