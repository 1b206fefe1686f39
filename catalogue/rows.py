"""A catalogue's rows: CSV, JSONL, Parquet or a folder, turned into jobs, each fault named with its line.

A row has a product picture, and may have an id, a caption, and a prompt or prompts; all its other columns are carried
through to the results. One row with several prompts is several jobs. Rows are read one after the other, so that a
million of them need no more memory than a set of their ids.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ..rfnet.common_sizes import check_size_cm
from ..rfnet.csv_rows import TableError, read_csv
from ..rfnet.cut_outs import read_folder
from ..rfnet.files import quoted
from ..rfnet.pictures import PictureError
from ..rfnet.structured import nearest
from .storage import StorageError, joined, open_binary, scheme_of

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
NAMES = {  # what a column may be called, first come, first taken
    "id": ("id",),
    "picture": ("picture", "product"),
    "image": ("image",),
    "caption": ("caption",),
    "prompt": ("prompt",),
    "prompts": ("prompts",),
    "size_cm": ("size_cm",),
}
PATHS = ("picture", "image")  # which are taken as they are, odd spaces too
LONGEST = 20_000  # characters of a text
BATCH = 4096  # rows of a Parquet file at once
NO_PICTURE, DUPLICATE, NO_PROMPT, UNREADABLE = "no picture", "duplicate id", "no prompt", "unreadable row"


class CatalogueError(ValueError):
    """A catalogue can't be used; the message names file and column, and says what to do."""


@dataclass(frozen=True)
class Job:
    """A product with a prompt, or with a finished image to review.

    key: 16 hex digits of id, picture, caption, prompt and image; picture, image: paths or URLs; line: of the
    catalogue, from 1; carried: the row's other columns; size_cm: the product's largest side in centimetres, 0 where the
    row doesn't say.
    """

    key: str
    id: str
    picture: str
    caption: str
    prompt: str
    seed: int
    line: int
    image: str = ""
    carried: dict = field(default_factory=dict)
    size_cm: float = 0.0


@dataclass(frozen=True)
class BadRow:
    """A row that gives no job; kind: what summaries count it under."""

    line: int
    id: str
    kind: str
    reason: str


