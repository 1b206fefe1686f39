"""Files that lie loose in folders or packed in .zip and .tar archives, listed once and then read one by one, without
open handles.

An archive is read through its own listing (a zip's central directory, a tar's headers): where each member's bytes begin
is kept as numbers, so that any process can read any member with one seek.
"""

import os
import struct
import tarfile
import zlib
from dataclasses import dataclass, replace

import numpy as np

from ..files import open_file
from .spans import as_bytes

LOOSE, TAR, STORED, DEFLATED, OTHER = range(5)  # how a file is kept; OTHER: in a zip, in a way that isn't read
METHODS = {0: STORED, 8: DEFLATED}
RECORD = b"PK\x01\x02"
END = b"PK\x05\x06"
END64 = b"PK\x06\x06"
PLACE64 = b"PK\x06\x07"
ENCRYPTED = 1
FULL16 = 0xFFFF
FULL32 = 0xFFFFFFFF
LARGEST = 1 << 28  # bytes of one file
DIRECTORY = 1 << 30  # bytes of a zip's directory: a million members have a tenth
LOCAL_HEADER = struct.Struct("<4s22xHH")


class ArchiveError(ValueError):
    """An archive or a member of it can't be read; the message says which and why."""


@dataclass
class Files:
    """M files as compact arrays.

    containers: paths of folders and archives; container (M,) int32, -1 = no such file; start (M,) int64: where a
    member's data (tar) or local header (zip) begins in the archive, or a loose file's name in `names`; length (M,)
    int64 of it in bytes; kind (M,) uint8; crc, whole (M,) uint32: CRC-32 and length of the content where a zip tells
    them, else 0 and 0.
    """

    containers: list
    container: np.ndarray
    start: np.ndarray
    length: np.ndarray
    kind: np.ndarray
    crc: np.ndarray
    whole: np.ndarray
    names: np.ndarray

    def __len__(self) -> int:
        return len(self.container)

    @classmethod
    def one(cls, container, start, length, kind, crc=None, whole=None, names=b"") -> "Files":
        """Files of a single folder or archive."""
        count = len(start)

        def array(values, dtype):
            return np.ascontiguousarray(np.broadcast_to(np.asarray(0 if values is None else values, dtype), count))

        return cls(
            [str(container)],
            array(0, np.int32),
            array(start, np.int64),
            array(length, np.int64),
            array(kind, np.uint8),
            array(crc, np.uint32),
            array(whole, np.uint32),
            as_bytes(names),
        )

    @classmethod
    def join(cls, parts) -> "Files":
        """All files of several, in order."""
        parts = list(parts) or [cls.one("", [], [], LOOSE)]
        containers: list[str] = []
        places = []
        starts = []
        names = 0
        for part in parts:
            places.append(np.where(part.container < 0, -1, part.container + len(containers)).astype(np.int32))
            starts.append(np.where(part.kind == LOOSE, part.start + names, part.start))
            containers += part.containers
            names += len(part.names)

        def join(name):
            return np.concatenate([getattr(part, name) for part in parts])

        return cls(
            containers,
            container=np.concatenate(places),
            start=np.concatenate(starts),
            **{name: join(name) for name in ("length", "kind", "crc", "whole", "names")},
        )

    def select(self, rows) -> "Files":
        """The files at these positions; -1 stands for none."""
        rows = np.asarray(rows)
        if not len(self):
            return Files.one("", np.zeros(len(rows)), 0, LOOSE)._without(rows < 0)
        columns = ("container", "start", "length", "kind", "crc", "whole")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})._without(rows < 0)

    def _without(self, none: np.ndarray) -> "Files":
        self.container[none] = -1
        return self

    def __contains__(self, row: int) -> bool:
        return self.container[row] >= 0

    def path(self, row: int) -> str:
        """Where the file, or the archive that holds it, lies."""
        container = self.containers[self.container[row]]
        return os.path.join(container, self._text(row)) if self.kind[row] == LOOSE else container

    def name(self, row: int) -> str:
        """What to call the file in a message: its name, after its archive's if it has one."""
        if self.kind[row] == LOOSE:
            return self._text(row)
        try:
            with open_file(self.path(row)) as file:
                file.seek(self.start[row] - (512 if self.kind[row] == TAR else 0))
                head = file.read(30 + FULL16)
            member = (
                head[:100].split(b"\0")[0]
                if self.kind[row] == TAR
                else head[30 : 30 + LOCAL_HEADER.unpack_from(head)[1]]
            )
        except (OSError, struct.error):
            member = b"?"
        return f"{os.path.basename(self.path(row))}:{member.decode('utf-8', 'replace')}"

    def _text(self, row: int) -> str:
        return os.fsdecode(self.names[self.start[row] : self.start[row] + self.length[row]].tobytes())

    def read(self, row: int) -> bytes:
        """The content of one file. Raises ArchiveError or OSError."""
        kind = self.kind[row]
        path = self.path(row)
        length = int(self.length[row])
        if kind == OTHER:
            raise ArchiveError(
                "it is encrypted or packed by a method other than stored or deflated: unpack the archive"
            )
        if not 0 <= length <= LARGEST:
            raise ArchiveError(f"it is larger than {LARGEST >> 20} MiB")
        with open_file(path) as file:
            if kind == LOOSE:
                if os.fstat(file.fileno()).st_size > LARGEST:
                    raise ArchiveError(f"it is larger than {LARGEST >> 20} MiB")
                return file.read()
            file.seek(self.start[row])
            if kind in (STORED, DEFLATED):
                head = file.read(LOCAL_HEADER.size)
                if len(head) < LOCAL_HEADER.size or head[:4] != b"PK\x03\x04":
                    raise ArchiveError("the archive is damaged there, or was changed since it was listed")
                file.seek(sum(LOCAL_HEADER.unpack(head)[1:]), os.SEEK_CUR)
            data = file.read(length)
        if len(data) < length:
            raise ArchiveError("the archive is cut short")
        if kind != DEFLATED:
            return data
        try:
            unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
            content = unpacking.decompress(data, LARGEST)
            if unpacking.unconsumed_tail:
                raise ArchiveError(f"it unpacks to more than {LARGEST >> 20} MiB")
            if not unpacking.eof:
                raise ArchiveError("its packed data are cut short")
            return content
        except zlib.error as error:
            raise ArchiveError(f"its packed data are damaged ({error})") from error

    def content_key(self, row: int) -> tuple:
        """(CRC-32, length) of the content: equal for equal bytes.

        Free where a zip lists them, else the file is read.
        """
        if self.kind[row] in (STORED, DEFLATED, OTHER):
            return int(self.crc[row]), int(self.whole[row])
        data = self.read(row)
        return zlib.crc32(data), len(data) & FULL32


