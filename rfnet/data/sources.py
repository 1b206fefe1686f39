"""Where samples come from: a table of one's own pictures, the shards that `synthetic render` writes, or RF1M; all
become Samples.
"""

import csv
import os
import re
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np

from ..files import on_disk, quoted, same_name
from ..labels import LABELS, UNSUITABLE
from ..structured import StructureError, convert, parse_json, shortened
from ..textfiles import TextError, decoded, open_text
from .archives import LOOSE, ArchiveError, Files, list_zip
from .errors import DataError
from .rf1m import read_rf1m
from .samples import Findings, Samples, index, plain_label
from .shards import INDEX, SIZES
from .spans import PICTURES, Texts, hash_spans

COLUMNS = (
    "image",
    "product",
    "label",
)  # what a table must have; caption, prompt, product_id, depth and saliency may be there too
ROLES = ("image", "product", "depth", "saliency")
TEXTS = ("caption", "prompt")
SHARD_TEXTS = (*TEXTS, "id", "cause", "room_id", "family", *SIZES)


def open_samples(path, size: int = 384) -> Samples:
    """Index whatever lies at `path`: a table (.csv, .jsonl), a folder of shards, or a folder with RF1M's label.txt;
    pictures are read as size x size.

    Raises DataError.
    """
    path = Path(path)
    if path.suffix.lower() in (".csv", ".tsv", ".jsonl"):
        return read_table(path, size)
    if not os.path.isdir(path):  # False also for names that no disk can have
        raise DataError(
            f"{quoted(path)} is no data: give a .csv or .jsonl table, a folder of shards, or the folder of RF1M."
        )
    for shard in sorted(path.glob("*.zip")):
        try:
            listing = list_zip(shard)
        except (ArchiveError, OSError):
            continue
        if INDEX in _names(listing):
            return read_shards(path, size)
    return read_rf1m(path, size)


def read_table(path, size: int = 384) -> Samples:
    """Index a folder of one's own pictures by a table in it, .csv (comma, semicolon or tab) or .jsonl with one object
    per line.

    Columns: image, product (transparent picture), label (a name of LABELS in any spelling, its number, or
    "unsuitable"), and perhaps caption, prompt, product_id, depth, saliency. Paths are relative to the table and stay
    below its folder. Without a product_id, samples with the same product picture are one product. Raises DataError
    where the table can't be used at all; lines that can't are counted in `findings`.
    """
    path = Path(path)
    findings, folder = Findings(), _Folder(path.parent)
    words = {name: code for code, name in enumerate((*LABELS, UNSUITABLE))} | {
        str(code): code for code in range(len(LABELS))
    }
    given, labels, numbers, products, names, texts = (
        set(),
        [],
        [],
        [],
        {role: [] for role in ROLES},
        {name: [] for name in TEXTS},
    )
    for number, row in _readable(_rows(path, findings)):
        where = f'line {number} of "{path.name}"'
        try:
            label = words.get(plain_label(_text(row, "label")))
            given.add(_text(row, "label"))
            if label is None:
                raise _Fault(
                    "unknown_labels",
                    f"says {quoted(_text(row, 'label'), 60)}, which is no label: use one of"
                    f" {', '.join((*LABELS, UNSUITABLE))}",
                )
            if label == len(LABELS):
                findings.add(UNSUITABLE, f"{where} is unsuitable.")
                continue
            files = {role: folder.check(_text(row, role), role) for role in ROLES}
        except _Fault as fault:
            findings.add(fault.kind, f"{where} {fault}.")
            continue
        for role in ROLES:
            names[role].append(files[role])
        for name in TEXTS:
            texts[name].append(_text(row, name))
        labels.append(label)
        numbers.append(number)
        products.append(_text(row, "product_id") or os.path.splitext(files["product"])[0])
    _check_numbers(given, path)
    return index(
        {
            "labels": np.array(labels, np.uint8),
            "ids": _hashes(names["image"]),
            "keys": _hashes(products),
            "names": Texts.of(products),
            "files": {role: folder.files(found) for role, found in names.items() if any(found)},
            "texts": {name: Texts.of(found) for name, found in texts.items()},
            "lines": lambda row: f'line {numbers[row]} of "{path.name}"',
        },
        findings,
        size,
        str(path),
    )