class Catalogue:
    """`for row in Catalogue("products.csv", prompts=["{caption} on a table"]): ...` gives a Job or a BadRow each.

    prompts: for rows without one of their own, {caption} standing for the caption; columns: {"picture": what it is
    called there}; seed: what all seeds come from; images: rows name a finished image, which needs no prompt. Raises
    CatalogueError where the catalogue as a whole can't be used.
    """

    def __init__(self, location, prompts: Iterable[str] = (), columns: dict | None = None, seed=0, images=False):
        self.location = str(location)
        self.prompts = tuple(text.strip() for text in prompts if text.strip())
        self.seed, self.images = seed, images
        self.ending = next((ending for ending in ENDINGS if self.location.lower().endswith(ending)), "")
        is_folder = not scheme_of(self.location) and Path(self.location).is_dir()
        if not self.ending and not is_folder:
            raise CatalogueError(
                f"{quoted(self.location)} is no catalogue: give a {', '.join(ENDINGS)} file, or a folder of cut-outs."
            )
        self.base = self.location if is_folder else _folder_of(self.location)
        self.named = {name: ((columns or {})[name],) if name in (columns or {}) else NAMES[name] for name in NAMES}
        if unknown := sorted(set(columns or {}) - set(NAMES)):
            raise CatalogueError(f"--columns names {unknown[0]}, which is none of {', '.join(NAMES)}.")
        self.taken = {name for kind, names in self.named.items() for name in names if kind != "size_cm"}
        self._check()

    def _check(self) -> None:
        """What is wrong with all rows alike."""
        header = self.header()
        if header is None:
            return
        needed = ["picture", *(["image"] if self.images else [])]
        for name in needed:
            if not set(self.named[name]) & set(header):
                raise CatalogueError(
                    f'{quoted(self.location)} has no column "{self.named[name][0]}" (it has'
                    f" {nearest(self.named[name][0], header)}): say which one it is with --columns {name}=COLUMN."
                )
        said = {*self.named["prompt"], *self.named["prompts"]} & set(header)
        if not (self.images or self.prompts or said):
            raise CatalogueError(
                f'{quoted(self.location)} has no column "prompt": add one, or give --prompt "{{caption}} on a wooden'
                ' table".'
            )

    def header(self) -> list[str] | None:
        """The names of the columns; None where each row names its own."""
        if self.ending in (".csv", ".tsv"):
            with readable(self.location), self._text() as text:
                return _table(text, self.ending, self.location)[0]
        if self.ending == ".parquet":
            with open_binary(self.location) as file:
                return list(_parquet(file, self.location).schema_arrow.names)
        return None if self.ending else ["picture", "caption"]

    def __iter__(self) -> Iterator[Job | BadRow]:
        seen: set[int] = set()
        rows = {".csv": self._csv, ".tsv": self._csv, ".parquet": self._parquet, "": self._folder}
        with readable(self.location):
            for line, row in rows.get(self.ending, self._jsonl)():
                if isinstance(row, str):
                    yield BadRow(line, "", UNREADABLE, row)
                    continue
                yield from self._jobs(line, row, seen)

    def _jobs(self, line: int, row: dict, seen: set[int]) -> Iterator[Job | BadRow]:
        picture, image = self._value(row, "picture"), self._value(row, "image") if self.images else ""
        id_ = self._value(row, "id") or (image if self.images else picture)
        caption = self._value(row, "caption")
        if not picture:
            yield BadRow(line, id_, NO_PICTURE, "its picture is empty: name the product's cut-out.")
            return
        if self.images and not image:
            yield BadRow(line, id_, NO_PICTURE, "its image is empty: name the picture to review.")
            return
        try:
            size_cm = float(self._value(row, "size_cm") or 0)
            check_size_cm(size_cm)
        except ValueError:
            reason = f"its size_cm is {quoted(self._value(row, 'size_cm'), 40)}: give centimetres, such as 12.5."
            yield BadRow(line, id_, UNREADABLE, reason)
            return
        name = int.from_bytes(hashlib.blake2b(id_.encode(), digest_size=8).digest(), "big")
        if name in seen:
            yield BadRow(line, id_, DUPLICATE, "an earlier row has this id: the first one counts.")
            return
        seen.add(name)
        prompts = [""] if self.images else self._prompts(row) or list(self.prompts)
        if not prompts:
            yield BadRow(line, id_, NO_PROMPT, "it has no prompt: fill its column, or give --prompt.")
            return
        carried = {key: value for key, value in row.items() if key not in self.taken and value not in (None, "")}
        place, shown = joined(self.base, picture), image and joined(self.base, image)
        for text in dict.fromkeys(prompts):
            prompt = text.replace("{caption}", caption)
            digest = hashlib.sha256("\0".join((id_, picture, caption, prompt, image)).encode("utf-8", "replace"))
            key = digest.hexdigest()[:16]
            seed = (self.seed + int(key[:8], 16)) % 2**63
            yield Job(key, id_, place, caption, prompt, seed, line, shown, carried, size_cm)

    def _value(self, row: dict, name: str) -> str:
        for key in self.named[name]:
            if (value := row.get(key)) not in (None, ""):
                return str(value)[:LONGEST] if name in PATHS else _clean(value)
        return ""

    def _prompts(self, row: dict) -> list[str]:
        given = row.get(self.named["prompts"][0])
        if isinstance(given, str) and given.lstrip().startswith("["):
            try:
                given = json.loads(given)
            except ValueError:
                given = [given]
        elif isinstance(given, str):
            given = given.splitlines()
        listed = given if isinstance(given, list) else []
        texts = [*map(_clean, listed), self._value(row, "prompt")]
        return [text for text in texts if text]

    # The formats: (line, row as a dict, or a sentence on what is wrong with it)

    def _text(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(open_binary(self.location), encoding=_encoding(self.location), newline="")

    def _csv(self) -> Iterator[tuple[int, Any]]:
        with self._text() as text:
            for line, row in _table(text, self.ending, self.location)[1]:
                yield line, f"it {row}." if isinstance(row, str) else row

    def _jsonl(self) -> Iterator[tuple[int, Any]]:
        with open_binary(self.location) as file:
            for line, text in enumerate(file, 1):
                text = text.strip().removeprefix(b"\xef\xbb\xbf")
                if not text:
                    continue
                try:
                    row = msgspec.json.decode(text)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    yield line, f"it is no JSON ({error}): write one object per line."
                    continue
                yield line, row if isinstance(row, dict) else "it is no JSON object: write one per line."

    def _parquet(self) -> Iterator[tuple[int, Any]]:
        with open_binary(self.location) as file:
            line = 0
            for batch in _parquet(file, self.location).iter_batches(BATCH):
                for row in batch.to_pylist():
                    line += 1
                    yield line, row

    def _folder(self) -> Iterator[tuple[int, Any]]:
        contents = read_folder(self.location)
        for line, (path, caption) in enumerate(contents.items, 1):
            yield line, {"id": path.name, "picture": path.name, "caption": caption}
        for line, (name, reason) in enumerate(contents.broken.items(), len(contents.items) + 1):
            yield line, f"{quoted(name)}: {reason}"


@contextmanager
def readable(location: str):
    """Turns what the readers of files say of a damaged one into a CatalogueError that names it."""
    try:
        yield
    except (CatalogueError, PictureError, StorageError, ImportError):
        raise
    except UnicodeDecodeError as error:
        odd = f"byte 0x{error.object[error.start]:02x}" if error.start < len(error.object) else error.reason
        raise CatalogueError(
            f"{quoted(location)} is not in UTF-8 ({odd}): save the table as CSV in UTF-8, which Excel offers, too."
        ) from error
    except TableError as error:
        raise CatalogueError(f"{quoted(location)} {error}") from error
    except (OSError, ValueError) as error:  # Arrow's errors are among these
        said = " ".join(str(error).split())[:120]
        raise CatalogueError(f"{quoted(location)} is damaged ({said}): write or copy it again.") from error


def _table(text, ending: str, location: str) -> tuple[list[str], Iterator[tuple]]:
    """As read_csv; semicolons and tabs are told by the first line."""
    if not text.readline().strip():
        raise CatalogueError(
            f"{quoted(location)} is empty: write a line with the columns' names, then a row a product."
        )
    text.seek(0)
    return read_csv(text, "\t" if ending == ".tsv" else None)


def _encoding(location: str) -> str:
    with open_binary(location) as file:
        head = file.read(4)
    return "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _parquet(file, location: str):
    from pyarrow import parquet

    with readable(location):
        return parquet.ParquetFile(file)


def _folder_of(location: str) -> str:
    return location.rpartition("/")[0] if scheme_of(location) else str(Path(location).parent)


def _clean(value) -> str:
    """A cell as one line of text that can be written as UTF-8."""
    text = value if isinstance(value, str) else str(value)
    if len(text) <= LONGEST and text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    return " ".join(text[:LONGEST].encode("utf-8", "replace").decode("utf-8").replace("\0", "").split())
