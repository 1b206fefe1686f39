"""Bad command lines of rfnet, rfft, pocket and dev.py: numbers out of bounds, files in each other's place, texts where
numbers belong."""

from __future__ import annotations

from .inputs import Bad, Bench, maker

WHOLE = ("0", "-1", "-5", "1000000", "10000000000000000000", "9" * 5000, "1.5", "nan", "x", "", "1_0", "0x10", "\u0663")
SHARES = ("-1", "2", "nan", "inf", "-inf", "1e400", "x", "", "0,5", "9" * 5000)


def given(bench: Bench, program: str, arguments: list, *names: str, like: list | None = None) -> Bad:
    base = {"program": program, "folder": str(bench.folder)}
    return Bad(
        "command",
        {**base, "arguments": [str(part) for part in arguments]},
        names,
        {**base, "arguments": [str(part) for part in like]} if like else None,
    )


def review(bench: Bench) -> list:
    goods = bench.goods
    return [
        "review",
        goods / "drawn.png",
        "--product",
        goods / "product.png",
        "--weights",
        goods / "reviewer.safetensors",
        "--json",
    ]


def table(bench: Bench) -> str:
    line = '{"image": "drawn.png", "product": "product.png", "label": "available", "caption": "a box"}\n'
    for name in ("drawn.png", "product.png"):
        bench.write(name, (bench.goods / name).read_bytes())
    return str(bench.write("table.jsonl", line * 3))


@maker("commands")
def review_with_odd_numbers(bench: Bench) -> Bad:
    option, values = bench.pick(
        (
            ("--threads", WHOLE),
            ("--threshold", SHARES),
            ("--image-scale", (*SHARES, "0", "100")),
        )
    )
    return given(
        bench,
        "rfnet",
        [*review(bench), f"{option}={bench.pick(values)}"],
        option,
        option.strip("-").replace("-", "_"),
        like=review(bench),
    )


@maker("commands")
def review_of_files_in_each_others_place(bench: Bench) -> Bad:
    arguments = review(bench)
    place = bench.pick((1, 3, 5))
    others = (
        "reviewer.safetensors",
        "adapter.safetensors",
        "good.gates.json",
        "prompts.txt",
        "shop",
        "pocket_canny.safetensors",
    )
    other = bench.pick([name for name in others if not (place == 5 and name.startswith("rev"))])
    arguments[place] = bench.goods / other
    return given(bench, "rfnet", arguments, other)


@maker("commands")
def review_with_odd_words(bench: Bench) -> Bad:
    more, name = bench.pick(
        (
            (["--accept", "3 % risk"], "--accept"),
            (["--accept", "5 % risk"], "5 % risk"),
            (["--painter", "gone.safetensors"], "gone.safetensors"),
            (["--what"], "--what"),
            (["--json", "x.txt"], "x.txt"),
            (["--weights"], "--weights"),
            (["--index", "gone.jsonl"], "gone.jsonl"),
            (["--json", "/proc/x/y.json"], "y.json"),
            (["--json", "\0.json"], "json"),
            (["--index", str(bench.folder)], str(bench.folder.name)),
            (["--weights", "/dev/zero"], "zero"),
            (["--product", ""], "product"),
            (["--threshold"], "--threshold"),
        )
    )
    return given(bench, "rfnet", [*review(bench), *more], name)


@maker("commands")
def an_index_that_is_none(bench: Bench) -> Bad:
    line = '{"image": "drawn.png", "product": "product.png"}\n'
    path = bench.write(
        "index.jsonl",
        bench.pick(
            (
                b"",
                b"[]\n",
                b"null\n",
                b"{}\n",
                b'{"image": 7, "product": "a"}\n',
                line.encode("utf-16"),
                line.encode("utf-32"),
                b"\xff\xff\n",
                b"[" * 100_000,
                b'{"image": "' + b"9" * 5000 + b'", "product": "x"}',
                b'{"image": ["a"], "product": {}}',
                b'{"image": "\\u0000", "product": "x"}',
            )
        ),
    )
    if bench.random.random() < 0.2:
        import os

        path.unlink()
        os.mkfifo(path)
    return given(
        bench,
        "rfnet",
        ["review", "--index", path, "--weights", bench.goods / "reviewer.safetensors"],
        "index.jsonl",
        "nothing to review",
        "image",
        "drawn.png",
        "999",
    )


@maker("commands")
def evaluate_with_odd_numbers(bench: Bench) -> Bad:
    plain = ["evaluate", bench.goods / "reviewer.safetensors", "--data", table(bench), "--json"]
    option, values = bench.pick((("--limit", WHOLE), ("--threshold", SHARES), ("--threads", WHOLE)))
    return given(bench, "rfnet", [*plain, f"{option}={bench.pick(values)}"], option, option.strip("-"), like=plain)


