"""A gallery: a folder of results, one per product and prompt, that a stopped run goes on with where it was.

Knows no engine.

    index.html                            all of it on one page, for people (cyclic.gallery_page)
    red_mug-0123456789abcdef.png          what the run gave back for one job; more than one are numbered
    attempts/0123456789abcdef-1.jpeg      every attempt, small
    entries/0123456789abcdef.json         the job's row with the run's report, written last: once it is there, the
                                          job is done
    list.json                             the list that was begun last, in its order, and the product files that can't
                                          be used

One file per row, so that a damaged one costs one job, which is drawn again. So is a job whose picture is gone: who
dislikes a picture deletes it and runs the list again with another seed.
"""

import hashlib
import json
import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..rfnet.files import is_safe_name, open_file, sha256_of, write_picture, write_text
from ..rfnet.labels import RFNET, shown_label
from ..rfnet.risks import NOT_CERTIFIED, UNKNOWN_PAINTER
from ..rfnet.structured import parse_json
from ..rfnet.textfiles import read_text
from .gallery_page import page_of

LIMIT = 1 << 20  # bytes of a row
LIST_LIMIT = 15 << 20  # bytes of the list
THUMBNAIL = 256  # pixels on the longer side of an attempt as it is kept
# what reading any file as ours can raise
DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Job:
    """One product with one prompt.

    key: 16 hex digits, the same in every run over the same file, caption and prompt; file: the product file's name;
    seed: of the first attempt.
    """

    key: str
    path: Path
    file: str
    caption: str
    prompt: str
    seed: int


@dataclass(frozen=True)
class Tried:
    """An attempt as the page shows it.

    thumbnail: its path below the gallery; sure: the label's probability in [0, 1], None for none; remedies: names;
    picture: of a batch, from 1; decided: the second opinion that decided, if one did; unfamiliar: the picture is unlike
    all that the reviewer learned from.
    """

    thumbnail: str
    seed: int
    label: str
    sure: float | None
    accepted: bool
    dropped: bool
    remedies: str
    error: str
    picture: int = 1
    decided: str = ""
    unfamiliar: bool = False


@dataclass(frozen=True)
class Row:
    """A job that is done.

    pictures: names in the gallery of what the run gave back; returned: the position of the first of them among `tried`;
    doubtful: where a certified risk decided that isn't certified for what painted them, why.
    """

    key: str
    file: str
    caption: str
    prompt: str
    seed: int
    pictures: tuple
    tried: tuple
    returned: int | None
    steps: int
    seconds: float
    doubtful: str = ""


def jobs(products, prompts, seed: int = 0) -> tuple[list, dict]:
    """Every product with every prompt: (the Job of each, product by product; {file name: reason} of files that can't
    be read).

    products: [(path, caption)]; prompts: texts, in which {caption} stands for the caption. The same file, caption and
    prompt twice is one job. A job's seed comes from `seed` and its key: it does not depend on what else is in the
    list.
    """
    by_key: dict[str, Job] = {}
    unreadable = {}
    for path, caption in products:
        path = Path(path)
        file = _clean(path.name)
        caption = _clean(caption)
        try:
            content = sha256_of(path)
        except OSError as error:
            unreadable[file] = f"it can't be read ({error.strerror or error}): check the file and its permissions."
            continue
        for text in prompts:
            prompt = _clean(text.replace("{caption}", caption))
            key = hashlib.sha256(json.dumps([content, caption, prompt]).encode()).hexdigest()[:16]
            by_key.setdefault(key, Job(key, path, file, caption, prompt, (seed + int(key[:8], 16)) % 2**64))
    return list(by_key.values()), unreadable


