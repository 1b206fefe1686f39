"""Files read only where they are files, and written whole or not at all: what is killed leaves the old one or the
new.
"""

import errno
import hashlib
import os
import stat
import unicodedata
from contextlib import contextmanager, suppress
from pathlib import Path

REASONS = {  # in words for the person who named the file
    errno.ENOENT: "does not exist: check the path",
    errno.ENOTDIR: "does not exist: check the path",
    errno.EISDIR: "is a folder: give the path of a file",
    errno.EACCES: "may not be read: change its permissions",
    errno.EPERM: "may not be read: change its permissions",
    errno.ELOOP: "is a link that leads to itself: give the file itself",
    errno.ENAMETOOLONG: "is too long for a name: check the path",
}


FORMATS = {".jpg": "JPEG", ".tif": "TIFF"}  # of pictures whose ending is no format's name


class NotAFile(OSError):
    """A path names a pipe, a device or a socket, which might never end."""


class NotWritten(OSError):
    """A file can't be written. errno and strerror are the system's; the message names the folder and what is left."""

    def __init__(self, error: OSError, path: Path):
        super().__init__(error.errno, error.strerror or str(error))
        full = self.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None))
        if os.path.isdir(path):
            self.sentence = f"{quoted(path)} is a folder: give the name of a file to write."
            return
        way = "free some disk space" if full else "change its permissions"
        way = "choose a shorter name" if self.errno == errno.ENAMETOOLONG else way
        way = "a file lies where a folder should be" if self.errno in (errno.EEXIST, errno.ENOTDIR) else way
        left = "is as it was before" if os.path.isfile(path) else "was not written"
        folder, name = quoted(path.parent), quoted(path.name, 60)
        self.sentence = (
            f"the folder {folder} can't be written ({self.strerror}): {way}, or choose another folder; {name} {left}."
        )

    def __str__(self) -> str:
        return self.sentence


def quoted(value, most: int = 100) -> str:
    """A path, name or value in quotes, as text of one line; of a long one its end, which says more of a path."""
    text = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in str(value))
    return f'"{text if len(text) <= most else "…" + text[-most + 1 :]}"'


def refusal(path, error: OSError) -> str:
    """One sentence about a file that could not be opened or read: which, why, and what to do."""
    what = REASONS.get(error.errno) if error.errno is not None else None
    if isinstance(error, NotAFile):
        what = "is a pipe or a device: give the path of a file"
    what = what or f"can't be read ({error.strerror or error}): check the file and its disk"
    return f"{quoted(path)} {what}."


def same_name(name: str) -> str:
    """What names have in common that look the same: macOS writes letters with accents in two signs, others in one."""
    return unicodedata.normalize("NFC", name)


def on_disk(path) -> Path:
    """The path as the disk spells it, where only the form of its Unicode letters differs; else the path as it is."""
    path = Path(path)
    if os.fspath(path).isascii() or path == path.parent or os.path.lexists(path):
        return path
    parent, wanted = on_disk(path.parent), same_name(path.name)
    try:
        stored = next((name for name in os.listdir(parent) if same_name(name) == wanted), path.name)
    except (OSError, ValueError):
        stored = path.name
    return parent / stored


def open_file(path):
    """A regular file, opened to read its bytes. Raises OSError: NotAFile for pipes and devices, IsADirectoryError."""
    try:
        return _opened(path)
    except FileNotFoundError:
        if (other := on_disk(path)) == Path(path):
            raise
        return _opened(other)


def sha256_of(path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits. Raises OSError."""
    digest = hashlib.sha256()
    with open_file(path) as file:
        while block := file.read(2**22):
            digest.update(block)
    return digest.hexdigest()


def _opened(path):
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        _check_regular(os.stat(path).st_mode)  # before it is opened: to open a device may do something
        descriptor = os.open(path, flags)  # without waiting for a pipe's other end, should it be one by now
    except ValueError as error:  # a NUL in the path
        raise OSError(errno.ENOENT, str(error)) from None
    try:
        _check_regular(os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise NotAFile(errno.EINVAL, "a pipe or a device")


@contextmanager
def whole(path):
    """`with whole(path) as partial:` write to `partial`; it becomes `path` when the block ends well, and is removed
    when it doesn't. Makes the folder.

    Raises NotWritten, an OSError, when the disk refuses; a file that was there before is then untouched.
    """
    path = Path(path)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except NotWritten:
        raise
    except OSError as error:
        if _is_about(error, path, partial):
            raise NotWritten(error, path) from error
        raise
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _is_about(error: OSError, path: Path, partial: Path) -> bool:
    """Whether it speaks of a file being written, and not of one that was read meanwhile."""
    named = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    return error.errno is not None and (not named or any(each in (path, partial, *path.parents) for each in named))


def check_writable(path) -> None:
    """Makes the folder of a file that is to be written later, and looks whether it can be. Raises NotWritten."""
    path = Path(path)
    probe = path.with_name(f".{os.getpid()}.probe")
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if len(os.fsencode(path.name)) > 200:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
    except OSError as error:
        raise NotWritten(error, path) from error
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def is_safe_name(name: str) -> bool:
    """Whether a name stands for one file or folder inside another on every system: no path, nothing hidden, no sign
    that a file system refuses.
    """
    fits = 0 < len(name.encode("utf-8", "replace")) <= 200 and name.isprintable()
    return fits and name == name.strip(" .") and not any(sign in '\\/:*?"<>|' for sign in name)


def write_text(path, text: str) -> None:
    """Write a text in UTF-8, whole or not at all."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_bytes(path, content: bytes) -> None:
    """Write bytes, whole or not at all."""
    with whole(path) as partial:
        partial.write_bytes(content)


def write_picture(path, image) -> None:
    """Write a Pillow image in the format that the path's ending names, whole or not at all."""
    ending = Path(path).suffix.lower()
    with whole(path) as partial, open(partial, "wb") as file:
        image.save(file, format=FORMATS.get(ending, ending[1:].upper()))


def write_safetensors(path, tensors: dict, metadata: dict) -> None:
    """Write torch tensors and texts as one safetensors file, whole or not at all."""
    from safetensors.torch import save  # its save_file would not say OSError when the disk is full

    write_bytes(path, save({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, metadata))