@maker("commands")
def maps_with_odd_numbers(bench: Bench) -> Bad:
    plain = [
        "maps",
        "--data",
        table(bench),
        "--out",
        bench.folder / "maps",
        "--weights",
        bench.goods / "reviewer.safetensors",
    ]
    option = bench.pick(("--size", "--workers", "--threads"))
    return given(bench, "rfnet", [*plain, f"{option}={bench.pick(WHOLE)}"], option, option.strip("-"))


@maker("commands")
def calibrate_and_blend(bench: Bench) -> Bad:
    goods = bench.goods
    calibrate = [
        "calibrate",
        goods / "reviewer.safetensors",
        "--data",
        table(bench),
        "--out",
        bench.folder / "c.safetensors",
    ]
    blend = [
        "blend",
        goods / "reviewer.safetensors",
        goods / "reviewer.safetensors",
        "--out",
        bench.folder / "b.safetensors",
    ]
    arguments, name = bench.pick(
        (
            (calibrate, "label"),
            ([*calibrate, "--risk", "2"], "risk"),
            ([*calibrate, "--risk", "nan"], "risk"),
            ([*calibrate, "--seed=-1"], "seed"),
            ([*calibrate, "--seed=" + "9" * 400], "seed"),
            ([*calibrate, "--unit", "x"], "unit"),
            ([*calibrate, "--painter", goods / "adapter.safetensors"], "adapter"),
            ([*calibrate, "--painter", "/dev/zero"], "zero"),
            ([*calibrate, "--painter-controlnet", goods / "pocket_canny.safetensors"], "painter"),
            ([*blend, "--share=2"], "share"),
            ([*blend, "--share=nan"], "share"),
            ([*blend[:-1], "/proc/x/y.safetensors"], "y.safetensors"),
            ([*blend[:-1], str(bench.folder)], bench.folder.name),
            ([*blend[:2], goods / "adapter.safetensors", *blend[3:]], "adapter"),
        )
    )
    return given(bench, "rfnet", arguments, name, "product" if arguments[0] == "calibrate" else name)


@maker("commands")
def train_with_odd_changes(bench: Bench) -> Bad:
    path = bench.write("c.toml", 'train = ["a"]\nval = ["b"]\nout = "o.safetensors"\n')
    change = bench.pick(
        (
            "epochs",
            "=2",
            "epochs=x",
            "lr=nan",
            "batch=0",
            "batch=-1",
            "batch=1.5",
            "unknown=1",
            "workers=-1",
            "limit=-5",
            "seed=" + "9" * 5000,
            "train=7",
            "a.b=1",
            "architecture={width = 0}",
            "frozen=1",
            "epochs=[",
            "epochs=true",
            "precision=fp16",
            "minutes=0",
            "minutes=-1",
            "seed=1e3",
            "=",
            "save_every=0.5",
        )
    )
    return given(bench, "rfnet", ["train", path, "--set", change], change.split("=")[0] or '"=', "config", change[:20])


@maker("commands")
def rfft_with_odd_changes(bench: Bench) -> Bad:
    from .configs import rfft_values, text_of

    path = bench.write("c.toml", text_of(rfft_values(bench)))
    change = bench.pick(
        (
            "steps=0",
            "steps=x",
            "lr=nan",
            "batch=-1",
            "rank=0.5",
            "unknown=1",
            "size=100",
            "size=1000000",
            "seed=" + "9" * 5000,
            "loras=7",
            "loss=x",
            "name=../x",
            "family=none",
            "sampling_steps=-3",
            "guidance=nan",
            "ema=2",
            "evaluation_seeds=1",
            "reviewer=gone.safetensors",
            "products=gone",
            "prompts=/dev/null",
            "checkpoint=gone.safetensors",
            "controlnet=" + str(bench.goods / "pocket_sd.safetensors"),
            "checkpoint=" + str(bench.goods / "pocket_canny.safetensors"),
            "reviewer=" + str(bench.goods / "adapter.safetensors"),
            "half_base=true",
            "steps",
        )
    )
    return given(
        bench,
        "rfft",
        ["estimate" if bench.random.random() < 0.2 else "evaluate", path, "--set", change],
        change.split("=")[0],
        change.split("/")[-1].split("=")[-1],
        "controlnet",
        "config",
    )


