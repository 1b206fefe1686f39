"""Bad texts: profiles of early rejection, albums, folders of labels, label.txt, TOML configs and tables, in odd encodings, types and sizes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from .goods import cut_out, encoded
from .inputs import Bad, Bench, maker
from .weights import BRACKETS, DIGITS, NOT_JSON, NUMBERS

ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "gbk", "cp037")
VALUES = (*NUMBERS, float("nan"), float("inf"), -1e9, "", "x" * 5000, [[]], [None], {"a": {"b": 1}}, 10**400, True, False)


def odd_file(bench: Bench, path: Path) -> None:
    """Something that is no regular file, or far too large, in the place of one."""
    kind = bench.pick(("pipe", "folder", "zeros", "circle", "huge"))
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(3 * 2**30)
    else:
        path.symlink_to({"zeros": "/dev/zero", "circle": path.name}[kind])


def damaged(bench: Bench, text: str) -> bytes:
    """A good text cut, encoded in another way, or with bytes that are none of it."""
    content = text.encode()
    place = bench.random.randrange(1, len(content))
    return bench.pick((
        lambda: content[:place], lambda: content[:place] + bytes([bench.pick((0, 0xFF, 0x80, 0x1B))]) + content[place:], lambda: (text + " # gr\u00fcn").encode(bench.pick(("latin-1", "utf-16-le", "cp037"))),
        lambda: bench.random.randbytes(2000), lambda: b"", lambda: content[:place] + BRACKETS.encode() + content[place:], lambda: content[:place] + DIGITS.encode() + content[place:], lambda: bytes(5000), lambda: content + content,
    ))()  # fmt: skip


# profiles of early rejection


def profile(bench: Bench, content: bytes | str) -> Bad:
    name = f"bad_{bench.random.randint(0, 99)}.gates.json"
    return Bad("profile", {"path": str(bench.write(name, content))}, (name,), {"path": str(bench.goods / "good.gates.json")})


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
def odd_gates(bench: Bench) -> Bad:
    values = good_profile(bench)
    gate = lambda progress, threshold: {"progress": progress, "threshold": threshold}
    values["gates"] = bench.pick(([gate(0, 0.5)], [gate(1, 0.5)], [gate(-1, 0.5)], [gate(0.5, 2)], [gate(0.5, -1)], [gate(float("nan"), 0.5)], [gate(0.5, float("nan"))], [gate("0.5", "0.1")], [gate(0.5, None)], [gate(0.5, 1e999)],
                                         [gate(0.5, 0.1)] * 100_000, [{"progress": 0.5}], [[0.5, 0.1]], ["a"], [gate(True, True)], [{**gate(0.5, 0.1), "more": 1}], [gate(0.5, 10**400)]))
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
    values[key] = bench.pick((values[key][:-1], [values[key]], values[key] * 2, [None] * len(values[key]), ["x"] * len(values[key]), [float("nan")] * len(values[key]), [[]], [10**400]))
    return profile(bench, json.dumps(values))


@maker("profiles")
def no_regular_file(bench: Bench) -> Bad:
    bad = profile(bench, "")
    odd_file(bench, Path(bad.arguments["path"]))
    return Bad(bad.target, bad.arguments, bad.names)


# albums: what is damaged is drawn again, so that an album with a damaged row has to come out as one without it


def album(bench: Bench, damage) -> Bad:
    """damage(path of an entry's row, its values) -> bytes or text of the bad row, or None where it has dealt with it."""
    folder, without = bench.folder / "album", bench.folder / "without"
    shutil.copytree(bench.goods / "album", folder)
    row = sorted((folder / "entries").glob("*.json"))[0]
    shutil.copytree(folder, without)
    (without / "entries" / row.name).unlink()
    content = damage(row, json.loads(row.read_text("utf-8")))
    if content is not None:
        row.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return Bad("album", {"folder": str(folder)}, (row.name, "album"), {"folder": str(without)})


@maker("albums")
def a_damaged_row(bench: Bench) -> Bad:
    return album(bench, lambda path, row: damaged(bench, json.dumps(row)))


@maker("albums")
def a_row_that_is_no_json(bench: Bench) -> Bad:
    return album(bench, lambda path, row: bench.pick(NOT_JSON))


@maker("albums")
def a_row_with_odd_values(bench: Bench) -> Bad:
    def damage(path, row):
        where = bench.pick((row, row["report"], row["report"]["attempts"][0], row["report"]["attempts"][0]["probabilities"]))
        where[bench.pick(sorted(where))] = bench.pick([value for value in VALUES if value not in (0, 1)])
        return json.dumps(row)

    return album(bench, damage)


@maker("albums")
def paths_that_leave_the_album(bench: Bench) -> Bad:
    def damage(path, row):
        row[bench.pick(("pictures", "thumbnails"))] = [bench.pick(("../../../etc/passwd", "/etc/passwd", "..", "a/b.png", "a\\b.png", "C:x.png", ".hidden.png", "x" * 300, "", "a\0.png", "\ud800.png"))]
        return json.dumps(row)

    return album(bench, damage)


@maker("albums")
def no_regular_row(bench: Bench) -> Bad:
    return album(bench, lambda path, row: odd_file(bench, path))


@maker("albums")
def a_damaged_list(bench: Bench) -> Bad:
    folder, without = bench.folder / "album", bench.folder / "without"
    shutil.copytree(bench.goods / "album", folder)
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
    return Bad("album", {"folder": str(folder)}, ("list.json", "album"), {"folder": str(without)})


# folders of labels: damaged lines of the journal are passed over


def journal(bench: Bench, more: bytes) -> Bad:
    """A folder of labels whose journal has some more lines, which must not change what it says."""
    folder, like = bench.folder / "labels", bench.folder / "like"
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
    return journal(bench, b"\n".join(damaged(bench, line)[:250_000] for _ in range(3)) if bench.random.random() < 0.7 else bench.pick(NOT_JSON).encode())


@maker("label folders")
def lines_with_odd_values(bench: Bench) -> Bad:
    record = json.loads(bench.pick(lines_of(bench)))
    record[bench.pick([key for key in record if key not in ("time", "blind", "verdict", "caption", "prompt", "product_id")])] = bench.pick([value for value in VALUES if value is not None])
    return journal(bench, json.dumps(record).encode())


@maker("label folders")
def verdicts_with_odd_values(bench: Bench) -> Bad:
    record = json.loads(next(line for line in lines_of(bench) if "verdict" in line))
    record["verdict"] = bench.pick((*VALUES, {"label": "available", "probability": bench.pick(VALUES)}, {"label": bench.pick(VALUES)}))
    return journal(bench, json.dumps(record).encode())


@maker("label folders")
def no_regular_journal(bench: Bench) -> Bad:
    bad = journal(bench, b"")
    odd_file(bench, Path(bad.arguments["folder"]) / "journal.jsonl")
    return Bad(bad.target, bad.arguments, bad.names)


@maker("label folders")
def keys_that_leave_the_folder(bench: Bench) -> Bad:
    record = json.loads(next(line for line in lines_of(bench) if "verdict" in line))
    record[bench.pick(("key", "product"))] = bench.pick(("../../../etc/passw", "/etc/passwd00000", "0123456789abcde/", "0123456789ABCDEF", "0123456789abcdef\n", "\u0660" * 16))
    return journal(bench, json.dumps(record).encode())


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
    return rf1m(bench, bench.pick((text.encode("utf-16"), text.encode("utf-32"), text.encode("cp037"), bytes(4000), bench.random.randbytes(4000), b"", b"\n" * 5000, b"p0.png" * 50_000)))


@maker("label files")
def names_that_are_not_there(bench: Bench) -> Bad:
    name = bench.pick(("../../etc/passwd", "/etc/passwd", "q{}.png", "p{}", "p{}.png extra", "x" * 5000, "p{}\0.png"))
    return rf1m(bench, "".join(f"{name.format(number)} available\n" for number in range(6)))


@maker("label files")
def no_regular_label_file(bench: Bench) -> Bad:
    bad = rf1m(bench, "")
    odd_file(bench, bench.folder / "set" / "label.txt")
    return bad


# TOML configs


def toml(value) -> str:
    """A value as TOML writes it; what it has no word for becomes a text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(toml(part) for part in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(part)}" for key, part in value.items()) + "}"
    return json.dumps("" if value is None else value)


RFNET = {"out": "out.safetensors", "architecture": "compact", "epochs": 2, "map_epochs": 1, "batch": 8, "lr": 1e-3, "minutes": 3.0, "limit": 10, "seed": 1, "precision": "no", "init": "random",
         "labels": 5, "scale": 0.5, "augment": True, "frozen": ["conv_stem"], "workers": 0, "save_every": 10, "weights": [], "smoothing": 0.05, "balance": 0.0, "weight_decay": 0.02, "backbone_lr": 3e-4, "tensorboard": False}


def rfft_values(bench: Bench) -> dict:
    goods = bench.goods
    return {"checkpoint": str(goods / "pocket_sd.safetensors"), "controlnet": str(goods / "pocket_canny.safetensors"), "products": str(goods / "shop"), "prompts": str(goods / "prompts.txt"), "folder": str(bench.folder / "out"), "name": "tuned",
            "reviewer": str(goods / "reviewer.safetensors"), "family": "pocket", "loras": [], "size": 128, "image_scale": 0.7, "steps": 2, "batch": 1, "accumulation": 1, "gradient_steps": 2, "last_steps": 4, "loss": "cc", "beta": 0.05, "lr": 1e-4,
            "warm_up": 1, "weight_decay": 0.0, "ema": 0.9, "rank": 2, "precision": "no", "half_base": False, "optimizer": "adamw", "sampling_steps": 4, "guidance": 1.5, "strength": 1.0, "null_prompt": "", "evaluate_every": 2, "evaluation_products": 1,
            "evaluation_seeds": 2, "diversity_loss": 0.3, "save_every": 1, "minimum_ap": 0.5, "force": False, "seed": 0, "checkpointing": True, "through_maps": True, "rollout_guidance": True}


def config(bench: Bench, kind: str, text: bytes | str, more: tuple = ()) -> Bad:
    name = f"bad_{bench.random.randint(0, 99)}.toml"
    return Bad(kind, {"path": str(bench.write(name, text))}, (name, *more), {"path": str(bench.write("good.toml", text_of(values_of(bench, kind))))})


def values_of(bench: Bench, kind: str) -> dict:
    table = [str(bench.goods / "table.jsonl")]
    return {"train": table, "val": table, **RFNET} if kind == "rfnet_config" else rfft_values(bench)


def text_of(values: dict) -> str:
    return "".join(f"{key} = {toml(value)}\n" for key, value in values.items())


def for_both_programs(function) -> None:
    """Makes one maker for each program's configs out of `function(bench, kind)`."""
    for kind, target in (("configs of rfnet", "rfnet_config"), ("configs of rfft", "rfft_config")):
        def make(bench: Bench, target=target) -> Bad:
            return function(bench, target)

        make.__name__ = function.__name__
        maker(kind)(make)


@for_both_programs
def a_key_of_another_type(bench: Bench, kind: str) -> Bad:
    values = values_of(bench, kind)
    key = bench.pick(sorted(values))
    fits = (int, float) if type(values[key]) is float else type(values[key])
    values[key] = bench.pick([value for value in VALUES if isinstance(value, bool) or not isinstance(value, fits)])
    return config(bench, kind, text_of(values), (key,))


@for_both_programs
def a_number_out_of_bounds(bench: Bench, kind: str) -> Bad:
    values = values_of(bench, kind)
    key = bench.pick([key for key, value in values.items() if isinstance(value, (int, float)) and not isinstance(value, bool)])
    values[key] = bench.pick((-1, -0.5, 10**19, 1e300, float("nan"), float("inf"), -float("inf"), 10**400))
    return config(bench, kind, text_of(values), (key,))


@for_both_programs
def a_damaged_config(bench: Bench, kind: str) -> Bad:
    return config(bench, kind, damaged(bench, text_of(values_of(bench, kind))), ("config", "product", "prompts", "folder", "data", "table"))


@for_both_programs
def an_odd_line(bench: Bench, kind: str) -> Bad:
    line = bench.pick(('train = "C:\\Users\\me"', "x = [" * 5000, "steps = " + "9" * 5000, "a" * 3000 + " = 1", "[table]\na = 1", "seed = 1\nseed = 2", "= 3", "steps = 2 3", "seed = 0x" + "f" * 4000, "\u00e9 = 1", '"" = 1', "lr = 1e9999", "seed = 2020-01-01", 'name = """', "seed.a = 1", "__class__ = 1"))
    return config(bench, kind, text_of(values_of(bench, kind)) + line + "\n", ("users", "seed", "unknown"))


@for_both_programs
def a_table_where_none_belongs(bench: Bench, kind: str) -> Bad:
    values = values_of(bench, kind)
    key = "architecture" if kind == "rfnet_config" else "loras"
    lora = lambda **more: [{"file": str(bench.goods / "lora.safetensors"), **more}]
    values[key] = bench.pick(
        ({"width": "x"}, {"heads": 0}, {"width": 130, "heads": 8}, {"backbone": "hf_hub:a/b"}, {"backbone": "../../etc"}, {"unknown": 1}, {"inputs": []}, {"text": "open_clip/local-dir:/etc"}, {"map_size": 10**9}, "none", "", {"fusion_layers": 10**9})
        if key == "architecture" else
        (lora(strength="x"), lora(strength=float("nan")), lora(more=1), [{"strength": 1.0}], [{"file": 7}], ["a.safetensors"], lora(strength=1e300), [{"file": "../../etc/passwd"}] * 1000, {"file": "x"}, [[]])
    )
    return config(bench, kind, text_of(values), (key, "lora", "heads", "width", "map_size", "inputs", "backbone", "text", "layers"))


@for_both_programs
def paths_that_are_none(bench: Bench, kind: str) -> Bad:
    values = values_of(bench, kind)
    key = bench.pick(("train", "val", "weights", "estimator") if kind == "rfnet_config" else ("products", "prompts", "folder", "name", "checkpoint", "reviewer"))
    value = bench.pick(("", "a\0b", "x" * 5000, "../../../etc/passwd", "\u202etxt", "/dev/zero", "~/x", "http://127.0.0.1/x", "con", "a\nb"))
    values[key] = [value] if isinstance(values.get(key), list) else value
    return config(bench, kind, text_of(values), (key,))


@for_both_programs
def no_regular_config(bench: Bench, kind: str) -> Bad:
    bad = config(bench, kind, "")
    odd_file(bench, Path(bad.arguments["path"]))
    return Bad(bad.target, bad.arguments, bad.names)


@maker("configs of rfft")
def prompts_that_are_none(bench: Bench) -> Bad:
    values = rfft_values(bench)
    path = bench.write("prompts.txt", bench.pick((b"", b"\n\n# only a note\n", "gr\u00fcn".encode("latin-1"), bytes(3000), "{caption}".encode("utf-32"), b"x" * 3_000_000, b"{caption.__class__}", b"{" * 5000)))
    if bench.random.random() < 0.4:
        odd_file(bench, path)
    values["prompts"] = str(path)
    return config(bench, "rfft_config", text_of(values), ("prompts.txt",))


# tables of pictures


def table(bench: Bench, name: str, content: bytes | str) -> Bad:
    bench.write("drawn.png", encoded(cut_out().convert("RGB"), "PNG"))
    bench.write("product.png", encoded(cut_out(), "PNG"))
    bench.write("broken.png", encoded(cut_out(), "PNG")[:90])
    bench.write(name, content)
    return Bad("sample", {"table": str(bench.folder / name)}, (name, "drawn.png", "product.png", "broken.png", "pipe.png"))


GOOD_ROW = {"image": "drawn.png", "product": "product.png", "label": "available", "caption": "ein gr\u00fcner Becher"}


def csv_of(rows: list, cut: str = ",") -> str:
    return "\n".join([cut.join(GOOD_ROW), *(cut.join(str(row.get(name, "")) for name in GOOD_ROW) for row in rows)]) + "\n"


@maker("tables")
def a_csv_in_another_encoding(bench: Bench) -> Bad:
    caption = bench.pick(("\u7ea2\u8272\u676f\u5b50", "gr\u00fcn"))
    encoding = bench.pick(("gbk", "utf-16-le", "utf-32", "cp037", "gb18030") if caption[0] != "g" else ("latin-1", "utf-16-le", "utf-32", "cp037", "cp1252"))
    return table(bench, "bad.csv", csv_of([{**GOOD_ROW, "caption": caption}]).encode(encoding))


@maker("tables")
def a_csv_that_is_none(bench: Bench) -> Bad:
    return table(bench, "bad.csv", bench.pick((b"", b"\n", b"\0" * 3000, b"image,product\n", b"image,image,label\n", b"image;product;label", bench.random.randbytes(3000), b'"' * 200_001, b"image,product,label\n" + b'"' + b"x" * 300_000, b"label\navailable\n")))


@maker("tables")
def a_csv_with_odd_cells(bench: Bench) -> Bad:
    row = {**GOOD_ROW, bench.pick(("image", "product", "label")): bench.pick(("", "../../etc/passwd", "/etc/passwd", "C:\\x.png", "x" * 5000, "broken.png", "a\0b", "missing.png", "7", "none", "=cmd()", ".", "\\\\server\\x.png", "http://127.0.0.1/x.png"))}
    return table(bench, "bad.csv", csv_of([GOOD_ROW, row]))


@maker("tables")
def a_jsonl_in_another_encoding(bench: Bench) -> Bad:
    text = json.dumps(GOOD_ROW, ensure_ascii=False) + "\n"
    return table(bench, "bad.jsonl", text.encode(bench.pick(("utf-16-le", "utf-32", "latin-1", "cp037"))))


@maker("tables")
def a_jsonl_with_odd_lines(bench: Bench) -> Bad:
    line = bench.pick((*NOT_JSON[1:], json.dumps({**GOOD_ROW, "image": bench.pick(VALUES)}), json.dumps({**GOOD_ROW, "label": bench.pick([value for value in VALUES if value not in (0, 1, 3)])}), json.dumps({**GOOD_ROW, "product": "broken.png"})))
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
