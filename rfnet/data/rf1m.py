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
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files import quoted, refusal
from ..labels import LABELS, UNSUITABLE
from ..textfiles import TextError
from .archives import ArchiveError, Files, list_names, list_tar, list_zip
from .errors import DataError
from .samples import SHOWN, Findings, Samples, index
from .spans import PICTURES, PLAIN, Lines, Texts, hash_spans, hash_text, in_one_form, mix, read_lines, stems

ROLES = {  # in the order in which they are looked for: "transparent_images" are products
    "depth": ("depth", "dpt"),
    "saliency": ("salien", "u2net"),
    "product": ("product", "transparent", "cutout", "rgba"),
    "image": ("generated", "image"),
}
NUMBERS = dict(enumerate((*LABELS, UNSUITABLE)))
# How the data set's own page counts its labels.
LISTED_NUMBERS = dict(
    enumerate(
        ("available", UNSUITABLE, "space_mismatch", "size_mismatch", "indistinctiveness", "shape_hallucination"), 1
    )
)
TEXT_FILE = re.compile(r"(label|caption|prompt)s?\.txt", re.IGNORECASE)
SEALED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
UNKNOWN = 255
NUMBERED = 100  # is added to a label that is given as a number, until it is known how they are counted


@dataclass
class Pictures:
    """The pictures of one role: full (M,) names them within their folder, stem (M,) by file name alone, both hashes;
    sorted by full.
    """

    full: np.ndarray
    stem: np.ndarray
    files: Files

    def find(self, full: np.ndarray, stem: np.ndarray) -> np.ndarray:
        """Positions of the pictures of these names: by both keys, else by the file name where only one picture has it
        and only one name asks for it. -1: there is none; -2: it can't be told which.
        """
        if not len(self.full):
            return np.full(len(full), -1)
        place = np.minimum(np.searchsorted(self.full, full), len(self.full) - 1)
        found = np.where(self.full[place] == full, place, -1)
        left = np.flatnonzero(found < 0)
        if not len(left):
            return found
        order = np.argsort(self.stem, kind="stable")
        ordered = self.stem[order]
        first, last = (np.searchsorted(ordered, stem[left], side) for side in ("left", "right"))
        by_name = np.select([last == first, last == first + 1], [-1, order[np.minimum(first, len(order) - 1)]], -2)
        taken = np.zeros(len(self.full), bool)
        taken[found[found >= 0]] = True
        by_name[(by_name >= 0) & taken[by_name]] = -1  # names repeat between packages: this picture is another one's
        asked = by_name >= 0
        lowest = np.full(len(self.full), ~np.uint64(0))
        highest = np.zeros(len(self.full), np.uint64)
        np.minimum.at(lowest, by_name[asked], full[left][asked])
        np.maximum.at(highest, by_name[asked], full[left][asked])
        by_name[asked & (lowest != highest)[by_name]] = -2
        found[left] = by_name
        return found


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
    listings, texts = _walk(root, findings)
    if not texts["label"]:
        raise DataError(
            f"{quoted(root)} holds no label.txt, in no subfolder either: put it there, or give the folder that has it."
        )
    pictures = _sort_by_role(listings, findings)
    listings.clear()
    labels, full, stem, name_line = _read_labels(texts["label"], numbers, findings)

    image = pictures["image"].find(full, stem)
    fine = _report_missing(image, "images", name_line, findings)
    fine &= labels < len(LABELS)
    lines = np.flatnonzero(fine)
    full, stem = (
        getattr(pictures["image"], key)[image[lines]] for key in ("full", "stem")
    )  # the picture's folder helps to find the others
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
    return index(
        {
            "labels": labels[lines],
            "ids": full,
            "keys": _product_keys(files["product"], full, identify, findings) if len(lines) else full,
            "files": files,
            "texts": {name: _match_texts(texts[name], full, stem, findings) for name in ("caption", "prompt")},
            "lines": lambda row: name_line(lines[row]),
        },
        findings,
        size,
        str(root),
    )