@dataclass
class Listing:
    """The members of one folder or archive: names as spans [starts, ends) of a buffer, and where they lie."""

    buffer: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    files: Files

    @classmethod
    def of_names(cls, names: list) -> tuple:
        """(buffer, starts, ends) of names given as bytes."""
        ends = np.cumsum([len(name) + 1 for name in names], dtype=np.int64) - 1
        starts = np.append(0, ends[:-1] + 1) if len(ends) else ends
        return as_bytes(b"\n".join(names)), starts.astype(np.int64), ends


def list_names(folder, names: list) -> Listing:
    """Loose files of one folder, given by their names as bytes."""
    buffer, starts, ends = Listing.of_names(names)
    return Listing(buffer, starts, ends, Files.one(folder, starts, ends - starts, LOOSE, names=buffer.tobytes()))


def list_tar(path) -> Listing:
    """A plain .tar; about 20 microseconds a member, since its headers lie all over the file.

    Raises ArchiveError, OSError.
    """
    names = []
    starts = []
    lengths = []
    last = -1
    try:
        with open_file(path) as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                if member.offset <= last or member.size < 0:  # it may lead back, round and round
                    raise ArchiveError("it is no readable tar (a size in it is negative)")
                last = member.offset
                if member.isreg() and not member.issparse():
                    names.append(os.fsencode(member.name))
                    starts.append(member.offset_data)
                    lengths.append(member.size)
                vars(archive)["members"] = []  # a million TarInfo would not fit
    except (tarfile.TarError, ValueError, EOFError, OverflowError, MemoryError, RecursionError) as error:
        if isinstance(error, ArchiveError):
            raise
        raise ArchiveError(f"it is no readable tar ({error})") from error
    buffer, begins, ends = Listing.of_names(names)
    return Listing(buffer, begins, ends, Files.one(path, starts, lengths, TAR))


