"""Text files as they come from every system: UTF-8 and UTF-16 by their marks, strict UTF-8, or how to save them."""

import codecs
import io
from contextlib import contextmanager
from pathlib import Path

from .files import open_file, quoted, refusal

LIMIT = 64 << 20  # bytes of a text that is held in memory as a whole
TOML_LIMIT = 1 << 20
MARKS = (  # UTF-32's first: it begins as UTF-16's does
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class TextError(ValueError):
    """A text file can't be used; the message is one sentence that names the file and says what to do."""


def read_text(path, limit: int = LIMIT) -> str:
    """A whole text file, lines ending in "\\n". limit: the most bytes that it may have. Raises TextError."""
    text = decoded(read_bytes(path, limit), path)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(path, limit: int = 1 << 32) -> bytes:
    """The bytes of a regular file, at most `limit` of them. Raises TextError."""
    try:
        with open_file(path) as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise TextError(refusal(path, error)) from error
    if len(content) > limit:
        raise TextError(f"{quoted(path)} is larger than {_size(limit)}, too much for such a text: check the path.")
    return content


def decoded(content: bytes, path) -> str:
    """The text that bytes stand for. path: what an error names. Raises TextError."""
    mark, encoding = _encoding(content)
    if encoding == "utf-8" and b"\0" in content:
        raise _binary(path)
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        line = 1 + content[: len(mark) + error.start].count(b"\n")
        raise _undecodable(path, f", line {line}" if encoding == "utf-8" else "") from error
    return text


@contextmanager
def open_text(path):
    """A text file of any size, open for reading line by line; line ends stay as they are, as the csv module needs them.

    Raises TextError, also inside the block, where a line that is no text is reached.
    """
    try:
        file = open_file(path)
    except OSError as error:
        raise TextError(refusal(path, error)) from error
    with file:
        try:
            head = file.read(4096)
            mark, encoding = _encoding(head)
            if encoding == "utf-8" and b"\0" in head:
                raise _binary(path)
            file.seek(len(mark))
            with io.TextIOWrapper(file, encoding=encoding, newline="") as text:
                yield text
        except UnicodeDecodeError as error:
            raise _undecodable(path) from error


def read_toml(path) -> dict:
    """The table of a TOML file. Raises TextError, which says how a Windows path is written where one is at fault."""
    return parse_toml(read_text(path, TOML_LIMIT), quoted(path))


def parse_toml(text: str, name: str) -> dict:
    """The table of a TOML text, which errors call `name`. Raises TextError."""
    toml = toml_reader()
    try:
        values = toml.loads(text)
    except (ValueError, RecursionError) as error:
        fault = "it is nested too deep" if isinstance(error, RecursionError) else str(error)[:150]
        fault = "a number has thousands of digits" if "integer string" in fault else fault
        raise TextError(f"{name} is no TOML ({fault}){_slashes(text) or ': change it there'}.") from error
    for key, value in _texts(values):
        if any(sign < " " for sign in value) and value not in text:  # they came out of escapes such as \t or \n
            raise TextError(
                f"{name} has a tab, a line break or the like in {quoted(key, 40)} ({value[:60]!r}), which backslashes"
                " make out of a Windows path: write paths with / or in single quotes."
            )
    return values


def toml_reader():
    """The module that reads TOML. Raises TextError where Python 3.10 has none."""
    try:
        import tomllib
    except ModuleNotFoundError:
        try:
            import tomli as tomllib
        except ModuleNotFoundError:
            words = "reading a config needs tomli on Python 3.10: pip install tomli, or use Python 3.11."
            raise TextError(words) from None
    return tomllib


def _encoding(content: bytes) -> tuple:
    """(mark, encoding) of a text by its first bytes."""
    return next(((mark, name) for mark, name in MARKS if content.startswith(mark)), (b"", "utf-8"))


def _undecodable(path, where: str = "") -> TextError:
    way = '"CSV UTF-8"' if Path(path).suffix.lower() in (".csv", ".tsv") else "UTF-8"
    return TextError(f"{quoted(path)} is not in UTF-8{where}: save it as {way}, which editors and spreadsheets offer.")


def _binary(path) -> TextError:
    return TextError(f"{quoted(path)} is no text in UTF-8: save it as UTF-8, or check the path.")


def _size(limit: int) -> str:
    return f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit >> 10} KiB" if limit >= 1 << 10 else f"{limit} bytes"


def _slashes(text: str) -> str:
    """What to do about backslashes in double quotes, where a text has any."""
    doubtful = any("\\" in line and '"' in line for line in text.split("\n"))
    return ": write Windows paths with / or in single quotes" if doubtful else ""


def _texts(values, name: str = ""):
    """(key, text) of all texts in a TOML table, the keys themselves among them."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _texts(value, f"{name}.{key}" if name else key)
    elif isinstance(values, list):
        for value in values:
            yield from _texts(value, name)
    elif isinstance(values, str):
        yield name, values
