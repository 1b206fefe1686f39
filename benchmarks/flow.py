"""Is flow matching in RFFT what diffusers draws with and what the loss says? On small random networks of the real
architectures: SD 3.5, Flux.1, Qwen-Image and Z-Image.

    python -m benchmarks.flow [--quick] [--only checks | memory | pocket]

Schedule: whole drawings in float64 at diffusers' noise levels and at ours. Gradient: of the objective (feedback and
consistent condition) along random directions in the adapter, against central differences in float64, as a share of the
gradient's length. Its reviewer is a small smooth one: networks with kinks, such as the one that ships, have no central
differences to compare with. Memory: `rfft estimate` of a step with one picture on the real shapes, without a weight.
Pocket: of flow_pocket.py, which takes an hour.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from reliable_ads.rfft.adapter import Adapter
from reliable_ads.rfft.config import TrainConfig
from reliable_ads.rfft.estimate import GIB, estimate
from reliable_ads.rfft.families.loading import FLOW_FAMILIES, Sources, assemble, empty_controlnet, load, unfilled
from reliable_ads.rfft.flow import from_diffusers
from reliable_ads.rfft.kinds import CONFIGS, read_json
from reliable_ads.rfft.memory import MemoryPlan
from reliable_ads.rfft.objective import objective
from reliable_ads.rfft.rollout import Job, prepare, rollout
from reliable_ads.rfnet.product import Product, place
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer

from .common import Figure, publish
from .flow_pocket import pocket
from .small_flow import save_family

COMMAND = "python -m benchmarks.flow"
SEED = 0
DIRECTIONS = 3  # in the adapter, for each family
STEP = 1e-4  # of a central difference: the transformers turn their queries in float32
SIZES = {512: 32 * 32, 1024: 64 * 64, 1536: 96 * 96}  # pixels: tokens


def schedule_errors(quick: bool) -> list[float]:
    """The largest difference between two drawings, for each family, number of steps and size."""
    errors = []
    for name, family in FLOW_FAMILIES.items():
        config = read_json(CONFIGS / name / "scheduler" / "scheduler_config.json")
        for steps in (8, 28) if quick else (4, 8, 20, 28, 50):
            for tokens in SIZES.values():
                schedule = from_diffusers(config, **family.schedule)
                ours = [t / 1000 for t in schedule.timesteps(steps, "euler", tokens)] + [0.0]
                errors.append(difference(ours, diffusers_sigmas(config, schedule, steps, tokens)))
    return errors


def diffusers_sigmas(config: dict, schedule, steps: int, tokens: int) -> list[float]:
    """Noise levels of diffusers' scheduler, set up as the pipelines do it."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler.from_config(config)
    mu = schedule.dynamic.mu(tokens) if schedule.dynamic else None
    if schedule.spacing == "trained":
        scheduler.set_timesteps(steps)
    else:
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu)
    return scheduler.sigmas.double().tolist()


def difference(ours: list[float], theirs: list[float]) -> float:
    """Of two drawings along these noise levels with a network that is not linear."""
    torch.manual_seed(SEED)
    x = y = noise = torch.randn(1, 16, 32, 32, dtype=torch.float64)
    for i in range(len(ours) - 1):
        x = x + (ours[i + 1] - ours[i]) * (noise - torch.tanh(2 * x))
        y = y + (theirs[i + 1] - theirs[i]) * (noise - torch.tanh(2 * y))
    return float((x - y).abs().max())


