"""Bad profiles of early rejection, galleries and folders of labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from .inputs import Bad, Bench, maker
from .texts import VALUES, damaged, odd_file
from .weights import NOT_JSON

# profiles of early rejection


def profile(bench: Bench, content: bytes | str) -> Bad:
    name = f"bad_{bench.random.randint(0, 99)}.gates.json"
    return Bad(
        "profile",
        {"path": str(bench.write(name, content))},
        (name,),
        {"path": str(bench.goods / "good.gates.json")},
    )


def good_profile(bench: Bench) -> dict:
    return json.loads((bench.goods / "good.gates.json").read_text("utf-8"))


@maker("profiles")
def a_damaged_text(bench: Bench) -> Bad:
    return profile(bench, damaged(bench, (bench.goods / "good.gates.json").read_text("utf-8")))


@maker("profiles")
def no_json(bench: Bench) -> Bad:
    return profile(bench, bench.pick(NOT_JSON))


@maker("profiles")
def a_field_of_another_type(bench: Bench) -> Bad:
    values = good_profile(bench)
    values[bench.pick(sorted(values))] = bench.pick(VALUES)
    return profile(bench, json.dumps(values))


@maker("profiles")
def fields_missing_or_unknown(bench: Bench) -> Bad:
    values = good_profile(bench)
    if bench.random.random() < 0.6:
        values.pop(bench.pick(sorted(values)))
    else:
        values[bench.pick(("more", "__class__", "x" * 5000, ""))] = 1
    return profile(bench, json.dumps(values))


@maker("profiles")
def odd_thresholds(bench: Bench) -> Bad:
    values = good_profile(bench)

    def threshold_at(progress, threshold):
        return {"progress": progress, "threshold": threshold}

    values["gates"] = bench.pick(
        (
            [threshold_at(0, 0.5)],
            [threshold_at(1, 0.5)],
            [threshold_at(-1, 0.5)],
            [threshold_at(0.5, 2)],
            [threshold_at(0.5, -1)],
            [threshold_at(float("nan"), 0.5)],
            [threshold_at(0.5, float("nan"))],
            [threshold_at("0.5", "0.1")],
            [threshold_at(0.5, None)],
            [threshold_at(0.5, 1e999)],
            [threshold_at(0.5, 0.1)] * 100_000,
            [{"progress": 0.5}],
            [[0.5, 0.1]],
            ["a"],
            [threshold_at(True, True)],
            [{**threshold_at(0.5, 0.1), "more": 1}],
            [threshold_at(0.5, 10**400)],
        )
    )
    return profile(bench, json.dumps(values))


@maker("profiles")
def odd_settings(bench: Bench) -> Bad:
    values = good_profile(bench)
    values["settings"][bench.pick(sorted(values["settings"]))] = bench.pick(VALUES)
    return profile(bench, json.dumps(values))


@maker("profiles")
def draws_that_do_not_fit(bench: Bench) -> Bad:
    values = good_profile(bench)
    key = bench.pick(("scores", "accepted", "groups", "progress", "preview"))
    values[key] = bench.pick(
        (
            values[key][:-1],
            [values[key]],
            values[key] * 2,
            [None] * len(values[key]),
            ["x"] * len(values[key]),
            [float("nan")] * len(values[key]),
            [[]],
            [10**400],
        )
    )
    return profile(bench, json.dumps(values))


@maker("profiles")
def no_regular_file(bench: Bench) -> Bad:
    bad = profile(bench, "")
    odd_file(bench, Path(bad.arguments["path"]))
    return Bad(bad.target, bad.arguments, bad.names)


# galleries: what is damaged is drawn again, so that one with a damaged row has to come out as one without it


def gallery(bench: Bench, damage) -> Bad:
    """damage(path of a job's row, its values) -> bytes or text of the bad row, or None where it has dealt with
    it."""
    folder = bench.folder / "gallery"
    without = bench.folder / "without"
    shutil.copytree(bench.goods / "gallery", folder)
    row = sorted((folder / "entries").glob("*.json"))[0]
    shutil.copytree(folder, without)
    (without / "entries" / row.name).unlink()
    content = damage(row, json.loads(row.read_text("utf-8")))
    if content is not None:
        row.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return Bad("gallery", {"folder": str(folder)}, (row.name, "gallery"), {"folder": str(without)})


@maker("galleries")
def a_damaged_row(bench: Bench) -> Bad:
    return gallery(bench, lambda path, row: damaged(bench, json.dumps(row)))


@maker("galleries")
def a_row_that_is_no_json(bench: Bench) -> Bad:
    return gallery(bench, lambda path, row: bench.pick(NOT_JSON))


@maker("galleries")
def a_row_with_odd_values(bench: Bench) -> Bad:
    def damage(path, row):
        where = bench.pick(
            (
                row,
                row["report"],
                row["report"]["attempts"][0],
                row["report"]["attempts"][0]["probabilities"],
            )
        )
        where[bench.pick(sorted(where))] = bench.pick([value for value in VALUES if value not in (0, 1)])
        return json.dumps(row)

    return gallery(bench, damage)


@maker("galleries")
def paths_that_leave_the_gallery(bench: Bench) -> Bad:
    def damage(path, row):
        row[bench.pick(("pictures", "thumbnails"))] = [
            bench.pick(
                (
                    "../../../etc/passwd",
                    "/etc/passwd",
                    "..",
                    "a/b.png",
                    "a\\b.png",
                    "C:x.png",
                    ".hidden.png",
                    "x" * 300,
                    "",
                    "a\0.png",
                    "\ud800.png",
                )
            )
        ]
        return json.dumps(row)

    return gallery(bench, damage)


@maker("galleries")
def no_regular_row(bench: Bench) -> Bad:
    return gallery(bench, lambda path, row: odd_file(bench, path))


@maker("galleries")
def a_damaged_list(bench: Bench) -> Bad:
    folder = bench.folder / "gallery"
    without = bench.folder / "without"
    shutil.copytree(bench.goods / "gallery", folder)
    shutil.copytree(folder, without)
    (without / "list.json").unlink()
    path = folder / "list.json"
    values = json.loads(path.read_text("utf-8"))
    kind = bench.pick(("damaged", "no json", "odd", "odd file"))
    if kind == "odd file":
        odd_file(bench, path)
    elif kind == "odd":
        values[bench.pick(("entries", "broken"))] = bench.pick(VALUES)
        path.write_text(json.dumps(values))
    else:
        path.write_bytes(damaged(bench, json.dumps(values)) if kind == "damaged" else bench.pick(NOT_JSON).encode())
    return Bad("gallery", {"folder": str(folder)}, ("list.json", "gallery"), {"folder": str(without)})


# folders of labels: damaged lines of the journal are passed over


def journal(bench: Bench, more: bytes) -> Bad:
    """A folder of labels whose journal has some more lines, which must not change what it says."""
    folder = bench.folder / "labels"
    like = bench.folder / "like"
    for copy in (folder, like):
        shutil.copytree(bench.goods / "labels", copy)
    with open(folder / "journal.jsonl", "ab") as file:
        file.write(b"\n" + more)
    return Bad("labels", {"folder": str(folder)}, ("journal", "labels"), {"folder": str(like)})


def lines_of(bench: Bench) -> list:
    return [line for line in (bench.goods / "labels" / "journal.jsonl").read_text("utf-8").split("\n") if line]


@maker("label folders")
def damaged_lines(bench: Bench) -> Bad:
    line = bench.pick(lines_of(bench))
    return journal(
        bench,
        (
            b"\n".join(damaged(bench, line)[:250_000] for _ in range(3))
            if bench.random.random() < 0.7
            else bench.pick(NOT_JSON).encode()
        ),
    )


@maker("label folders")
def lines_with_odd_values(bench: Bench) -> Bad:
    record = json.loads(bench.pick(lines_of(bench)))
    record[
        bench.pick(
            [key for key in record if key not in ("time", "blind", "verdict", "caption", "prompt", "product_id")]
        )
    ] = bench.pick([value for value in VALUES if value is not None])
    return journal(bench, json.dumps(record).encode())


@maker("label folders")
def verdicts_with_odd_values(bench: Bench) -> Bad:
    record = json.loads(next(line for line in lines_of(bench) if "verdict" in line))
    record["verdict"] = bench.pick(
        (
            *VALUES,
            {"label": "available", "probability": bench.pick(VALUES)},
            {"label": bench.pick(VALUES)},
        )
    )
    return journal(bench, json.dumps(record).encode())


@maker("label folders")
def no_regular_journal(bench: Bench) -> Bad:
    bad = journal(bench, b"")
    odd_file(bench, Path(bad.arguments["folder"]) / "journal.jsonl")
    return Bad(bad.target, bad.arguments, bad.names)


@maker("label folders")
def keys_that_leave_the_folder(bench: Bench) -> Bad:
    record = json.loads(next(line for line in lines_of(bench) if "verdict" in line))
    record[bench.pick(("key", "product"))] = bench.pick(
        (
            "../../../etc/passw",
            "/etc/passwd00000",
            "0123456789abcde/",
            "0123456789ABCDEF",
            "0123456789abcdef\n",
            "\u0660" * 16,
        )
    )
    return journal(bench, json.dumps(record).encode())
