"""`python -m benchmarks.rfft cost`: what a training step of RFFT costs: memory with recomputed activations against without, and two processes against one.

Memory is the peak of a process's own account while it takes one differentiable step of a random-weight SD 1.5 in float32 on the CPU, over what it held before; the
allocator is told to hand back at once what is freed, so that it is the tensors that are counted. Processes are two of gloo, against one with the doubled batch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

from .common import Figure, publish

THRIFTY = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "131072"}


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["cost"])
    parser.add_argument("--size", type=int, default=256, help="side of the pictures, pixels")
    parser.add_argument("--only", choices=["memory", "processes"], help="one half of the part")
    parser.add_argument("--quick", action="store_true", help="pictures of 128 pixels, nothing is written")
    parser.add_argument("--role", choices=["step", "gradient"], help=argparse.SUPPRESS)  # what the processes started below do
    parser.add_argument("--checkpointing", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--dtype", default="float32", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.role:
        print("ANSWER" + json.dumps(step(options.size, options.checkpointing) if options.role == "step" else gradient(options.dtype)), flush=True)
        return 0
    size = 128 if options.quick else options.size
    figures, details = {}, {}
    if options.only != "processes":
        kept, recomputed = (run_alone("step", "--size", str(size), *flags)["bytes"] for flags in ((), ("--checkpointing",)))
        ratio = recomputed / kept
        figures["memory_ratio"] = Figure(ratio, n=1, target="<= 0.45", holds=ratio <= 0.45)
        figures["memory_kept_mib"] = Figure(kept / 2 ** 20, n=1, unit="MiB")
        figures["memory_recomputed_mib"] = Figure(recomputed / 2 ** 20, n=1, unit="MiB")
        details["memory"] = f"SD 1.5, random weights, float32, {size}x{size}, batch 1, guidance and consistent condition on"
    if options.only != "memory":
        for dtype, key in (("float64", "two_process_gradient_error_fp64"), ("float32", "two_process_gradient_error")):
            error = largest_difference(run_alone("gradient", "--dtype", dtype)["gradient"], run_together("gradient", "--dtype", dtype)["gradient"])
            figures[key] = Figure(error, n=1, target="<= 1e-5", holds=error <= 1e-5)
    for key, figure in figures.items():
        print(f"{key}: {figure.value:.3g}")
    publish("rfft", "python -m benchmarks.rfft cost", [0], figures, options.quick or bool(options.only) or size != 256, details)
    return 0


def run_alone(*arguments) -> dict:
    """What a process of its own answers."""
    return answer([sys.executable, "-m", "benchmarks.rfft", "cost", "--role", *arguments])


def run_together(*arguments) -> dict:
    """What the first of two gloo processes answers."""
    return answer([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "benchmarks.rfft", "cost", "--role", *arguments])


def answer(command: list) -> dict:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **THRIFTY})
    lines = [line.split("ANSWER", 1)[1] for line in done.stdout.splitlines() if "ANSWER" in line]
    if done.returncode or not lines:
        raise RuntimeError(f"{' '.join(command[2:])} failed:\n{done.stderr[-2000:]}")
    return json.loads(lines[0])


def step(size: int, checkpointing: bool) -> dict:
    """{"bytes"}: the most that one differentiable step holds besides weights and adapter."""
    import resource

    import psutil
    import torch
    from reliable_ads.rfft.adapter import Adapter
    from reliable_ads.rfft.config import TrainConfig
    from reliable_ads.rfft.loading import SD15, untrained
    from reliable_ads.rfft.objective import objective
    from reliable_ads.rfft.rollout import Order, prepare
    from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer

    torch.manual_seed(0)
    models = untrained(SD15).freeze().checkpoint(checkpointing)
    reviewer = load_reviewer(DEFAULT_WEIGHTS).requires_grad_(False)
    config = TrainConfig(checkpoint="", controlnet="", products="", prompts="", folder="", name="cost", size=size, batch=1)
    adapter = Adapter(models.controlnet, config.rank)
    for p in adapter.parameters():
        p.grad = torch.zeros_like(p)  # there after the first step of a training
    batch = prepare(models, [Order(product_canvas(size), "on a wooden table", 0)], config.training_sampling)
    before = psutil.Process().memory_info().rss
    objective(models, reviewer, adapter, config, batch, config.sampling_steps - 1, batch.noise)["total"].backward()
    return {"bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before}


def product_canvas(size: int, seed: int = 0):
    """A box in a colour of its own."""
    import numpy as np
    from reliable_ads.rfnet.product import Product, place

    rgba = np.zeros((96, 96, 4), np.float32)
    rgba[20:80, 25:70] = (*np.random.default_rng(seed).random(3), 1.0)
    return place(Product.from_arrays(rgba, caption="a box"), size, size)


def gradient(dtype: str) -> dict:
    """{"gradient"}: the mean gradient of one update of the pocket family, over two pictures in one process or one in each of two; told only by the first."""
    import torch
    from accelerate import Accelerator
    from reliable_ads.pocket import tuning
    from reliable_ads.pocket.ldm import CHECKPOINT, CONTROLNET
    from reliable_ads.rfft.adapter import Adapter
    from reliable_ads.rfft.config import TrainConfig
    from reliable_ads.rfft.objective import objective
    from reliable_ads.rfft.rollout import Order, prepare
    from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer

    accelerator, kind = Accelerator(cpu=True), getattr(torch, dtype)
    models, reviewer = tuning.load(CHECKPOINT, CONTROLNET).freeze().to(kind), load_reviewer(DEFAULT_WEIGHTS).requires_grad_(False).to(kind)
    config = TrainConfig(checkpoint="", controlnet="", products="", prompts="", folder="", name="cost", size=128, sampling_steps=20, guidance=1.5)
    adapter = Adapter(models.controlnet, 4)
    torch.manual_seed(1)
    for update in adapter.updates:
        torch.nn.init.normal_(update.up, std=0.02)
    orders = [Order(product_canvas(128, seed), "photo, on sand, a park, soft daylight", seed) for seed in range(2)]
    mine = orders[accelerator.process_index::accelerator.num_processes]
    batch = prepare(models, mine, config.training_sampling)
    objective(models, reviewer, adapter, config, batch, 18, batch.noise)["total"].backward()
    flat = accelerator.reduce(torch.cat([p.grad.flatten() for p in adapter.parameters()]), "mean") if accelerator.num_processes > 1 else torch.cat([p.grad.flatten() for p in adapter.parameters()])
    if not accelerator.is_main_process:
        sys.stdout = open(os.devnull, "w")  # one answer is enough
    picked = torch.linspace(0, len(flat) - 1, 20000).long()
    return {"gradient": flat[picked].tolist()}


def largest_difference(one: list, two: list) -> float:
    """The largest difference of two gradients, over the largest entry."""
    return max(abs(a - b) for a, b in zip(one, two)) / max(abs(a) for a in one)


if __name__ == "__main__":
    sys.exit(main())