def _walk(root: Path, findings: Findings) -> tuple:
    """([(folder parts below the root, Listing)], {"label", "caption", "prompt": [(parts, path)]}); each folder is
    scanned once.
    """
    loose = []
    packed = []
    texts = {"label": [], "caption": [], "prompt": []}
    folders = [((), str(root))]
    seen = set()
    while folders:
        parts, folder = folders.pop()
        if (real := os.path.realpath(folder)) in seen:  # links may lead in circles
            continue
        seen.add(real)
        names = []
        inner = []
        archives = []
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name.lower()
                if name.endswith(PICTURES):
                    names.append(os.fsencode(entry.name))
                elif name.endswith((".zip", ".tar")):
                    archives.append(entry.name)
                elif name.endswith(SEALED):
                    findings.add(
                        "unreadable_archives",
                        f'"{entry.name}" can\'t be read in the middle: unpack it, or pack it as .zip or plain .tar.',
                    )
                elif match := TEXT_FILE.fullmatch(entry.name):
                    texts[match[1].lower()].append((parts, entry.path))
                elif entry.is_dir():
                    inner.append(((*parts, entry.name), entry.path))
        if names:
            loose.append((parts, list_names(folder, sorted(names))))
        for name in sorted(archives):
            try:
                listing = (list_zip if name.lower().endswith(".zip") else list_tar)(os.path.join(folder, name))
                packed.append(((*parts, name[:-4]), listing))
            except (ArchiveError, OSError) as error:
                findings.add("unreadable_archives", f'"{name}": {error}.')
        folders += sorted(inner, reverse=True)
    for found in texts.values():
        found.sort()
    return loose + packed, texts  # where an archive lies beside its unpacked folder, the folder's files come first


def _role_and_group(parts) -> tuple:
    """(role, group) of a folder: the outermost part that names a role decides it; the group is the innermost that says
    more than a role.
    """
    role = None
    group = ""
    for part in parts:
        part = part.lower()
        role = role or next((role for role, words in ROLES.items() if any(word in part for word in words)), None)
        rest = part
        for words in ROLES.values():
            for word in words:
                rest = rest.replace(word + "s", "").replace(word, "")
        group = rest.strip(" _-.") or group
    return role or "image", group


def _keys(parts, buffer, starts, ends) -> tuple:
    """Per name below a folder: role (index in ROLES), full key, stem key, is it a picture."""
    buffer, starts, ends = in_one_form(buffer, starts, ends)
    folder_ends, begins, stops, picture = stems(buffer, starts, ends)
    _, first, inverse = np.unique(hash_spans(buffer, starts, folder_ends), return_index=True, return_inverse=True)
    folders = [buffer[starts[row] : folder_ends[row]].tobytes().decode("utf-8", "replace") for row in first]
    places = [
        _role_and_group((*parts, *(part for part in re.split(r"[/\\]", folder) if part not in ("", "."))))
        for folder in folders
    ]
    roles = np.array([list(ROLES).index(role) for role, _ in places], np.uint8)[inverse]
    groups = np.array([hash_text(group) for _, group in places], np.uint64)[inverse]
    stem = hash_spans(buffer, begins, stops)
    return roles, mix(groups, stem), stem, picture


def _sort_by_role(listings: list, findings: Findings) -> dict:
    """{role: Pictures}; of pictures with the same name in the same group the first one listed is kept."""
    parts = {role: [] for role in ROLES}
    for folders, listing in listings:
        roles, full, stem, picture = _keys(folders, listing.buffer, listing.starts, listing.ends)
        for number, role in enumerate(ROLES):
            rows = np.flatnonzero(picture & (roles == number))
            if len(rows):
                parts[role].append((full[rows], stem[rows], listing.files.select(rows)))
    return {role: _pictures(role, found, findings) for role, found in parts.items()}


def _pictures(role: str, found: list, findings: Findings) -> Pictures:
    if not found:
        return Pictures(np.zeros(0, np.uint64), np.zeros(0, np.uint64), Files.join([]))
    full, stem = (np.concatenate([part[column] for part in found]) for column in (0, 1))
    files = Files.join(part[2] for part in found)
    unique, first = np.unique(full, return_index=True)
    if len(unique) < len(full):
        again = np.setdiff1d(np.arange(len(full)), first)
        findings.add(
            "duplicate_files",
            (f'{role} "{files.name(row)}" was found before: the first one counts.' for row in again[:SHOWN]),
            len(again),
        )
    return Pictures(unique, stem[first], files.select(first))