def list_zip(path) -> Listing:
    """A .zip by its central directory, ZIP64 included; about a microsecond a member. Raises ArchiveError, OSError."""
    try:
        return _list_zip(path)
    except (IndexError, MemoryError, OverflowError, ValueError, struct.error) as error:
        # Numbers in it lead beyond it.
        if isinstance(error, ArchiveError):
            raise
        raise ArchiveError("its directory is damaged") from error


def _list_zip(path) -> Listing:
    directory, count, moved = _central_directory(path)
    records = _records(directory, count)
    buffer = as_bytes(directory)

    def field(at: int, size: int) -> np.ndarray:
        return np.sum([buffer[records + at + byte].astype(np.int64) << (8 * byte) for byte in range(size)], axis=0)

    compressed = field(20, 4)
    whole = field(24, 4)
    offset = field(42, 4)
    starts = records + 46
    ends = starts + field(28, 2)
    for row in np.flatnonzero((compressed == FULL32) | (whole == FULL32) | (offset == FULL32)):
        whole[row], compressed[row], offset[row] = _zip64(
            directory, int(ends[row]), int(records[row]), whole[row], compressed[row], offset[row]
        )
    method = np.full(FULL16 + 1, OTHER, np.uint8)
    method[list(METHODS)] = list(METHODS.values())
    kind = np.where(field(8, 2) & ENCRYPTED, OTHER, method[field(10, 2)])
    return Listing(
        buffer, starts, ends, Files.one(path, offset + moved, compressed, kind, field(16, 4), whole & FULL32)
    )


def _records(directory: bytes, count: int) -> np.ndarray:
    """Where each member's record begins in a central directory; a record tells only how long it is itself."""
    buffer = as_bytes(directory)
    marks = [buffer[place : len(buffer) - 3 + place] == value for place, value in enumerate(RECORD)]
    records = np.flatnonzero(marks[0] & marks[1] & marks[2] & marks[3])
    if len(records) == count and (not count or records[-1] + 46 <= len(buffer)):
        parts = [buffer[records + place].astype(np.int64) << (8 * (place % 2)) for place in range(28, 34)]
        lengths = 46 + np.sum(parts, axis=0)
        if np.array_equal(np.cumsum(lengths) - lengths, records) and lengths.sum() <= len(buffer):
            return records
    # A name or comment may hold the mark too: follow the records one by one.
    records = np.empty(count, np.int64)
    place = 0
    for number in range(count):
        if directory[place : place + 4] != RECORD or place + 46 > len(directory):
            raise ArchiveError("its directory is damaged")
        records[number] = place
        place += 46 + sum(struct.unpack_from("<HHH", directory, place + 28))
    if place > len(directory):
        raise ArchiveError("its directory is cut short")
    return records


def _central_directory(path) -> tuple:
    """(bytes of the central directory, number of members, how far the archive's offsets are off)."""
    with open_file(path) as file:
        length = file.seek(0, os.SEEK_END)
        begin = max(0, length - 22 - FULL16)
        file.seek(begin)
        tail = file.read()
        at = tail.rfind(END)
        if at < 0 or len(tail) < at + 22:
            raise ArchiveError("it is no zip, or cut short")
        count, size, offset = struct.unpack_from("<10xHII", tail, at)
        end = begin + at
        if at >= 20 and tail[at - 20 : at - 16] == PLACE64:
            file.seek(struct.unpack_from("<8xQ", tail, at - 20)[0])
            head = file.read(56)
            if len(head) < 56 or head[:4] != END64:
                raise ArchiveError("its ZIP64 directory is damaged")
            count, size, offset = struct.unpack_from("<32xQQQ", head)
            end -= 20 + 56
        moved = end - size - offset  # what was put before the archive, as self-extracting ones do
        if moved < 0 or size > min(length, DIRECTORY) or count * 46 > size:
            raise ArchiveError("its directory is damaged")
        file.seek(offset + moved)
        return file.read(size), count, moved


def _zip64(directory: bytes, extra: int, record: int, *values) -> list:
    """Whole size, compressed size and offset from a member's ZIP64 field, which holds those that don't fit in 32 bits,
    in this order.
    """
    end = extra + struct.unpack_from("<H", directory, record + 30)[0]
    while extra + 4 <= end:
        kind, size = struct.unpack_from("<HH", directory, extra)
        if kind == 1:
            wide = iter(struct.unpack_from(f"<{size // 8}Q", directory, extra + 4))
            return [next(wide, FULL32) if value == FULL32 else value for value in values]
        extra += 4 + size
    return list(values)