def read_shards(folder, size: int = 384) -> Samples:
    """Index the shards of one split (shards.write_shard) in the order of their names, without reading the pictures.

    Raises DataError.
    """
    folder, findings = Path(folder), Findings()
    shards = sorted(folder.glob("*.zip"))
    if not shards:
        raise DataError(
            f"{quoted(folder)} holds no .zip shards: give the folder of one split, such as DATA/train; `synthetic"
            " render` makes them."
        )
    labels, ids, products, places, parts, begin = [], [], [], {role: [] for role in ROLES}, [], 0
    texts, names = {name: [] for name in SHARD_TEXTS}, []
    for shard in shards:
        try:
            listing = list_zip(shard)
            members = _members(listing)
            if INDEX not in members:
                raise ArchiveError(f"it holds no {INDEX}")
            lines = decoded(listing.files.read(members[INDEX]), INDEX).split(
                "\n"
            )  # splitlines() would also cut captions at U+2028
        except (ArchiveError, OSError, ValueError) as error:
            findings.add("unreadable_archives", f'"{shard.name}": {error}.')
            continue
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = _scene(line, members)
            except _Fault as fault:
                findings.add(fault.kind, f"{shard.name}:{number} {fault}.")
                continue
            for role in ROLES:
                places[role].append(row[role] + begin if row[role] >= 0 else -1)
            for name, found in texts.items():
                found.append(row["texts"][name])
            labels.append(row["label"])
            ids.append(row["texts"]["id"] or f"{shard.name}:{number}")
            products.append(row["product_id"])
            names.append(f"{shard.name}:{number}")
        parts.append(listing.files)
        begin += len(listing.files)
    files = Files.join(parts)
    return index(
        {
            "labels": np.array(labels, np.uint8),
            "ids": _hashes(ids),
            "keys": _hashes(products),
            "names": Texts.of(products),
            "files": {role: files.select(found) for role, found in places.items() if max(found, default=-1) >= 0},
            "texts": {name: Texts.of(found) for name, found in texts.items()},
            "lines": names.__getitem__,
        },
        findings,
        size,
        str(folder),
    )


def _check_numbers(given: set, path: Path) -> None:
    """Raises DataError where labels are numbers that seem to count from 1."""
    counted = {int(label) for label in given if label.isascii() and label.isdigit() and len(label) < 4}
    if counted and 0 not in counted and max(counted) >= len(LABELS):
        raise DataError(
            f"the labels of {quoted(path)} are numbers up to {max(counted)} without a 0, and ours count from 0 to"
            f" {len(LABELS) - 1}: write the labels' names."
        )


class _Fault(Exception):
    """Why one line is left out."""

    def __init__(self, kind: str, sentence: str):
        super().__init__(sentence)
        self.kind = kind


class _Folder:
    """The folder of a table: checks its paths, scanning each folder below it once."""

    def __init__(self, root: Path):
        self.root, self.listed = str(root), {}

    def check(self, path: str, role: str) -> str:
        """The path with forward slashes; "" for an optional one that isn't given. Raises _Fault."""
        if not path:
            if role in COLUMNS:
                raise _Fault(f"missing_{role}s", f"names no {role}")
            return ""
        parts = re.split(r"[/\\]", path)
        if path[0] in "/\\" or ".." in parts or re.match("[A-Za-z]:", path) or "\0" in path:
            raise _Fault(
                "unsafe_paths", f'names the {role} {quoted(path)}: give a path below the table\'s folder, without ".."'
            )
        if not (parts := [part for part in parts if part not in ("", ".")]):
            raise _Fault(f"missing_{role}s", f"names the folder itself as the {role}")
        *folders, name = parts
        folders = (
            on_disk(os.path.join(self.root, *folders)).parts[len(Path(self.root).parts) :]
            if not path.isascii()
            else folders
        )
        names = self._names("/".join(folders))
        found = names.get(name) or names.get(same_name(name))
        if not found:
            raise _Fault(f"missing_{role}s", f"names the {role} {quoted(path)}, which does not exist")
        return "/".join((*folders, found))

    def _names(self, folder: str) -> dict:
        """{name, in the form that the disk and in the form that Unicode prefers: name on the disk}."""
        if folder not in self.listed:
            try:
                with os.scandir(os.path.join(self.root, folder)) as entries:
                    names = [
                        entry.name for entry in entries if entry.name.lower().endswith(PICTURES) or entry.is_file()
                    ]
            except OSError:
                names = []
            self.listed[folder] = {same_name(name): name for name in names} | {name: name for name in names}
        return self.listed[folder]

    def files(self, paths: list) -> Files:
        """Loose files below the root; "" stands for none."""
        names = [os.fsencode(path) for path in paths]
        lengths = np.array([len(name) for name in names], np.int64)
        files = Files.one(self.root, np.cumsum(lengths) - lengths, lengths, LOOSE, names=b"".join(names))
        return files.select(np.where(lengths > 0, np.arange(len(names)), -1))


