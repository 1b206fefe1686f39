"""Where samples come from: a table of one's own pictures, the shards that `synthetic render` writes, or RF1M; all
become Samples.
"""

import os
from collections import Counter
from pathlib import Path

from ..files import quoted, same_name
from ..labels import LABELS, UNSUITABLE
from ..structured import StructureError, shortened
from ..textfiles import decoded
from .archives import ArchiveError, Files, Listing, list_zip
from .errors import DataError
from .labelling import JOURNAL, LabelFolder
from .rf1m import read_rf1m
from .rows import COLUMNS, ROLES, TEXTS, Columns, Fault, checked, text_of
from .samples import Findings, Samples
from .shards import INDEX, SIZES
from .tables import read_table

SHARD_TEXTS = (*TEXTS, "id", "cause", "room_id", "family", *SIZES)


def open_samples(path, size: int = 384, numbers: dict | None = None) -> Samples:
    """Index whatever lies at `path`: a table (.csv, .jsonl), a folder of shards, a dataset of RF Label, or a folder
    with RF1M's label.txt; pictures are read as size x size.

    numbers: {number: label name} of a label.txt, see read_rf1m. Raises DataError.
    """
    path = Path(path)
    if path.suffix.lower() in (".csv", ".tsv", ".jsonl"):
        return read_table(path, size)
    if not os.path.isdir(path):  # False also for names that no disk can have
        raise DataError(
            f"{quoted(path)} is no data: give a .csv or .jsonl table, a folder of shards, a dataset of RF Label, or the"
            " folder of RF1M."
        )
    if (path / JOURNAL).is_file():
        try:
            return read_table(LabelFolder(path).write_table(), size)
        except OSError as error:
            raise DataError(f"the labels of {quoted(path)} can't be read: {error}") from error
    for shard in sorted(path.glob("*.zip")):
        try:
            listing = list_zip(shard)
        except (ArchiveError, OSError):
            continue
        if INDEX in _names(listing):
            return read_shards(path, size)
    return read_rf1m(path, size, numbers)


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
    columns = Columns()
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
            except Fault as fault:
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

    Raises Fault.
    """
    try:
        row = checked(line)
    except StructureError as error:
        raise Fault("malformed_lines", f"is no scene ({str(error).rstrip('.')})") from error
    label = row.get("label", "")
    if label == UNSUITABLE:
        raise Fault(UNSUITABLE, "is unsuitable")
    if label not in LABELS:
        raise Fault("unknown_labels", f"says {quoted(label, 60)}, which is no label")
    pictures = {role: members.get(same_name(text_of(row, role)), -1) for role in ROLES}
    for role in ROLES:
        if pictures[role] < 0 and (role in COLUMNS or row.get(role)):
            raise Fault(f"missing_{role}s", f"names the {role} {quoted(row.get(role))}, which the shard lacks")
    texts = {name: str(row.get(name, "")) for name in SHARD_TEXTS}
    return LABELS.index(label), str(row.get("product_id") or row["product"]), pictures, texts
