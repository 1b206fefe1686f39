"""Names and texts as spans of one byte buffer, a million at a time: no Python object per line is made or kept."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..files import same_name
from ..textfiles import decoded, read_bytes

LONGEST = 1024  # bytes of a name that count; a longer one is no file name
LARGEST = 1 << 29  # bytes of a list of labels: ten times RF1M's
ROWS = 1 << 15  # lines that are looked at together, so that memory doesn't grow with the file
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

TAB, NEWLINE, SPACE, DOT, SLASH, BACKSLASH = b"\t\n ./\\"
BLANK = np.isin(np.arange(256), list(b"\t\r \x00"))
LOWER = np.arange(256, dtype=np.uint8)
LOWER[ord("A") : ord("Z") + 1] += 32
PLAIN = LOWER.copy()  # "Space Mismatch", "space-mismatch" and "space_mismatch" are one label
PLAIN[[SPACE, ord("-")]] = ord("_")


@dataclass
class Texts:
    """N texts in one buffer of UTF-8: texts[row] is a str, "" where the length is 0.

    buffer (bytes,) uint8; starts (N,) int64; lengths (N,) int32.
    """

    buffer: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, texts) -> "Texts":
        """From an iterable of str."""
        parts = [text.encode("utf-8", "replace") for text in texts]
        lengths = np.array([len(part) for part in parts], np.int32)
        return cls(as_bytes(b"".join(parts)), np.cumsum(lengths, dtype=np.int64) - lengths, lengths)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, row: int) -> str:
        start = self.starts[row]
        return self.buffer[start : start + self.lengths[row]].tobytes().decode("utf-8", "replace")

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))

    def select(self, rows) -> "Texts":
        return Texts(self.buffer, self.starts[rows], self.lengths[rows])


def as_bytes(data: bytes) -> np.ndarray:
    """bytes as a uint8 array, without a copy."""
    return np.frombuffer(data, np.uint8)


def mix(*values) -> np.ndarray:
    """Several uint64 values or arrays as one, every bit depending on all of them (the finaliser of splitmix64)."""
    mixed = np.zeros(1, np.uint64)
    for value in values:
        mixed = (mixed ^ np.asarray(value, np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    return mixed


def hash_spans(
    buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray, letters: np.ndarray | None = None
) -> np.ndarray:
    """One uint64 per span of bytes, the same on every machine and day: FNV-1a, then mixed with the length.

    letters: a table (256,) of what each byte counts as. With two million names two share a number with a probability of
    1e-7.
    """
    lengths = np.clip(ends - starts, 0, LONGEST)
    hashes = np.full(len(starts), 0xCBF29CE484222325, np.uint64)
    shortest = lengths.min(initial=LONGEST)
    for column in range(lengths.max(initial=0)):
        alive = slice(None) if column < shortest else np.flatnonzero(lengths > column)
        values = buffer[starts[alive] + column]
        hashes[alive] = (hashes[alive] ^ (values if letters is None else letters[values])) * np.uint64(0x100000001B3)
    return mix(hashes, lengths)


def hash_text(text: str | bytes, letters: np.ndarray | None = None) -> int:
    """The hash_spans of one text."""
    data = as_bytes(text.encode("utf-8", "replace") if isinstance(text, str) else text)
    return int(hash_spans(data, np.array([0]), np.array([len(data)]), letters)[0])


EXTENSIONS = np.array([hash_text(ending) for ending in PICTURES], np.uint64)


def next_of(positions: np.ndarray, at: np.ndarray, none: int) -> np.ndarray:
    """The first of the sorted positions at or after each place; `none` where there is none."""
    return np.append(positions, none)[np.searchsorted(positions, at)]


def last_of(positions: np.ndarray, before: np.ndarray, none: int) -> np.ndarray:
    """The last of the sorted positions before each place; `none` where there is none."""
    return np.append(none, positions)[np.searchsorted(positions, before)]


@dataclass
class Lines:
    """The lines of a two-column text that aren't blank, as spans: name [starts, cuts), second column [rests, stops),
    all the rest of the line [rests, ends); numbers: which line of the file each is, from 1. A line without a second
    column has rests == ends.
    """

    buffer: np.ndarray
    starts: np.ndarray
    cuts: np.ndarray
    rests: np.ndarray
    stops: np.ndarray
    ends: np.ndarray
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    def line(self, row: int) -> bytes:
        return self.buffer[self.starts[row] : self.ends[row]].tobytes()


def read_lines(path) -> Lines:
    """Columns end at a tab where the line has one, else the first at a space.

    CRLF, no final newline, a byte order mark and UTF-16 are read. Raises TextError.
    """
    content = read_bytes(path, LARGEST)
    text = decoded(content, path)
    begin = 3 if content[:3] == b"\xef\xbb\xbf" else 0
    buffer = as_bytes(content if content[begin : begin + 2] not in (b"\xff\xfe", b"\xfe\xff") else text.encode("utf-8"))
    newlines = np.flatnonzero(buffer == NEWLINE)
    starts = np.append(0, newlines + 1)
    ends = np.append(newlines, len(buffer))
    starts[0] = begin
    parts = [
        _columns(buffer, first, starts[first : first + ROWS], ends[first : first + ROWS])
        for first in range(0, len(starts), ROWS)
    ]
    return Lines(buffer, *map(np.concatenate, zip(*parts)))


def _columns(buffer, first, starts, ends):
    """The columns of some successive lines, as in Lines."""
    origin = starts[0]
    none = len(buffer)
    part = buffer[origin : ends[-1]]
    solid, tabs, spaces = (np.flatnonzero(found) + origin for found in (~BLANK[part], part == TAB, part == SPACE))
    starts = next_of(solid, starts, none)
    ends = last_of(solid, ends, -1) + 1
    rows = np.flatnonzero(starts < ends)
    starts = starts[rows]
    ends = ends[rows]
    tab = next_of(tabs, starts, none)
    space = next_of(spaces, starts, none)
    cuts = np.minimum(np.where(tab < ends, tab, space), ends)
    rests = np.minimum(next_of(solid, cuts, none), ends)
    second = next_of(tabs, rests, none)
    stops = np.where((tab < ends) & (second < ends), last_of(solid, second, -1) + 1, ends)
    return starts, last_of(solid, cuts, -1) + 1, rests, np.maximum(stops, rests), ends, rows + first + 1


def in_one_form(buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple:
    """(buffer, starts, ends) of the same names, each in the one form of its letters that Unicode prefers."""
    high = np.flatnonzero(buffer >= 128)
    rows = np.flatnonzero(next_of(high, starts, len(buffer)) < ends)
    if not len(rows):
        return buffer, starts, ends
    texts = (buffer[starts[row] : ends[row]].tobytes().decode("utf-8", "surrogateescape") for row in rows)
    names = [same_name(text).encode("utf-8", "surrogateescape") for text in texts]
    starts = starts.copy()
    ends = ends.copy()
    lengths = np.array([len(name) for name in names])
    ends[rows] = len(buffer) + np.cumsum(lengths)
    starts[rows] = ends[rows] - lengths
    return np.concatenate([buffer, as_bytes(b"".join(names))]), starts, ends


def stems(buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray):
    """Of paths: where the folder part ends (== starts where there is none), where the file's name begins, where it ends
    without a picture's ending, and whether it had one.
    """
    slashes = np.flatnonzero((buffer == SLASH) | (buffer == BACKSLASH))
    slash = last_of(slashes, ends, -1)
    begins = np.where(slash >= starts, slash + 1, starts)
    dot = last_of(np.flatnonzero(buffer == DOT), ends, -1)
    dotted = (dot > begins) & (ends - dot <= max(map(len, PICTURES)))
    picture = np.zeros(len(starts), bool)
    picture[dotted] = np.isin(hash_spans(buffer, dot[dotted], ends[dotted], LOWER), EXTENSIONS)
    return np.maximum(begins - 1, starts), begins, np.where(picture, dot, ends), picture
