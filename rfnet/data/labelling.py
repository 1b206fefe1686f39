"""Labels by hand: a folder of pictures that wait for a verdict, and a journal of what was said about them.

Knows no engine.

    journal.jsonl                    a line for each picture that came, what second opinions said of it, each label,
                                     each label taken back; lines are only ever added
    pictures/0123456789abcdef.png    each picture once
    products/0123456789abcdef.png    its product on the picture's own canvas, transparent around it
    labels.jsonl                     the table that `rfnet train` reads, made from the journal after each label

The journal alone says what holds: for each picture its last line, whoever labelled it. A name of the labeller's choice
stands beside each label, so that two of them can be compared. A line is on the disk before anyone is told that it
is kept, and begins with a line break, so that one that a crash cut short can't swallow the next. Who dislikes a picture
deletes it: it is then neither shown nor counted.
"""

import hashlib
import json
import os
import re
import stat
import threading
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from ..common_sizes import LARGEST_CM, SMALLEST_CM
from ..files import open_file, quoted, refusal, write_picture, write_text
from ..labels import LABELS
from ..structured import convert, parse_json
from .answers import Answer, Answers
from .errors import DataError

# Labels from which an adaptation is worth while: all together, and of each kind.
ENOUGH = 200
EACH = 5
KEY = re.compile(r"[0-9a-f]{16}")
NAME = re.compile(r"[\w-]{1,64}")  # of a dataset
JOURNAL = "journal.jsonl"
TABLE = "labels.jsonl"
SECOND_LOOK = 5  # of a named labeller's pictures every so manieth is one that another labelled before
LONGEST_NAME = 40  # characters of a labeller's name
LONGEST = 1 << 16  # bytes of a line
LARGEST = 1 << 28  # bytes of the journal
LARGEST_PICTURE = 1 << 27  # bytes of a PNG
WRITING = threading.Lock()  # one line after the other, and one table


@dataclass(frozen=True)
class Item:
    """A picture to label.

    key, product: names of its PNG and its product's; product_id: the same for all pictures of a product; verdict: what
    a reviewer said, {"label", "probability"}, or None; size_cm: the product's largest side, 0 where nobody said.
    """

    key: str
    product: str
    product_id: str
    caption: str
    prompt: str
    verdict: dict | None = None
    size_cm: float = 0.0


@dataclass
class Contents:
    """What a folder holds.

    items: {key: Item}; labels: {key: label} of those that have one, in the order in which they got it; said: {(key,
    labeller's name): label}, the last one of each labeller, in the same order. The name is "" where none was given.
    answers: {key: {opinion: Answer}}.
    """

    items: dict = field(default_factory=dict)
    labels: dict = field(default_factory=dict)
    said: dict = field(default_factory=dict)
    answers: dict = field(default_factory=dict)

    def say(self, key: str, label: str | None, by: str = "") -> None:
        """A labeller's label of a picture, or with None that it is taken back: what others said before then holds."""
        self.said.pop((key, by), None)
        self.labels.pop(key, None)
        if label is not None:
            self.said[key, by] = label
        elif others := [said for (other, _), said in self.said.items() if other == key]:
            label = others[-1]
        if label is not None:
            self.labels[key] = label

    @property
    def waiting(self) -> list:
        """Keys of the pictures without a label in the order of their keys, which is as good as shuffled: pictures of
        one batch don't follow one another.
        """
        return sorted(self.items.keys() - self.labels.keys())

    def next(self, after: str = "", at: str = "", by: str = "", plan=()) -> Item | None:
        """The picture to show: the one `at` this key while it waits; else the first of `plan` that waits; else the one
        that comes after the key `after` or `at`, round and round. None where none waits.

        by: for this labeller, who is also shown what only others have labelled: every SECOND_LOOK-th picture, and once
        nothing else waits.
        """
        waiting = self.waiting
        if by:
            mine = [key for key, name in self.said if name == by]
            others = sorted(self.labels.keys() - set(mine))
            if others and (not waiting or len(mine) % SECOND_LOOK == SECOND_LOOK - 1 or at in others):
                waiting, plan = others, ()
        if not waiting:
            return None
        left = set(waiting)
        if at not in left and (planned := next((key for key in plan if key in left and key != after), None)):
            return self.items[planned]
        return self.items[next((key for key in waiting if key > after and key >= at), waiting[0])]

    @property
    def last(self) -> str | None:
        """Key of the picture that was labelled last."""
        return next(reversed(self.labels), None)

    def last_of(self, by: str) -> str | None:
        """Key of the picture that this labeller labelled last."""
        return next((key for key, name in reversed(self.said) if name == by), None)

    @property
    def counts(self) -> dict:
        """{label: number of pictures}, every label named."""
        given = list(self.labels.values())
        return {name: given.count(name) for name in LABELS}

    def __str__(self) -> str:
        few = [f"{EACH - count} of {name}" for name, count in self.counts.items() if count < EACH]
        missing = [f"{ENOUGH - len(self.labels)} more labels"] * (len(self.labels) < ENOUGH) + [
            f"at least {', '.join(few)}"
        ] * bool(few)
        needs = (
            f"For a useful adaptation it lacks {', among them '.join(missing)}."
            if missing
            else "That is enough for an adaptation."
        )
        return f"{len(self.labels)} of {len(self.items)} pictures are labelled, {len(self.waiting)} wait. {needs}"

    def rows(self) -> list:
        """The table: one dict per labelled picture with the columns that sources.read_table knows."""
        labelled = ((self.items[key], label) for key, label in sorted(self.labels.items()))
        return [
            {
                "image": f"pictures/{item.key}.png",
                "product": f"products/{item.product}.png",
                "label": label,
                "caption": item.caption,
                "prompt": item.prompt,
                "product_id": item.product_id,
                **({"size_cm": item.size_cm} if item.size_cm else {}),
            }
            for item, label in labelled
        ]