class Gallery:
    """`gallery = Gallery(folder); gallery.begin(*jobs(...)); for each job that is not gallery.done(job): draw,
    gallery.keep(job, ...)`.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        readable = (_row(path) for path in sorted((self.folder / "entries").glob("*.json")))
        self.rows = {
            row.key: row for row in readable if row and all(_is_whole(self.folder / name) for name in row.pictures)
        }
        self.keys, self.broken = _list(self.folder / "list.json")

    def begin(self, listed, broken: dict) -> None:
        """Says which jobs the list has, and which product files can't be used: {file name: reason}.

        Raises OSError with folder and remedy.
        """
        self.keys = [job.key for job in listed]
        self.broken = dict(broken)
        about = [
            {"key": job.key, "file": job.file, "caption": job.caption, "prompt": job.prompt, "seed": job.seed}
            for job in listed
        ]
        try:
            write_text(self.folder / "list.json", json.dumps({"entries": about, "broken": self.broken}, indent=1))
        except OSError as error:
            raise OSError(
                f'the gallery "{self.folder}" can\'t be written ({error.strerror or error}): free some disk space, or'
                " choose another gallery."
            ) from error
        for left in self.folder.rglob("*.partial"):  # by a process that was killed while it wrote
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > 600:
                    left.unlink()
        self.page()

    def done(self, job: Job) -> bool:
        """Whether the job's row was there and readable when the gallery was opened, and its pictures whole; or it was
        kept since.
        """
        return job.key in self.rows

    @property
    def to_do(self) -> list:
        """Keys of the list that are not done."""
        return [key for key in self.keys if key not in self.rows]

    def keep(self, job: Job, pictures: list, report: dict) -> None:
        """Keeps a run: what it gave back as PNG, all attempts as thumbnails, then the row, then the page.

        pictures: a Pillow picture of each attempt, in order; report: RecurrentRun.report(), further keys are kept with
        it. Raises OSError with folder and remedy when the disk refuses: nothing that was kept before is touched, and
        this job is not done.
        """
        if len(pictures) != len(report["attempts"]):
            raise ValueError(
                f"{len(pictures)} pictures for {len(report['attempts'])} attempts: give one picture for each."
            )
        results = _results(report)
        row: dict[str, Any] = {
            "key": job.key,
            "file": job.file,
            "caption": job.caption,
            "prompt": job.prompt,
            "seed": job.seed,
            "pictures": [],
            "thumbnails": [],
            "report": report,
        }
        path = self.folder / "entries" / f"{job.key}.json"
        try:
            path.unlink(missing_ok=True)  # an old row must never speak of new pictures
            for number, attempt in enumerate(results, 1):
                name = file_name(job) + (f"-{number}" if number > 1 else "") + ".png"
                write_picture(self.folder / name, pictures[attempt - 1])
                row["pictures"].append(name)
            for number, picture in enumerate(pictures, 1):
                row["thumbnails"].append(f"{job.key}-{number}.jpeg")
                write_picture(self.folder / "attempts" / row["thumbnails"][-1], thumbnail(picture))
            write_text(path, json.dumps(row, indent=1))
        except OSError as error:
            raise OSError(
                f'the pictures of {job.file} can\'t be kept in "{self.folder}" ({error.strerror or error}): free some'
                " disk space and run the list again, it goes on with this product."
            ) from error
        if done := _row(path):
            self.rows[job.key] = done
        self.page()

    def page(self) -> Path:
        """Writes index.html and returns its path.

        That it can't be written is a warning only: all that it shows lies in the rows.
        """
        path = self.folder / "index.html"
        order = {key: number for number, key in enumerate(self.keys)}
        rows = sorted(self.rows.values(), key=lambda row: order.get(row.key, len(order)))
        try:
            write_text(path, page_of(self.folder.name, rows, len(self.to_do), self.broken))
        except OSError as error:
            logging.warning(
                "the page %s can't be written (%s); the pictures are kept, the next run writes it", path, error
            )
        return path


def file_name(job: Job) -> str:
    """Of the job's picture, without ending: what can be kept of the product's file name, and the key."""
    return safe_stem(job.file, job.key)


def safe_stem(name: str, key: str) -> str:
    """A file's name without ending: what can be kept of another name, and a key."""
    stem = "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in Path(name).stem)[:40].strip("_")
    return f"{stem or 'product'}-{key}"


