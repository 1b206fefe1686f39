"""A folder of product pictures: which files count, their captions, and what is left out, which is never silent."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from .colours import PictureError
from .files import on_disk, quoted, same_name
from .textfiles import TextError, read_text

KEEPING_ALPHA = ("PNG", "WEBP", "TIFF", "AVIF", "GIF", "HEIF")  # formats that keep transparency
NOT_THE_USERS = ("thumbs.db", "desktop.ini", "icon\r")  # what systems put into folders, beside hidden files
CAPTION_LIMIT = 64 << 10  # bytes
SHOWN = 5  # names in a sentence
GIVE = "give the path of a folder of cut-outs with transparency"


@dataclass
class CutOuts:
    """What a folder holds.

    items: [(path, caption)] by name; broken: {file name: reason} of pictures that can't be used; endings: {ending: how
    many files of it are left out}; folders: names of sub-folders, which are not looked into.
    """

    items: list = field(default_factory=list)
    broken: dict = field(default_factory=dict)
    endings: Counter = field(default_factory=Counter)
    folders: list = field(default_factory=list)

    @property
    def left_out(self) -> str:
        """ "3 files of other kinds (.jpg, .heic), 1 sub-folder (bottles)"; "" where nothing is left out."""
        files, parts = sum(self.endings.values()), []
        if files:
            kinds = sorted(self.endings, key=lambda ending: (-self.endings[ending], ending))
            parts.append(f"{files} file{'s' * (files > 1)} of other kinds ({_few(kinds)})")
        if self.folders:
            parts.append(f"{len(self.folders)} sub-folder{'s' * (len(self.folders) > 1)} ({_few(self.folders)})")
        return ", ".join(parts)

    @property
    def sentences(self) -> list:
        """One for each picture that can't be used, and one for all that is left out."""
        broken = [f"Left out: {quoted(file)}: {why}" for file, why in self.broken.items()]
        return [*broken, f"Left out: {self.left_out}"] if self.left_out else broken


def read_folder(folder) -> CutOuts:
    """The product pictures of a folder, not opened yet, and all that is left out.

    A caption stands in a .txt of the same name, or else it is the file's name; where it can't be read, its picture
    can't be used. Raises PictureError where the folder can't be read, or holds no product picture.
    """
    folder, readable = on_disk(folder), endings()
    contents, pictures = CutOuts(), []
    try:
        with os.scandir(folder) as entries:
            names = sorted((entry.name, _is_folder(entry)) for entry in entries if not _hidden(entry.name))
    except NotADirectoryError:
        raise PictureError(f"{quoted(folder)} is a file: {GIVE}.") from None
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise PictureError(f"{quoted(folder)} can't be read ({said}): {GIVE}.") from None
    for name, is_folder in names:
        ending = os.path.splitext(name)[1].lower()
        if is_folder:
            contents.folders.append(name)
        elif ending in readable:
            pictures.append(name)
        elif ending != ".txt":
            contents.endings[ending or "without an ending"] += 1
    texts = {_plain(name): name for name, is_folder in names if not is_folder and name.lower().endswith(".txt")}
    for name in pictures:
        try:
            contents.items.append((folder / name, _caption(folder / name, texts)))
        except TextError as error:
            contents.broken[name.encode("utf-8", "replace").decode("utf-8")] = f"its caption {error}"
    if not contents.items and not contents.broken:
        left = f"; left out: {contents.left_out}" if contents.left_out else ""
        raise PictureError(
            f"{quoted(folder)} holds no product pictures (such as .png, .webp, .tif or .avif):"
            f" give a folder of cut-outs with transparency{left}."
        )
    return contents


def endings() -> list:
    """The endings of product pictures that this Pillow reads."""
    return sorted(ending for ending, name in Image.registered_extensions().items() if name in KEEPING_ALPHA)


def cut_outs(folder) -> list:
    """[(path, caption)] of read_folder. Raises PictureError."""
    return read_folder(folder).items


def _is_folder(entry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _hidden(name: str) -> bool:
    return name.startswith((".", "~$")) or name.lower() in NOT_THE_USERS


def _plain(name: str) -> str:
    """A file's name without ending, the same in either form that Unicode has for it."""
    return same_name(os.path.splitext(name)[0])


def _caption(path: Path, texts: dict) -> str:
    beside = texts.get(_plain(path.name))
    if not beside:
        return " ".join(path.stem.replace("_", " ").replace("-", " ").split())
    try:
        return " ".join(read_text(path.with_name(beside), CAPTION_LIMIT).split())
    except TextError as error:
        raise TextError(str(error).replace(quoted(path.with_name(beside)), quoted(beside))) from None


def _few(names: list) -> str:
    shown = [name if name.isprintable() and len(name) <= 40 else quoted(name, 40).strip('"') for name in names[:SHOWN]]
    return ", ".join([*shown, *([f"{len(names) - SHOWN} more"] if len(names) > SHOWN else [])])
