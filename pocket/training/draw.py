"""Pictures that the pocket family draws around products, for blind labelling: `pocket draw` makes them with numbered
sheets that show no verdict, `pocket label` joins them with the labels into a shard that `rfnet train` reads.

A reviewer that has seen only rendered scenes is surprised by drawn ones; the paper's reviewer learned from drawn
pictures that people had labelled.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from ...rfnet.data.errors import DataError
from ...rfnet.files import quoted, write_picture, write_text
from ...rfnet.painters import fingerprint
from ...rfnet.product import Product, place
from ...rfnet.sheets import to_image
from ...rfnet.structured import shortened
from ...rfnet.textfiles import TextError, read_text
from ...synthetic.jobs import prompt_for
from ...synthetic.product_files import read_products
from ...synthetic.products import seed_of
from ..tuning import SAMPLING, own_sampler
from .label_sheets import cell, cut_out_of, write_sheets

TABLE, MADE = "drawn.jsonl", "drawn-with.txt"


@dataclass(frozen=True)
class Drawing:
    """How pictures are drawn: as pocket.pipeline.sample has it. size: of the square canvas, pixels."""

    steps: int = SAMPLING["sampling_steps"]
    cfg: float = SAMPLING["guidance"]
    sampler: str | None = None  # the family's own
    size: int = SAMPLING["size"]
    bf16: bool = False
    batch: int = 8

    def text(self, pocket) -> str:
        """What all pictures of a folder have in common: the networks, and how they draw."""
        tensors = (tensor for part in pocket.parts().values() for tensor in part.state_dict().values())
        how = f"{self.steps} steps of {self.sampler or own_sampler(pocket.flow)}, cfg {self.cfg:g}, {self.size} px"
        return f"{how}{', bf16' if self.bf16 else ''}, networks {fingerprint(tensors)}"


def chosen(products: Path, count: int, first: int = 0) -> list:
    """`count` products of an archive from number `first` on, as read_products has them. Raises DataError."""
    listed = read_products(products)[first : first + count]
    if len(listed) < count:
        raise DataError(
            f"{quoted(products)} holds {len(listed)} products from number {first} on, {count} were asked for: ask for"
            " fewer, or make more with `synthetic products`."
        )
    return listed


def draw(listed: list, out: Path, pocket, drawing: Drawing = Drawing(), first: int = 0, progress=iter) -> Path:
    """Draws one picture for each `chosen` product, placed as RF Product places them (centred, image_scale 0.72), into
    OUT/pictures, with OUT/drawn.jsonl and OUT/sheet-000.png ...; pictures that are there already are kept. first: the
    first one's number; OUT may hold others of the same products. Returns OUT. Raises DataError where other models drew
    in OUT, in another way, or other products.
    """
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    check_same(out / MADE, drawing.text(pocket))
    lines = [_line(product_id, kind, product, n) for n, (product_id, kind, product) in enumerate(listed, first)]
    table = _with_earlier(out, lines)
    missing = [
        (product, line)
        for (_, _, product), line in zip(listed, lines)
        if not all(_is_picture(out / line[name]) for name in ("image", "product"))
    ]
    for start in progress(range(0, len(missing), drawing.batch)):
        _draw_batch(missing[start : start + drawing.batch], out, pocket, drawing)
    write_text(out / TABLE, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in table))
    write_sheets(out, [partial(_cell, out, line, product) for (_, _, product), line in zip(listed, lines)], first)
    return out


def _with_earlier(out: Path, lines: list[dict]) -> list[dict]:
    """These lines and those of earlier runs, by number. Raises DataError where one of these was another picture's."""
    earlier: dict = {}
    if (out / TABLE).exists():
        try:
            earlier = {line["number"]: line for line in map(json.loads, read_text(out / TABLE).splitlines())}
        except (TextError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{quoted(out / TABLE)} can't be read: choose another --out, or delete it.") from error
    for line in lines:
        before = earlier.get(line["number"], line)
        if any(before.get(name, line[name]) != line[name] for name in ("id", "caption", "cut_out")):
            raise DataError(
                f"{quoted(out)} holds a picture of another product with the number {line['number']}"
                f" ({shortened(before.get('caption'), 60)}): choose another --out, or delete it."
            )
    both = earlier | {line["number"]: line for line in lines}
    return [both[number] for number in sorted(both)]


def _is_picture(file: Path) -> bool:
    """Whether it is there and whole."""
    try:
        with Image.open(file) as picture:
            picture.load()
    except (OSError, ValueError, SyntaxError):
        return False
    return True


def check_same(file: Path, text: str) -> None:
    """Writes how a folder's pictures are drawn, or raises DataError where that was otherwise."""
    if file.exists() and (before := read_text(file).strip()) != text:
        raise DataError(
            f"{quoted(file.parent)} holds pictures that were drawn otherwise ({shortened(before)}, not {text}): choose"
            " another --out, or delete it."
        )
    write_text(file, text + "\n")


def _line(product_id: str, kind: str, product: Product, number: int) -> dict:
    """What the table says of the drawing with this number."""
    name = f"{product_id}-{number:04d}"
    return {
        "number": number,
        "id": f"drawn-{name}",
        "image": f"pictures/{name}.png",
        "product": f"pictures/{name}-product.png",
        "caption": product.caption,
        "kind": kind,
        "prompt": prompt_for(f"{product_id}/{number}"),
        "product_id": product_id,
        "seed": seed_of("drawn", name) % 2**31,
        "cut_out": product.fingerprint,
    }


def _draw_batch(rows: list, out: Path, pocket, drawing: Drawing) -> None:
    """rows: (Product, line of the table) of each picture to draw and write."""
    from ..pipeline import sample

    canvases = [place(product, drawing.size, drawing.size) for product, _ in rows]
    pictures = sample(
        pocket,
        canvases,
        [line["prompt"] for _, line in rows],
        [line["seed"] for _, line in rows],
        steps=drawing.steps,
        cfg=drawing.cfg,
        sampler=drawing.sampler,
        bf16=drawing.bf16,
    )
    for canvas, picture, (_, line) in zip(canvases, pictures, rows):
        write_picture(out / line["product"], to_image(torch.cat([canvas.rgb, canvas.alpha[None]])))
        write_picture(out / line["image"], to_image(picture))


def _cell(out: Path, line: dict, product: Product) -> Image.Image:
    with Image.open(out / line["image"]) as picture:
        return cell(picture, cut_out_of(product.rgba), line["number"], line["caption"])
