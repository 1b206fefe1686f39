"""The engine that draws in this process: a tiny family in files, on the command line and in Python."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from reliable_ads.catalogue.cli import main
from reliable_ads.catalogue.diffusers_engine import DiffusersSpec, as_comfy, load_models, painter_of
from reliable_ads.catalogue.rows import Job as ListedJob
from reliable_ads.catalogue.settings import Budgets, Verdict
from reliable_ads.cyclic.early_rejection import EarlyThreshold, Profile
from reliable_ads.cyclic.profiles import fingerprint_of_state
from reliable_ads.pocket.ldm import CHECKPOINT, load_pocket, save_checkpoint, save_controlnet
from reliable_ads.pocket.tuning import models_of
from reliable_ads.rfft.adapter import Adapter, save_adapter, sha256_of
from reliable_ads.rfft.kinds import SD15, SDXL
from reliable_ads.rfft.loading import untrained
from reliable_ads.rfft.rollout import Job, draw, prepare
from reliable_ads.rfnet.painters import painter_of as painter_of_files
from reliable_ads.rfnet.product import Product, place
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, save_reviewer

from .catalogue_examples import check_whole, rows, write_csv, write_products
from .rfft_examples import tiny_pocket
from .rfnet_examples import bottle_rgba, small_networks

NEVER, ALWAYS = 1.0, 1e-6


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    """Files of a tiny pocket family and a small reviewer: {"checkpoint", "controlnet", "reviewer"}."""
    folder = tmp_path_factory.mktemp("family")
    files = {name: folder / f"{name}.safetensors" for name in ("checkpoint", "controlnet", "reviewer")}
    pocket = tiny_pocket()
    save_checkpoint(files["checkpoint"], pocket)
    save_controlnet(files["controlnet"], pocket)
    save_reviewer(files["reviewer"], *small_networks(), {})
    return {name: str(path) for name, path in files.items()}


@pytest.fixture
def spec(family):
    def make(threshold=NEVER, budgets=None, **more) -> DiffusersSpec:
        return DiffusersSpec(
            Verdict(family["reviewer"], threshold),
            budgets or Budgets(attempts=2),
            family["checkpoint"],
            family["controlnet"],
            **{"width": 64, "steps": 2, **more},
        )

    return make


def png(rgba: np.ndarray) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(rgba, "RGBA").save(file, "PNG")
    file.seek(0)
    return file


def produced(spec, seed=5, prompt="on sand, a park"):
    job = ListedJob("0" * 16, "bottle", "bottle.png", "a bottle", prompt, seed, 1)
    return spec.open().produce(job, png(bottle_rgba()))


def canvas():
    return place(Product.from_arrays(bottle_rgba(), caption="a bottle"), 64, 64)


def pixels(picture) -> np.ndarray:
    return np.asarray(picture, np.int16)


def drawn(models, spec, seed, **changes) -> np.ndarray:
    """What rfft draws, as 8-bit pixels."""
    from dataclasses import replace

    from reliable_ads.rfft.rollout import Sampling

    whole = spec.complete()
    sampling = replace(Sampling(whole.steps, whole.cfg, sampler=whole.sampler), **changes)
    picture = draw(models, prepare(models, [Job(canvas(), "on sand, a park", seed)], sampling), sampling)[0]
    return (picture.clamp(0, 1) * 255).byte().movedim(0, -1).numpy().astype(np.int16)


@pytest.mark.parametrize("parallel", [1, 2])
def test_attempts_are_what_rfft_draws(spec, parallel):
    asked = spec(cfg=3.0, budgets=Budgets(attempts=2, parallel=parallel))
    models = load_models(asked).freeze()
    result = produced(asked)
    assert [attempt["seed"] for attempt in result.report["attempts"]] == [5, 6] and result.report["steps"] == 4
    for picture, seed in zip(result.pictures, (5, 6)):
        assert abs(pixels(picture) - drawn(models, asked, seed)).max() <= 1


def test_half_precision_draws_nearly_the_same(spec):
    remedies = Budgets(attempts=2, parallel=2, remedies=("contrast", "surface"))
    whole, half = (produced(spec(cfg=3.0, precision=name, budgets=remedies)) for name in ("float32", "bfloat16"))
    assert half.report["steps"] == 4
    assert abs(pixels(whole.pictures[0]) - pixels(half.pictures[0])).mean() < 8


def test_an_accepted_picture_ends_it(spec):
    result = produced(spec(ALWAYS))
    assert result.report["accepted"] and len(result.pictures) == 1


def test_a_hopeless_draw_is_stopped_early(spec, family, tmp_path):
    asked = spec(steps=4)
    engine = asked.open()
    settings = {"steps": 4, "cfg": 1.0, "sampler_name": "dpmpp_2m", "scheduler": "sgm_uniform", "denoise": 1.0}
    names = (
        fingerprint_of_state(as_comfy(engine.painting.models.unet)),
        fingerprint_of_state(engine.reviewer.state_dict()),
    )
    profile = Profile(*names, {**settings, "threshold": NEVER}, (EarlyThreshold(0.25, 0.999),), about={"draws": 1})
    path = tmp_path / "mine.gates.json"
    path.write_text(profile.to_json())
    report = produced(spec(steps=4, budgets=Budgets(attempts=2, on_exhausted="stop", early_rejection=str(path)))).report
    assert [(attempt["steps"], attempt["dropped"]) for attempt in report["attempts"]] == [(1, True)] * 2
    assert report["early_rejection"] == "mine"
    path.write_text(profile.to_json().replace(names[0], "0" * 16))
    with pytest.raises(ValueError, match="made with another model"):
        spec(steps=4, budgets=Budgets(early_rejection=str(path))).open()


def test_the_profile_that_ships_speaks_of_the_pocket_family():
    """By ComfyUI's names of its layers, as RF Profile Early Rejection wrote it."""
    profile = Profile.read(DEFAULT_WEIGHTS.parent / "pocket.gates.json")
    assert fingerprint_of_state(as_comfy(load_pocket(CHECKPOINT).unet)) == profile.model


