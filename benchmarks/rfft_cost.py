"""What a training step of RFFT costs: memory with recomputed activations against without, and two processes against
one. Part of benchmarks/rfft.py.

Memory is the peak of a process's own account while it takes one differentiable step of a random-weight SD 1.5 in
float32 on the CPU, over what it held before; the allocator is told to hand back at once what is freed, so that it is
the tensors that are counted. Processes are two of gloo, against one with the doubled batch, which it takes in the
portions of the two, as a training does that runs short of memory, or at once: then other kernels add in another order,
and float32 rounds differently. Run as a program it is one of these processes.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys

from .common import Figure

THRIFTY = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "131072"}
SAVED_512 = {
    False: 5.19,
    True: 0.99,
    # GiB that autograd keeps of such a step at 512 px in bf16, counted by saved-tensor hooks; a peak is more, since it
    # holds what is being worked on, too
}


def costs(size: int) -> tuple[dict[str, Figure], dict]:
    """Figures of a step at `size` pixels, and of two processes."""
    kept, recomputed = (run_alone("step", "--size", str(size), *flags)["bytes"] for flags in ((), ("--checkpointing",)))
    ratio = recomputed / kept
    figures = {
        "memory_ratio": Figure(ratio, n=1, target="<= 0.45", holds=ratio <= 0.45),
        "memory_kept_mib": Figure(kept / 2**20, n=1, unit="MiB"),
        "memory_recomputed_mib": Figure(recomputed / 2**20, n=1, unit="MiB"),
    }
    for dtype, portion, key, target in (
        ("float64", 2, "_fp64", 1e-5),
        ("float32", 1, "", 1e-5),
        ("float32", 2, "_at_once", None),
    ):
        error = largest_difference(
            run_alone("gradient", "--dtype", dtype, "--portion", str(portion))["gradient"],
            run_together("gradient", "--dtype", dtype)["gradient"],
        )
        figures[f"two_process_gradient_error{key}"] = Figure(
            error, n=1, target=f"<= {target:g}" if target else "", holds=error <= target if target else None
        )
    if size == 256:
        estimated = estimate_512()
        figures |= {f"estimate_512_{name}_gib": Figure(value, n=1, unit="GiB") for name, value in estimated.items()}
        figures["estimate_512_ratio"] = Figure(
            estimated["recomputed"] / estimated["kept"],
            n=1,
            target="<= 0.45",
            holds=estimated["recomputed"] <= 0.45 * estimated["kept"],
        )
        for name, saved in (("kept", SAVED_512[False]), ("recomputed", SAVED_512[True])):
            print(
                f"512 px, {name}: a peak of {estimated[name]:.2f} GiB; of it, kept for the way back, by another count:"
                f" {saved} GiB"
            )
    return figures, {
        "cost": f"SD 1.5, random weights, float32, {size}x{size}, batch 1, guidance and consistent condition on"
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=["step", "gradient"])
    parser.add_argument("--size", type=int, default=256, help="side of the pictures, pixels")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--portion", type=int, default=2, help="for gradient: pictures at a time")
    options = parser.parse_args()
    print(
        "ANSWER"
        + json.dumps(
            step(options.size, options.checkpointing)
            if options.role == "step"
            else gradient(options.dtype, options.portion)
        ),
        flush=True,
    )
    return 0


def run_alone(*arguments) -> dict:
    """What a process of its own answers."""
    return answer([sys.executable, "-m", "benchmarks.rfft_cost", *arguments])


def run_together(*arguments) -> dict:
    """What the first of two gloo processes answers."""
    return answer(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc_per_node",
            "2",
            "-m",
            "benchmarks.rfft_cost",
            *arguments,
        ]
    )


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
    from reliable_ads.rfft.kinds import SD15
    from reliable_ads.rfft.loading import untrained
    from reliable_ads.rfft.objective import objective
    from reliable_ads.rfft.rollout import Job, prepare
    from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer

    torch.manual_seed(0)
    models = untrained(SD15).freeze().checkpoint(checkpointing)
    reviewer = load_reviewer(DEFAULT_WEIGHTS).requires_grad_(False)
    config = TrainConfig(
        checkpoint="", controlnet="", products="", prompts="", folder="", name="cost", size=size, batch=1
    )
    adapter = Adapter(models.controlnet, config.rank)
    for p in adapter.parameters():
        p.grad = torch.zeros_like(p)  # there after the first step of a training
    batch = prepare(models, [Job(product_canvas(size), "on a wooden table", 0)], config.training_sampling)
    before = psutil.Process().memory_info().rss
    objective(models, reviewer, adapter, config, batch, config.sampling_steps - 1, batch.noise)["total"].backward()
    return {"bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before}


def estimate_512() -> dict[str, float]:
    """{"kept", "recomputed"}: GiB in a step of SD 1.5 at 512 px in bfloat16, batch 1, as `rfft estimate` computes it,
    which needs neither weights nor memory.
    """
    import torch

    from reliable_ads.rfft.config import TrainConfig
    from reliable_ads.rfft.estimate import GIB, estimates
    from reliable_ads.rfft.kinds import SD15
    from reliable_ads.rfft.loading import untrained
    from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer

    def skeleton():
        with torch.device("meta"):
            return untrained(SD15)

    config = TrainConfig(
        checkpoint="",
        controlnet="",
        products="",
        prompts="",
        folder="",
        name="cost",
        size=512,
        batch=1,
        precision="bf16",
        checkpointing=False,
    )
    kept, recomputed = (
        row.activations / GIB
        for row in estimates(
            config,
            skeleton,
            load_reviewer(DEFAULT_WEIGHTS).requires_grad_(False),
            [(product_canvas(512), "on a wooden table")],
        )
    )
    return {"kept": kept, "recomputed": recomputed}


def product_canvas(size: int, seed: int = 0):
    """A box in a colour of its own."""
    import numpy as np

    from reliable_ads.rfnet.product import Product, place

    rgba = np.zeros((96, 96, 4), np.float32)
    rgba[20:80, 25:70] = (*np.random.default_rng(seed).random(3), 1.0)
    return place(Product.from_arrays(rgba, caption="a box"), size, size)


def gradient(dtype: str, portion: int) -> dict:
    """{"gradient"}: the mean gradient of one update of the pocket family, over two pictures in one process, `portion`
    at a time, or one in each of two; told only by the first.
    """
    import torch
    from accelerate import Accelerator

    from reliable_ads.pocket import tuning
    from reliable_ads.pocket.ldm import CHECKPOINT, CONTROLNET
    from reliable_ads.rfft.adapter import Adapter
    from reliable_ads.rfft.config import TrainConfig
    from reliable_ads.rfft.objective import objective
    from reliable_ads.rfft.rollout import Job, prepare
    from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer

    torch.set_num_threads(1)  # as torchrun gives its processes: two threads add in another order
    accelerator, kind = Accelerator(cpu=True), getattr(torch, dtype)
    models, reviewer = (
        tuning.load(CHECKPOINT, CONTROLNET).freeze().to(kind),
        load_reviewer(DEFAULT_WEIGHTS).requires_grad_(False).to(kind),
    )
    config = TrainConfig(
        checkpoint="",
        controlnet="",
        products="",
        prompts="",
        folder="",
        name="cost",
        size=128,
        sampling_steps=20,
        guidance=1.5,
    )
    adapter = Adapter(models.controlnet, 4)
    torch.manual_seed(1)
    for update in adapter.updates:
        torch.nn.init.normal_(update.up, std=0.02)
    jobs = [Job(product_canvas(128, seed), "photo, on sand, a park, soft daylight", seed) for seed in range(2)]
    mine = jobs[accelerator.process_index :: accelerator.num_processes]
    for start in range(0, len(mine), portion):
        part = mine[start : start + portion]
        batch = prepare(models, part, config.training_sampling)
        (
            objective(models, reviewer, adapter, config, batch, 18, batch.noise)["total"] * len(part) / len(mine)
        ).backward()
    flat = (
        accelerator.reduce(torch.cat([p.grad.flatten() for p in adapter.parameters()]), "mean")
        if accelerator.num_processes > 1
        else torch.cat([p.grad.flatten() for p in adapter.parameters()])
    )
    if not accelerator.is_main_process:
        sys.stdout = io.StringIO()  # one answer is enough
    picked = torch.linspace(0, len(flat) - 1, 20000).long()
    return {"gradient": flat[picked].tolist()}


def largest_difference(one: list, two: list) -> float:
    """The largest difference of two gradients, over the largest entry."""
    return max(abs(a - b) for a, b in zip(one, two)) / max(abs(a) for a in one)


if __name__ == "__main__":
    sys.exit(main())