def thumbnail(picture):
    """A Pillow picture, small."""
    small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return small


def _clean(text) -> str:
    """One line that can be written as UTF-8: file names and requests can hold what can't."""
    return " ".join(str(text).encode("utf-8", "replace").decode("utf-8").split())


def _is_whole(path: Path) -> bool:
    """Whether a PNG is there, from its first to its last bytes.

    It may be another than was written: people retouch pictures.
    """
    try:
        with open_file(path) as file:
            head = file.read(8)
            file.seek(-8, os.SEEK_END)
            return head == b"\x89PNG\r\n\x1a\n" and file.read(4) == b"IEND"
    except OSError:
        return False


def _row(path: Path) -> Row | None:
    """The row in a file; None where it is damaged, or another's."""
    try:
        row = parse_json(read_text(path, LIMIT), path.name)
        names = (*row["pictures"], *row["thumbnails"])
        return row_of(row, "attempts/") if row["key"] == path.stem and all(map(is_safe_name, names)) else None
    except DAMAGED:
        return None


def row_of(row: dict, thumbnails_in: str) -> Row | None:
    """What a job's JSON says; None where it says no such thing. thumbnails_in: what their names begin with."""
    try:
        report = row["report"]
        pictures = row["pictures"]
        thumbnails = row["thumbnails"]
        if len(thumbnails) != len(report["attempts"]):
            return None
        tried = tuple(_tried(attempt, thumbnails_in + name) for attempt, name in zip(report["attempts"], thumbnails))
        returned = next(iter(_results(report)), None)
        if returned is not None and not 1 <= returned <= len(tried):
            return None
        return Row(
            key=_clean(row["key"]),
            file=_clean(row["file"]),
            caption=_clean(row["caption"]),
            prompt=_clean(row["prompt"]),
            seed=int(row["seed"]),
            pictures=tuple(pictures),
            tried=tried,
            returned=None if returned is None else int(returned) - 1,
            steps=int(_measured(report["steps"])),
            seconds=_measured(report["seconds"]),
            doubtful=_doubtful(report),
        )
    except DAMAGED:
        return None


def _results(report: dict) -> list:
    """The numbers of the attempts that a run gave back; only a batch's report lists them."""
    return (
        report.get("results") or report["usable"] or [number for number in [report["returned"]] if number is not None]
    )


def _doubtful(report: dict) -> str:
    if "certificate" not in report:
        return ""
    holds = report["certificate"].get("certified_for_this_painter", False)
    return "" if holds is True else UNKNOWN_PAINTER if holds is None else NOT_CERTIFIED


def _tried(attempt: dict, name: str) -> Tried:
    label = _clean(shown_label(attempt) or "")
    probability = attempt["probabilities"].get(label)
    return Tried(
        thumbnail=name,
        seed=int(attempt["seed"]),
        label=label,
        sure=None if probability is None else _measured(probability),
        accepted=attempt["accepted"] is True,
        dropped=attempt.get("dropped") is True,
        remedies=", ".join(_clean(change["remedy"]) for change in attempt.get("remedies", ())),
        error=_clean(attempt.get("error", "")),
        picture=int(attempt.get("picture", 1)),
        decided=_clean("" if (decided := attempt.get("decided_by", RFNET)) == RFNET else decided),
        unfamiliar=attempt.get("unfamiliar") is True,
    )


def _measured(number) -> float:
    if not 0 <= number < 1e15:  # NaN is not, either
        raise ValueError(f"{number} is no measurement")
    return float(number)


def _list(path: Path) -> tuple[list, dict]:
    """(keys, {file: reason}) of list.json, empty where it is damaged or not there."""
    try:
        about = parse_json(read_text(path, LIST_LIMIT), path.name)
        return [_clean(job["key"]) for job in about["entries"]], {
            _clean(file): _clean(reason) for file, reason in about["broken"].items()
        }
    except DAMAGED:
        return [], {}
