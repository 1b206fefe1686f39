"""`pocket label`: drawn pictures and what labellers said of them, as a shard that `rfnet train` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta
from PIL import Image

from ...rfnet.data.errors import DataError
from ...rfnet.data.shards import write_shard
from ...rfnet.files import quoted
from ...rfnet.labels import LABELS
from ...rfnet.structured import StructureError, from_json, shortened
from ...rfnet.textfiles import TextError, read_text
from .draw import TABLE

Number = Annotated[str, Meta(pattern="^[0-9]{1,9}$")]


def label(folder: Path, labels: Path, shard: Path) -> int:
    """Writes the pictures of `draw`'s folder that LABELS (JSON: {number: label}) names into a shard; "unsuitable" ones
    are left out. Returns how many.

    Raises DataError where a label or number is none.
    """
    try:
        given = {
            int(number): name
            for number, name in from_json(read_text(labels), dict[Number, str], f"the labels {quoted(labels)}").items()
        }
        drawn = [
            from_json(line, dict[str, str | int], f"line {n} of {quoted(folder / TABLE)}")
            for n, line in enumerate(read_text(folder / TABLE).strip().split("\n"), 1)
        ]
        lines = {line["number"]: line for line in drawn}
        if not lines:
            raise StructureError(f"{quoted(folder / TABLE)} is empty.")
    except (TextError, StructureError, KeyError) as error:
        raise DataError(
            f'{str(error).rstrip(".")}: give a JSON object such as {{"0": "available"}}, and the folder of `pocket'
            " draw`."
        ) from error
    scenes = []
    for number, name in sorted(given.items()):
        if number not in lines or name not in (*LABELS, "unsuitable"):
            raise DataError(
                f"{quoted(labels)} says {number}: {shortened(name)}, but drawings are numbered {min(lines)} to"
                f" {max(lines)} and labels are {', '.join(LABELS)}."
            )
        if name == "unsuitable":
            continue
        line = lines[number]
        pictures = {
            kind: Image.open(folder / line[kind]).convert(mode)
            for kind, mode in (("image", "RGB"), ("product", "RGBA"))
        }
        scenes.append(
            {
                **{key: line[key] for key in ("id", "caption", "prompt", "product_id")},
                **pictures,
                "label": name,
                "cause": "drawn",
                "room_id": "",
            }
        )
    shard.parent.mkdir(parents=True, exist_ok=True)
    write_shard(shard, scenes)
    return len(scenes)
