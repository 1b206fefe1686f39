"""What tables and shards have in common: a row with pictures, a label and texts, and the columns that rows become."""

from dataclasses import dataclass, field

import msgspec
import numpy as np

from ..structured import convert, parse_json
from .archives import Files
from .samples import Findings, Samples, index
from .spans import Texts, hash_spans

COLUMNS = ("image", "product", "label")  # what a table must have; Row says what else may be there
ROLES = ("image", "product", "depth", "saliency")
TEXTS = ("caption", "prompt")


@dataclass
class Columns:
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
            "ids": hashes(self.ids),
            "keys": hashes(self.products),
            "names": Texts.of(self.products),
            "files": files,
            "texts": {name: Texts.of(column) for name, column in self.texts.items()},
            "lines": self.lines.__getitem__,
        }
        return index(columns, findings, size, source)


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


def checked(line: str) -> dict:
    """The table of a line of JSON, its values of the types that Row states. Raises StructureError."""
    row = parse_json(line, "it")
    if isinstance(row, dict):
        row = {key.lower() if key.lower() not in row else key: value for key, value in row.items()}
    convert({key: row[key] for key in KNOWN & row.keys()} if isinstance(row, dict) else row, Row, "it")
    return row


def text_of(row: dict, name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value).strip()


class Fault(Exception):
    """Why one line is left out."""

    def __init__(self, kind: str, sentence: str):
        super().__init__(sentence)
        self.kind = kind


def hashes(texts: list) -> np.ndarray:
    """A uint64 per text."""
    joined = Texts.of(texts)
    return hash_spans(joined.buffer, joined.starts, joined.starts + joined.lengths)