def _read_labels(paths: list, numbers: dict | None, findings: Findings) -> tuple:
    """(labels (N,), full keys, stem keys, a function that names a row) of all label files; unknown labels are left out
    here.
    """
    words = {label: place for place, label in enumerate((*LABELS, UNSUITABLE))}
    codes = words | {str(number): NUMBERED + words[name] for number, name in (numbers or NUMBERS).items()}
    hashes = np.array([hash_text(word, PLAIN) for word in codes], np.uint64)
    order = np.argsort(hashes)
    hashes = hashes[order]
    values = np.array(list(codes.values()), np.uint8)[order]
    parts = []
    files = []
    for folders, path in paths:
        if (lines := _lines(path, findings)) is None:
            continue
        found = hash_spans(lines.buffer, lines.rests, lines.stops, PLAIN)
        place = np.minimum(np.searchsorted(hashes, found), len(hashes) - 1)
        labels = np.where(hashes[place] == found, values[place], UNKNOWN)
        _split_at_last_space(lines, labels, codes)
        unknown = np.flatnonzero(labels == UNKNOWN)
        findings.add("unknown_labels", (_unknown(path, lines, row) for row in unknown[:SHOWN]), len(unknown))
        rows = np.flatnonzero(labels < UNKNOWN)
        _, full, stem, _ = _keys(folders, lines.buffer, lines.starts[rows], lines.cuts[rows])
        parts.append((labels[rows], full, stem))
        files.append((path, lines.numbers[rows]))
    if not parts:
        raise DataError(findings.sentences["unreadable_texts"][0])
    labels, full, stem = map(np.concatenate, zip(*parts))
    numbered = labels >= NUMBERED
    if numbers is None and numbered.any() and not (labels == NUMBERED).any():
        raise DataError(
            "the labels are numbers without a 0, and whether they count from 0 or from 1 can't be known: write the"
            " labels' names, or call rf1m.read_rf1m(folder, numbers=rf1m.LISTED_NUMBERS) if they count as RF1M's page"
            " does."
        )
    labels = np.where(numbered, labels - NUMBERED, labels)
    ends = np.cumsum([len(rows) for _, rows in files])

    def name(row: int) -> str:
        file = int(np.searchsorted(ends, row, "right"))
        path, rows = files[file]
        return f'line {rows[row - (ends[file - 1] if file else 0)]} of "{os.path.basename(path)}"'

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
    for row in np.flatnonzero((labels == UNKNOWN) & spaced):
        line = lines.line(row)
        if b"\t" not in line and len(line) < 4096 and (match := pattern.fullmatch(line)):
            labels[row] = codes[match[2].decode().lower().replace(" ", "_").replace("-", "_")]
            lines.cuts[row] = lines.starts[row] + match.end(1)


def _unknown(path: str, lines: Lines, row: int) -> str:
    label = lines.buffer[lines.rests[row] : lines.stops[row]][:60].tobytes().decode("utf-8", "replace")
    where = f'line {lines.numbers[row]} of "{os.path.basename(path)}"'
    hint = "; if the file counts its labels differently, pass `numbers`" if label.isdigit() else ""
    return (
        f'{where} says "{label}", which is no label: use one of {", ".join((*LABELS, UNSUITABLE))}{hint}.'
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
                    "their product pictures have the same name; if one product comes under several names, pass"
                    ' identify="bytes", or its pictures may fall into train and test alike.'
                )
            )
        )
    if identify == "name":
        return names
    crc = files.crc.astype(np.uint64)
    whole = files.whole.astype(np.uint64)
    for row in np.flatnonzero(files.whole == 0):
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
        _, line_full, line_stem, _ = _keys(folders, lines.buffer, lines.starts, lines.cuts)
        unique, first = np.unique(line_full, return_index=True)
        found = Pictures(unique, line_stem[first], Files.join([])).find(full, stem)
        rows = np.flatnonzero((found >= 0) & (chosen.lengths == 0))
        line = first[found[rows]]
        chosen.starts[rows] = lines.rests[line] + len(chosen.buffer)
        chosen.lengths[rows] = lines.ends[line] - lines.rests[line]
        chosen.buffer = np.concatenate([chosen.buffer, lines.buffer])
    return chosen