def dataset_folder(output, name: str) -> Path:
    """The folder of a dataset below a host's output folder: labels/NAME.

    Raises ValueError on a name that could lead elsewhere, and on links that do.
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f'{quoted(name, 60)} can\'t name a dataset: use letters, digits, "-" and "_", without folders.'
        )
    folder = Path(output) / "labels" / name
    for path in (folder, *(folder / part for part in (JOURNAL, TABLE, "pictures", "products"))):
        if path.is_symlink():
            raise ValueError(
                f'"{path}" is a symbolic link, which labelling does not follow: put the folder or file itself there.'
            )
    return folder


class LabelFolder:
    """`labels = LabelFolder(path); labels.add(...)`, then `labels.label(key, name)` for each key that
    `labels.read().waiting` names.
    """

    def __init__(self, folder):
        self.folder = Path(folder)

    @property
    def table(self) -> Path:
        return self.folder / TABLE

    def picture(self, key: str, kind: str = "pictures") -> Path | None:
        """The PNG of an item ("pictures") or of a product ("products"); None where there is none of this name."""
        path = self.folder / kind / f"{key}.png"
        return path if kind in ("pictures", "products") and KEY.fullmatch(key) and path.is_file() else None

    def content(self, key: str, kind: str = "pictures") -> bytes | None:
        """The bytes of such a PNG; None where there is none, or something else than a file: a link may lead anywhere.

        Raises OSError.
        """
        path = self.picture(key, kind)
        if path is None or path.is_symlink():
            return None
        flags = ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK")
        with open(os.open(path, os.O_RDONLY | sum(getattr(os, flag, 0) for flag in flags)), "rb") as file:
            about = os.fstat(file.fileno())
            return file.read() if stat.S_ISREG(about.st_mode) and about.st_size <= LARGEST_PICTURE else None

    def read(self) -> Contents:
        """What the journal says of the pictures that are there.

        A folder that isn't there is empty; damaged lines are passed over.
        """
        contents = Contents()
        pictures = _names(self.folder / "pictures")
        for line in _lines(self.folder / JOURNAL):
            record = _record(line)
            if isinstance(record, Item):
                contents.items[record.key] = record
            elif isinstance(record, _Answered):
                contents.answers.setdefault(record.key, {}).update(record.answers)
            elif record:
                contents.say(*record)
        contents.items = {key: item for key, item in contents.items.items() if f"{key}.png" in pictures}
        contents.labels = {key: label for key, label in contents.labels.items() if key in contents.items}
        contents.said = {about: label for about, label in contents.said.items() if about[0] in contents.items}
        return contents

    def add(
        self,
        picture,
        product,
        product_id: str,
        caption: str = "",
        prompt: str = "",
        verdict: dict | None = None,
        *,
        answers: dict[str, Answer] | None = None,
        size_cm: float = 0.0,
    ) -> bool:
        """Lets a picture wait for its label; False where it is there already, known by its pixels, its product's and
        the caption.

        picture: Pillow RGB; product: Pillow RGBA on the same canvas; verdict, size_cm: as in Item; answers: of second
        opinions, kept for a picture that is there already, too. Raises OSError when the disk refuses: the picture is
        then not there, and may be added again.
        """
        product_key = _digest(product.size, product.tobytes(), caption)
        key = _digest(picture.size, picture.tobytes(), product_key)
        with WRITING:
            now = self.read()
            if is_new := key not in now.items:
                for kind, name, image in (("products", product_key, product), ("pictures", key, picture)):
                    if not self.picture(name, kind):
                        write_picture(self.folder / kind / f"{name}.png", image)
                about = _text(caption), _text(prompt), _verdict(verdict), _size(size_cm)
                record = asdict(Item(key, product_key, product_id, *about))
                self._append({name: value for name, value in record.items() if name != "size_cm" or value})
            if answers and not answers.items() <= now.answers.get(key, {}).items():
                self._append({"key": key, "answers": msgspec.to_builtins(answers)})
            return is_new

    def label(self, key: str, label: str | None, blind: bool = True, by: str = "") -> Contents:
        """Gives a picture its label, or takes it back (None); the last one holds, and saying the same again changes
        nothing.

        blind: whether the reviewer's verdict was hidden; by: the labeller's name, or "". Both are kept beside the
        label, and only who gave a label takes it back. Returns what the folder then holds. Raises KeyError for a
        picture that isn't there, ValueError for a label that is none, OSError when the disk refuses: what was kept
        before is safe.
        """
        if label is not None and label not in LABELS:
            raise ValueError(f'"{label}" is not a label: use one of {", ".join(LABELS)}.')
        with WRITING:
            now = self.read()
            if key not in now.items:
                raise KeyError(key)
            if now.said.get((key, by)) == label and (label is None or now.labels[key] == label):
                return now
            self._append({"key": key, "label": label, "blind": blind} | ({"by": by} if by else {}))
            now.say(key, label, by)
            self._write_table(now)
            return now

    def write_table(self) -> Path:
        """Makes the table from the journal, whole or not at all, and returns its path.

        Raises DataError where no picture is labelled, OSError when the disk refuses.
        """
        with WRITING:
            now = self.read()
            if not now.labels:
                raise DataError(f'"{self.folder}" holds no label: label some pictures with RF Label first.')
            self._write_table(now)
        return self.table

    def _write_table(self, contents: Contents) -> None:
        write_text(self.table, "".join(json.dumps(row) + "\n" for row in contents.rows()))

    def _append(self, record: dict) -> None:
        line = (
            "\n" + json.dumps({"time": datetime.now(timezone.utc).isoformat(timespec="seconds"), **record})
        ).encode()
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / JOURNAL, "ab", buffering=0) as file:
            if file.write(line) < len(line):
                raise OSError(f"the disk of {self.folder} is full")
            os.fsync(file.fileno())


def is_name(name) -> bool:
    """Whether this can name a labeller: a short text of one line."""
    return isinstance(name, str) and name.isprintable() and name == name.strip() and 0 < len(name) <= LONGEST_NAME


@dataclass(frozen=True)
class _Answered:
    key: str
    answers: dict[str, Answer]


def _record(line: bytes):
    """An Item, an _Answered, or (key, label or None, labeller's name); None for a line that is none of them."""
    try:
        record = parse_json(line, "a line", nan=True) if len(line) <= LONGEST else {}
        key = record["key"]
        if not KEY.fullmatch(key):
            return None
        if "label" in record:
            by = record.get("by", "")
            usable = record["label"] in (None, *LABELS) and (by == "" or is_name(by))
            return (key, record["label"], by) if usable else None
        if "answers" in record:
            return _Answered(key, convert(record["answers"], Answers, "it"))
        texts = [record[name] for name in ("product", "product_id", "caption", "prompt")]
        if not all(isinstance(text, str) for text in texts) or not KEY.fullmatch(texts[0]):
            return None
        product, product_id, caption, prompt = texts
        verdict, size_cm = _verdict(record.get("verdict")), _size(record.get("size_cm"))
        return Item(key, product, product_id, caption, prompt, verdict, size_cm)
    except (ValueError, KeyError, TypeError, RecursionError):  # cut short, or another's
        return None


def _size(size_cm) -> float:
    return float(size_cm) if isinstance(size_cm, int | float) and SMALLEST_CM <= size_cm <= LARGEST_CM else 0.0


def _verdict(verdict) -> dict | None:
    if (
        not isinstance(verdict, dict)
        or verdict.get("label") not in LABELS
        or not 0 <= verdict.get("probability", -1) <= 1
    ):
        return None
    return {"label": verdict["label"], "probability": float(verdict["probability"])}


def _lines(path: Path) -> list:
    try:
        with open_file(path) as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OSError(refusal(path, error)) from error
    if len(content) > LARGEST:
        raise OSError(
            f"{quoted(path)} is larger than {LARGEST >> 20} MiB: it is no journal of labels; choose another folder."
        )
    return content.split(b"\n")


def _names(folder: Path) -> set:
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:
        return set()


def _text(text) -> str:
    """One line that can be written as UTF-8."""
    return " ".join(str(text).encode("utf-8", "replace").decode("utf-8").split())


def _digest(size: tuple, *parts) -> str:
    """16 hex digits of SHA-256."""
    digest = hashlib.sha256(repr(size).encode())
    for part in parts:
        digest.update(part if isinstance(part, bytes) else part.encode("utf-8", "replace"))
    return digest.hexdigest()[:16]