def _readable(rows):
    """The rows of a text; one that is no text raises DataError, also where that shows in the middle."""
    try:
        yield from rows
    except TextError as error:
        raise DataError(f"the table {error}") from error


def _rows(path: Path, findings: Findings):
    """(line number, {column: value}) of a table. Raises DataError where it has no rows to give at all."""
    with open_text(path) as file:
        if path.suffix.lower() == ".jsonl":
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        yield number, _checked(line)
                    except StructureError as error:
                        findings.add(
                            "malformed_lines",
                            f"line {number} of {quoted(path.name, 60)} is no JSON object that can be used: {error}",
                        )
            return
        header = file.readline()
        if spreadsheet := re.fullmatch(r'"?sep=(.)"?\s*', header):  # the line by which Excel is told the separator
            header = file.readline()
        cut = spreadsheet[1] if spreadsheet else max(",;\t", key=header.count)
        columns = [name.strip().strip('"').lower() for name in header.rstrip("\r\n").split(cut)]
        if missing := [name for name in COLUMNS if name not in columns]:
            raise DataError(
                f"the table {quoted(path)} has no column {', '.join(missing)}: its first line must name the columns"
                f" {', '.join(COLUMNS)}, and perhaps caption."
            )
        reader = csv.reader(file, delimiter=cut)
        while True:
            try:
                values = next(reader, None)
            except csv.Error as error:
                findings.add(
                    "malformed_lines", f'line {reader.line_num + 1} of "{path.name}" can\'t be read ({error}).'
                )
                continue
            if values is None:
                return
            if values:
                yield reader.line_num + 1, dict(zip(columns, values))


class Row(msgspec.Struct):
    """What a line of a table or of a shard's index may say, and of which types; it may hold more."""

    image: str | None = None
    product: str | None = None
    depth: str | None = None
    saliency: str | None = None
    label: str | int | None = None
    product_id: str | int | float | None = None
    caption: str | int | float | None = None
    prompt: str | int | float | None = None
    id: str | int | None = None
    cause: str | None = None
    room_id: str | int | None = None
    family: str | None = None
    metres: float | str | None = None
    shown_metres: float | str | None = None


KNOWN = set(Row.__struct_fields__)


def _checked(line: str) -> dict:
    """The table of a line of JSON, its values of the types that Row states. Raises StructureError."""
    row = parse_json(line, "it")
    convert({key: row[key] for key in KNOWN & row.keys()} if isinstance(row, dict) else row, Row, "it")
    return row


def _text(row: dict, name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value).strip()


def _names(listing) -> list:
    data = listing.buffer.tobytes()
    return [
        same_name(data[start:end].decode("utf-8", "replace"))
        for start, end in zip(listing.starts.tolist(), listing.ends.tolist())
    ]


def _members(listing) -> dict:
    """{name: position} of a zip's members.

    Raises ArchiveError where two have one name: readers differ in which of them they take.
    """
    names = _names(listing)
    members = dict(zip(names, range(len(names))))
    if len(members) < len(names):
        name, count = Counter(names).most_common(1)[0]
        raise ArchiveError(f"{shortened(name)} is in it {count} times")
    return members


def _scene(line: str, members: dict) -> dict:
    """One line of a shard's index, its pictures as positions in the shard. Raises _Fault."""
    try:
        row = _checked(line)
    except StructureError as error:
        raise _Fault("malformed_lines", f"is no scene ({str(error).rstrip('.')})") from error
    label = row.get("label", "")
    if label == UNSUITABLE:
        raise _Fault(UNSUITABLE, "is unsuitable")
    if label not in LABELS:
        raise _Fault("unknown_labels", f"says {quoted(label, 60)}, which is no label")
    scene = {role: members.get(same_name(_text(row, role)), -1) for role in ROLES}
    for role in ROLES:
        if scene[role] < 0 and (role in COLUMNS or row.get(role)):
            raise _Fault(f"missing_{role}s", f"names the {role} {quoted(row.get(role))}, which the shard lacks")
    texts = {name: str(row.get(name, "")) for name in SHARD_TEXTS}
    return {
        **scene,
        "label": LABELS.index(label),
        "texts": texts,
        "product_id": str(row.get("product_id") or row["product"]),
    }


def _hashes(texts: list) -> np.ndarray:
    """A uint64 per text."""
    found = Texts.of(texts)
    return hash_spans(found.buffer, found.starts, found.starts + found.lengths)
