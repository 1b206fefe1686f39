"""Where samples come from: a table of one's own pictures, the shards that `synthetic render` writes, or RF1M; all
become Samples.
"""

import csv
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from ..files import on_disk, quoted, same_name
from ..labels import LABELS, UNSUITABLE
from ..structured import StructureError, convert, parse_json, shortened
from ..textfiles import TextError, decoded, open_text
from .archives import LOOSE, ArchiveError, Files, Listing, list_zip
from .errors import DataError
from .rf1m import read_rf1m
from .samples import Findings, Samples, index, plain_label
from .shards import INDEX, SIZES
from .spans import PICTURES, Texts, hash_spans

COLUMNS = ("image", "product", "label")  # what a table must have; Row says what else may be there
ROLES = ("image", "product", "depth", "saliency")
TEXTS = ("caption", "prompt")
SHARD_TEXTS = (*TEXTS, "id", "cause", "room_id", "family", *SIZES)
LABEL_CODES = {name: code for code, name in enumerate((*LABELS, UNSUITABLE))} | {
    str(code): code for code in range(len(LABELS))
}


@dataclass
class _Columns:
    """What the lines of a table or of shards say, column by column; `lines` is what messages call each."""

    labels: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    products: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    pictures: dict[str, list] = field(default_factory=lambda: {role: [] for role in ROLES})
    texts: dict[str, list[str]] = field(default_factory=dict)

    def add(self, label: int, id: str, product: str, line: str, pictures: dict, texts: dict[str, str]) -> None:
        self.labels.append(label)
        self.ids.append(id)
        self.products.append(product)
        self.lines.append(line)
        for role, column in self.pictures.items():
            column.append(pictures[role])
        for name, text in texts.items():
            self.texts.setdefault(name, []).append(text)

    def samples(self, files: dict[str, Files], findings: Findings, size: int, source: str) -> Samples:
        """files: {role: a file per line}."""
        columns = {
            "labels": np.array(self.labels, np.uint8),
            "ids": _hashes(self.ids),
            "keys": _hashes(self.products),
            "names": Texts.of(self.products),
            "files": files,
            "texts": {name: Texts.of(column) for name, column in self.texts.items()},
            "lines": self.lines.__getitem__,
        }
        return index(columns, findings, size, source)


