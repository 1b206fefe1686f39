"""The trainings that benchmarks/rfft.py compares, and the pictures that it draws with their adapters.

Products to learn on are those of pocket/training/drawn_split/train, with prompts in the family's words; what is looked
at on the way, and what every choice was made by, are validation products (`synthetic render`); what is published is
measured on test products, which neither the family nor the reviewer nor these trainings ever saw.
"""

from __future__ import annotations

import io
import itertools
import json
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open

from reliable_ads.pocket import tuning
from reliable_ads.pocket.ldm import CHECKPOINT, CONTROLNET
from reliable_ads.rfft.adapter import sha256_of
from reliable_ads.rfft.config import TrainConfig
from reliable_ads.rfft.evaluate import Evaluation, colour_statistics, evaluate, evaluation_jobs, image_features
from reliable_ads.rfft.lora import fold_loras
from reliable_ads.rfft.merge import merge_files
from reliable_ads.rfft.rollout import Sampling, review_logits
from reliable_ads.rfft.train import Run
from reliable_ads.rfnet.data.shards import write_shard
from reliable_ads.rfnet.data.sources import read_shards
from reliable_ads.rfnet.files import whole
from reliable_ads.rfnet.product import Product, place
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer
from reliable_ads.synthetic.jobs import TEST_SPLIT, jobs_of, prompt_for

from .common import ROOT

LEARNED = ROOT / "pocket" / "training" / "drawn_split" / "train"
MORE = ROOT / "benchmarks" / "products"  # test products beyond those of the shipped test split
VALIDATION = ROOT / "data" / "pocket" / "val"
WORK = ROOT / "data" / "rfft"
SIZE = 128  # pixels
PROMPTS = 2  # per product to learn on
SEEDS = 2  # pictures per product that is measured
SAMPLING = Sampling(tuning.SAMPLING["sampling_steps"], tuning.SAMPLING["guidance"])

COMMON = dict(
    tuning.SAMPLING,
    family="pocket",
    products=str(LEARNED),
    prompts="",
    checkpoint=str(CHECKPOINT),
    controlnet=str(CONTROLNET),
    precision="bf16",
    checkpointing=False,
    steps=50,
    batch=4,
    gradient_steps=8,
    last_steps=10,
    lr=1e-3,
    warm_up=5,
    ema=0.9,
    rank=16,
    evaluate_every=10,
    evaluation_products=57,
    evaluation_seeds=SEEDS,
    diversity_loss=1.0,
    save_every=5,
)
# diversity_loss 1: no run stops by itself, since the comparison wants to see where each one goes
SCHEDULE_SEEDS = (0, 1)
RUNS = {
    "none": {"loss": "none", "beta": 0.0, "evaluate_every": 5},
    "none_long": {
        "loss": "none",
        "beta": 0.0,
        "evaluate_every": 25,
        "steps": 300,
    },  # where it goes when nothing holds it
    "kl": {"loss": "kl", "beta": 0.05, "evaluate_every": 5},
    "cc": {"loss": "cc", "beta": 0.05, "evaluate_every": 5},
    "cc_strong": {"loss": "cc", "beta": 0.2},
    "cc_again": {"loss": "cc", "beta": 0.05, "seed": 1},
    # Eight updates per drawing, drawn without guidance, against the paper's one; two seeds each
    **{
        f"fast_{seed}": {
            "loss": "cc",
            "beta": 0.05,
            "seed": seed,
            "rollout_guidance": False,
            "steps": 24,
            "evaluate_every": 2,
        }
        for seed in SCHEDULE_SEEDS
    },
    **{
        f"paper_{seed}": {
            "loss": "cc",
            "beta": 0.05,
            "seed": seed,
            "gradient_steps": 1,
            "steps": 120,
            "evaluate_every": 10,
        }
        for seed in SCHEDULE_SEEDS
    },
}
COMPARED = [name for name in RUNS if not name.startswith(("fast_", "paper_"))]
TUNED = "cc"  # what everything else is measured with


def config(name: str, **changes) -> TrainConfig:
    """The config of one of RUNS, or of a variation of it."""
    return TrainConfig(**{**COMMON, **RUNS[name], "folder": str(WORK), "name": name, **changes})


def adapter(name: str) -> Path:
    """What a run keeps: its evaluation with the highest rate on validation products (rfft.train.Run.best); of the long
    one its last, since it shows where that road ends.
    """
    return config(name).last if name == "none_long" else config(name).result


def history(name: str) -> list:
    """Every evaluation of a run on validation products, the first of them before its first step."""
    with safe_open(config(name).state, "pt") as file:
        return json.loads(file.metadata()["place"])["history"]


def learned_products() -> dict:
    """{its id: Product} to learn on."""
    products = {}
    for shard in sorted(LEARNED.glob("*.zip")):
        with zipfile.ZipFile(shard) as archive:
            for row in map(json.loads, filter(str.strip, archive.read("index.jsonl").decode("utf-8").split("\n"))):
                if row["product_id"] not in products:
                    rgba = (
                        np.asarray(Image.open(io.BytesIO(archive.read(row["product"]))).convert("RGBA"), np.float32)
                        / 255
                    )
                    products[row["product_id"]] = Product(rgba, row["caption"])
    return products


