"""`pocket label`: drawn pictures and what labellers said of them, as a shard that `rfnet train` reads.

One labeller decides alone, three by majority (docs/protocol.md): a picture is available where two say so, bad where two
name a defect. Its defect is the one that two name; where there is none, the first that is named, and the row says
"agreed": false. A picture without a majority, or that two call unsuitable, is left out.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct
from PIL import Image

from ...rfnet.data.errors import DataError
from ...rfnet.data.shards import write_shard
from ...rfnet.files import is_safe_name, quoted
from ...rfnet.labels import LABELS, UNSUITABLE
from ...rfnet.structured import StructureError, from_json, shortened
from ...rfnet.textfiles import TextError, read_text
from .draw import TABLE

Number = Annotated[str, Meta(pattern="^[0-9]{1,9}$")]
AVAILABLE = LABELS[0]


class Line(Struct):
    """A line of draw's table."""

    number: int
    id: str
    image: str
    product: str
    caption: str
    prompt: str
    product_id: str
    kind: str = ""
    seed: int = 0
    cut_out: str = ""


def label(folder: Path, labels: list[Path], shard: Path) -> str:
    """Writes the pictures of `draw`'s folder that one or three LABELS (JSON: {number: label}) name into a shard, each
    row with every labeller's label. Returns what was written and how far the labellers agree, in sentences.

    Raises DataError where a label or number is none, or the labellers name different pictures.
    """
    if len(labels) not in (1, 3):
        raise DataError(f"{len(labels)} files of labels were given: give one labeller's, or three for a majority.")
    given = [_labels(path) for path in labels]
    lines = _lines(folder)
    for path, one in zip(labels, given):
        _check(path, one, lines)
        if lacking := set().union(*given) - one.keys():
            raise DataError(
                f"{quoted(path)} has no label for number {min(lacking)}, which another labeller has: all label the same"
                " pictures."
            )
    shard.parent.mkdir(parents=True, exist_ok=True)
    joined = {number: majority([one[number] for one in given]) for number in sorted(given[0])}
    kept = {number: answer for number, answer in joined.items() if answer}
    if not kept:
        raise DataError(f"none of {len(joined)} pictures is left with a label that counts: nothing was written.")
    write_shard(
        shard,
        (_row(folder, lines[number], answer, [one[number] for one in given]) for number, answer in kept.items()),
    )
    counts = Counter(name for name, _ in kept.values())
    told = ", ".join(f"{name} {counts[name]}" for name in LABELS if counts[name])
    head = f"{len(kept)} labelled pictures in {shard}: {told}; {len(joined) - len(kept)} left out."
    return "\n".join([head, *agreement(given)])


def majority(said: list[str]) -> tuple[str, bool] | None:
    """(label, whether a majority names it) of what labellers said of one picture; None where it is left out."""
    enough = len(said) // 2 + 1
    if said.count(AVAILABLE) >= enough:
        return AVAILABLE, True
    defects = [name for name in said if name not in (AVAILABLE, UNSUITABLE)]
    if len(defects) < enough:
        return None
    name, votes = Counter(defects).most_common(1)[0]  # of equally many, the first that was said
    return name, votes >= enough


def agreement(given: list[dict]) -> list[str]:
    """Sentences: how many each labeller calls available, and how often two agree."""
    rates = [sum(name == AVAILABLE for name in one.values()) / len(one) for one in given]
    sentences = [f"labeller {n}: {rate:.1%} available" for n, rate in enumerate(rates, 1)]
    for (i, a), (j, b) in combinations(enumerate(given), 2):
        usable = sum((a[n] == AVAILABLE) == (b[n] == AVAILABLE) for n in a) / len(a)
        same = sum(a[n] == b[n] for n in a) / len(a)
        chance = rates[i] * rates[j] + (1 - rates[i]) * (1 - rates[j])
        sentences.append(
            f"labellers {i + 1} and {j + 1}: {usable:.1%} agree on available or not (by chance {chance:.1%}),"
            f" {same:.1%} on the label"
        )
    return sentences


def _lines(folder: Path) -> dict[int, Line]:
    """{number: line} of draw's table."""
    try:
        texts = read_text(folder / TABLE).strip().split("\n")
        lines = [from_json(text, Line, f"line {n} of {quoted(folder / TABLE)}") for n, text in enumerate(texts, 1)]
    except (TextError, StructureError) as error:
        raise DataError(f"{str(error).rstrip('.')}: give the folder of `pocket draw`.") from error
    for line in lines:
        for name in (line.image, line.product):
            if not name.startswith("pictures/") or not is_safe_name(name.removeprefix("pictures/")):
                raise DataError(
                    f"{quoted(folder / TABLE)} names {quoted(name)}: pictures lie in its own folder pictures."
                )
    if len({line.number for line in lines}) < len(lines):
        raise DataError(f"{quoted(folder / TABLE)} has a number twice: draw into a new folder.")
    return {line.number: line for line in lines}


def _labels(path: Path) -> dict[int, str]:
    """{number: label} of one labeller."""
    try:
        said = from_json(read_text(path), dict[Number, str], f"the labels {quoted(path)}")
    except (TextError, StructureError) as error:
        raise DataError(f'{str(error).rstrip(".")}: give a JSON object such as {{"0": "available"}}.') from error
    if not said:
        raise DataError(f"{quoted(path)} holds no label: label some pictures first.")
    found = {int(number): name for number, name in said.items()}
    if len(found) < len(said):
        raise DataError(f"{quoted(path)} says a number twice, with noughts before it: label each picture once.")
    return found


def _check(path: Path, given: dict[int, str], lines: dict) -> None:
    for number, name in given.items():
        if number not in lines or name not in (*LABELS, UNSUITABLE):
            raise DataError(
                f"{quoted(path)} says {number}: {shortened(name)}, but drawings are numbered {min(lines)} to"
                f" {max(lines)} and labels are {', '.join(LABELS)}."
            )


def _row(folder: Path, line: Line, answer: tuple[str, bool], said: list[str]) -> dict:
    """A scene of write_shard."""
    name, agreed = answer
    return {
        "id": line.id,
        "caption": line.caption,
        "prompt": line.prompt,
        "product_id": line.product_id,
        "kind": line.kind,
        "image": _picture(folder / line.image, "RGB"),
        "product": _picture(folder / line.product, "RGBA"),
        "label": name,
        "labels": said,
        "agreed": agreed,
        "cause": "drawn",
        "room_id": "",
    }


def _picture(file: Path, mode: str) -> Image.Image:
    try:
        with Image.open(file) as picture:
            return picture.convert(mode)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{quoted(file)} can't be read: run `pocket draw` again, which draws it anew.") from error
