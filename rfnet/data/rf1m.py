"""RF1M, the paper's million labelled pictures (arXiv:2408.00418), read where it lies: for research only, and users
bring it.

It is published as some thirty archives of generated pictures, a `label.txt`, and product pictures with transparency
(.png) whose file names equal the generated ones'. How the archives are packed inside isn't documented, so everything
below one root folder is taken in:

- Folders and .zip or .tar archives, nested as you like. The outermost folder or archive below the root whose name holds
one of the words
  in ROLES says what its pictures are ("transparent_images_07.zip": products); where none does they are generated
  images.
- `label.txt` (or labels.txt) anywhere: a file name and a label per line, between them a tab, or else a space; columns
after a second tab are ignored.
  Labels are the six names in any spelling ("Space Mismatch"), or numbers as in NUMBERS where one of them is 0.
  `caption.txt` and `prompt.txt` alike.
- A line belongs to the picture with its name, whatever the picture's ending. Where names repeat, the innermost folder
or archive that says
  more than a role decides, and what stays ambiguous is left out ("images_07/0001.jpg", "products_07.zip:0001.png" and
  the line "images_07/0001.jpg" belong together).

Compressed tars can't be read in the middle: unpack them. "unsuitable" samples are left out, as the five-way model is
trained without them.
"""

import os
import re
from pathlib import Path

import numpy as np

from ..files import quoted, refusal
from ..labels import LABELS, UNSUITABLE
from ..structured import shortened
from ..textfiles import TextError
from .archives import ArchiveError, Files
from .errors import DataError
from .rf1m_tree import ROLES, Pictures, name_keys, sort_by_role, walk
from .samples import SHOWN, Findings, Samples, index, plain_label
from .spans import PLAIN, Lines, Texts, hash_spans, hash_text, mix, read_lines

NUMBERS = dict(enumerate((*LABELS, UNSUITABLE)))
# How the data set's own page counts its labels.
LISTED_NUMBERS = dict(
    enumerate(
        ("available", UNSUITABLE, "space_mismatch", "size_mismatch", "indistinctiveness", "shape_hallucination"), 1
    )
)
UNKNOWN = 255
NUMBERED = 100  # is added to a label that is given as a number, until it is known how they are counted


def numbers_of(choice: str | dict | None) -> dict | None:
    """{number: label name} as read_rf1m takes it. choice: "page" (LISTED_NUMBERS), "ours" (NUMBERS), {"1": label name,
    ...}, or None. Raises DataError.
    """
    if choice is None or isinstance(choice, str):
        return {"page": LISTED_NUMBERS, "ours": NUMBERS, None: None}[choice]
    try:
        numbers = {int(number): plain_label(label) for number, label in choice.items()}
    except ValueError:
        numbers = {}
    known = (*LABELS, UNSUITABLE)
    if not numbers or len(set(numbers.values())) < len(numbers) or not set(numbers.values()) <= set(known):
        raise DataError(
            f"label_numbers is {shortened(choice, 120)}: give each number a label of its own, out of"
            f" {', '.join(known)}."
        )
    return numbers


