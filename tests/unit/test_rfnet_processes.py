"""Training over two processes with accelerate gives the weights that one process gives."""

import os
import subprocess
import sys
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file

from reliable_ads.rfnet.maps import MapNet
from reliable_ads.rfnet.training.config import TrainConfig
from reliable_ads.rfnet.training.processes import spare_bf16
from reliable_ads.rfnet.training.train import Run

from .rfnet_examples import SMALL, write_split

SETTINGS = {
    "init": "random",
    "batch": 8,
    "epochs": 2,
    "map_epochs": 1,
    "augment": False,
    "lr": 1e-4,
    "backbone_lr": 1e-4,
}


@pytest.mark.slow(reason="three trainings, two of them in processes of their own")
def test_two_processes_train_what_one_trains(tmp_path):
    for name in ("train", "val"):
        write_split(tmp_path / name, 16)
    Run(
        TrainConfig(
            train=tmp_path / "train",
            val=tmp_path / "val",
            out=str(tmp_path / "one.safetensors"),
            architecture=SMALL,
            **SETTINGS,
        )
    )()

    def toml(value):
        return (
            str(value).lower()
            if isinstance(value, bool)
            else repr(list(value))
            if isinstance(value, tuple)
            else repr(value)
        )

    lines = [
        'train = "train"',
        'val = "val"',
        'out = "two.safetensors"',
        *(f"{key} = {toml(value)}" for key, value in SETTINGS.items()),
        "[architecture]",
        *(f"{key} = {toml(value)}" for key, value in asdict(SMALL).items()),
    ]
    (tmp_path / "run.toml").write_text("\n".join(lines))
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        "-m",
        "reliable_ads.rfnet",
        "train",
        str(tmp_path / "run.toml"),
    ]
    done = subprocess.run(
        launch, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = load_file(tmp_path / "one.safetensors"), load_file(tmp_path / "two.safetensors")
    difference = max(float((one[key].float() - two[key].float()).abs().max()) for key in one)
    assert one.keys() == two.keys() and difference < 2e-3, (
        difference
    )  # half precision rounds at about 1e-3; sums run in another order
    assert "2 process(es)" in done.stdout and done.stdout.count("temperature") == 1  # one process speaks


def test_depthwise_convolutions_are_spared_bf16_where_they_are_trained():
    torch.manual_seed(0)
    mapnet, images = MapNet(), torch.rand(2, 3, 128, 128)
    depthwise = [
        part for part in mapnet.modules() if isinstance(part, torch.nn.Conv2d) and part.groups == part.in_channels > 1
    ]
    depthwise[0].weight.requires_grad_(False), depthwise[0].bias.requires_grad_(False)
    spare_bf16(mapnet)
    kinds = {}
    for part in depthwise[:2]:
        part.register_forward_hook(lambda part, _, found: kinds.update({part: found.dtype}))

    def gradient(autocast: bool):
        mapnet.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            depth, saliency = mapnet(images)
        (depth.float() * saliency.float()).mean().backward()
        return depthwise[-1].weight.grad.clone()

    exact, mixed = gradient(False), gradient(True)
    assert [kinds[part] for part in depthwise[:2]] == [torch.bfloat16, torch.float32]
    assert torch.nn.functional.cosine_similarity(exact.flatten(), mixed.flatten(), 0) > 0.98
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        mapnet(images)
    assert kinds[depthwise[1]] == torch.bfloat16
