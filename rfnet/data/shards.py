"""Labelled scenes on disk: folders of zip shards, each a set of pictures with an `index.jsonl`. Written here;
`sources.read_shards` reads them.

A line of the index: {"id", "image", "product", "depth", "saliency", "caption", "prompt", "label", "cause",
"product_id", "room_id"}; the pictures' names are members of the zip: image RGB, product RGBA on the same canvas (alpha
= the part of it that is visible), depth 8-bit inverse depth (255 nearest, 0 infinitely far), and, where it is more than
the product, what stands out. Splits are folders: DATA/train, DATA/val, DATA/test.
"""

import io
import json
import zipfile

from ..files import whole

INDEX = "index.jsonl"
SIZES = ("metres", "shown_metres")  # the product's largest side as it is, and as the scene makes it look
FORMATS: tuple[tuple[str, str, dict], ...] = (  # of the pictures in a shard: name, format, options of Pillow's
    ("image", "webp", {"quality": 92}),
    ("product", "webp", {"quality": 92}),
    ("depth", "png", {}),
    ("saliency", "png", {}),
)


def write_shard(path, scenes) -> None:
    """Write one shard, whole or not at all. scenes: dicts with the index's texts and with Pillow pictures under
    "image" (RGB), "product" (RGBA) and, where they are known, "depth" and "saliency" (L)."""
    with whole(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        lines = []
        for scene in scenes:
            line = dict(scene)
            for name, ending, options in FORMATS:
                if name not in scene:
                    continue
                data = io.BytesIO()
                scene[name].save(data, ending, **options)
                line[name] = f"{name}/{scene['id']}.{ending}"
                archive.writestr(line[name], data.getvalue())
            lines.append(json.dumps(line, ensure_ascii=False))
        archive.writestr(INDEX, "\n".join(lines) + "\n")
