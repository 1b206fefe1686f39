"""The trainings that benchmarks/rfft.py compares, and the pictures that it draws with their adapters.

Products to learn on are training products (`synthetic products --split train`), with prompts in the family's words;
what is looked at on the way, and what every choice is made by, are validation products; what is published is measured
on unseen products, whose kinds neither the family nor the reviewer nor these trainings ever saw.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from reliable_ads.pocket import tuning
from reliable_ads.pocket.ldm import CHECKPOINT, CONTROLNET
from reliable_ads.rfft.adapter import AdapterError, read_adapter, sha256_of
from reliable_ads.rfft.config import TrainConfig
from reliable_ads.rfft.evaluate import Evaluation, colour_statistics, evaluate, evaluation_jobs, image_features
from reliable_ads.rfft.lora import fold_loras
from reliable_ads.rfft.merge import merge_files
from reliable_ads.rfft.rollout import Sampling, review_logits
from reliable_ads.rfft.train import Run
from reliable_ads.rfnet.files import whole, write_text
from reliable_ads.rfnet.product import place
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer
from reliable_ads.synthetic.jobs import jobs_of, prompt_for
from reliable_ads.synthetic.product_files import read_products

from .common import ROOT, VALIDATION, computes_bf16, products

LEARNED = ROOT / "data" / "products" / "train.zip"  # of `synthetic products --split train --count 400`
WORK = ROOT / "data" / "rfft"
SIZE = tuning.SAMPLING["size"]  # pixels
PROMPTS = 2  # per product to learn on
SEEDS = 2  # pictures per product that is measured
SAMPLING = Sampling(tuning.SAMPLING["sampling_steps"], tuning.SAMPLING["guidance"], sampler=tuning.SAMPLING["sampler"])
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

COMMON = dict(
    tuning.SAMPLING,
    family="pocket",
    products=str(LEARNED),
    prompts="",
    checkpoint=str(CHECKPOINT),
    controlnet=str(CONTROLNET),
    precision="bf16",
    checkpointing=False,
    steps=12,
    batch=4,
    gradient_steps=4,
    last_steps=5,
    lr=1e-3,
    warm_up=5,
    ema=0.9,
    rank=16,
    evaluate_every=12,
    evaluation_products=24,
    evaluation_seeds=SEEDS,
    diversity_loss=1.0,
    save_every=5,
)
# diversity_loss 1: no run stops by itself, since the comparison wants to see where each one goes.
TRAINING_SEEDS = (0, 1, 2)
BETAS = (0.01, 0.05, 0.25)
WAYS = {"none": ("none", 0.0)} | {f"{loss}_{beta:g}": (loss, beta) for loss in ("kl", "cc") for beta in BETAS}
COMPARED = {
    f"{way}_{seed}": {"loss": loss, "beta": beta, "seed": seed}
    for way, (loss, beta) in WAYS.items()
    for seed in TRAINING_SEEDS
}
TUNED = "cc_0.05_0"  # what ships, and everything else is measured with
SHIPPED = CONTROLNET.with_name("pocket_canny_reliable.safetensors")
LONG = "none_long"  # where it goes when nothing holds it
RUNS = {
    **COMPARED,
    LONG: {"loss": "none", "beta": 0.0, "evaluate_every": 72, "steps": 72},
    # The paper's schedule, one update per drawing; as many passes as ours, where one with gradient counts as three
    **{
        f"paper_{seed}": {
            "loss": "cc",
            "beta": 0.05,
            "seed": seed,
            "gradient_steps": 1,
            "last_steps": 8,
            "steps": 30,
            "evaluate_every": 30,
        }
        for seed in TRAINING_SEEDS
    },
}


def config(name: str, /, **changes) -> TrainConfig:
    """The config of one of RUNS, or of a variation of it."""
    return TrainConfig(**{**COMMON, **RUNS[name], "folder": str(WORK), "name": name.replace(".", "-"), **changes})


def adapter(name: str) -> Path:
    """What a run keeps: its evaluation with the highest rate on validation products (rfft.train.Run.best); its last
    where none was better than before, and of the long one, since it shows where that road ends. The one that ships need
    not be trained here.
    """
    found = config(name)
    if name == TUNED and not found.last.exists():
        return SHIPPED
    return found.last if name == LONG or not found.result.exists() else found.result


def history(name: str) -> list:
    """Every evaluation of a run on validation products, the first of them before its first step."""
    with safe_open(config(name).state, "pt") as file:
        return json.loads(file.metadata()["place"])["history"]


def fits(file: Path) -> bool:
    """Whether an adapter is there and belongs to the family that ships."""
    try:
        read_adapter(file, CONTROLNET)
    except AdapterError:
        return False
    return True


def learned_pairs(source: Path) -> list:
    """(canvas, prompt) to learn on: each product with PROMPTS prompts of its own."""
    return [
        (place(product, SIZE, SIZE), prompt_for(f"{name}/{number}"))
        for name, _, product in read_products(source)
        for number in range(PROMPTS)
    ]


def placed(jobs: list) -> list:
    """(canvas, prompt) of jobs of synthetic.jobs."""
    return [(place(job.product, SIZE, SIZE), job.prompt) for job in jobs]


def load(checkpoint, controlnet):
    """The models, their pictures' channels last: a fifth faster on a CPU, the decoder a third."""
    models = tuning.load(checkpoint, controlnet)
    for part in (models.unet, models.controlnet, models.vae):
        part.to(memory_format=torch.channels_last)
    return models


