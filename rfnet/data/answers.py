"""What second opinions said of a picture, as reports have it and as it is kept beside the picture."""

from typing import Annotated

import msgspec
from msgspec import Meta

from ..structured import convert

Defect = Annotated[str, Meta(max_length=40)]
LogOdds = Annotated[float, Meta(ge=-1000, le=1000)]


class Answer(msgspec.Struct):
    """What a second opinion said of a picture: log-odds of the defects that it knew about. model: what it asked."""

    model: Annotated[str, Meta(max_length=200)] = ""
    evidence: Annotated[dict[Defect, LogOdds], Meta(max_length=4)] = {}


Answers = Annotated[dict[Annotated[str, Meta(min_length=1, max_length=100)], Answer], Meta(max_length=50)]


def answers_in(row: dict) -> dict[str, Answer]:
    """{opinion: what it said} of a row of Review.rows(). Raises ValueError where that can't be read."""
    models = row.get("models", {})
    said = {
        name: {"model": models.get(name, ""), "evidence": values} for name, values in row.get("opinions", {}).items()
    }
    return convert(said, Answers, "what the opinions said")
