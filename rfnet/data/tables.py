"""A table of one's own pictures, .csv or .jsonl, as Samples."""

import math
import os
import re
from pathlib import Path

import numpy as np

from ..common_sizes import LARGEST_CM, SMALLEST_CM
from ..csv_rows import TableError, read_csv
from ..files import on_disk, quoted, same_name
from ..labels import LABELS, UNSUITABLE
from ..structured import StructureError
from ..textfiles import TextError, open_text
from .archives import LOOSE, Files
from .errors import DataError
from .rows import COLUMNS, ROLES, TEXTS, Columns, Fault, checked, text_of
from .samples import Findings, Samples, plain_label
from .shards import SIZES
from .spans import PICTURES

LABEL_CODES = {name: code for code, name in enumerate((*LABELS, UNSUITABLE))} | {
    str(code): code for code in range(len(LABELS))
}


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
    columns = Columns()
    seen_labels = set()
    for number, row in _readable(_rows(path, findings)):
        line = f"line {number} of {quoted(path.name, 60)}"
        seen_labels.add(text_of(row, "label"))
        try:
            label = _label_of_row(row)
            pictures = {role: folder.check(text_of(row, role), role) for role in ROLES}
        except Fault as fault:
            findings.add(fault.kind, f"{line} {fault}.")
            continue
        product = text_of(row, "product_id") or os.path.splitext(pictures["product"])[0]
        texts = {name: text_of(row, name) for name in TEXTS} | {SIZES[0]: _metres(row, line, findings)}
        columns.add(label, pictures["image"], product, line, pictures, texts)
    _check_numbers(seen_labels, path)
    files = {role: folder.files(names) for role, names in columns.pictures.items() if any(names)}
    return columns.samples(files, findings, size, str(path))


def _label_of_row(row: dict) -> int:
    """The position in LABELS of a table's row. Raises Fault."""
    label = LABEL_CODES.get(plain_label(text_of(row, "label")))
    if label is None:
        raise Fault(
            "unknown_labels",
            f"says {quoted(text_of(row, 'label'), 60)}, which is no label: use one of"
            f" {', '.join((*LABELS, UNSUITABLE))}",
        )
    if label == len(LABELS):
        raise Fault(UNSUITABLE, "is unsuitable")
    return label


def _check_numbers(given: set, path: Path) -> None:
    """Raises DataError where labels are numbers that may count from 1."""
    counted = {int(label) for label in given if label.isascii() and label.isdigit() and len(label) < 4}
    if counted and 0 not in counted:
        raise DataError(
            f"the labels of {quoted(path)} are numbers up to {max(counted)} without a 0, and ours count from 0 to"
            f" {len(LABELS) - 1}: write the labels' names."
        )


class _Folder:
    """The folder of a table: checks its paths, scanning each folder below it once."""

    def __init__(self, root: Path):
        self.root = str(root)
        self.listed: dict[str, dict[str, str]] = {}

    def check(self, path: str, role: str) -> str:
        """The path with forward slashes; "" for an optional one that isn't given. Raises Fault."""
        if not path:
            if role in COLUMNS:
                raise Fault(f"missing_{role}s", f"names no {role}")
            return ""
        parts = re.split(r"[/\\]", path)
        if path[0] in "/\\" or ".." in parts or re.match("[A-Za-z]:", path) or "\0" in path:
            raise Fault(
                "unsafe_paths", f'names the {role} {quoted(path)}: give a path below the table\'s folder, without ".."'
            )
        if not (parts := [part for part in parts if part not in ("", ".")]):
            raise Fault(f"missing_{role}s", f"names the folder itself as the {role}")
        *folders, name = parts
        if not path.isascii():
            folders = list(on_disk(os.path.join(self.root, *folders)).parts[len(Path(self.root).parts) :])
        names = self._names("/".join(folders))
        file = names.get(name) or names.get(same_name(name))
        if not file:
            raise Fault(f"missing_{role}s", f"names the {role} {quoted(path)}, which does not exist")
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
                        yield number, checked(line)
                    except StructureError as error:
                        findings.add(
                            "malformed_lines",
                            f"line {number} of {quoted(path.name, 60)} is no JSON object that can be used: {error}",
                        )
            return
        try:
            columns, rows = read_csv(file, lower=True)
            if missing := [name for name in COLUMNS if name not in columns]:
                raise TableError(
                    f"has no column {', '.join(missing)}: its first line must name the columns {', '.join(COLUMNS)},"
                    " and perhaps caption."
                )
            for number, row in rows:
                if isinstance(row, str):
                    findings.add("malformed_lines", f"line {number} of {quoted(path.name, 60)} {row}.")
                else:
                    yield number, row
        except TableError as error:
            raise DataError(f"the table {quoted(path)} {error}") from error


def _metres(row: dict, line: str, findings: Findings) -> str:
    """The "size_cm" of a table's row in metres, "" where there is none; a finding where it can't be true."""
    text = text_of(row, "size_cm")
    if not text or text in ("0", "0.0"):
        return ""
    try:
        size = float(text)
    except ValueError:
        size = math.nan
    if SMALLEST_CM <= size <= LARGEST_CM:
        return str(size / 100)
    findings.add(
        "unknown_sizes",
        f"{line} says size_cm {quoted(text, 40)}: give centimetres from {SMALLEST_CM:g} to {LARGEST_CM:g}, such as"
        " 9.5.",
    )
    return ""
