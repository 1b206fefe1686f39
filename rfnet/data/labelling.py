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
from dataclasses import asdict
from pathlib import Path

import msgspec

from ..files import open_file, quoted, refusal, same_name, write_picture, write_text
from ..labels import LABELS
from .answers import Answer
from .errors import DataError
from .journal import KEY, LONGEST, Answered, Contents, Item, known_size, known_verdict, line_of, plain_text, record_of

NAME = re.compile(r"[\w-]{1,64}")  # of a dataset
JOURNAL = "journal.jsonl"
TABLE = "labels.jsonl"
LARGEST = 1 << 28  # bytes of the journal
LARGEST_PICTURE = 1 << 27  # bytes of a PNG
WRITING = threading.Lock()  # one line after the other, and one table


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
            record = record_of(line)
            if isinstance(record, Item):
                contents.items[record.key] = record
            elif isinstance(record, Answered):
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
        then not there, and may be added again; DataError for texts that no line of the journal holds.
        """
        caption = plain_text(caption)
        product_key = _digest(product.size, product.tobytes(), caption)
        key = _digest(picture.size, picture.tobytes(), product_key)
        about = caption, plain_text(prompt), known_verdict(verdict), known_size(size_cm)
        item = asdict(Item(key, product_key, product_id, *about))
        if len(line_of(item)) > LONGEST:
            raise DataError(
                f"caption and prompt have {len(caption)} and {len(about[1])} characters, more than a label's journal"
                f" holds ({LONGEST} bytes a picture): shorten them."
            )
        with WRITING:
            now = self.read()
            if is_new := key not in now.items:
                for kind, name, image in (("products", product_key, product), ("pictures", key, picture)):
                    if not self.picture(name, kind):
                        write_picture(self.folder / kind / f"{name}.png", image)
                self._append({name: value for name, value in item.items() if name != "size_cm" or value})
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
        by = same_name(by)
        with WRITING:
            now = self.read()
            if key not in now.items:
                raise KeyError(key)
            known = now.said.get((key, by)) == label and (label is None or now.labels[key] == label)
            if not known:
                self._append({"key": key, "label": label, "blind": blind} | ({"by": by} if by else {}))
                now.say(key, label, by)
            try:  # also where it is known: the table may have been refused then
                self._write_table(now)
            except OSError as error:
                raise OSError(f"the label is kept, but the table of labels was not written: {error}") from error
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
        line = line_of(record)
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / JOURNAL, "ab", buffering=0) as file:
            if file.write(line) < len(line):
                raise OSError(f"the disk of {self.folder} is full")
            os.fsync(file.fileno())


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


def _digest(size: tuple, *parts) -> str:
    """16 hex digits of SHA-256."""
    digest = hashlib.sha256(repr(size).encode())
    for part in parts:
        digest.update(part if isinstance(part, bytes) else part.encode("utf-8", "replace"))
    return digest.hexdigest()[:16]
