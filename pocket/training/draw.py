"""Pictures that the pocket family draws around products, for blind labelling: `pocket draw` makes them with numbered
sheets that show no verdict, `pocket label` joins them with the labels into a shard that `rfnet train` reads.

A reviewer that has seen only rendered scenes is surprised by drawn ones; the paper's reviewer learned from drawn
pictures that people had labelled.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from msgspec import Meta
from PIL import Image, ImageDraw

from ...rfnet.data.errors import DataError
from ...rfnet.data.samples import Samples
from ...rfnet.data.shards import write_shard
from ...rfnet.data.sources import read_shards
from ...rfnet.files import quoted, write_picture, write_text
from ...rfnet.labels import LABELS
from ...rfnet.product import Product, place
from ...rfnet.sheets import contact_sheet, to_image
from ...rfnet.structured import StructureError, from_json, shortened
from ...rfnet.textfiles import TextError, read_text
from ...synthetic.jobs import prompt_for
from ...synthetic.products import seed_of
from ..family import PICTURE_SIZE

PER_SHEET = 40
TABLE = "drawn.jsonl"
Number = Annotated[str, Meta(pattern="^[0-9]{1,9}$")]


def draw(
    split: Path, out: Path, count: int, pocket, cfg: float, steps: int, progress, batch: int = 8, first: int = 0
) -> Path:
    """Draws one picture for each of `count` whole products of a split, as the demo workflow does (centred, image_scale
    0.72), into OUT/pictures, with OUT/drawn.jsonl and OUT/sheet-000.png ...; pictures that are there already are kept.
    first: begin with another product, for another set. Returns OUT.
    """
    samples = read_shards(split, PICTURE_SIZE)
    # No product of another size or with other parts than usual; the same products every time.
    rows = [row for row in range(len(samples)) if samples.labels[row] == 0 and not samples.texts["cause"][row]]
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[first : first + count]]
    if len(rows) < count:
        raise DataError(
            f"{quoted(split)} shows {len(rows)} whole products, {count} were asked for: render more, or ask for fewer."
        )
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    lines = [_line(samples, row, number) for number, row in enumerate(rows, first)]
    for start in progress(range(0, count, batch)):
        chosen = zip(rows[start : start + batch], lines[start : start + batch])
        missing = [(row, line) for row, line in chosen if not (out / line["image"]).exists()]
        if missing:
            _draw_batch(samples, missing, out, pocket, cfg, steps)
    write_text(out / TABLE, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    for start in range(0, count, PER_SHEET):
        shown = lines[start : start + PER_SHEET]
        pictures = [Image.open(out / line["image"]) for line in shown]
        write_picture(
            out / f"sheet-{first + start:03d}.png",
            sheet(pictures, [f"{line['number']}: {line['caption']}" for line in shown]),
        )
    return out


def _line(samples: Samples, row: int, number: int) -> dict:
    """What the table says of the drawing with this number."""
    name = f"{samples.texts['id'][row]}-{number:04d}"
    return {
        "number": number,
        "id": f"drawn-{name}",
        "image": f"pictures/{name}.png",
        "product": f"pictures/{name}-product.png",
        "caption": samples.texts["caption"][row],
        "prompt": prompt_for(f"{samples.product_id(row)}/{number}"),
        "product_id": samples.product_id(row),
        "seed": seed_of("drawn", name) % 2**31,
    }


def _draw_batch(samples: Samples, rows: list, out: Path, pocket, cfg: float, steps: int) -> None:
    """rows: (row of the samples, line of the table) of each picture to draw and write."""
    from ..pipeline import sample

    canvases = [
        place(
            Product(samples.read(row)["product"].astype(np.float32) / 255, line["caption"]), PICTURE_SIZE, PICTURE_SIZE
        )
        for row, line in rows
    ]
    prompts = [line["prompt"] for _, line in rows]
    seeds = [line["seed"] for _, line in rows]
    pictures = sample(pocket, canvases, prompts, seeds, cfg=cfg, steps=steps)
    for canvas, picture, (_, line) in zip(canvases, pictures, rows):
        write_picture(out / line["product"], to_image(torch.cat([canvas.rgb, canvas.alpha[None]])))
        write_picture(out / line["image"], to_image(picture))


def sheet(pictures: list[Image.Image], texts: list[str], columns: int = 8, cell: int = 256) -> Image.Image:
    """Pictures with one line of text below each, nothing else: a page for labelling blind.

    cell: a picture's side on it, pixels.
    """
    return contact_sheet([captioned(picture, text, cell) for picture, text in zip(pictures, texts)], columns)


def captioned(picture: Image.Image, text: str, side: int) -> Image.Image:
    """A picture with its line below."""
    card = Image.new("RGB", (side + 6, side + 22), "white")
    card.paste(picture.convert("RGB").resize((side, side), Image.Resampling.BICUBIC), (0, 0))
    ImageDraw.Draw(card).text((2, side + 4), text[: side // 6], fill="black")
    return card


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