def read_rf1m(root, size: int = 384, numbers: dict | None = None, identify: str | None = None) -> Samples:
    """Index RF1M below a root folder; pictures are read from where they lie, later, as size x size.

    numbers: {number: label name} of a label.txt that holds numbers; by default NUMBERS, and LISTED_NUMBERS is how the
    data set's page counts; numbers without a 0 are refused where this isn't said. identify: what makes two samples the
    same product, which splits are made by: "bytes", the same product picture to the byte, or "name", the product
    picture's name; by default by bytes where all lie in zips, which list checksums, and else by name (hashing loose
    files means reading them all). Raises DataError where nothing usable is found; all else is counted in `findings`.
    """
    if identify not in (None, "name", "bytes"):
        raise DataError(f'identify is "{identify}": use "name" or "bytes".')
    root = Path(root)
    findings = Findings()
    if not root.is_dir():
        raise DataError(
            f"{quoted(root)} is no folder: give the folder that holds label.txt and the pictures or their archives."
        )
    tree = walk(root, findings)
    if not tree.texts["label"]:
        raise DataError(
            f"{quoted(root)} holds no label.txt, in no subfolder either: put it there, or give the folder that has it."
        )
    pictures = sort_by_role(tree.listings, findings)
    tree.listings.clear()  # millions of names, which nobody needs any more
    labels, full, stem, name_line = _read_labels(tree.texts["label"], numbers, findings)

    image = pictures["image"].find(full, stem)
    fine = _report_missing(image, "images", name_line, findings)
    fine &= labels < len(LABELS)
    lines = np.flatnonzero(fine)
    full = pictures["image"].full[image[lines]]  # the picture's folder helps to find the others
    stem = pictures["image"].stem[image[lines]]
    places = {"image": image[lines]} | {role: pictures[role].find(full, stem) for role in ROLES if role != "image"}

    def named(row):
        return name_line(lines[row])

    with_product = np.flatnonzero(_report_missing(places["product"], "products", named, findings))
    findings.add("unlabelled_images", (), len(pictures["image"].full) - len(np.unique(image[image >= 0])))
    lines = lines[with_product]
    full = full[with_product]
    stem = stem[with_product]
    files = {
        role: pictures[role].files.select(np.maximum(place[with_product], -1))
        for role, place in places.items()
        if len(pictures[role].full)
    }
    columns = {
        "labels": labels[lines],
        "ids": full,
        "keys": _product_keys(files["product"], full, identify, findings) if len(lines) else full,
        "files": files,
        "texts": {name: _match_texts(tree.texts[name], full, stem, findings) for name in ("caption", "prompt")},
        "lines": lambda row: name_line(lines[row]),
    }
    return index(columns, findings, size, str(root))


def _read_labels(paths: list, numbers: dict | None, findings: Findings) -> tuple:
    """(labels (N,), full keys, stem keys, a function that names a row) of all label files; unknown labels are left out
    here.
    """
    by_name = {label: place for place, label in enumerate((*LABELS, UNSUITABLE))}
    codes = by_name | {str(number): NUMBERED + by_name[name] for number, name in (numbers or NUMBERS).items()}
    hashes = np.array([hash_text(word, PLAIN) for word in codes], np.uint64)
    order = np.argsort(hashes)
    hashes = hashes[order]
    values = np.array(list(codes.values()), np.uint8)[order]
    parts = []
    files = []
    for folders, path in paths:
        if (lines := _lines(path, findings)) is None:
            continue
        labels_hashed = hash_spans(lines.buffer, lines.rests, lines.stops, PLAIN)
        place = np.minimum(np.searchsorted(hashes, labels_hashed), len(hashes) - 1)
        labels = np.where(hashes[place] == labels_hashed, values[place], UNKNOWN)
        _split_at_last_space(lines, labels, codes)
        unknown = np.flatnonzero(labels == UNKNOWN)
        findings.add("unknown_labels", (_unknown(path, lines, row) for row in unknown[:SHOWN]), len(unknown))
        rows = np.flatnonzero(labels < UNKNOWN)
        _, full, stem, _ = name_keys(folders, lines.buffer, lines.starts[rows], lines.cuts[rows])
        parts.append((labels[rows], full, stem))
        files.append((path, lines.numbers[rows]))
    if not parts:
        raise DataError(findings.sentences["unreadable_texts"][0])
    labels, full, stem = map(np.concatenate, zip(*parts))
    numbered = labels >= NUMBERED
    if numbers is None and numbered.any() and not (labels == NUMBERED).any():
        raise DataError(
            "the labels are numbers without a 0, and whether they count from 0 or from 1 can't be known: if they count"
            ' as RF1M\'s page does, set label_numbers = "page" (--label-numbers page), else "ours" or a table of'
            " numbers and labels; or write the labels' names."
        )
    labels = np.where(numbered, labels - NUMBERED, labels)
    ends = np.cumsum([len(rows) for _, rows in files])

    def name(row: int) -> str:
        file = int(np.searchsorted(ends, row, "right"))
        path, rows = files[file]
        return f"line {rows[row - (ends[file - 1] if file else 0)]} of {quoted(os.path.basename(path), 60)}"

    findings.add(UNSUITABLE, (), (labels == len(LABELS)).sum())
    return labels, full, stem, name


