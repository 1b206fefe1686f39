"""What lies below RF1M's root: its folders, archives and texts, and the pictures in them by role and name."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..files import quoted
from .archives import ArchiveError, Files, Listing, list_names, list_tar, list_zip
from .samples import SHOWN, Findings
from .spans import PICTURES, hash_spans, hash_text, in_one_form, mix, stems

ROLES = {  # in the order in which they are looked for: "transparent_images" are products
    "depth": ("depth", "dpt"),
    "saliency": ("salien", "u2net"),
    "product": ("product", "transparent", "cutout", "rgba"),
    "image": ("generated", "image"),
}
TEXT_FILE = re.compile(r"(label|caption|prompt)s?\.txt", re.IGNORECASE)
SEALED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")


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


Parts = tuple[str, ...]  # the names of the folders from the root on, an archive's among them


@dataclass
class Tree:
    """listings: (folder parts, Listing) of folders, then of archives: where an archive lies beside its unpacked folder,
    the folder's files come first. texts: {"label", "caption", "prompt": [(folder parts, path)]}.
    """

    listings: list[tuple[Parts, Listing]] = field(default_factory=list)
    texts: dict[str, list[tuple[Parts, str]]] = field(
        default_factory=lambda: {"label": [], "caption": [], "prompt": []}
    )


def walk(root: Path, findings: Findings) -> Tree:
    """Everything below a root folder."""
    tree = Tree()
    archives: list[tuple[Parts, Listing]] = []
    for folder in _folders(root):
        if folder.pictures:
            tree.listings.append((folder.parts, list_names(folder.path, sorted(folder.pictures))))
        for name in sorted(folder.archives):
            if listing := _open_archive(os.path.join(folder.path, name), findings):
                archives.append(((*folder.parts, name[:-4]), listing))
        for name in folder.sealed:
            findings.add(
                "unreadable_archives",
                f'"{name}" can\'t be read in the middle: unpack it, or pack it as .zip or plain .tar.',
            )
        for kind, path in folder.texts:
            tree.texts[kind].append((folder.parts, path))
    for paths in tree.texts.values():
        paths.sort()
    tree.listings += archives
    return tree


@dataclass
class _Folder:
    """What one folder holds: names of pictures, archives and sealed archives, (kind, path) of texts, and inner folders
    as (parts, path).
    """

    parts: Parts
    path: str
    pictures: list[bytes] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)
    sealed: list[str] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    folders: list[tuple[Parts, str]] = field(default_factory=list)


def _folders(root: Path) -> Iterator[_Folder]:
    """The root and all folders below it, each scanned once: links may lead in circles."""
    waiting: list[tuple[Parts, str]] = [((), str(root))]
    seen = set()
    while waiting:
        parts, path = waiting.pop()
        if (real := os.path.realpath(path)) in seen:
            continue
        seen.add(real)
        folder = _scan(parts, path)
        yield folder
        waiting += sorted(folder.folders, reverse=True)


def _scan(parts: Parts, path: str) -> _Folder:
    folder = _Folder(parts, path)
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name.lower()
            if name.endswith(PICTURES):
                folder.pictures.append(os.fsencode(entry.name))
            elif name.endswith((".zip", ".tar")):
                folder.archives.append(entry.name)
            elif name.endswith(SEALED):
                folder.sealed.append(entry.name)
            elif match := TEXT_FILE.fullmatch(entry.name):
                folder.texts.append((match[1].lower(), entry.path))
            elif entry.is_dir():
                folder.folders.append(((*parts, entry.name), entry.path))
    return folder


def _open_archive(path: str, findings: Findings) -> Listing | None:
    try:
        return (list_zip if path.lower().endswith(".zip") else list_tar)(path)
    except (ArchiveError, OSError) as error:
        findings.add("unreadable_archives", f"{quoted(os.path.basename(path), 60)}: {error}.")
        return None


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


def name_keys(parts, buffer, starts, ends) -> tuple:
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


def sort_by_role(listings: list, findings: Findings) -> dict:
    """{role: Pictures}; of pictures with the same name in the same group the first one listed is kept."""
    parts: dict[str, list] = {role: [] for role in ROLES}
    for folders, listing in listings:
        roles, full, stem, picture = name_keys(folders, listing.buffer, listing.starts, listing.ends)
        for number, role in enumerate(ROLES):
            rows = np.flatnonzero(picture & (roles == number))
            if len(rows):
                parts[role].append((full[rows], stem[rows], listing.files.select(rows)))
    return {role: _pictures(role, of_role, findings) for role, of_role in parts.items()}


def _pictures(role: str, parts: list, findings: Findings) -> Pictures:
    if not parts:
        return Pictures(np.zeros(0, np.uint64), np.zeros(0, np.uint64), Files.join([]))
    full, stem = (np.concatenate([part[column] for part in parts]) for column in (0, 1))
    files = Files.join(part[2] for part in parts)
    unique, first = np.unique(full, return_index=True)
    if len(unique) < len(full):
        again = np.setdiff1d(np.arange(len(full)), first)
        findings.add(
            "duplicate_files",
            (f'{role} "{files.name(row)}" was found before: the first one counts.' for row in again[:SHOWN]),
            len(again),
        )
    return Pictures(unique, stem[first], files.select(first))
