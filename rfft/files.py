"""Opening the safetensors files that users name, with one sentence for whatever is wrong with them."""

import hashlib
from contextlib import contextmanager
from pathlib import Path

from ..rfnet.files import open_file, quoted
from ..rfnet.tensors import open_tensors

BLOCKS, BLOCK = 256, 1 << 14


@contextmanager
def opened(path, error: type, missing: str, most: int | None = None):
    """The open file, as safetensors gives it.

    Raises `error`: with the sentence `missing` where no file is, and where it is no whole .safetensors file, or one of
    more than `most` bytes.
    """
    path = Path(path)
    if path.suffix != ".safetensors" and path.exists():
        raise error(
            f"{quoted(path.name)} is no .safetensors file: other formats can run code when they are opened; convert it"
            " first."
        )
    with open_tensors(path, error, missing, most) as file:
        yield file


def print_of(path) -> str:
    """16 hex digits that tell a file, or a folder of models, from others: its size and bytes all over it, for two
    fine-tunes of one checkpoint differ everywhere. What isn't there has none.
    """
    path, found = Path(path), hashlib.sha256()
    for file in (
        sorted(inside for inside in path.rglob("*.safetensors") if inside.is_file())
        if path.is_dir()
        else [path]
        if path.is_file()
        else []
    ):
        size = file.stat().st_size
        found.update(f"{file.relative_to(path) if file != path else ''} {size}".encode())
        with open_file(file) as opened_file:
            for place in range(0, size, max(BLOCK, size // BLOCKS)):
                opened_file.seek(place)
                found.update(opened_file.read(BLOCK))
    return found.hexdigest()[:16]
