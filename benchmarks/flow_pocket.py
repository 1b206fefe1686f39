"""RFFT on the pocket family after it was turned into one that matches flows, beside the one that predicts v: the same
products, steps, updates, loss and seeds (docs/protocol.md, 9).

    pocket train flow --start pocket/weights/pocket_sd.safetensors --work data/flow/work --data DATA --bf16 --steps 240
    pocket train export --work data/flow/work --out data/flow
    python -m benchmarks.flow --only pocket

The second reviewer looks at what was drawn and at no training.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from reliable_ads.pocket.ldm import CHECKPOINT, CONTROLNET
from reliable_ads.pocket.tuning import FLOW_SAMPLER

from . import rfft_fronts, tuning
from .common import ROOT, VALIDATION, Figure, painter_print
from .sampler import SECOND

WORK = ROOT / "data" / "flow"
FLOW = (WORK / CHECKPOINT.name, WORK / CONTROLNET.name)
WAY = "cc_0.05"
PRODUCTS = 60


def changes(name: str) -> dict:
    """What makes one of tuning.RUNS a training of the other family."""
    checkpoint, controlnet = map(str, FLOW)
    renamed = f"flow_{name}".replace(".", "-")
    return {"checkpoint": checkpoint, "controlnet": controlnet, "sampler": FLOW_SAMPLER, "name": renamed}


def kept(name: str) -> Path:
    """The adapter of such a training, as tuning.adapter."""
    found = tuning.config(name, **changes(name))
    return found.result if found.result.exists() else found.last


def pocket(quick: bool) -> tuple[dict[str, Figure], dict]:
    """Trains what is not trained yet, and draws unseen products by both families, before and after."""
    if not all(file.exists() for file in FLOW):
        raise SystemExit(f"{WORK} holds no family that matches flows: the head of {Path(__file__).name} makes it")
    torch.set_num_threads(1)
    less = {"steps": 1, "evaluate_every": 1, "evaluation_products": 2, "gradient_steps": 1} if quick else {}
    runs = [f"{WAY}_{seed}" for seed in tuning.TRAINING_SEEDS[: 1 if quick else None]]
    tuning.WORK = tuning.WORK / "quick" if quick else tuning.WORK
    for name in runs:
        for family, other in (("v", {}), ("flow matching", changes(name))):
            print(f"{name}, {family}", flush=True)
            tuning.train(name, source=VALIDATION if quick else None, **other, **less)
    studio = tuning.Studio(2 if quick else PRODUCTS, second=SECOND, quick=quick)
    checkpoint, controlnet = FLOW
    flow = {
        "checkpoint": checkpoint,
        "controlnet": controlnet,
        "sampling": replace(tuning.SAMPLING, sampler=FLOW_SAMPLER),
    }
    families = {
        "v": [studio.draw("before")] + [studio.draw(name, tuning.adapter(name)) for name in runs],
        "flow": [studio.draw("flow_before", **flow)]
        + [studio.draw(f"flow_{name}", kept(name), **flow) for name in runs],
    }
    figures: dict[str, Figure] = {}
    for name, drawn in families.items():
        before, *after = (rfft_fronts.measured(each, studio) for each in drawn)
        arrays = {kind: np.stack([each[kind] for each in after]) for kind in before}
        found = rfft_fronts.after(arrays, before, "_")
        figures |= {
            f"rate_before_{name}": rfft_fronts.together(before["rate"][None]),
            f"rate_gain_{name}": found["gain_"],
            f"second_gain_{name}": found["second_gain_"],
            f"diversity_{name}": found["diversity_"],
        }
    return figures, {"pocket": {"flow": painter_print(*FLOW), "v": painter_print()}}