def test_remedies_change_the_next_draw(spec):
    names = ("contrast", "surface", "control", "guidance", "avoid", "scale", "position", "dilation")
    asked = spec(cfg=3.0, budgets=Budgets(attempts=2, remedies=names))
    report = produced(asked).report
    changes = {change["remedy"]: change["after"] for change in report["attempts"][1]["remedies"]}
    assert changes["guidance"] == 1.5 and changes["avoid"] == 1.0
    again = produced(spec(cfg=3.0, budgets=Budgets(attempts=2)))
    assert abs(pixels(produced(asked).pictures[1]) - pixels(again.pictures[1])).max() > 0
    unguided = produced(spec(budgets=Budgets(attempts=2, remedies=names))).report
    assert not {"guidance", "avoid"} & {change["remedy"] for change in unguided["attempts"][1]["remedies"]}


def test_an_adapter_draws_and_makes_another_painter(spec, family, tmp_path):
    pocket = tiny_pocket()
    adapter = Adapter(pocket.controlnet, 2)
    with torch.no_grad():
        for update in adapter.updates:
            torch.nn.init.normal_(update.up, std=0.5)
    save_adapter(tmp_path / "tuned.safetensors", adapter, sha256_of(family["controlnet"]), "controlnet.safetensors")
    adapted = spec(adapter=str(tmp_path / "tuned.safetensors"))
    adapted.check()
    models = load_models(adapted).freeze()
    result, plain = produced(adapted), produced(spec())
    assert abs(pixels(result.pictures[0]) - drawn(models, adapted, 5)).max() <= 1
    assert abs(pixels(result.pictures[0]) - pixels(plain.pictures[0])).max() > 0
    files = painter_of_files(family["checkpoint"], family["controlnet"])
    assert painter_of(spec(), load_models(spec())) == files
    assert painter_of(adapted, models).controlnets > files.controlnets
    assert models_of(tiny_pocket()).parts().keys() == models.parts().keys()


def command(tmp_path, family, *more) -> int:
    files = [
        "--checkpoint",
        family["checkpoint"],
        "--controlnet",
        family["controlnet"],
        "--reviewer",
        family["reviewer"],
    ]
    drawing = ["--width", "64", "--steps", "2", "--attempts", "2", "--threshold", "1"]
    where = [str(tmp_path / "products.csv"), "--out", str(tmp_path / "out")]
    return main(["produce", *where, *files, *drawing, "--threads", "1", *more])


def test_the_command_draws_a_catalogue(tmp_path, family, capsys):
    write_csv(tmp_path / "products.csv", write_products(tmp_path, 2))
    asked = ("--prompt", "{caption} on sand", "--price", "2", "--remedies")
    assert command(tmp_path, family, *asked) == 0
    said = capsys.readouterr().out
    assert "2 jobs, 0 of them done; 2 in this run." in said and "Rejected attempts: " in said and "index.html" in said
    found = rows(tmp_path / "out")
    assert [row["attempt"] for row in found] == [1, 2, 1, 2] and {row["prompt"] for row in found} == {
        "bottle 0 on sand",
        "bottle 1 on sand",
    }
    assert json.loads(found[0]["versions"])["checkpoint"].startswith("checkpoint.safetensors ")
    check_whole(tmp_path / "out")
    assert command(tmp_path, family, *asked) == 0 and len(rows(tmp_path / "out")) == 4
    assert command(tmp_path, family, "--prompt", "{caption}", "--cfg", "2") == 1
    assert "holds results of other settings (cfg was 1.0, is 2.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--controlnet", "gone.safetensors"], "gone.safetensors does not exist"),
        (["--adapter", "gone.safetensors"], "does not exist"),
        (["--lora", "gone.safetensors:0.5"], 'the LoRA "gone.safetensors" does not exist'),
        (["--reviewer", "gone.safetensors"], "gone.safetensors"),
        (["--width", "100"], "the canvas width is 100"),
        (["--early-rejection", "mine"], "give auto, off, or a profile's file"),
        (["--accept", "5 % risk"], "never certified"),
        (["--remedies", "magic"], "there is no remedy magic"),
        (["--columns", "picture"], "write NAME=COLUMN"),
    ],
)
def test_what_is_fatal_is_said_first(tmp_path, family, capsys, arguments, sentence):
    write_csv(tmp_path / "products.csv", write_products(tmp_path, 1))
    assert command(tmp_path, family, "--prompt", "{caption}", *arguments) == 1
    assert sentence in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [SD15, SDXL], ids=["sd15", "sdxl"])
def test_every_layer_of_a_full_size_network_has_comfyuis_name(kind):
    with torch.device("meta"):
        unet = untrained(kind).unet
    named = as_comfy(unet)
    assert len(named) == len(unet.state_dict()) and {"input_blocks.0.0.weight", "out.2.bias"} <= named.keys()
