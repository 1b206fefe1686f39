"""Where a catalogue's pictures are read and its results are written: a folder, or an object store through fsspec.

Both write a file whole or not at all, which is what everything above relies on.
"""

from __future__ import annotations

import io
import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from ..rfnet.files import check_writable, open_file, quoted, refusal, write_bytes

SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
# Of fsspec's, those whose writes appear whole or not at all
OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss")
LEFT_OVER = 60  # seconds after which a half-written file is one that nobody writes any more


class StorageError(OSError):
    """A place can't be read or written; the message names it and says what to do."""


def scheme_of(location: str) -> str:
    """ "s3" of "s3://bucket/key"; "" of a path."""
    found = SCHEME.match(location)
    return found[1].lower() if found else ""


def open_storage(location) -> Storage:
    """The folder or object store that a path or URL names. Raises StorageError."""
    location = os.fspath(location)
    scheme = scheme_of(location)
    if scheme in ("", "file"):
        return Folder(location[len("file://") :] if scheme else location)
    return ObjectStore(location)


def joined(base: str, name: str) -> str:
    """A name of a catalogue's row as seen from where the catalogue lies: itself where it is a URL or a whole path."""
    if scheme_of(name) or os.path.isabs(name):
        return name
    return f"{base.rstrip('/')}/{name}" if scheme_of(base) else os.path.join(base, name)


def open_binary(location: str) -> BinaryIO:
    """A file or object, opened to read its bytes. Raises StorageError, in a sentence that names it."""
    scheme = scheme_of(location)
    try:
        if scheme in ("", "file"):
            return open_file(location[len("file://") :] if scheme else location)
        store, path = object_store(location)
        return store.open(path, "rb")
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(refusal(location, error)) from error
    except ImportError:
        raise
    except Exception as error:  # clients of stores raise what they like
        raise StorageError(_said(location, "read", error)) from error


class Storage(ABC):
    """Files by name, such as "records/0123.json", below one place."""

    location: str

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Whole or not at all. Raises OSError."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError, or another OSError."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Whether there is such a file."""

    @abstractmethod
    def names(self, folder: str = "") -> list[str]:
        """The files directly in a folder, sorted; none where there is no such folder."""

    @abstractmethod
    def delete(self, names: Iterable[str]) -> None:
        """Those that are there."""

    @abstractmethod
    def begin(self) -> None:
        """Finds out whether it can be written, and clears up what a killed process left half-written."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Whether nothing lies there."""

    @abstractmethod
    def where(self, name: str) -> str:
        """The path or URL of a file."""


class Folder(Storage):
    def __init__(self, location: str):
        self.location = location
        self.root = Path(location)

    def write(self, name: str, content: bytes) -> None:
        write_bytes(self.root / name, content)

    def read(self, name: str) -> bytes:
        with open_file(self.root / name) as file:
            return file.read()

    def exists(self, name: str) -> bool:
        return (self.root / name).is_file()

    def names(self, folder: str = "") -> list[str]:
        try:
            with os.scandir(self.root / folder) as entries:
                return sorted(
                    entry.name
                    for entry in entries
                    if entry.is_file() and not entry.name.endswith((".partial", ".probe"))
                )
        except (FileNotFoundError, NotADirectoryError):
            return []

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            (self.root / name).unlink(missing_ok=True)

    def begin(self) -> None:
        check_writable(self.root / "run.json")
        for left in self.root.rglob("*.partial"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > LEFT_OVER:
                    left.unlink()

    def is_empty(self) -> bool:
        if self.root.exists() and not self.root.is_dir():
            raise StorageError(f"{quoted(self.root)} is a file: give the path of a folder after --out.")
        return not self.root.is_dir() or not any(self.root.iterdir())

    def where(self, name: str) -> str:
        return str(self.root / name)


class ObjectStore(Storage):
    """What fsspec opens. Listings are never taken from a cache: other machines write there, too."""

    def __init__(self, location: str):
        self.location = location.rstrip("/")
        self.store, self.root = object_store(self.location)

    def write(self, name: str, content: bytes) -> None:
        self._try("written", self.store.pipe_file, f"{self.root}/{name}", content)

    def read(self, name: str) -> bytes:
        return self._try("read", self.store.cat_file, f"{self.root}/{name}")

    def exists(self, name: str) -> bool:
        try:
            self._try("read", self.store.info, f"{self.root}/{name}")
        except FileNotFoundError:
            return False
        return True

    def names(self, folder: str = "") -> list[str]:
        path = f"{self.root}/{folder}".rstrip("/")
        try:
            entries = self._try("read", self.store.ls, path, True)
        except FileNotFoundError:
            return []
        files = (entry["name"].rpartition("/")[2] for entry in entries if entry["type"] == "file")
        return sorted(name for name in files if name)

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            with suppress(FileNotFoundError):
                self._try("deleted", self.store.rm_file, f"{self.root}/{name}")

    def begin(self) -> None:
        self.write(".probe", b"")
        self.delete([".probe"])

    def is_empty(self) -> bool:
        try:
            return not self._try("read", self.store.ls, self.root, False)
        except FileNotFoundError:
            return True

    def where(self, name: str) -> str:
        return f"{self.location}/{name}"

    def _try(self, what: str, work, path: str, *rest):
        try:
            return work(path, *rest)
        except Exception as error:  # clients of stores raise what they like
            if isinstance(error, FileNotFoundError) and what != "written":
                raise
            raise StorageError(_said(f"{self.location}{path[len(self.root) :]}", what, error)) from error


def object_store(location: str) -> tuple[Any, str]:
    """(the store's file system of fsspec, the path in it). Raises StorageError."""
    scheme = scheme_of(location)
    if scheme not in OBJECT_STORES:
        raise StorageError(
            f"{quoted(location)} is neither a path nor an object store: use a folder, or one of"
            f" {', '.join(f'{name}://' for name in OBJECT_STORES[:5])}."
        )
    import fsspec

    try:
        return fsspec.core.url_to_fs(location, use_listings_cache=False)
    except ValueError as error:
        raise StorageError(_said(location, "read", error)) from error


def _said(location: str, what: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:150] or type(error).__name__
    return f"{quoted(location)} can't be {what} ({reason}): check its name, your credentials and the network."


def whole_copy(location: str) -> io.BytesIO:
    """A file or object, all of it in memory. Raises StorageError."""
    with open_binary(location) as file:
        try:
            return io.BytesIO(file.read())
        except Exception as error:  # a store's, while it is read
            raise StorageError(_said(location, "read", error)) from error
