"""The manifest: a table of all attempts in Parquet parts, in which no job is twice, whatever was killed meanwhile.

    records/0123456789abcdef.json    a job that is done and in no part yet; its worker wrote it last, after its pictures
    manifest/part-000001.parquet     one row per attempt of some hundred jobs; whole or not there
    pages/000001-1.html              the same jobs for people

Workers write records, and one process, the driver, turns them into parts: it writes a part, then deletes its records.
Killed between the two, it finds both; the part counts. Without pyarrow a part is a .jsonl of the same rows, and becomes
Parquet in the first run that has it.
"""

from __future__ import annotations

import importlib.util
import io
import json
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

from ..rfnet.files import quoted
from .page import gallery_pages
from .records import COLUMNS, COUNTED, rows_of
from .storage import Storage
from .summary import Totals

PART = 500  # jobs
NAME = re.compile(r"part-(\d{6,})\.(parquet|jsonl)")


class ManifestError(ValueError):
    """A part can't be read; the message names it and says what to do."""


class Manifest:
    """`manifest.open()`, then for each record `manifest.add(record)`, and `manifest.flush()` now and then.

    readonly: what opening finds left over stays.
    """

    def __init__(self, out: Storage, title: str = "catalogue", readonly: bool = False):
        self.out, self.title, self.readonly = out, title, readonly
        self.done: set[int] = set()
        self.totals = Totals()
        self.parts: list[int] = []
        self.pending: list[dict] = []
        self.flushed = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the last part."""
        return time.monotonic() - self.flushed

    def open(self) -> Manifest:
        """Reads what is there: parts, then records that are in none."""
        names = [(int(found[1]), found[2]) for name in self.out.names("manifest") if (found := NAME.fullmatch(name))]
        kinds: dict[int, list[str]] = {}
        for number, kind in names:
            kinds.setdefault(number, []).append(kind)
        for number in sorted(kinds):
            self._take(number, kinds[number])
        for name in self.out.names("records"):
            key = name.removesuffix(".json")
            if self.is_done(key):
                self._delete(f"records/{name}")
            elif record := self._record(name):
                self.add(record)
        return self

    def is_done(self, key: str) -> bool:
        return int(key, 16) in self.done

    def add(self, record: dict) -> bool:
        """Whether the record is new; one whose job is done is left out."""
        if self.is_done(record["key"]):
            return False
        self.done.add(int(record["key"], 16))
        self.totals.add(rows_of(record))
        self.pending.append(record)
        return True

    def flush(self) -> None:
        """The records that were added become a part and its pages. Raises OSError; nothing is lost then."""
        self.flushed = time.monotonic()
        if not self.pending:
            return
        number = max(self.parts, default=0) + 1
        records = sorted(self.pending, key=lambda record: (record["line"], record["key"]))
        rows = [row for record in records for row in rows_of(record)]
        for name, page in gallery_pages(number, records, self.title).items():
            self.out.write(name, page)
        kind = "parquet" if has_pyarrow() else "jsonl"
        self.out.write(f"manifest/part-{number:06d}.{kind}", ENCODE[kind](rows))
        self.parts.append(number)
        self.pending = []
        self.out.delete(f"records/{record['key']}.json" for record in records)

    def _take(self, number: int, kinds: list[str]) -> None:
        stem = f"manifest/part-{number:06d}"
        if "parquet" in kinds and "jsonl" in kinds:  # killed while it was turned into Parquet
            self._delete(f"{stem}.jsonl")
        kind = "parquet" if "parquet" in kinds else "jsonl"
        content = self.out.read(f"{stem}.{kind}")
        try:
            rows = list(COUNT[kind](content))
            keys = [int(row["key"], 16) for row in rows]
        except ImportError:
            raise
        except Exception as error:
            raise ManifestError(
                f"{quoted(self.out.where(f'{stem}.{kind}'))} is damaged ({str(error)[:100]}): copy it from a backup, or"
                " delete it, and its products are drawn again."
            ) from error
        if kind == "jsonl" and has_pyarrow() and not self.readonly:
            self.out.write(f"{stem}.parquet", to_parquet([json.loads(line) for line in content.splitlines()]))
            self.out.delete([f"{stem}.jsonl"])
        self.parts.append(number)
        self.done.update(keys)
        self.totals.add(rows)

    def _record(self, name: str) -> dict | None:
        """None where it is damaged: its job is then done again."""
        try:
            record = json.loads(self.out.read(f"records/{name}"))
            rows_of(record)
            return record if f"{record['key']}.json" == name else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            with suppress(OSError):
                self._delete(f"records/{name}")
            return None

    def _delete(self, name: str) -> None:
        if not self.readonly:
            self.out.delete([name])


def has_pyarrow() -> bool:
    return importlib.util.find_spec("pyarrow") is not None


def schema():
    import pyarrow as pa

    return pa.schema([(name, pa.type_for_alias(kind)) for name, kind in COLUMNS])


def to_parquet(rows: list[dict]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows, schema()), file, compression="zstd")
    return file.getvalue()


def to_jsonl(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8", "replace")


def counted_of_parquet(content: bytes) -> Iterator[dict]:
    from pyarrow import parquet

    table = parquet.read_table(io.BytesIO(content), columns=list(COUNTED))
    columns = (table.column(name).to_pylist() for name in COUNTED)
    return (dict(zip(COUNTED, values)) for values in zip(*columns))


def counted_of_jsonl(content: bytes) -> Iterable[dict]:
    return (json.loads(line) for line in content.splitlines())


ENCODE = {"parquet": to_parquet, "jsonl": to_jsonl}
COUNT = {"parquet": counted_of_parquet, "jsonl": counted_of_jsonl}
