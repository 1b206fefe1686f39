"""Cut-outs of products in one archive: `synthetic products` writes it, benchmarks and `pocket draw` read it.

A .zip with a line of `index.jsonl` for each product: {"product_id", "kind", "caption", "metres", "picture"}; picture
names a member, RGBA with straight alpha. kind: what thing it is, such as "running shoe"; products of one kind differ in
shape, colours and material.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct
from PIL import Image

from ..rfnet.data.archives import ArchiveError, Listing, list_zip
from ..rfnet.data.errors import DataError
from ..rfnet.data.shards import INDEX
from ..rfnet.files import is_safe_name, quoted, refusal, whole
from ..rfnet.pictures import PictureError, decode
from ..rfnet.product import Product
from ..rfnet.structured import StructureError, from_json
from ..rfnet.textfiles import TextError, decoded

MOST_PRODUCTS, MOST_BYTES, LARGEST_SIDE = 100_000, 8 << 20, 2048  # of an archive; of a picture; in pixels
Text = Annotated[str, Meta(min_length=1, max_length=1000)]


class Line(Struct):
    """A line of the index."""

    product_id: Text
    kind: Text
    caption: Text
    metres: Annotated[float, Meta(gt=0, le=1000)]
    picture: Text


def write_products(path, cut_outs: Iterable, quality: int | None = None) -> int:
    """Writes (product_id, kind, caption, metres, rgba) each, rgba (H, W, 4) float32 in [0, 1], as one archive, whole or
    not at all. Returns how many. Raises NotWritten.

    quality: of the colours, as WebP counts it; alpha stays exact. None: nothing is lost.
    """
    options = {"lossless": True, "quality": 100} if quality is None else {"quality": quality, "alpha_quality": 100}
    lines = []
    with whole(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        for product_id, kind, caption, metres, rgba in cut_outs:
            picture = f"pictures/{product_id}.webp"
            content = io.BytesIO()
            Image.fromarray((np.clip(rgba, 0, 1) * 255).round().astype(np.uint8)).save(
                content, "WEBP", method=6, **options
            )
            _store(archive, picture, content.getvalue())
            lines.append(
                {
                    "product_id": product_id,
                    "kind": kind,
                    "caption": caption,
                    "metres": round(metres, 4),
                    "picture": picture,
                }
            )
        index = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        _store(archive, INDEX, index.encode())
    return len(lines)


def _store(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """A member without the time of day, so that the same products are the same bytes."""
    archive.writestr(zipfile.ZipInfo(name), content)


def read_products(path) -> list[tuple[str, str, Product]]:
    """(product_id, kind, Product) of each product in an archive, in its order. Raises DataError."""
    return [(line.product_id, line.kind, product) for line, product in _products(Path(path))]


def _products(path: Path):
    """(line, Product) each."""
    try:
        listing = list_zip(path)
        members = _members(listing)
        if INDEX not in members:
            raise ArchiveError(f"it holds no {INDEX}")
        texts = decoded(listing.files.read(members[INDEX]), INDEX).split("\n")
        lines = [from_json(text, Line, f"line {n} of {INDEX}") for n, text in enumerate(texts, 1) if text.strip()]
        _check(lines)
        for line in lines:
            yield line, _product(listing, members, line)
    except OSError as error:
        raise DataError(f"the archive of products {refusal(path, error)}") from error
    except (ArchiveError, PictureError, StructureError, TextError) as error:
        raise DataError(
            f"{quoted(path)} is no archive of products: {str(error).rstrip('.')}. Make one with `synthetic products`."
        ) from error


def _members(listing: Listing) -> dict:
    """{name: position}."""
    data = listing.buffer.tobytes()
    spans = zip(listing.starts.tolist(), listing.ends.tolist())
    return {data[start:end].decode("utf-8", "replace"): position for position, (start, end) in enumerate(spans)}


def _check(lines: list[Line]) -> None:
    """Raises ArchiveError where ids are no names for files, or come twice."""
    if not 0 < len(lines) <= MOST_PRODUCTS:
        raise ArchiveError(f"it lists {len(lines)} products, and may list 1 to {MOST_PRODUCTS}")
    seen: set = set()
    for line in lines:
        if not is_safe_name(line.product_id):
            raise ArchiveError(f"the product_id {quoted(line.product_id, 60)} is no name for a file")
        if line.product_id in seen:
            raise ArchiveError(f"the product_id {quoted(line.product_id, 60)} is in it twice")
        seen.add(line.product_id)


def _product(listing: Listing, members: dict, line: Line) -> Product:
    position = members.get(line.picture)
    if position is None:
        raise ArchiveError(f"it lacks the picture {quoted(line.picture, 60)}")
    if max(int(listing.files.length[position]), int(listing.files.whole[position])) > MOST_BYTES:
        raise ArchiveError(f"the picture {quoted(line.picture, 60)} is larger than {MOST_BYTES >> 20} MiB")
    content = io.BytesIO(listing.files.read(position))
    picture, _ = decode(content, quoted(line.picture, 60), largest=LARGEST_SIDE)
    return Product.from_arrays(np.asarray(picture), caption=line.caption)