def open_samples(path, size: int = 384, numbers: dict | None = None) -> Samples:
    """Index whatever lies at `path`: a table (.csv, .jsonl), a folder of shards, or a folder with RF1M's label.txt;
    pictures are read as size x size.

    numbers: {number: label name} of a label.txt, see read_rf1m. Raises DataError.
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
    return read_rf1m(path, size, numbers)


def read_table(path, size: int = 384) -> Samples:
    """Index a folder of one's own pictures by a table in it, .csv (comma, semicolon or tab) or .jsonl with one object
    per line.

    Columns: image, product (transparent picture), label (a name of LABELS in any spelling, its number, or
    "unsuitable"), and perhaps caption, prompt, product_id, size_cm (the product's largest side in centimetres), depth,
    saliency. Paths are relative to the table and stay below its folder. Without a product_id, samples with the same
    product picture are one product. Raises DataError where the table can't be used at all; lines that can't are counted
    in `findings`.
    """
    path = Path(path)
    findings = Findings()
    folder = _Folder(path.parent)
    columns = _Columns()
    seen_labels = set()
    for number, row in _readable(_rows(path, findings)):
        line = f'line {number} of "{path.name}"'
        seen_labels.add(_text(row, "label"))
        try:
            label = _label_of_row(row)
            pictures = {role: folder.check(_text(row, role), role) for role in ROLES}
        except _Fault as fault:
            findings.add(fault.kind, f"{line} {fault}.")
            continue
        product = _text(row, "product_id") or os.path.splitext(pictures["product"])[0]
        texts = {name: _text(row, name) for name in TEXTS} | {SIZES[0]: _metres(row)}
        columns.add(label, pictures["image"], product, line, pictures, texts)
    _check_numbers(seen_labels, path)
    files = {role: folder.files(names) for role, names in columns.pictures.items() if any(names)}
    return columns.samples(files, findings, size, str(path))


def _label_of_row(row: dict) -> int:
    """The position in LABELS of a table's row. Raises _Fault."""
    label = LABEL_CODES.get(plain_label(_text(row, "label")))
    if label is None:
        raise _Fault(
            "unknown_labels",
            f"says {quoted(_text(row, 'label'), 60)}, which is no label: use one of {', '.join((*LABELS, UNSUITABLE))}",
        )
    if label == len(LABELS):
        raise _Fault(UNSUITABLE, "is unsuitable")
    return label


def read_shards(folder, size: int = 384, only: list[Path] | None = None) -> Samples:
    """Index the shards of one split (shards.write_shard) in the order of their names, without reading the pictures.

    only: these shards of the folder. Raises DataError.
    """
    folder = Path(folder)
    findings = Findings()
    shards = sorted(folder.glob("*.zip")) if only is None else only
    if not shards:
        raise DataError(
            f"{quoted(folder)} holds no .zip shards: give the folder of one split, such as DATA/train; `synthetic"
            " render` makes them."
        )
    columns = _Columns()
    parts: list[Files] = []
    begin = 0
    for shard in shards:
        try:
            listing, members, lines = _read_index(shard)
        except (ArchiveError, OSError, ValueError) as error:
            findings.add("unreadable_archives", f'"{shard.name}": {error}.')
            continue
        for number, text in enumerate(lines, 1):
            if not text.strip():
                continue
            line = f"{shard.name}:{number}"
            try:
                label, product, members_of_row, texts = _scene(text, members)
            except _Fault as fault:
                findings.add(fault.kind, f"{line} {fault}.")
                continue
            pictures = {role: member + begin if member >= 0 else -1 for role, member in members_of_row.items()}
            columns.add(label, texts["id"] or line, product, line, pictures, texts)
        parts.append(listing.files)
        begin += len(listing.files)
    files = Files.join(parts)
    selected = {role: files.select(rows) for role, rows in columns.pictures.items() if max(rows, default=-1) >= 0}
    return columns.samples(selected, findings, size, str(folder))


def _read_index(shard: Path) -> tuple[Listing, dict[str, int], list[str]]:
    """(the shard's listing, positions of its members by name, lines of its index). Raises ArchiveError, OSError,
    ValueError.
    """
    listing = list_zip(shard)
    members = _members(listing)
    if INDEX not in members:
        raise ArchiveError(f"it holds no {INDEX}")
    # splitlines() would also cut captions at U+2028
    return listing, members, decoded(listing.files.read(members[INDEX]), INDEX).split("\n")


def _check_numbers(given: set, path: Path) -> None:
    """Raises DataError where labels are numbers that may count from 1."""
    counted = {int(label) for label in given if label.isascii() and label.isdigit() and len(label) < 4}
    if counted and 0 not in counted:
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
        self.root = str(root)
        self.listed: dict[str, dict[str, str]] = {}

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
        if not path.isascii():
            folders = list(on_disk(os.path.join(self.root, *folders)).parts[len(Path(self.root).parts) :])
        names = self._names("/".join(folders))
        file = names.get(name) or names.get(same_name(name))
        if not file:
            raise _Fault(f"missing_{role}s", f"names the {role} {quoted(path)}, which does not exist")
        return "/".join((*folders, file))

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
    size_cm: float | str | None = None
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


def _metres(row: dict) -> str:
    """The "size_cm" of a table's row in metres, "" where there is none that can be read."""
    try:
        return str(float(_text(row, "size_cm")) / 100)
    except ValueError:
        return ""


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


def _scene(line: str, members: dict[str, int]) -> tuple[int, str, dict[str, int], dict[str, str]]:
    """(label, product, {role: position of its picture in the shard, or -1}, texts) of a line of a shard's index.

    Raises _Fault.
    """
    try:
        row = _checked(line)
    except StructureError as error:
        raise _Fault("malformed_lines", f"is no scene ({str(error).rstrip('.')})") from error
    label = row.get("label", "")
    if label == UNSUITABLE:
        raise _Fault(UNSUITABLE, "is unsuitable")
    if label not in LABELS:
        raise _Fault("unknown_labels", f"says {quoted(label, 60)}, which is no label")
    pictures = {role: members.get(same_name(_text(row, role)), -1) for role in ROLES}
    for role in ROLES:
        if pictures[role] < 0 and (role in COLUMNS or row.get(role)):
            raise _Fault(f"missing_{role}s", f"names the {role} {quoted(row.get(role))}, which the shard lacks")
    texts = {name: str(row.get(name, "")) for name in SHARD_TEXTS}
    return LABELS.index(label), str(row.get("product_id") or row["product"]), pictures, texts


def _hashes(texts: list) -> np.ndarray:
    """A uint64 per text."""
    joined = Texts.of(texts)
    return hash_spans(joined.buffer, joined.starts, joined.starts + joined.lengths)
