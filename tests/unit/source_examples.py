"""Pictures, cut-outs and label files as people bring them, loose and packed."""

import io
import tarfile
import zipfile

import numpy as np
from PIL import Image

from reliable_ads.rfnet.labels import LABELS


def picture(shade=100, size=(24, 16), ending="PNG") -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, (shade, 50, 200)).save(data, ending)
    return data.getvalue()


def cutout(shade=10, size=(24, 16)) -> bytes:
    pixels = np.zeros((*size[::-1], 4), np.uint8)
    pixels[4:12, 6:18] = (shade, 90, 30, 255)
    data = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(data, "PNG")
    return data.getvalue()


def put(root, members: dict):
    for name, content in members.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def pack(path, members: dict, method=zipfile.ZIP_STORED):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def pack_tar(path, members: dict):
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def loose(root, labels: str | bytes, count=5):
    """A data set of loose files 0..count-1; the shade of each image is its number."""
    pictures = {f"images/{n}.png": picture(n) for n in range(count)} | {
        f"products/{n}.png": cutout(n) for n in range(count)
    }
    return put(root, {**pictures, "label.txt": labels})


FIVE = "".join(f"{n}.png\t{label}\n" for n, label in enumerate(LABELS))
