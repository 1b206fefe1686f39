"""Memory: an estimate that agrees with what a step really takes, and a training that goes on with less where memory
runs out.
"""

import json
import os
import random
import subprocess
import sys

import pytest
import torch
from PIL import Image

from reliable_ads.pocket import tuning
from reliable_ads.pocket.ldm import CHECKPOINT, CONTROLNET
from reliable_ads.rfft.adapter import read_adapter
from reliable_ads.rfft.cli import main
from reliable_ads.rfft.config import ConfigError, TrainConfig
from reliable_ads.rfft.estimate import MemoryTracker, estimate
from reliable_ads.rfft.memory import MemoryPlan, memory_plans
from reliable_ads.rfft.models import Models
from reliable_ads.rfnet.product import place
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer, save_reviewer

from .rfft_examples import jobs, state
from .rfnet_examples import bottle_rgba, small_networks


def of(**changes) -> TrainConfig:
    values = {
        "checkpoint": str(CHECKPOINT),
        "controlnet": str(CONTROLNET),
        "products": "",
        "prompts": "",
        "folder": "",
        "name": "x",
        "family": "pocket",
        "size": 128,
        "sampling_steps": 4,
        "last_steps": 4,
        "guidance": 1.5,
    }
    return TrainConfig(**{**values, **changes})


def test_every_plan_takes_less_at_once_than_the_one_before():
    names = [str(plan) for plan in memory_plans(of(batch=5, checkpointing=False))]
    assert names == [
        "activations kept, 5 pictures at a time",
        *(f"activations recomputed, {n} picture{'s' * (n > 1)} at a time" for n in (5, 3, 2, 1)),
    ]
    assert [plan.pictures for plan in memory_plans(of(batch=4))] == [4, 2, 1] and len(memory_plans(of(batch=1))) == 1
    assert MemoryPlan(True, 2).slices(5) == [slice(0, 2), slice(2, 4), slice(4, 5)]


def test_the_tracker_counts_what_is_held_and_gives_back_what_is_freed():
    with MemoryTracker() as tracker:
        a = torch.zeros(1000)
        view = a.view(10, 100) + 0
        assert tracker.held == 8000
        a.add_(1)
        del a
        assert tracker.held == 4000
        torch.zeros(500)
        assert tracker.held == 4000 and tracker.most == 8000 and len(view)


# Peak of the process's memory over what it held before, in a process whose allocator hands back at once what is freed.
# VmHWM is its own peak; ru_maxrss begins with that of the process that started it, a test worker of any size.
REAL = """
import json, resource, sys, torch
from reliable_ads.pocket import tuning
from reliable_ads.rfft.adapter import Adapter
from reliable_ads.rfft.objective import objective
from reliable_ads.rfft.config import TrainConfig
from reliable_ads.rfft.rollout import Job, prepare
from reliable_ads.rfnet.product import Product, place
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer
checkpointing, count = sys.argv[1] == "True", int(sys.argv[2])
config, reviewer = TrainConfig(**json.loads(sys.argv[3])), load_reviewer(DEFAULT_WEIGHTS).requires_grad_(False)
canvas = place(Product.from_arrays(torch.zeros(32, 32, 3), torch.ones(32, 32).tril()), 128, 128)
models = tuning.load(config.checkpoint, config.controlnet).freeze().checkpoint(checkpointing)
adapter = Adapter(models.controlnet, config.rank)
def step(count):
    batch = prepare(models, [Job(canvas, "on sand", i) for i in range(count)], config.training_sampling)
    before = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
    objective(models, reviewer, adapter, config, batch, 3, batch.noise)["total"].backward()
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024 - before
step(1)
print(step(count))
"""


def pairs():
    return [(place(job.canvas.product, 128, 128), job.prompt) for job in jobs(1)]


@pytest.mark.slow(reason="steps of training in a process of their own")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's account of a process")
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_estimate_is_what_a_process_takes(checkpointing):
    config, count = of(batch=4, checkpointing=checkpointing), 4
    guessed = estimate(
        config,
        tuning.skeleton(CHECKPOINT, CONTROLNET),
        load_reviewer(DEFAULT_WEIGHTS).requires_grad_(False),
        pairs(),
        MemoryPlan(checkpointing, count),
    )
    thrifty = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "131072", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", REAL, str(checkpointing), str(count), json.dumps(vars(config))],
        capture_output=True,
        text=True,
        env={**os.environ, **thrifty},
    )
    assert done.returncode == 0, done.stderr[-1500:]
    assert guessed.activations == pytest.approx(int(done.stdout), rel=0.15)


