"""Bad weights: reviewers, adapters, LoRAs and pocket files, each a safetensors file whose header, metadata or tensors
were changed by hand."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import numpy as np

from .goods import head_of
from .inputs import Bad, Bench, maker

KINDS = {"reviewers": ("reviewer",), "adapters": ("adapter", "merged"), "loras": ("lora",), "pocket files": ("pocket",)}
FILES = {"reviewer": "reviewer", "adapter": "adapter", "merged": "adapter", "lora": "lora", "pocket": "pocket_sd"}
DIGITS = "9" * 5000
BRACKETS = "[" * 200_000
NUMBERS = (0, -1, 1, 3, 10**9, 10**19, 2**63, 1e300, 0.5, -0.0, True, None, "7", "seven", [], [8], {}, {"a": 1})
NOT_JSON = (
    "",
    "null",
    "[]",
    "0",
    '"text"',
    "{",
    "{}",
    "nan",
    "NaN",
    "[1, 2]",
    "{'a': 1}",
    '{"a": 1, "a": 2}',
    BRACKETS,
    '{"a": ' * 90_000,
    DIGITS,
    "1e999",
    "\x00",
    "tr\u00fce",
    '{"__proto__": 1}',
    "true",
)
TEXTS = (
    "",
    " ",
    "nan",
    "inf",
    "-1",
    "0",
    "1e400",
    "1_000",
    "\u0663",
    "\u00b2",
    "0x10",
    DIGITS,
    "9" * 400,
    "-0.5",
    "null",
    "[1]",
    "1.5.2",
    "True",
    "1e-400",
)
NAMES = (
    "hf_hub:timm/resnet18.a1_in1k",
    "hf-hub:timm/resnet18",
    "open_clip/hf-hub:laion/CLIP-ViT-B-32",
    "open_clip/local-dir:/etc",
    "local-dir:/etc",
    "../../etc/passwd",
    "/etc/passwd",
    "",
    " ",
    "resnet18",
    "vit_giant_patch14_dinov2",
    "efficientnet_l2",
    "open_clip/ViT-bigG-14",
    "open_clip/../../x",
    "open_clip/",
    "roberta",
    "x" * 5000,
    "a\nb",
    "__class__",
    "timm/resnet18",
    "tf_efficientnet_lite0.in1k",
    "os.system",
    "small\0",
    "\U0001f600",
)


def built(header, data: bytes, length: int | None = None) -> bytes:
    """A safetensors file. header: a dict, or the bytes themselves; length: what the file says of it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def source(bench: Bench, target: str) -> Path:
    name = FILES[target]
    return bench.goods / f"{'pocket_canny' if target == 'pocket' and bench.random.random() < 0.3 else name}.safetensors"


def arguments(bench: Bench, target: str, path: Path, of: str) -> dict:
    goods = bench.goods
    if target == "pocket":
        files = {"checkpoint": goods / "pocket_sd.safetensors", "controlnet": goods / "pocket_canny.safetensors"}
        files["controlnet" if of.startswith("pocket_canny") else "checkpoint"] = path
        return {name: str(file) for name, file in files.items()}
    more = {
        "reviewer": {},
        "adapter": {"base": goods / "pocket_canny.safetensors"},
        "merged": {"base": goods / "pocket_canny.safetensors"},
        "lora": {"family": goods},
    }[target]
    return {"path": str(path), **{name: str(value) for name, value in more.items()}}


def changed(bench: Bench, targets: tuple, change) -> Bad:
    """A good file after `change(header, data)` -> bytes of the bad one."""
    target = bench.pick(targets)
    good = source(bench, target)
    name = f"bad_{bench.random.randint(0, 99)}.safetensors"
    path = bench.write(name, change(*head_of(good)))
    return Bad(target, arguments(bench, target, path, good.name), (name,), arguments(bench, target, good, good.name))


def for_each_kind(function) -> None:
    """Makes one maker of each kind of weights out of `function(bench, targets)`."""
    for kind, targets in KINDS.items():

        def make(bench: Bench, targets=targets) -> Bad:
            return function(bench, targets)

        make.__name__ = function.__name__
        maker(kind)(make)


def tensors_of(header: dict) -> list:
    return sorted(key for key in header if key != "__metadata__")


