"""Opening safetensors files as they come from outside: only regular files, their header checked before a tensor is
made.

A header is JSON, and says for each tensor its dtype, shape and place; texts about the file stand under "__metadata__".
"""

import math
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from .files import open_file, quoted, refusal
from .structured import StructureError, convert, parse_json, shortened

LONGEST = 16 << 20  # bytes of a header: a checkpoint of Stable Diffusion has half a million
AGAIN = "copy or download it again"
FLOATS = ("F64", "F32", "F16", "BF16")
Place = Annotated[int, Meta(ge=0)]


class Entry(msgspec.Struct, frozen=True):
    """What a header says of a tensor: data_offsets are where its bytes begin and end, counted from the header's end."""

    dtype: str
    shape: Annotated[list[Place], Meta(max_length=8)]
    data_offsets: tuple[Place, Place]


@dataclass(frozen=True)
class Header:
    """tensors: {key: Entry}; metadata: {key: text}."""

    tensors: dict
    metadata: dict

    def count(self, prefix: str = "") -> int:
        """How many numbers the tensors hold whose keys begin so."""
        return sum(math.prod(entry.shape) for key, entry in self.tensors.items() if key.startswith(prefix))


def read_header(
    path, error: type, missing: str | None = None, most: int | None = None, name: str | None = None, remedy: str = AGAIN
) -> Header:
    """The header of a safetensors file. Raises `error`.

    missing: the sentence for a file that isn't there; most: bytes that the file may have; name: what sentences call it,
    its name in quotes by default.
    """
    name = name or quoted(Path(path).name)
    try:
        with open_file(path) as file:
            begin = file.read(9)
            length, size = int.from_bytes(begin[:8], "little"), file.seek(0, 2)
            file.seek(8)
            text = file.read(length) if length <= min(LONGEST, size - 8) else b""
    except FileNotFoundError as cause:
        raise error(missing or refusal(path, cause)) from cause
    except OSError as cause:
        raise error(refusal(path, cause)) from cause
    if begin[8:] != b"{" and (
        begin[:2] == b"PK" or begin[:1] == b"\x80"
    ):  # the length that a safetensors file begins with can begin like that, too
        raise error(
            f"{name} is a pickle, which can run code when it is opened, and not a whole safetensors file: use one"
            " that is."
        )
    if most is not None and size > most:
        raise error(f"{name} is larger than {most >> 20} MiB, which no such file is: choose another.")
    try:
        return _header(text, size - 8 - length)
    except StructureError as cause:
        raise error(
            f"{name} is cut short or not a whole safetensors file ({str(cause).rstrip('.')[:200]}): {remedy}."
        ) from cause


def _header(text: bytes, data: int) -> Header:
    """data: how many bytes follow. Raises StructureError."""
    found = parse_json(text, "its header") if text else None
    if not isinstance(found, dict):
        raise StructureError("it has no header")
    metadata = convert(found.pop("__metadata__", {}), dict[str, str], "its metadata")
    tensors = convert(found, dict[str, Entry], "its header")
    for key, entry in tensors.items():
        begin, end = entry.data_offsets
        if not begin <= end <= data or math.prod(entry.shape) > 8 * (end - begin):
            raise StructureError(f"{shortened(key)} lies outside of the file, or has another size than its shape says")
    return Header(tensors, metadata)


@contextmanager
def open_tensors(
    path, error: type, missing: str | None = None, most: int | None = None, name: str | None = None, remedy: str = AGAIN
):
    """The open file, as safetensors gives it, once its header is checked as read_header does.

    Raises `error`: a sentence for whatever is wrong with the file.
    """
    from safetensors import SafetensorError, safe_open

    read_header(path, error, missing, most, name, remedy)
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, OSError) as cause:
        reason = shortened(str(cause), 120)[1:-1]
        raise error(
            f"{name or quoted(Path(path).name)} is cut short or not a whole safetensors file ({reason}): {remedy}."
        ) from cause


def check_floats(header: Header, name: str, error: type) -> None:
    """Raises `error` where a tensor holds something else than numbers with a point. name: the file's, quoted."""
    for key, entry in header.tensors.items():
        if entry.dtype not in FLOATS:
            raise error(
                f"{name} has {shortened(key)} as {shortened(entry.dtype)} and not as {', '.join(FLOATS)}: download or"
                " train it again."
            )


def check_finite(tensors: dict, name: str, error: type) -> None:
    """Raises `error` where a tensor holds NaN or infinity, naming the first. name: the file's, quoted."""
    for key, value in tensors.items():
        if value.is_floating_point() and not (value if value.itemsize > 1 else value.float()).isfinite().all():
            raise error(
                f"{name} has NaN or infinity in {shortened(key)}: it was spoilt while it was trained or copied;"
                " download or train it again."
            )