@pytest.mark.slow(reason="steps through all networks")
def test_estimates_as_a_command(tmp_path, capsys):
    (tmp_path / "products").mkdir()
    Image.fromarray(bottle_rgba()).save(tmp_path / "products" / "bottle.png")
    (tmp_path / "prompts.txt").write_text("on sand\n")
    save_reviewer(tmp_path / "r.safetensors", *small_networks(), {"scores": {"ap": {"value": 0.9}}})
    lines = {
        "checkpoint": str(CHECKPOINT),
        "controlnet": str(CONTROLNET),
        "products": "products",
        "prompts": "prompts.txt",
        "reviewer": "r.safetensors",
        "folder": "out",
        "name": "tuned",
        "family": "pocket",
        "size": 64,
        "batch": 2,
        "sampling_steps": 2,
        "last_steps": 2,
        "gradient_steps": 1,
    }
    (tmp_path / "c.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items()))
    assert main(["estimate", str(tmp_path / "c.toml")], tuning.FAMILY) == 0
    rows = [
        line.split()[0]
        for line in capsys.readouterr().out.splitlines()
        if "pictures at a time" in line or "picture at a time" in line
    ]
    assert len(rows) == 2 and float(rows[0]) > float(rows[1]) > 0
    assert not (tmp_path / "out").exists()


class Full:
    """Memory that runs out at chosen UNet passes with gradient or without, counted over the whole run."""

    def __init__(self, at: set):
        self.at = at
        self.count = 0
        self.predict = Models.predict

    def __call__(self, models, *arguments):
        self.count += 1
        if self.count in self.at:
            raise torch.OutOfMemoryError("Tried to allocate 2.00 GiB")
        return self.predict(models, *arguments)


@pytest.mark.slow(reason="two trainings")
@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_runs_out_of_memory_falls_back_to_the_next_plan_with_the_same_data(world, monkeypatch, seed):
    settings = {"batch": 2, "steps": 2, "evaluate_every": 2, "lr": 1e-4, "seed": 5}
    plain = Full(set())
    monkeypatch.setattr(Models, "predict", lambda *arguments: plain(*arguments))
    whole = world(name="whole", **settings)
    whole()
    told, full = [], Full({random.Random(seed).randrange(1, plain.count)})
    monkeypatch.setattr(Models, "predict", lambda *arguments: full(*arguments))
    short = world(
        name="short", watch=lambda event: told.append(event["plan"]) if event["kind"] == "memory" else None, **settings
    )
    short()
    assert (
        told == ["activations recomputed, 2 pictures at a time"] and short.step == 2 and short.updates == whole.updates
    )
    for key, value in state(whole).items():
        if key.startswith("weights."):
            assert torch.allclose(value, state(short)[key], atol=2e-5), key
    memory = json.loads(read_adapter(short.config.last)[1]["memory"])
    assert memory["rung"] == told[0] and memory["climbed"][0]["rung"] == told[0]
    assert world(name="short", **{**settings, "steps": 3}).fallback.plan == MemoryPlan(
        True, 2
    )  # a run that goes on begins where this one had got to


@pytest.mark.slow(reason="three gradients through all networks")
def test_parts_of_a_batch_make_the_same_gradient(world):
    gradients = []
    for pictures in (3, 2, 1):
        run = world(name=f"p{pictures}", batch=3, seed=3)
        drawn = [run.take_step.draw(asked, [1], MemoryPlan(False, 3)) for asked in run.take_step.jobs(0)]
        gradients.append(
            (
                run.take_step.gradient(drawn, 1, MemoryPlan(False, pictures)),
                [p.grad.clone() for p in run.learner.parameters],
            )
        )
    for losses, values in gradients[1:]:
        assert losses == pytest.approx(gradients[0][0], rel=1e-4)
        assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-7) for a, b in zip(values, gradients[0][1]))


@pytest.mark.slow(reason="two trainings")
def test_with_no_plan_left_the_run_ends_with_a_sentence_and_its_state(world, monkeypatch):
    run = world(steps=3, batch=2, evaluate_every=10)
    full, take_step = Full(set(range(1, 10**6))), run.take_step

    def failing(step):
        if step == 1:
            monkeypatch.setattr(Models, "predict", lambda *arguments: full(*arguments))
        return take_step(step)

    run.take_step = failing
    with pytest.raises(
        ConfigError,
        match=(
            r"memory ran out at step 1 with every saving in use .*1 picture at a time; Tried to allocate 2.00 GiB.*set"
            " precision to bf16.*goes on from there"
        ),
    ):
        run()
    assert world(steps=3, batch=2, evaluate_every=10).step == 1


@pytest.mark.slow(reason="a training")
def test_half_of_the_frozen_networks_memory_and_still_only_the_adapter_learns(world):
    run = world(half_base=True, precision="bf16")
    answer = run()
    assert all(
        p.dtype == torch.bfloat16
        for part in run.models.parts().values()
        for p in part.parameters()
        if p.is_floating_point()
    )
    assert (
        all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in run.learner.parameters)
        and answer["steps"] == 2
    )
    with pytest.raises(ConfigError, match=r'half_base keeps networks in bfloat16.*set precision = "bf16" too'):
        of(half_base=True)


def test_eight_bit_moments_need_bitsandbytes(world):
    try:
        import bitsandbytes  # noqa: F401  (only whether it is there)
    except ImportError:
        with pytest.raises(
            ConfigError, match="needs bitsandbytes: pip install bitsandbytes, or set optimizer to adamw"
        ):
            world(optimizer="adamw8bit")
    else:
        assert type(world(optimizer="adamw8bit").learner.optimizer).__name__ == "AdamW8bit"