class SmoothReviewer(torch.nn.Module):
    """Logits (B, 5) of a picture's colours by region."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(3 * 8 * 8, 5)

    def logits(self, pictures, rgb, alpha, captions) -> torch.Tensor:
        return self.head(torch.tanh(torch.nn.functional.adaptive_avg_pool2d(pictures, 8).flatten(1)))


def gradients(name: str, directions: int) -> tuple[list[float], bool]:
    """(errors of the objective's slopes, whether the adapter alone had a gradient) of a small family."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, controlnet = save_family(name, Path(folder), SEED)
        models = load(FLOW_FAMILIES[name], checkpoint, controlnet).freeze().to(torch.float64)
    models.vae.decoder.conv_out.weight.mul_(0.1)  # no pixel leaves its range, where it would be clamped
    torch.manual_seed(SEED)
    reviewer = SmoothReviewer().double().requires_grad_(False)
    adapter = Adapter(models.controlnet, 2)
    for update in adapter.updates:
        torch.nn.init.normal_(update.up, std=0.05)
    config = TrainConfig("", "", "", "", "", "flow", size=64, sampling_steps=2, guidance=2.0, gradient_steps=1)
    sampling = config.training_sampling
    canvas = place(Product.from_arrays(torch.full((32, 32, 3), 0.5), torch.ones(32, 32).tril()), 64, 64)
    batch = prepare(models, [Job(canvas, "on sand", SEED)], sampling)
    x = rollout(models, batch, sampling, keep=[1], to_the_end=False)[1][1]

    def total() -> torch.Tensor:
        return objective(models, reviewer, adapter, config, batch, 1, x)["total"]

    total().backward()
    slopes = [p.grad for p in adapter.parameters()]
    frozen = [p.grad for part in (*models.parts().values(), reviewer) for p in part.parameters()]
    alone = all(g is None for g in frozen) and all(g is None or bool(g.isfinite().all()) for g in slopes)
    return [slope_error(adapter, slopes, total) for _ in range(directions)], alone


def slope_error(adapter: Adapter, slopes: list, total) -> float:
    """The gradient's error along one random direction, as a share of its length."""
    direction = [torch.randn_like(p) for p in adapter.parameters()]
    slope = sum(float((g * d).sum()) for g, d in zip(slopes, direction) if g is not None)
    values = []
    with torch.no_grad():
        for by in (STEP, -2 * STEP, STEP):  # ahead, behind, and back
            for p, d in zip(adapter.parameters(), direction):
                p.add_(by * d)
            values.append(float(total()))
    length = sum(float(g.square().sum()) for g in slopes if g is not None) ** 0.5
    return abs((values[0] - values[1]) / (2 * STEP) - slope) / length


# What makes a ControlNet of a transformer's shape the usual one
CONTROLNETS: dict[str, dict] = {
    "sd35": {"num_layers": 19, "joint_attention_dim": None, "use_pos_embed": False, "pos_embed_type": None},
    "flux": {"num_layers": 5, "num_single_layers": 10},
    "qwen_image": {"num_layers": 5},
    "z_image": {
        "control_layers_places": list(range(0, 30, 5)),
        "control_in_dim": 16,
        "dim": 3840,
        "n_heads": 30,
        "n_kv_heads": 30,
    },
}


class Words:
    """A tokenizer's stand-in, which gives every prompt as many words as a usual one has."""

    def __call__(self, prompts, padding=None, max_length=64, **_):
        count = max_length if padding == "max_length" else 64
        return {"input_ids": [1] * count if isinstance(prompts, str) else [[1] * count for _ in prompts]}


def bones(name: str):
    """A family's models of the real shapes, without a weight."""
    family, configs = FLOW_FAMILIES[name], CONFIGS / name
    found = Sources(scheduler=read_json(configs / "scheduler" / "scheduler_config.json"))
    found.configs = {part: read_json(configs / part / "config.json") for part in family.networks}
    found.control = {**(found.configs["transformer"] if name != "z_image" else {}), **CONTROLNETS[name]}
    networks = {part: unfilled(network, found.configs[part]) for part, network in family.networks.items()}
    models = assemble(family, networks, empty_controlnet(family, found), found)
    texts = {part: network for part, network in networks.items() if part.startswith("text_encoder")}
    models.encode_prompts = lambda prompts: family.encode(texts, dict.fromkeys(family.tokenizers, Words()), prompts)
    return models


def memory(quick: bool) -> dict[str, Figure]:
    """What a step takes at its most, as configured: bfloat16, recomputed activations, rank 16, one picture."""
    figures = {}
    reviewer = load_reviewer(DEFAULT_WEIGHTS).requires_grad_(False)
    for name in ("z_image",) if quick else FLOW_FAMILIES:
        for size in (512,) if quick else (512, 1024):
            config = TrainConfig("", "", "", "", "", "flow", size=size, batch=1, precision="bf16", half_base=True)
            canvas = place(Product.from_arrays(torch.full((32, 32, 3), 0.5), torch.ones(32, 32).tril()), size, size)
            found = estimate(config, bones(name), reviewer, [(canvas, "on sand")], MemoryPlan(True, 1))
            print(f"{name}, {size} px: {found}", flush=True)
            figures[f"memory_{name}_{size}_gib"] = Figure(found.total / GIB, n=1)
            figures[f"memory_{name}_{size}_step_gib"] = Figure(found.activations / GIB, n=1)
    return figures


def checks(quick: bool) -> dict[str, Figure]:
    drawings = schedule_errors(quick)
    found = {name: gradients(name, 1 if quick else DIRECTIONS) for name in FLOW_FAMILIES}
    errors = [error for family, _ in found.values() for error in family]
    return {
        "schedule_error": Figure(max(drawings), n=len(drawings)),
        "gradient_error": Figure(max(errors), n=len(errors)),
        "adapter_only_gradient": Figure(sum(alone for _, alone in found.values()) / len(found), n=len(found)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=["checks", "memory", "pocket"])
    arguments = parser.parse_args()
    if arguments.only == "pocket":
        figures, details = pocket(arguments.quick)
        publish("flow", COMMAND, [0, 1, 2], figures, arguments.quick, details, paints=True)
        return
    for name, measure in (("checks", checks), ("memory", memory)):
        if arguments.only in (None, name):
            figures = measure(arguments.quick)
            publish("flow", COMMAND, [SEED], figures, arguments.quick, reviews=measure is memory)


if __name__ == "__main__":
    main()
