"""The demo's client on the shipped workflow; with the shipped weights, where they are, the whole command."""

import json
import subprocess
import sys
import time

import pytest
from PIL import Image

from reliable_ads.devtools import demo, profile, thin_models
from reliable_ads.devtools.arguments import parse
from reliable_ads.devtools.client import ComfyClient
from reliable_ads.devtools.comfy import ROOT, ComfyServer

from .ads import ALWAYS, CHECKPOINT, CONTROLNET, NEVER, REVIEWER, cut_out


def with_tiny_models(graph: dict, threshold: float) -> dict:
    own = {
        "ckpt_name": CHECKPOINT,
        "control_net_name": CONTROLNET,
        "reviewer_name": REVIEWER,
        "threshold": threshold,
        "steps": 2,
    }
    for node in graph.values():
        node["inputs"].update({name: value for name, value in own.items() if name in node["inputs"]})
    return graph


@pytest.mark.parametrize("threshold, drawn", [(ALWAYS, 1), (NEVER, 3)])
def test_the_shipped_workflow_from_product_to_report(client, tmp_path, threshold, drawn):
    options, _ = parse(
        [
            "demo",
            "--attempts",
            "3",
            "--seed",
            "11",
            "--prompt",
            "a bottle on grass",
            "--caption",
            "a bottle",
            "--size",
            "128",
            "--out",
            str(tmp_path),
        ]
    )
    graph = with_tiny_models(demo.prepared(client, options), threshold)
    report = demo.write(client, graph, demo.outputs(client, graph), tmp_path, time.monotonic())

    assert json.loads((tmp_path / "report.json").read_text("utf-8")) == report
    assert report["accepted"] is (threshold == ALWAYS)
    assert [attempt["seed"] for attempt in report["attempts"]] == [11, 12, 13][:drawn]
    for attempt in report["attempts"]:
        assert set(attempt) >= {"attempt", "seed", "label", "probabilities", "accepted", "seconds"}
        assert sum(attempt["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert Image.open(report["image"]).size == (128, 128)
    assert Image.open(report["sheet"]).width > 200 * drawn
    assert set(report["versions"]) >= {"reliable-ads", "comfyui", "torch", "python"}
    assert ("none of 3 attempts" in demo.summary(report, tmp_path)) is (threshold == NEVER)


def test_a_picture_of_any_kind_reaches_the_server(tmp_path):
    for mode, name in (("CMYK", "a.jpg"), ("I;16", "b.png"), ("P", "c.png")):
        Image.new(mode, (64, 48)).save(tmp_path / name)
        assert demo.as_png(tmp_path / name)[:4] == b"\x89PNG"


def test_the_demo_command(tmp_path):
    command = [sys.executable, "-m", "reliable_ads.devtools.demo", "--out", str(tmp_path), "--json"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert finished.returncode in (0, 2), finished.stderr
    report = json.loads(finished.stdout)
    assert (finished.returncode == 0) is report["accepted"]
    assert (
        (tmp_path / "advert.png").is_file()
        and (tmp_path / "attempts.png").is_file()
        and (tmp_path / "server.log").is_file()
    )


def test_the_demo_on_models_of_the_user(tmp_path):
    """A Stable Diffusion 1.5 with random weights, by ComfyUI's own loaders, at a small size."""
    checkpoint = thin_models.write(thin_models.MODELS)
    given = ["--checkpoint", str(checkpoint), "--controlnet", str(checkpoint.with_name("thin_canny.safetensors"))]
    quick = ["--size", "64", "--steps", "1", "--attempts", "2", "--json", "--out", str(tmp_path)]
    command = [sys.executable, "-m", "reliable_ads.devtools.demo", *given, *quick]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert finished.returncode in (0, 2), finished.stderr
    report = json.loads(finished.stdout)
    settings = report["settings"]
    assert len(report["attempts"]) in (1, 2) and Image.open(report["image"]).size == (64, 64)
    assert (settings["steps"], settings["cfg"], settings["sampler_name"]) == (1, 7.5, "ddim")  # as template 2


def test_the_profile_command_sees_the_models_that_it_is_lent(tmp_path):
    base, models = tmp_path / "base", tmp_path / "models"
    base.mkdir(), (models / "checkpoints").mkdir(parents=True)
    (models / "checkpoints" / "mine.safetensors").touch()
    with ComfyServer(base, tmp_path / "server.log", profile.lent(models, base)) as server:
        known = ComfyClient(server.address).ask("/object_info/CheckpointLoaderSimple")
    assert "mine.safetensors" in str(known) and profile.lent(None, base) == ()


def test_the_profile_command_adds_up_over_products_and_runs(tmp_path):
    products = tmp_path / "products"
    products.mkdir()
    for name in ("blue_box", "red_box"):
        cut_out().save(products / f"{name}.png")
    command = [
        sys.executable,
        "-m",
        "reliable_ads.devtools.profile",
        "--draws",
        "1",
        "--out",
        str(tmp_path / "mine.gates.json"),
    ]
    assert (
        "give a folder of cut-outs"
        in subprocess.run([*command, "--products", str(tmp_path)], capture_output=True, text=True, timeout=120).stderr
    )
    for count, extra in ((2, None), (3, "green_box")):
        if extra:
            cut_out().save(products / f"{extra}.png")
        done = subprocess.run([*command, "--products", str(products)], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0 and f"{count} draws, no thresholds yet" in done.stdout, done.stderr
        assert len(json.loads((tmp_path / "mine.gates.json").read_text())["scores"]) == count
