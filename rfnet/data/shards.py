"""Labelled scenes on disk: folders of zip shards, each a set of pictures with an `index.jsonl`.

A line of the index: {"id", "image", "product", "depth", "saliency", "caption", "prompt", "label", "cause",
"product_id", "room_id"}; the pictures' names are members of the zip: image RGB, product RGBA on the same canvas (alpha
= the part of it that is visible), depth 8-bit inverse depth (255 nearest, 0 infinitely far), and, where it is more than
the product, what stands out. Splits are folders: DATA/train, DATA/val, DATA/test.
"""

import io
import json
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from ..files import open_file, quoted, whole
from ..labels import LABELS, UNSUITABLE, label_id
from ..pictures import decode
from ..structured import parse_json, shortened
from ..textfiles import decoded
from .archives import LARGEST

INDEX = "index.jsonl"
SIZES = (
    "metres",
    "shown_metres",
)  # that an index may tell: the product's largest side as it is, and as the scene makes it look
TEXTS = ("ids", "captions", "prompts", "causes", "product_ids", "room_ids")


class DataError(ValueError):
    """A data folder can't be used; the message says where and what to do."""


@dataclass
class Scenes:
    """N scenes in memory, as bytes: images (N, S, S, 3), products (N, S, S, 4), depths (N, S, S), labels (N,), and
    lists of N texts.
    """

    images: np.ndarray
    products: np.ndarray
    depths: np.ndarray
    labels: np.ndarray
    ids: list
    captions: list
    prompts: list
    causes: list
    product_ids: list
    room_ids: list
    skipped: list = field(default_factory=list)  # one sentence per scene that could not be read

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> dict:
        """One scene as samples.Samples.read gives it."""
        return {
            "image": self.images[row],
            "product": self.products[row],
            "depth": self.depths[row],
            "saliency": None,
            "aligned": True,
            "caption": self.captions[row],
            "prompt": self.prompts[row],
            "label": int(self.labels[row]),
            "product_id": self.product_ids[row],
        }

    def select(self, rows) -> "Scenes":
        """The scenes at these positions."""
        rows = np.asarray(rows)
        arrays = {name: getattr(self, name)[rows] for name in ("images", "products", "depths", "labels")}
        return replace(self, **arrays, **{name: [getattr(self, name)[row] for row in rows] for name in TEXTS})


def read_scenes(folder, limit: int | None = None, size: int = 128) -> Scenes:
    """Read the shards of one split in the order of their names; pictures of another size are resized to size x size.

    Broken scenes are skipped and listed in `skipped`, "unsuitable" ones left out. limit: stop after so many scenes.
    Raises DataError where nothing can be read.
    """
    folder = Path(folder)
    shards = sorted(folder.glob("*.zip"))
    if not shards:
        raise DataError(
            f"{quoted(folder)} holds no .zip shards: give the folder of one split, such as DATA/train; `synthetic"
            " render` makes them."
        )
    rows, skipped = [], []
    for shard in shards:
        for where, read in _open(shard, size):
            try:
                row = read()
            except (
                Exception
            ) as error:  # what readers raise on damaged bytes is not bounded; one scene must not end a training
                skipped.append(f"{where}: {error}")
                continue
            if row:
                rows.append(row)
            if limit and len(rows) >= limit:
                return _stack(rows, skipped)
    if not rows:
        raise DataError(
            f"{quoted(folder)} holds no readable scene; the first fault was"
            f" {skipped[0][:200] if skipped else 'an empty index'}: render it anew."
        )
    return _stack(rows, skipped)


def write_shard(path, scenes) -> None:
    """Write one shard, whole or not at all. scenes: dicts with the index's texts and with Pillow pictures under
    "image" (RGB), "product" (RGBA) and, where they are known, "depth" and "saliency" (L)."""
    with whole(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        lines = []
        for scene in scenes:
            line = dict(scene)
            for name, ending, options in (
                ("image", "webp", {"quality": 92}),
                ("product", "webp", {"quality": 92}),
                ("depth", "png", {}),
                ("saliency", "png", {}),
            ):
                if name not in scene:
                    continue
                data = io.BytesIO()
                scene[name].save(data, ending, **options)
                line[name] = f"{name}/{scene['id']}.{ending}"
                archive.writestr(line[name], data.getvalue())
            lines.append(json.dumps(line, ensure_ascii=False))
        archive.writestr(INDEX, "\n".join(lines) + "\n")


def _open(shard: Path, size: int):
    """Yield (where, read) for each line of a shard's index; read() gives the row, None for an unsuitable one, or
    raises.
    """
    try:
        open_file(shard).close()  # regular files only
        archive = zipfile.ZipFile(shard)
        ((name, count),) = Counter(archive.namelist()).most_common(1) or [("", 0)]
        if count > 1:
            archive.close()
            raise ValueError(f"{shortened(name)} is in it {count} times")
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        yield shard.name, _raiser(ValueError(f"not a readable zip ({getattr(error, 'strerror', None) or error})"))
        return
    with archive:
        try:
            lines = decoded(_member(archive, INDEX), INDEX).split(
                "\n"
            )  # splitlines() would also cut captions at U+2028
        except (KeyError, OSError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
            yield shard.name, _raiser(ValueError(f"no readable {INDEX} ({getattr(error, 'strerror', None) or error})"))
            return
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield f"{shard.name}:{number}", lambda line=line: _row(archive, parse_json(line, "the line"), size)


def _raiser(error):
    def read():
        raise error

    return read


def _row(archive: zipfile.ZipFile, line: dict, size: int):
    if line["label"] == UNSUITABLE:
        return None
    pictures = [
        _picture(archive, line[name], mode, size)
        for name, mode in (("image", "RGB"), ("product", "RGBA"), ("depth", "L"))
    ]
    texts = [str(line.get(name, "")) for name in ("id", "caption", "prompt", "cause", "product_id", "room_id")]
    return (*pictures, label_id(line["label"]), *texts)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """One file out of a zip, which is never unpacked to more than its listing says. Raises KeyError, ValueError."""
    if archive.getinfo(name).file_size > LARGEST:
        raise ValueError(f"{shortened(name)} unpacks to more than {LARGEST >> 20} MiB")
    return archive.read(name)


def _picture(archive: zipfile.ZipFile, member: str, mode: str, size: int) -> np.ndarray:
    image = decode(io.BytesIO(_member(archive, member)), f'"{member}"', smallest=1)[0].convert(mode)
    return np.asarray(image if image.size == (size, size) else image.resize((size, size), Image.Resampling.LANCZOS))


def _stack(rows: list, skipped: list) -> Scenes:
    images, products, depths, labels, *texts = zip(*rows)
    return Scenes(
        np.stack(images),
        np.stack(products),
        np.stack(depths),
        np.array(labels),
        **dict(zip(TEXTS, map(list, texts))),
        skipped=skipped,
    )


def count_labels(scenes: Scenes) -> dict:
    """{label: number of scenes}, every label named."""
    return {name: int((scenes.labels == index).sum()) for index, name in enumerate(LABELS)}