@maker("commands")
def merge_with_odd_files(bench: Bench) -> Bad:
    goods = bench.goods
    out = bench.folder / "m.safetensors"
    base = goods / "pocket_canny.safetensors"
    adapter = goods / "adapter.safetensors"
    arguments, name = bench.pick(
        (
            ([adapter, base, "--out", out], "adapter.safetensors"),
            ([base, base, "--out", out], "pocket_canny"),
            ([goods / "pocket_sd.safetensors", adapter, "--out", out], "pocket_sd"),
            ([base, adapter, "--out", bench.folder / "m.ckpt"], "m.ckpt"),
            ([base, adapter, "--out", base], "pocket_canny"),
            ([base, adapter, "--out", out, "--strength", "nan"], "strength"),
            ([base, adapter, "--out", out, "--strength", "1", "2"], "strength"),
            ([base, adapter, "--out", out, "--strength", "x"], "strength"),
            ([base, adapter, "--out", out, "--strength=1e300"], "strength"),
            ([base, goods / "lora.safetensors", "--out", out], "lora.safetensors"),
            ([base, adapter, "--out", "/proc/x/m.safetensors"], "m.safetensors"),
            ([base, "--out", out], "adapters"),
            ([base, adapter], "--out"),
            ([base, adapter, "--out", out, "--threads=0"], "threads"),
            ([goods / "shop", adapter, "--out", out], "shop"),
        )
    )
    return given(bench, "rfft", ["merge", *arguments], name, name.replace("pocket_sd", "control"), "adapter")


@maker("commands")
def pocket_with_odd_words(bench: Bench) -> Bad:
    gone = bench.folder / "gone"
    arguments, name = bench.pick(
        (
            (["render", "--data", gone, "--assets", gone, "--start", "7"], "start"),
            (["compose", "--data", gone, "--assets", gone, "--size", "7"], "size"),
            (["compose", "--data", gone, "--assets", gone], "gone"),
            (["compose", "--data", gone, "--assets", gone, "--train=-5"], "train"),
            (["compose", "--data", gone, "--assets", gone, "--workers=0"], "workers"),
            (["draw", "--data", gone, "--out", bench.folder / "o"], "gone"),
            (["draw", "--data", gone, "--out", bench.folder / "o", "--count=-1"], "count"),
            (["draw", "--data", gone, "--out", gone, "--checkpoint", bench.goods / "adapter.safetensors"], "adapter"),
            (["label", "--drawn", gone, "--labels", gone, "--shard", bench.folder / "s.zip"], "gone"),
            (
                [
                    "label",
                    "--drawn",
                    gone,
                    "--labels",
                    bench.write("l.json", "[" * 100_000),
                    "--shard",
                    bench.folder / "s.zip",
                ],
                "gone",
            ),
            (["train", "export", "--work", gone], "gone"),
            (["train", "vae", "--data", gone, "--work", gone], "gone"),
            (["train", "diffusion", "--data", gone, "--work", gone, "--batch=0"], "batch"),
            (["train", "diffusion", "--data", gone, "--work", gone, "--shares", "x=1"], "shares"),
            (["train"], "train"),
            ([], "command"),
            (["sing"], "sing"),
            (["draw", "--data", gone, "--out", gone, "--steps=x"], "steps"),
        )
    )
    return given(bench, "pocket", arguments, name, "start", "l.json", "Blender", "OpenEXR")


@maker("commands")
def dev_with_odd_words(bench: Bench) -> Bad:
    product = bench.goods / "product.png"
    arguments, name = bench.pick(
        (
            (["demo", "--product", "gone.png"], "gone.png"),
            (["demo", "--product", product, "--seed=-1"], "seed"),
            (["demo", "--seed=" + "9" * 5000], "seed"),
            (["demo", "--seed=\u00b2"], "seed"),
            (["demo", "--seed=--5"], "seed"),
            (["demo", "--attempts=0"], "attempts"),
            (["demo", "--attempts=\u0663x"], "attempts"),
            (["demo", "--what"], "--what"),
            (["sing"], "sing"),
            ([], "command"),
            (["demo", "--comfyui", "gone"], "gone"),
            (["demo", "--comfyui", bench.folder], bench.folder.name),
            (["profile", "--out", "x.gates.json"], "--products"),
            (["profile", "--products", bench.goods / "shop"], "--out"),
            (["profile", "--products", bench.goods / "shop", "--out", "b", "--draws=0"], "draws"),
            (["profile", "--products", bench.goods / "shop", "--out", "b", "--share=nan"], "share"),
            (["profile", "--products", bench.goods / "shop", "--out", "b", "--share=2"], "share"),
            (["demo", "--attempts=-\u00b2"], "attempts"),
            (["profile", "--products", bench.goods / "shop", "--out", "b", "--models", "gone"], "gone"),
        )
    )
    return given(bench, "dev", arguments, name)