@for_each_kind
def a_broken_header(bench: Bench, targets: tuple) -> Bad:
    def change(header, data):
        text = json.dumps(header).encode()
        return bench.pick(
            (
                lambda: b"",
                lambda: bytes(7),
                lambda: built(header, data, 2**63),
                lambda: built(header, data, 0),
                lambda: built(header, data, len(text) - 1),
                lambda: built(header, data, 10**8),
                lambda: built(b"{" * 1000, data),
                lambda: built(b"[" * 200_000, data),
                lambda: built(b"[]", data),
                lambda: built(b"null", data),
                lambda: built(b"\xff\xfe" * 50, data),
                lambda: built(text.replace(b'"dtype"', b'"typ"'), data),
                lambda: b"\x80\x04\x95" + bytes(200),
                lambda: b"PK\x03\x04" + bytes(200),
                lambda: b"GGUF" + bytes(200),
                lambda: b"hello, I am no model",
                lambda: bench.random.randbytes(4000),
            )
        )()

    return changed(bench, targets, change)


@for_each_kind
def cut_short(bench: Bench, targets: tuple) -> Bad:
    def change(header, data):
        content = built(header, data)
        return content[
            : bench.pick((5, 8, 9, len(content) // 2, len(content) - 1, len(content) - bench.random.randint(2, 5000)))
        ] + bench.pick((b"", b""))

    return changed(bench, targets, change)


@for_each_kind
def bytes_added_at_the_end(bench: Bench, targets: tuple) -> Bad:
    return changed(
        bench,
        targets,
        lambda header, data: built(header, data + bench.random.randbytes(bench.pick((1, 8, 4000)))),
    )


@for_each_kind
def a_tensor_of_another_kind(bench: Bench, targets: tuple) -> Bad:
    def change(header, data):
        key = bench.pick(tensors_of(header))
        entry = header[key]
        start, end = entry["data_offsets"]
        size = end - start
        bench.pick(
            (
                lambda: entry.update(dtype="I64", shape=[size // 8]),
                lambda: entry.update(dtype="I16"),
                lambda: entry.update(dtype="BOOL", shape=[size]),
                lambda: entry.update(dtype="U8", shape=[size]),
                lambda: entry.update(dtype="F128"),
                lambda: entry.update(dtype="F8_E4M3", shape=[size]),
                lambda: entry.update(dtype="F64", shape=[size // 8]),
                lambda: entry.update(dtype=7),
                lambda: entry.update(dtype="C64", shape=[size // 8]),
                lambda: entry.update(dtype="BF16"),
                lambda: entry.update(dtype="U16"),
                lambda: entry.update(shape=[10**12, 10**12]),
                lambda: entry.update(shape=[-1, *entry["shape"]]),
                lambda: entry.update(shape=[2**64]),
                lambda: entry.update(shape=[1, *entry["shape"], 1]),
                lambda: entry.update(shape=entry["shape"][::-1]),
                lambda: entry.update(shape=[int(np.prod(entry["shape"]))]),
                lambda: entry.update(shape="many"),
                lambda: entry.update(shape=[0]),
                lambda: entry.update(data_offsets=[start + 2, end + 2]),
                lambda: entry.update(data_offsets=[end, start]),
                lambda: entry.update(data_offsets=[0, len(data) * 2]),
                lambda: entry.update(data_offsets=[-size, 0]),
                lambda: entry.update(data_offsets=[start]),
                lambda: entry.pop("data_offsets"),
                lambda: header.update({key: [entry]}),
                lambda: entry.update(shape=[[1]]),
            )
        )()
        return built(header, data)

    return changed(bench, targets, change)


@for_each_kind
def tensors_missing_added_or_renamed(bench: Bench, targets: tuple) -> Bad:
    def change(header, data):
        key, other = bench.random.sample(tensors_of(header), 2)
        end = len(data)
        scalar = {"dtype": "F32", "shape": [2]}
        bench.pick(
            (
                lambda: header.update({f"{key}x": header.pop(key)}),
                lambda: header.update({"a.weight": {**scalar, "data_offsets": [end, end + 8]}}),
                lambda: header.update({key.rsplit(".", 1)[0] + ".w_norm": {**scalar, "data_offsets": [end, end + 8]}}),
                lambda: header.update({key: header[other], other: header[key]}),
                lambda: header.update({"": {**scalar, "data_offsets": [end, end + 8]}}),
                lambda: header.update({"k" * 5000: {**scalar, "data_offsets": [end, end + 8]}}),
                lambda: header.update({key.rsplit(".", 1)[0] + ".diff_b": {**scalar, "data_offsets": [end, end + 8]}}),
                lambda: header.update({"a\nb": {**scalar, "data_offsets": [end, end + 8]}}),
                lambda: header.update({f"lora_unet_{key}.lora_up.weight": {**scalar, "data_offsets": [end, end + 8]}}),
            )
        )()
        return built(
            header,
            (
                data + bytes(8)
                if any(
                    entry.get("data_offsets", [0])[-1] > end for name, entry in header.items() if name != "__metadata__"
                )
                else data
            ),
        )

    return changed(bench, targets, change)


@for_each_kind
def keys_that_come_twice(bench: Bench, targets: tuple) -> Bad:
    def change(header, data):
        key = bench.pick([*tensors_of(header), "__metadata__"] if "__metadata__" in header else tensors_of(header))
        again = {**header[key], "threshold": "0.001", "base_name": "another"} if key == "__metadata__" else header[key]
        text = json.dumps(header)
        return built((text[:-1] + f", {json.dumps(key)}: {json.dumps(again)}" + "}").encode(), data)

    return changed(bench, targets, change)


@for_each_kind
def values_that_are_no_numbers(bench: Bench, targets: tuple) -> Bad:
    def change(header, data):
        content = bytearray(data)
        value = bench.pick((np.nan, np.inf, -np.inf, np.nan))
        for key in bench.random.sample(tensors_of(header), bench.pick((1, 1, 3))):
            start, end = header[key]["data_offsets"]
            kind = {"F16": "<f2", "F32": "<f4"}[header[key]["dtype"]]
            width = np.dtype(kind).itemsize
            place = start + width * bench.random.randrange((end - start) // width)
            content[place : place + width] = np.array([value], kind).tobytes()
        return built(header, bytes(content))

    return changed(bench, targets, change)


@for_each_kind
def finite_values_changed(bench: Bench, targets: tuple) -> Bad:
    def change(header, data):
        content = bytearray(data)
        keys = [key for key in tensors_of(header) if header[key]["dtype"] == "F16"] or tensors_of(header)
        start, end = header[bench.pick(keys)]["data_offsets"]
        for _ in range(bench.pick((1, 5))):
            content[bench.random.randrange(start, end)] ^= 1 << bench.random.randrange(4)  # no infinity, no NaN
        return built(header, bytes(content))

    return changed(bench, targets, change)


@for_each_kind
def metadata_of_another_shape(bench: Bench, targets: tuple) -> Bad:
    def change(header, data):
        about = header.get("__metadata__", {})
        key = bench.pick(sorted(about) or ["format"])
        bench.pick(
            (
                lambda: header.pop("__metadata__", None),
                lambda: header.update(__metadata__=[]),
                lambda: header.update(__metadata__=None),
                lambda: header.update(__metadata__="text"),
                lambda: header.update(__metadata__={**about, key: 7}),
                lambda: header.update(__metadata__={**about, key: None}),
                lambda: header.update(__metadata__={**about, key: {"a": "b"}}),
                lambda: header.update(__metadata__={**about, key: ["a"]}),
                lambda: header.update(__metadata__={"a" * 9: "b"}),
                lambda: header.update(__metadata__={name: text for name, text in about.items() if name != key}),
                lambda: header.update(__metadata__={**about, "format": "pt"}),
                lambda: header.update(__metadata__={}),
            )
        )()
        return built(header, data)

    return changed(bench, targets, change)


@for_each_kind
def metadata_with_odd_texts(bench: Bench, targets: tuple) -> Bad:
    def change(header, data):
        about = header.setdefault("__metadata__", {})
        key = bench.pick(sorted(about) or ["ss_network_args"])
        about[key] = bench.pick((*NOT_JSON, *TEXTS))
        return built(header, data)

    return changed(bench, targets, change)


@for_each_kind
def no_regular_file(bench: Bench, targets: tuple) -> Bad:
    target = bench.pick(targets)
    name = f"odd_{bench.random.randint(0, 99)}.safetensors"
    kind = bench.pick(
        (
            "pipe",
            "folder",
            "missing",
            "circle",
            "zeros",
            "random",
        )
    )
    path = bench.folder / name
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.symlink_to({"circle": name, "zeros": "/dev/zero", "random": "/dev/urandom"}[kind])
    return Bad(target, arguments(bench, target, path, source(bench, target).name), (name,))


@for_each_kind
def another_kind_of_weights(bench: Bench, targets: tuple) -> Bad:
    target = bench.pick(targets)
    good = source(bench, target)
    others = [path for path in sorted(bench.goods.glob("*.safetensors")) if path.stem != good.stem]
    other = bench.pick(others)
    name = f"other_{bench.random.randint(0, 99)}.safetensors"
    path = bench.write(name, other.read_bytes())
    return Bad(target, arguments(bench, target, path, good.name), (name,))
