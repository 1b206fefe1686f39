"""Training from the command line: configs, evaluation, review, maps, and sentences for what is wrong."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from reliable_ads.rfnet.architectures import ARCHITECTURES
from reliable_ads.rfnet.cli import main
from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.sources import read_shards
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.product import place
from reliable_ads.rfnet.training.config import read_config
from reliable_ads.rfnet.training.toml_config import parse_overrides
from reliable_ads.rfnet.training.train import Run
from reliable_ads.rfnet.weights import read_metadata, save_reviewer

from .rfnet_examples import SMALL, bottle, bottle_rgba, small_networks
from .training_examples import config


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_reviewer(path, *small_networks())
    return path


def test_evaluate_prints_scores(folder, weights, capsys):
    assert main(["evaluate", str(weights), "--data", str(folder / "val"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n"] == 10 and set(report["ap"]) == {"value", "low", "high"} and report["weights"] == "w.safetensors"
    assert main(["evaluate", str(weights), "--data", str(folder / "val")]) == 0
    assert "ap size_mismatch" in capsys.readouterr().out


def test_review_reads_files_and_an_index(weights, tmp_path, capsys):
    Image.fromarray(bottle_rgba()).save(tmp_path / "bottle.png")
    drawn = place(bottle(), 128, 96).paste(torch.full((1, 3, 96, 128), 0.5))[0]
    Image.fromarray((drawn * 255).byte().permute(1, 2, 0).numpy()).resize((131, 100)).save(tmp_path / "ad.png")
    (tmp_path / "index.jsonl").write_text(
        '{"image": "ad.png", "product": "bottle.png", "caption": "瓶子"}\n\n{"image": "ad.png", "product":'
        ' "bottle.png"}\n',
        encoding="utf-8",
    )
    assert (
        main(
            [
                "review",
                str(tmp_path / "ad.png"),
                "--product",
                str(tmp_path / "bottle.png"),
                "--weights",
                str(weights),
                "--json",
            ]
        )
        == 0
    )
    row = json.loads(capsys.readouterr().out)
    assert set(row) == {"image", "label", "probabilities", "accepted"}
    assert main(["review", "--index", str(tmp_path / "index.jsonl"), "--weights", str(weights)]) == 0
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert (
        head.split()[:3] == ["image", "verdict", "label"]
        and len(rows) == 2
        and last.endswith(" of 2 accepted, from available >= 0.5")
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["review", "x.png"], "nothing to review"),
        (["review", "x.png", "--product", "y.png"], '"y.png" does not exist'),
        (["review", "x.png", "--product", "y.png", "--weights", "none.safetensors"], "rfnet train"),
        (["evaluate", "--data", "nowhere"], "nowhere"),
        (["train", "nowhere.toml", "--out", "w.safetensors"], "nowhere.toml"),
        (["review", "--index", "none.jsonl"], "none.jsonl"),
    ],
)
def test_a_failed_command_says_why_in_one_line(arguments, message, weights, capsys):
    if arguments[0] == "review" and "--weights" not in arguments:
        arguments = [*arguments, "--weights", str(weights)]
    if arguments[0] == "evaluate":
        arguments = ["evaluate", str(weights), *arguments[1:]]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error and error.startswith("rfnet: ") and error.count("\n") == 1


def test_a_config_is_read_and_its_faults_are_named(folder, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(
        'train = "data/train"\nval = ["data/val", "more.csv"]\nout = "w.safetensors"\nepochs ='
        " 2\n[architecture]\nimage_size = 64\nwidth = 32\n"
    )
    config = read_config(
        file, **parse_overrides(["seed=3", "init=random", "frozen=[]"], DataError), out="elsewhere.safetensors"
    )
    assert (
        config.train == [str(tmp_path / "data/train")]
        and config.val[1] == str(tmp_path / "more.csv")
        and config.out == "elsewhere.safetensors"
    )
    assert (config.seed, config.init, config.frozen, config.epochs, config.architecture.width) == (
        3,
        "random",
        [],
        2,
        32,
    )
    with pytest.raises(DataError, match="no key speed to set"):
        read_config(file, **parse_overrides(["speed=3"], DataError))
    with pytest.raises(DataError, match='precision is "fp16": use one of no, bf16'):
        read_config(file, **parse_overrides(["precision=fp16"], DataError))
    for text, message in (
        ("nonsense", "is no TOML"),
        ("lr = 1", "lacks train, val, out"),
        ('trian = "x"', "unknown keys: trian"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=message):
            read_config(file)


def test_shipped_configs_are_whole():
    for file in sorted((Path(__file__).parents[2] / "rfnet" / "configs").glob("*.toml")):
        network = {"paper": "paper", "large": "paper", "clip": "clip"}.get(file.stem, "compact")
        assert replace(read_config(file).architecture, batch_norm="folded") == ARCHITECTURES[network]


@pytest.mark.slow(reason="trainings")
def test_maps_computed_once_are_what_rfnet_learns_from(folder, tmp_path, capsys):
    save_reviewer(tmp_path / "eyes.safetensors", *small_networks())
    for split in ("train", "val"):
        assert (
            main(
                [
                    "maps",
                    "--data",
                    str(folder / split),
                    "--out",
                    str(tmp_path / split),
                    "--weights",
                    str(tmp_path / "eyes.safetensors"),
                    "--size",
                    "64",
                ]
            )
            == 0
        )
    assert "maps of 24 samples by builtin" in capsys.readouterr().out
    run = Run(
        config(
            folder,
            tmp_path / "w.safetensors",
            train_maps=tmp_path / "train",
            val_maps=tmp_path / "val",
            map_epochs=0,
            epochs=1,
        )
    )
    seen = []
    run.networks.rfnet.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[2:4]))
    run.networks.mapnet.forward = None  # nobody asks the estimator
    row = run.train.parts[0].read(0)
    assert row["depth"].shape == row["saliency"].shape == (64, 64)
    run()
    assert all(
        depth.shape[1] == saliency.shape[1] == 1 and torch.isfinite(depth).all() and torch.isfinite(saliency).all()
        for depth, saliency in seen
    )
    assert read_metadata(tmp_path / "w.safetensors")["maps"] == "builtin"
    assert (
        main(
            [
                "evaluate",
                str(tmp_path / "w.safetensors"),
                "--data",
                str(folder / "val"),
                "--maps",
                str(tmp_path / "val"),
                "--json",
            ]
        )
        == 0
    )


def test_maps_are_given_for_all_data_or_for_none(folder, tmp_path):
    with pytest.raises(DataError, match="one for each, or none"):
        config(folder, tmp_path / "w.safetensors", train_maps=tmp_path / "maps")


@pytest.mark.slow(reason="trainings")
def test_damaged_pictures_are_left_out_named_and_said_by_the_exit_status(folder, tmp_path, capsys):
    table = tmp_path / "table"
    lines = {"train": [], "val": []}
    for part, rows in lines.items():
        scenes = read_shards(folder / part, 64).in_memory()
        for number in range(len(scenes)):
            names = {kind: f"{part}-{kind}{number}.png" for kind in ("image", "product")}
            table.mkdir(exist_ok=True)
            Image.fromarray(scenes.arrays["image"][number]).save(table / names["image"])
            Image.fromarray(scenes.arrays["product"][number]).save(table / names["product"])
            rows.append(
                json.dumps({**names, "label": LABELS[scenes.labels[number]], "product_id": scenes.product_ids[number]})
            )
        (table / names["image"]).write_bytes(b"\x89PNG cut short")
        (table / f"{part}.jsonl").write_text("\n".join([*rows, "no JSON"]))
    out, architecture = (
        tmp_path / "w.safetensors",
        ", ".join(f"{name} = {json.dumps(value)}" for name, value in asdict(SMALL).items() if value is not None),
    )
    (tmp_path / "c.toml").write_text(
        f"train = ['{table / 'train.jsonl'}']\nval = ['{table / 'val.jsonl'}']\nout = '{out}'\n"
        f"init = 'random'\nepochs = 1\nmap_epochs = 0\nbatch = 8\nfrozen = []\narchitecture = {{{architecture}}}\n"
    )
    assert main(["train", str(tmp_path / "c.toml")]) == 1
    said = capsys.readouterr().out
    assert out.exists() and "malformed lines: 1" in said and "broken files: 1" in said
    assert "1 samples of train could not be read and were left out, first: the image" in said
