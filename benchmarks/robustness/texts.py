"""What bad texts of every kind share: values of another type, damaged bytes, and things that are no regular files."""

from __future__ import annotations

import os
from pathlib import Path

from .inputs import Bench
from .weights import BRACKETS, DIGITS, NUMBERS

VALUES = (
    *NUMBERS,
    float("nan"),
    float("inf"),
    -1e9,
    "",
    "x" * 5000,
    [[]],
    [None],
    {"a": {"b": 1}},
    10**400,
    True,
    False,
)


def odd_file(bench: Bench, path: Path) -> None:
    """Something that is no regular file, or far too large, in the place of one."""
    kind = bench.pick(("pipe", "folder", "zeros", "circle", "huge"))
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(3 * 2**30)
    else:
        path.symlink_to({"zeros": "/dev/zero", "circle": path.name}[kind])


def damaged(bench: Bench, text: str) -> bytes:
    """A good text cut, encoded in another way, or with bytes that are none of it."""
    content = text.encode()
    place = bench.random.randrange(1, len(content))
    return bench.pick(
        (
            lambda: content[:place],
            lambda: content[:place] + bytes([bench.pick((0, 0xFF, 0x80, 0x1B))]) + content[place:],
            lambda: (text + " # gr\u00fcn").encode(bench.pick(("latin-1", "utf-16-le", "cp037"))),
            lambda: bench.random.randbytes(2000),
            lambda: b"",
            lambda: content[:place] + BRACKETS.encode() + content[place:],
            lambda: content[:place] + DIGITS.encode() + content[place:],
            lambda: bytes(5000),
            lambda: content + content,
        )
    )()