def _lines(path: str, findings: Findings) -> Lines | None:
    """The lines of a text; None, and a finding, where it is none in UTF-8."""
    try:
        return read_lines(path)
    except TextError as error:
        findings.add("unreadable_texts", f"the text {error}")
        return None


def _split_at_last_space(lines: Lines, labels: np.ndarray, codes: dict) -> None:
    """File names may hold spaces: where a line makes no sense cut at the first one, try the label at its end.

    Changes lines and labels.
    """
    pattern = re.compile(
        rb"(.*\S)\s+(" + b"|".join(re.escape(code.encode()).replace(b"_", rb"[ _-]") for code in codes) + rb")",
        re.IGNORECASE,
    )
    spaced = lines.rests < lines.ends
    for row in np.flatnonzero((labels == UNKNOWN) & spaced).tolist():
        line = lines.line(row)
        if b"\t" not in line and len(line) < 4096 and (match := pattern.fullmatch(line)):
            labels[row] = codes[match[2].decode().lower().replace(" ", "_").replace("-", "_")]
            lines.cuts[row] = lines.starts[row] + match.end(1)


def _unknown(path: str, lines: Lines, row: int) -> str:
    label = lines.buffer[lines.rests[row] : lines.stops[row]][:60].tobytes().decode("utf-8", "replace")
    where = f"line {lines.numbers[row]} of {quoted(os.path.basename(path), 60)}"
    hint = "; if the file counts as RF1M's page does, say --label-numbers page" if label.isdigit() else ""
    return (
        f"{where} says {quoted(label, 60)}, which is no label: use one of {', '.join((*LABELS, UNSUITABLE))}{hint}."
        if label
        else f"{where} has no label."
    )


def _report_missing(places: np.ndarray, what: str, name, findings: Findings) -> np.ndarray:
    """Count what wasn't found; returns where something was."""
    for code, kind, words in ((-1, f"missing_{what}", "has no"), (-2, f"ambiguous_{what}", "fits more than one")):
        rows = np.flatnonzero(places == code)
        findings.add(kind, (f"{name(row)} {words} {what[:-1]} file." for row in rows[:SHOWN]), len(rows))
    return places >= 0


def _product_keys(files: Files, names: np.ndarray, identify: str | None, findings: Findings) -> np.ndarray:
    if identify is None:
        listed = bool((files.whole > 0).all())
        identify = "bytes" if listed else "name"
        findings.notes.append(
            "Samples count as one product where "
            + (
                "their product pictures are equal to the byte."
                if listed
                else (
                    "their product pictures have the same name; if one product comes under several names, its pictures"
                    " may fall into train and test alike: pack the products in a zip, where equal pictures are known."
                )
            )
        )
    if identify == "name":
        return names
    crc = files.crc.astype(np.uint64)
    whole = files.whole.astype(np.uint64)
    for row in np.flatnonzero(files.whole == 0).tolist():
        try:
            crc[row], whole[row] = files.content_key(row)
        except ArchiveError as error:
            findings.add("broken_files", f"the product {quoted(files.name(row))} can't be read ({error}).")
        except OSError as error:
            findings.add("broken_files", f"the product {refusal(files.name(row), error)}")
    return mix(crc, whole)


def _match_texts(paths: list, full: np.ndarray, stem: np.ndarray, findings: Findings) -> Texts:
    """The text of each sample, empty where there is none; of several lines for a name the first counts."""
    chosen = Texts(np.zeros(0, np.uint8), np.zeros(len(full), np.int64), np.zeros(len(full), np.int32))
    for folders, path in paths:
        if (lines := _lines(path, findings)) is None:
            continue
        _, line_full, line_stem, _ = name_keys(folders, lines.buffer, lines.starts, lines.cuts)
        unique, first = np.unique(line_full, return_index=True)
        places = Pictures(unique, line_stem[first], Files.join([])).find(full, stem)
        rows = np.flatnonzero((places >= 0) & (chosen.lengths == 0))
        line = first[places[rows]]
        chosen.starts[rows] = lines.rests[line] + len(chosen.buffer)
        chosen.lengths[rows] = lines.ends[line] - lines.rests[line]
        chosen.buffer = np.concatenate([chosen.buffer, lines.buffer])
    return chosen
