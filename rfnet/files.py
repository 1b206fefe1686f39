"""Files written whole or not at all: a killed process or a full disk leaves the old file or the new one, never half of one."""

import os
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path):
    """`with whole(path) as partial:` write to `partial`; it becomes `path` when the block ends well, and is removed when it doesn't. Makes the folder.

    Raises OSError when the disk refuses; a file that was there before is then untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def plain(name: str) -> bool:
    """Whether a name stands for one file or folder inside another on every system: no path, nothing hidden, no sign that a file system refuses."""
    fits = 0 < len(name.encode("utf-8", "replace")) <= 200 and name.isprintable()
    return fits and name == name.strip(" .") and not any(sign in '\\/:*?"<>|' for sign in name)


def write_text(path, text: str) -> None:
    """Write a text in UTF-8, whole or not at all."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_bytes(path, content: bytes) -> None:
    """Write bytes, whole or not at all."""
    with whole(path) as partial:
        partial.write_bytes(content)


def write_picture(path, image) -> None:
    """Write a Pillow image in the format that the path's ending names, whole or not at all."""
    with whole(path) as partial, open(partial, "wb") as file:
        image.save(file, format=Path(path).suffix[1:].upper())


def write_safetensors(path, tensors: dict, metadata: dict) -> None:
    """Write torch tensors and texts as one safetensors file, whole or not at all."""
    from safetensors.torch import save  # its save_file would not say OSError when the disk is full

    write_bytes(path, save({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, metadata))