def train(name: str, /, watch=None, source: Path | None = None, **changes) -> dict:
    """The answer of a training; one that is there already, or was stopped, goes on.

    All trainings begin at the same pictures, so that the first one's evaluation of them is every other's.
    """
    c = config(name, **changes)
    models, reviewer = load(c.checkpoint, c.controlnet), load_reviewer(c.reviewer)
    pairs, looked_at = learned_pairs(source or LEARNED), placed(jobs_of(VALIDATION))
    run = Run(c, models, reviewer, pairs, looked_at, watch)
    start = WORK / f"start-{run.base_sha256[:12]}-{c.evaluation_products}x{c.evaluation_seeds}.json"
    if not run.history and start.exists():
        run.history.append(json.loads(start.read_text(encoding="utf-8")))
    answer = run()
    write_text(start, json.dumps(answer["before"]))
    return answer


@dataclass
class Drawn:
    """What one way draws for P products with S seeds each, N = P * S pictures, product by product: pictures (N, 3, H,
    W) in [0, 1]; p(available) (N,) of the reviewer that it was tuned for and of the second reviewer (None without one);
    diversity, colour (P,): mean distances of a product's pictures, in the reviewer's features and in their backgrounds'
    colours, as rfft.evaluate has them, NaN for single ones; evaluation: its figures.
    """

    evaluation: Evaluation
    pictures: torch.Tensor
    reviewer: np.ndarray
    second: np.ndarray | None
    diversity: np.ndarray
    colour: np.ndarray


class Studio:
    """Draws the same products with the same seeds by any adapter, checkpoint and LoRAs.

    Pictures are kept in a folder, so that a stopped benchmark goes on.
    """

    def __init__(self, count: int, seeds: int = SEEDS, second: Path | None = None, quick: bool = False):
        self.folder = WORK / "drawn"
        self.seeds = seeds
        self.products = products(count, quick)
        self.jobs = [
            job
            for number, job in enumerate(evaluation_jobs(placed(self.products), max(2, seeds)))
            if number % max(2, seeds) < seeds
        ]
        self.reviewer = load_reviewer(DEFAULT_WEIGHTS).requires_grad_(False).to(DEVICE)
        self.second = None
        if second and second.exists():
            self.second = load_reviewer(second).requires_grad_(False).to(DEVICE)

    @torch.no_grad()
    def draw(
        self,
        name: str,
        adapter: Path | None = None,
        checkpoint: Path = CHECKPOINT,
        loras: tuple = (),
        controlnet: Path = CONTROLNET,
        sampling: Sampling = SAMPLING,
    ) -> Drawn:
        """Draws, and asks both reviewers."""
        bf16 = computes_bf16()  # the trainings' way, where it pays
        made = "+".join([sha256_of(file)[:12] for file in (adapter, checkpoint, controlnet, *loras) if file])
        made += "" if bf16 else "+fp32"
        kept = self.folder / f"{name}-{len(self.products)}x{self.seeds}.npz"
        if not kept.exists() or str(np.load(kept)["made"]) != made:
            print(f"{name}: {len(self.jobs)} pictures", flush=True)
            models = models_with(adapter, checkpoint, loras, controlnet).to(DEVICE)
            with torch.autocast(DEVICE, torch.bfloat16, enabled=bf16):
                found, pictures = evaluate(models, self.reviewer, self.jobs, sampling, batch=16)
            kept.parent.mkdir(parents=True, exist_ok=True)
            with whole(kept) as partial, open(partial, "wb") as file:
                np.savez(
                    file,
                    pictures=(pictures.clamp(0, 1) * 255).round().byte().numpy(),
                    found=json.dumps(found.row()),
                    made=made,
                )
        file = np.load(kept)
        pictures = torch.from_numpy(file["pictures"]).float() / 255
        features = torch.cat([image_features(self.reviewer, part.to(DEVICE)).cpu() for part in pictures.split(32)])
        colours = torch.stack(
            [colour_statistics(picture, 1 - job.canvas.alpha) for picture, job in zip(pictures, self.jobs)]
        )
        return Drawn(
            Evaluation(**json.loads(str(file["found"]))),
            pictures,
            self.available(self.reviewer, pictures),
            self.available(self.second, pictures) if self.second else None,
            self.across_seeds(features, lambda d: d.square().mean(1).sqrt()),
            self.across_seeds(colours, lambda d: d.norm(dim=1)),
        )

    def across_seeds(self, values: torch.Tensor, length) -> np.ndarray:
        """(P,): the mean of length(difference) over all pairs of a product's rows of values (N, D); NaN where there is
        but one.
        """
        values, pairs = (
            values.view(len(self.products), self.seeds, -1),
            list(itertools.combinations(range(self.seeds), 2)),
        )
        return (
            sum(length(values[:, i] - values[:, j]) for i, j in pairs) / len(pairs)
            if pairs
            else torch.full((len(self.products),), torch.nan)
        ).numpy()

    @torch.no_grad()
    def available(self, reviewer, pictures: torch.Tensor, chunk: int = 32) -> np.ndarray:
        """(N,) p(available) of the pictures of `jobs`."""
        canvases = [job.canvas for job in self.jobs]
        return torch.cat(
            [
                review_logits(reviewer, pictures[i : i + chunk].to(DEVICE), canvases[i : i + chunk])
                .softmax(1)[:, 0]
                .cpu()
                for i in range(0, len(pictures), chunk)
            ]
        ).numpy()


def models_with(
    adapter: Path | None = None, checkpoint: Path = CHECKPOINT, loras: tuple = (), controlnet: Path = CONTROLNET
):
    """The models, the adapter merged into their ControlNet as `rfft merge` does it: a drawing then costs no more than
    before.
    """
    with tempfile.TemporaryDirectory() as folder:
        merged = controlnet
        if adapter:
            merged = Path(folder) / "merged.safetensors"
            merge_files(controlnet, [adapter], merged)
        return fold_loras(load(checkpoint, merged), [{"file": str(file)} for file in loras]).freeze()
