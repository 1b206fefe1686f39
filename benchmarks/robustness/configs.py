"""Bad TOML configs of `rfnet train` and `rfft train`."""

from __future__ import annotations

import json
from pathlib import Path

from .inputs import Bad, Bench, maker
from .texts import VALUES, damaged, odd_file


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


RFNET = {
    "out": "out.safetensors",
    "architecture": "compact",
    "epochs": 2,
    "map_epochs": 1,
    "batch": 8,
    "lr": 1e-3,
    "minutes": 3.0,
    "limit": 10,
    "seed": 1,
    "precision": "no",
    "init": "random",
    "labels": 5,
    "scale": 0.5,
    "augment": True,
    "frozen": ["conv_stem"],
    "workers": 0,
    "save_every": 10,
    "weights": [],
    "smoothing": 0.05,
    "balance": 0.0,
    "weight_decay": 0.02,
    "backbone_lr": 3e-4,
    "tensorboard": False,
}


def rfft_values(bench: Bench) -> dict:
    goods = bench.goods
    return {
        "checkpoint": str(goods / "pocket_sd.safetensors"),
        "controlnet": str(goods / "pocket_canny.safetensors"),
        "products": str(goods / "shop"),
        "prompts": str(goods / "prompts.txt"),
        "folder": str(bench.folder / "out"),
        "name": "tuned",
        "reviewer": str(goods / "reviewer.safetensors"),
        "family": "pocket",
        "loras": [],
        "size": 128,
        "image_scale": 0.7,
        "steps": 2,
        "batch": 1,
        "accumulation": 1,
        "gradient_steps": 2,
        "last_steps": 4,
        "loss": "cc",
        "beta": 0.05,
        "lr": 1e-4,
        "warm_up": 1,
        "weight_decay": 0.0,
        "ema": 0.9,
        "rank": 2,
        "precision": "no",
        "half_base": False,
        "optimizer": "adamw",
        "sampling_steps": 4,
        "guidance": 1.5,
        "strength": 1.0,
        "null_prompt": "",
        "evaluate_every": 2,
        "evaluation_products": 1,
        "evaluation_seeds": 2,
        "diversity_loss": 0.3,
        "save_every": 1,
        "minimum_ap": 0.5,
        "force": False,
        "seed": 0,
        "checkpointing": True,
        "through_maps": True,
        "rollout_guidance": True,
    }


def config(bench: Bench, kind: str, text: bytes | str, more: tuple = ()) -> Bad:
    name = f"bad_{bench.random.randint(0, 99)}.toml"
    return Bad(
        kind,
        {"path": str(bench.write(name, text))},
        (name, *more),
        {"path": str(bench.write("good.toml", text_of(values_of(bench, kind))))},
    )


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
    key = bench.pick(
        [key for key, value in values.items() if isinstance(value, (int, float)) and not isinstance(value, bool)]
    )
    values[key] = bench.pick((-1, -0.5, 10**19, 1e300, float("nan"), float("inf"), -float("inf"), 10**400))
    return config(bench, kind, text_of(values), (key,))


@for_both_programs
def a_damaged_config(bench: Bench, kind: str) -> Bad:
    return config(
        bench,
        kind,
        damaged(bench, text_of(values_of(bench, kind))),
        ("config", "product", "prompts", "folder", "data", "table"),
    )


@for_both_programs
def an_odd_line(bench: Bench, kind: str) -> Bad:
    lines = (
        'train = "C:\\Users\\me"',
        "x = [" * 5000,
        "steps = " + "9" * 5000,
        "a" * 3000 + " = 1",
        "[table]\na = 1",
        "seed = 1\nseed = 2",
        "= 3",
        "steps = 2 3",
        "seed = 0x" + "f" * 4000,
        "\u00e9 = 1",
        '"" = 1',
        "lr = 1e9999",
        "seed = 2020-01-01",
        'name = """',
        "seed.a = 1",
        "__class__ = 1",
    )
    line = bench.pick(lines)
    return config(bench, kind, text_of(values_of(bench, kind)) + line + "\n", ("users", "seed", "unknown"))


@for_both_programs
def a_table_where_none_belongs(bench: Bench, kind: str) -> Bad:
    values = values_of(bench, kind)
    key = "architecture" if kind == "rfnet_config" else "loras"
    loras = odd_loras(str(bench.goods / "lora.safetensors"))
    values[key] = bench.pick(ARCHITECTURES if key == "architecture" else loras)
    names = (key, "lora", "heads", "width", "map_size", "inputs", "backbone", "text", "layers")
    return config(bench, kind, text_of(values), names)


ARCHITECTURES = (
    {"width": "x"},
    {"heads": 0},
    {"width": 130, "heads": 8},
    {"backbone": "hf_hub:a/b"},
    {"backbone": "../../etc"},
    {"unknown": 1},
    {"inputs": []},
    {"text": "open_clip/local-dir:/etc"},
    {"map_size": 10**9},
    "none",
    "",
    {"fusion_layers": 10**9},
)


def odd_loras(file: str) -> tuple:
    def lora(**more):
        return [{"file": file, **more}]

    return (
        lora(strength="x"),
        lora(strength=float("nan")),
        lora(more=1),
        [{"strength": 1.0}],
        [{"file": 7}],
        ["a.safetensors"],
        lora(strength=1e300),
        [{"file": "../../etc/passwd"}] * 1000,
        {"file": "x"},
        [[]],
    )


@for_both_programs
def paths_that_are_none(bench: Bench, kind: str) -> Bad:
    values = values_of(bench, kind)
    key = bench.pick(
        ("train", "val", "weights", "estimator")
        if kind == "rfnet_config"
        else (
            "products",
            "prompts",
            "folder",
            "name",
            "checkpoint",
            "reviewer",
        )
    )
    value = bench.pick(
        (
            "",
            "a\0b",
            "x" * 5000,
            "../../../etc/passwd",
            "\u202etxt",
            "/dev/zero",
            "~/x",
            "http://127.0.0.1/x",
            "con",
            "a\nb",
        )
    )
    values[key] = [value] if isinstance(values.get(key), list) else value
    return config(bench, kind, text_of(values), (key, "data", "does not exist", "product", value[-9:].strip() or key))


@for_both_programs
def no_regular_config(bench: Bench, kind: str) -> Bad:
    bad = config(bench, kind, "")
    odd_file(bench, Path(bad.arguments["path"]))
    return Bad(bad.target, bad.arguments, bad.names)


@maker("configs of rfft")
def prompts_that_are_none(bench: Bench) -> Bad:
    values = rfft_values(bench)
    path = bench.write(
        "prompts.txt",
        bench.pick(
            (
                b"",
                b"\n\n# only a note\n",
                "gr\u00fcn".encode("latin-1"),
                bytes(3000),
                "{caption}".encode("utf-32"),
                b"x" * 3_000_000,
                b"{caption.__class__}",
                b"{" * 5000,
            )
        ),
    )
    if bench.random.random() < 0.4:
        odd_file(bench, path)
    values["prompts"] = str(path)
    return config(bench, "rfft_config", text_of(values), ("prompts.txt",))