def learned_pairs() -> list:
    """(canvas, prompt): each of them with PROMPTS prompts of its own."""
    return [
        (place(product, SIZE, SIZE), prompt_for(f"{name}/{number}"))
        for name, product in learned_products().items()
        for number in range(PROMPTS)
    ]


def placed(jobs: list) -> list:
    """(canvas, prompt) of jobs of synthetic.jobs."""
    return [(place(job.product, SIZE, SIZE), job.prompt) for job in jobs]


def test_products(count: int | None = None) -> list:
    """Jobs of test products: the shipped split's, then those of MORE."""
    shipped = jobs_of(TEST_SPLIT)
    known = {job.product_id for job in shipped}
    return [*shipped, *(job for job in jobs_of(MORE) if job.product_id not in known)][:count]


def keep_products(rendered: Path) -> int:
    """Puts the whole products of rendered test scenes that the shipped split doesn't show into MORE; returns how many
    there are.
    """
    known = {job.product_id for job in jobs_of(TEST_SPLIT)}
    samples, scenes = read_shards(rendered, 128), []
    for row in range(len(samples)):
        name = samples.product_id(row)
        if samples.labels[row] == 0 and not samples.texts["cause"][row] and name not in known:
            known.add(name)
            sample = samples.read(row)
            texts = {key: sample[key] for key in ("id", "caption", "prompt", "cause", "product_id", "room_id")}
            pictures = {key: Image.fromarray(sample[key]) for key in ("image", "product", "depth")}
            scenes.append({**texts, **pictures, "label": "available"})
    MORE.mkdir(parents=True, exist_ok=True)
    write_shard(MORE / "test-more.zip", scenes)
    return len(scenes)


def train(name: str, watch=None, **changes) -> dict:
    """The answer of a training; one that is there already, or was stopped, goes on."""
    c = config(name, **changes)
    models, reviewer = tuning.load(c.checkpoint, c.controlnet), load_reviewer(c.reviewer)
    return Run(c, models, reviewer, learned_pairs(), placed(jobs_of(VALIDATION)), watch, cpu=True)()


@dataclass
class Drawn:
    """What one way draws for P products with S seeds each, N = P * S pictures, product by product: pictures (N, 3, H,
    W) in [0, 1]; p(available) (N,) of the reviewer that it was tuned for and of the judge (None without one);
    diversity, colour (P,): mean distances of a product's pictures, in the reviewer's features and in their backgrounds'
    colours, as rfft.evaluate has them, NaN for single ones; evaluation: its figures.
    """

    evaluation: Evaluation
    pictures: torch.Tensor
    reviewer: np.ndarray
    judge: np.ndarray | None
    diversity: np.ndarray
    colour: np.ndarray


class Studio:
    """Draws the same products with the same seeds by any adapter, checkpoint and LoRAs.

    Pictures are kept in a folder, so that a stopped benchmark goes on.
    """

    def __init__(self, products: int | None = None, seeds: int = SEEDS, judge: Path | None = None):
        self.folder = WORK / "drawn"
        self.seeds = seeds
        self.products = test_products(products)
        self.jobs = [
            job
            for number, job in enumerate(evaluation_jobs(placed(self.products), max(2, seeds)))
            if number % max(2, seeds) < seeds
        ]
        self.reviewer = load_reviewer(DEFAULT_WEIGHTS).requires_grad_(False)
        self.judge = load_reviewer(judge).requires_grad_(False) if judge and judge.exists() else None

    @torch.no_grad()
    def draw(self, name: str, adapter: Path | None = None, checkpoint: Path = CHECKPOINT, loras: tuple = ()) -> Drawn:
        """Draws, reviews and judges."""
        made = "+".join([sha256_of(file)[:12] for file in (adapter, checkpoint, *loras) if file])
        kept = self.folder / f"{name}-{len(self.products)}x{self.seeds}.npz"
        if not kept.exists() or str(np.load(kept)["made"]) != made:
            print(f"{name}: {len(self.jobs)} pictures", flush=True)
            models = models_with(adapter, checkpoint, loras)
            with torch.autocast("cpu", torch.bfloat16):  # as the trainings do
                found, pictures = evaluate(models, self.reviewer, self.jobs, SAMPLING, batch=16)
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
        features = torch.cat([image_features(self.reviewer, part) for part in pictures.split(32)])
        colours = torch.stack(
            [colour_statistics(picture, 1 - job.canvas.alpha) for picture, job in zip(pictures, self.jobs)]
        )
        return Drawn(
            Evaluation(**json.loads(str(file["found"]))),
            pictures,
            self.available(self.reviewer, pictures),
            self.available(self.judge, pictures) if self.judge else None,
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
                review_logits(reviewer, pictures[i : i + chunk], canvases[i : i + chunk]).softmax(1)[:, 0]
                for i in range(0, len(pictures), chunk)
            ]
        ).numpy()


def models_with(adapter: Path | None = None, checkpoint: Path = CHECKPOINT, loras: tuple = ()):
    """The models, the adapter merged into their ControlNet as `rfft merge` does it: a drawing then costs no more than
    before.
    """
    with tempfile.TemporaryDirectory() as folder:
        controlnet = CONTROLNET
        if adapter:
            controlnet = Path(folder) / "merged.safetensors"
            merge_files(CONTROLNET, [adapter], controlnet)
        return fold_loras(tuning.load(checkpoint, controlnet), [{"file": str(file)} for file in loras]).freeze()
