"""The rows of a CSV table as a spreadsheet shows them; what the csv module would pass over in silence is said."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator

DELIMITERS = ",;\t"


class TableError(ValueError):
    """A table that can't be read at all: how a sentence about it goes on."""


def read_csv(file, delimiter: str | None = None, lower: bool = False) -> tuple[list[str], Iterator[tuple]]:
    """(names of the columns, an iterator over the rows: (the line where it begins, {column: value}, or how a sentence
    about that line goes on)).

    file: a text that was opened with newline=""; delimiter: else the first line tells it; lower: names in lower case.
    Rows without any value are passed over. Raises TableError where a column is named twice, and, while rows are read,
    where a quote never closes.
    """
    first = file.readline()
    before = 1
    if told := re.fullmatch(r'"?sep=(.)"?\s*', first):  # the line by which Excel is told the separator
        delimiter, first, before = told[1], file.readline(), 2
    bare = re.sub(r'"[^"]*"', "", first)
    delimiter = delimiter or max(DELIMITERS, key=bare.count)
    names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    names = [name.lower() for name in names] if lower else names
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise TableError(f"names the column {twice[0]} twice: keep one of them.")
    return names, _rows(file, delimiter, names, before)


def _rows(file, delimiter: str, names: list[str], before: int) -> Iterator[tuple]:
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    while True:
        line = before + reader.line_num + 1
        try:
            values = next(reader, None)
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise TableError(
                    f"opens a quote in line {line} that never closes, so that all that follows is inside it: close it,"
                    ' and write quotes inside a text twice ("").'
                ) from error
            yield line, f"can't be read ({error}): look at its quotes"
            continue
        if values is None:
            return
        if any(value.strip() for value in values[len(names) :]):
            sign = "tabs" if delimiter == "\t" else f'"{delimiter}"'
            yield line, f"has {len(values)} values and the table {len(names)} columns: put texts with {sign} in quotes"
        elif any(value.strip() for value in values):
            yield line, dict(zip(names, values))
