"""Bad tables of labelled pictures, and bad label.txt files in RF1M's layout."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from .goods import cut_out, encoded
from .inputs import Bad, Bench, maker
from .texts import VALUES, odd_file
from .weights import DIGITS, NOT_JSON

# label.txt of RF1M


def rf1m(bench: Bench, text: bytes | str) -> Bad:
    for number in range(6):
        bench.write(f"set/image/p{number}.png", encoded(cut_out(40, 40).convert("RGB"), "PNG"))
        bench.write(f"set/product/p{number}.png", encoded(cut_out(40, 40), "PNG"))
    bench.write("set/label.txt", text)
    return Bad("rf1m", {"folder": str(bench.folder / "set")}, ("label.txt", "labels", "set"))


@maker("label files")
def numbers_that_are_another_counting(bench: Bench) -> Bad:
    first = bench.pick((1, 1, 2, -1, 10))
    return rf1m(bench, "".join(f"p{number}.png {first + number}\n" for number in range(6)))


@maker("label files")
def labels_that_are_none(bench: Bench) -> Bad:
    words = bench.pick(("good", "0.0", "", "available,", "x" * 9000, DIGITS, "\u0663", "nan", "None"))
    return rf1m(bench, "".join(f"p{number}.png {words}\n" for number in range(6)))


@maker("label files")
def odd_encodings(bench: Bench) -> Bad:
    text = "".join(f"p{number}.png available\n" for number in range(6)) + "gr\u00fcn.png available\n"
    return rf1m(
        bench,
        bench.pick(
            (
                text.encode("utf-16"),
                text.encode("utf-32"),
                text.encode("cp037"),
                bytes(4000),
                bench.random.randbytes(4000),
                b"",
                b"\n" * 5000,
                b"p0.png" * 50_000,
            )
        ),
    )


@maker("label files")
def names_that_are_not_there(bench: Bench) -> Bad:
    name = bench.pick(("../../etc/passwd", "/etc/passwd", "q{}.png", "p{}", "p{}.png extra", "x" * 5000, "p{}\0.png"))
    return rf1m(bench, "".join(f"{name.format(number)} available\n" for number in range(6)))


@maker("label files")
def no_regular_label_file(bench: Bench) -> Bad:
    bad = rf1m(bench, "")
    odd_file(bench, bench.folder / "set" / "label.txt")
    return bad


# tables of pictures


def table(bench: Bench, name: str, content: bytes | str) -> Bad:
    bench.write("drawn.png", encoded(cut_out().convert("RGB"), "PNG"))
    bench.write("product.png", encoded(cut_out(), "PNG"))
    bench.write("broken.png", encoded(cut_out(), "PNG")[:90])
    bench.write(name, content)
    return Bad(
        "sample",
        {"table": str(bench.folder / name)},
        (name, "drawn.png", "product.png", "broken.png", "pipe.png"),
    )


def like(bad: Bad, good: Path) -> Bad:
    """The same input, which has to be read as the table `good` if it is accepted."""
    return replace(bad, like={"table": str(good)})


GOOD_ROW = {"image": "drawn.png", "product": "product.png", "label": "available", "caption": "ein gr\u00fcner Becher"}


def csv_of(rows: list, cut: str = ",") -> str:
    return (
        "\n".join([cut.join(GOOD_ROW), *(cut.join(str(row.get(name, "")) for name in GOOD_ROW) for row in rows)]) + "\n"
    )


@maker("tables")
def a_csv_in_another_encoding(bench: Bench) -> Bad:
    caption, *encodings = bench.pick(
        (
            ("\u7ea2\u8272\u676f\u5b50", "gbk", "utf-16-le", "utf-32", "gb18030"),
            ("gr\u00fcn", "latin-1", "utf-16-le", "utf-32", "cp037", "cp1252"),
        )
    )
    text = csv_of([{**GOOD_ROW, "caption": caption}])
    return like(table(bench, "bad.csv", text.encode(bench.pick(encodings))), bench.write("good.csv", text))


@maker("tables")
def a_csv_that_is_none(bench: Bench) -> Bad:
    return table(
        bench,
        "bad.csv",
        bench.pick(
            (
                b"",
                b"\n",
                b"\0" * 3000,
                b"image,product\n",
                b"image,image,label\n",
                b"image;product;label",
                bench.random.randbytes(3000),
                b'"' * 200_001,
                b"image,product,label\n" + b'"' + b"x" * 300_000,
                b"label\navailable\n",
            )
        ),
    )


@maker("tables")
def a_csv_with_odd_cells(bench: Bench) -> Bad:
    row = {
        **GOOD_ROW,
        bench.pick(("image", "product", "label")): bench.pick(
            (
                "",
                "../../etc/passwd",
                "/etc/passwd",
                "C:\\x.png",
                "x" * 5000,
                "broken.png",
                "a\0b",
                "missing.png",
                "7",
                "none",
                "=cmd()",
                ".",
                "\\\\server\\x.png",
                "http://127.0.0.1/x.png",
            )
        ),
    }
    return table(bench, "bad.csv", csv_of([GOOD_ROW, row]))


@maker("tables")
def a_jsonl_in_another_encoding(bench: Bench) -> Bad:
    text = json.dumps(GOOD_ROW, ensure_ascii=False) + "\n"
    bad = table(bench, "bad.jsonl", text.encode(bench.pick(("utf-16-le", "utf-32", "latin-1", "cp037"))))
    return like(bad, bench.write("good.jsonl", text))


@maker("tables")
def a_jsonl_with_odd_lines(bench: Bench) -> Bad:
    line = bench.pick(
        (
            *NOT_JSON[1:],
            json.dumps({**GOOD_ROW, "image": bench.pick(VALUES)}),
            json.dumps({**GOOD_ROW, "label": bench.pick([value for value in VALUES if value not in (0, 1, 3)])}),
            json.dumps({**GOOD_ROW, "product": "broken.png"}),
        )
    )
    return table(bench, "bad.jsonl", json.dumps(GOOD_ROW) + "\n" + line.replace("\n", " ") + "\n")


@maker("tables")
def a_table_that_is_no_regular_file(bench: Bench) -> Bad:
    name = bench.pick(("bad.csv", "bad.jsonl", "bad.tsv"))
    bad = table(bench, name, "")
    odd_file(bench, bench.folder / name)
    return bad


@maker("tables")
def a_pipe_in_a_table(bench: Bench) -> Bad:
    bad = table(bench, "bad.csv", csv_of([GOOD_ROW, {**GOOD_ROW, bench.pick(("image", "product")): "pipe.png"}]))
    os.mkfifo(bench.folder / "pipe.png")
    return bad
