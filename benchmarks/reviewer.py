"""The reviewer in figures: how right it is, against which other networks, thanks to which inputs, and what it costs.

    python -m benchmarks.reviewer [--quick] [--only index speed step generalisation drawn baselines ablations
        input_size]

`generalisation` (generalisation.py) and `drawn` (drawn.py, with --before) ask the shipped weights; `baselines` and
`ablations` (networks.py) train, on the GPU where there is one: --minutes on the scenes of --data each, and --passes
over those of --few. So does `input_size` (input_size.py): --input-minutes on the composites of --input-data for each of
nine trainings. `speed` compares the shipped reviewer, its depth and saliency included, with a reward model of
BLIP-large's size, as ImageReward (arXiv:2304.05977) uses, on the same pictures, threads and machine, in turns; the
reward model has random weights, which cost what trained ones cost. `step` times training steps in bf16 on a CPU, with
and without the fp32 that processes.spare_bf16 leaves to it, and with and without the memory that keep_memory keeps.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from reliable_ads.rfnet.data.sources import read_shards
from reliable_ads.rfnet.product import Product, place
from reliable_ads.rfnet.training import train as training
from reliable_ads.rfnet.training.batches import BatchDataset
from reliable_ads.rfnet.training.config import TrainConfig
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer
from reliable_ads.synthetic.jobs import TEST_SPLIT

from . import drawn, generalisation, indexing, input_size, networks
from .common import Figure, keep_memory, mean, publish
from .figures.reviewer import INPUT_SIZES

COMMAND = "python -m benchmarks.reviewer"
SIDE = 512  # pixels of a picture as SD 1.5 draws it
BATCH = 4  # pictures per call
TOKENS = 35  # of ImageReward's prompts


def index(quick: bool) -> tuple[dict[str, Figure], dict]:
    """A million lines of label.txt."""
    rows = indexing.ROWS // 20 if quick else indexing.ROWS
    found = indexing.measure(rows)
    figures = {key: Figure(found[key], n=rows) for key in ("index_seconds", "index_mib")}
    return figures, {"indexing": {key: found[key] for key in ("cpu_seconds", "samples", "findings")}}


def reward_model():
    """A function of pictures (B, 3, 512, 512) → scores, with BLIP-large's vision and text towers: 24 layers of 1,024 at
    224 px, 12 of 768 that look at the picture.
    """
    from transformers import BlipConfig, BlipForImageTextRetrieval

    config = BlipConfig(
        text_config={
            "hidden_size": 768,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
            "encoder_hidden_size": 1024,
        },
        vision_config={
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
            "image_size": 224,
            "patch_size": 16,
        },
    )
    model = BlipForImageTextRetrieval(config).eval()
    words = torch.randint(1000, 20000, (1, TOKENS), generator=torch.Generator().manual_seed(0))

    def score(pictures: torch.Tensor) -> torch.Tensor:
        small = torch.nn.functional.interpolate(pictures, (224, 224), mode="bicubic", antialias=True)
        return model(input_ids=words.expand(len(small), -1), pixel_values=small, use_itm_head=True).itm_score

    return score, sum(p.numel() for p in model.parameters())


def took(work, *arguments) -> float:
    """Seconds."""
    began = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - began


@torch.no_grad()
def speed(quick: bool) -> tuple[dict[str, Figure], dict]:
    """Pictures per second of both, in turns; and a second attempt's review beside the first's of the same product."""
    rounds = 2 if quick else 8
    samples = read_shards(TEST_SPLIT, 128)
    reviewer = load_reviewer(DEFAULT_WEIGHTS)
    (score, parameters) = reward_model()
    random = torch.Generator().manual_seed(0)
    ratios = []
    costs = []
    ours = []
    theirs = []
    for row in range(rounds):
        sample = samples.read(row)
        canvas = place(Product.from_arrays(sample["product"], caption=sample["caption"]), SIDE, SIDE)
        pictures = torch.rand(BATCH, 3, SIDE, SIDE, generator=random)
        if row == 0:  # neither pays for its first call, and the product is still unseen
            other = place(Product.from_arrays(sample["product"], caption="another"), SIDE, SIDE)
            reviewer.review(pictures, other)
            score(pictures)
        first, second = (took(reviewer.review, pictures[one : one + 1], canvas) for one in range(2))
        many = took(reviewer.review, pictures, canvas)
        reward = took(score, pictures)
        costs.append(second / first)
        ours.append(BATCH / many)
        theirs.append(BATCH / reward)
        ratios.append(reward / many)
    figures = {
        "speed_ratio_reward_model": Figure(*mean(ratios), n=rounds),
        "second_attempt_cost": Figure(*mean(costs), n=rounds),
    }
    details = {
        "pictures_per_second": float(np.mean(ours)),
        "reward_model_pictures_per_second": float(np.mean(theirs)),
        "reward_model_parameters": parameters,
        "threads": torch.get_num_threads(),
        "side": SIDE,
        "batch": BATCH,
    }
    return figures, {"speed": details}


SPARE = "reliable_ads.rfnet.training.networks.spare_bf16"
STEPS = {"step": {}, "bf16": {"spare": False}, "fresh": {"keep": False}}


def step_seconds(folder: str, spare: bool = True, keep: bool = True) -> float:
    """Seconds of a training step in bf16 on one thread of a CPU; without spare_bf16, without keep_memory."""
    torch.set_num_threads(1)
    if keep:
        keep_memory()
    settings = TrainConfig(
        train=[TEST_SPLIT], val=[TEST_SPLIT], out=f"{folder}/w.safetensors", weights=[DEFAULT_WEIGHTS], precision="bf16"
    )
    with nullcontext() if spare else mock.patch(SPARE, lambda module: None):
        run = training.Run(settings)
    run.place.stage = "rfnet"
    run._begin_stage()
    batches = BatchDataset([run.train[row] for row in range(settings.batch)], augment=True)
    seconds = []
    for _ in range(4):
        begin = time.perf_counter()
        run._train_step(batches[0, range(settings.batch)], 0.5)
        seconds.append(time.perf_counter() - begin)
    return float(np.mean(seconds[1:]))  # the first one pays for what is allocated then


def step(quick: bool) -> tuple[dict[str, Figure], dict]:
    """Pictures per second of a training, and what it owes to spare_bf16 and to keep_memory: in turns, each in a process
    of its own.
    """
    rounds = 2 if quick else 8
    batch = TrainConfig.batch
    spawn = get_context("spawn")
    seconds = {name: [] for name in STEPS}
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {"CUDA_VISIBLE_DEVICES": ""}):
        for _ in range(rounds):
            for name, options in STEPS.items():
                with ProcessPoolExecutor(1, mp_context=spawn) as process:
                    seconds[name].append(process.submit(step_seconds, folder, **options).result())

    def of(name):
        return Figure(*mean(np.divide(seconds[name], seconds["step"])), n=rounds)

    figures = {
        "training_speed": Figure(*mean(np.divide(batch, seconds["step"])), n=rounds),
        "training_speed_gain": of("bf16"),
        "training_speed_memory": of("fresh"),
    }
    return figures, {"step": {"threads": 1, "batch": batch}}


def train(table, training: networks.Training, quick: bool) -> tuple[dict[str, Figure], dict]:
    """One table of benchmarks/networks.py."""
    scenes = read_shards(TEST_SPLIT, 128)
    return table(training, scenes.select(range(200 if quick else len(scenes))).in_memory())


def on_drawn(options) -> tuple[dict[str, Figure], dict]:
    """Pictures that the family drew; and, with --before, what training on such did to scenes and composites."""
    figures = drawn.measure(options.weights, options.before, options.drawn, options.quick)
    if options.before:
        figures["ap_change"] = drawn.change(options.weights, options.before, TEST_SPLIT, options.quick)
        if options.composites.is_dir():
            changed = drawn.change(options.weights, options.before, options.composites, options.quick)
            figures["composites_ap_change"] = changed
    return figures, {}


PARTS = {
    "drawn": on_drawn,
    "index": lambda options: index(options.quick),
    "speed": lambda options: speed(options.quick),
    "step": lambda options: step(options.quick),
    "generalisation": lambda options: (
        generalisation.measure(options.weights, options.composites, options.quick, options.sheets),
        {},
    ),
    "baselines": lambda options: train(
        networks.baselines,
        networks.Training(options.data, options.work, minutes=0.2 if options.quick else options.minutes),
        options.quick,
    ),
    "ablations": lambda options: train(
        networks.ablations,
        networks.Training(
            options.few,
            options.work,
            0.2 if options.quick else options.passes,
            seeds=min(2, options.seeds) if options.quick else options.seeds,
            workers=options.workers,
        ),
        options.quick,
    ),
    "input_size": lambda options: input_size.input_size(
        networks.Training(
            options.input_data,
            options.work,
            minutes=0.2 if options.quick else options.input_minutes,
            seeds=min(2, options.seeds) if options.quick else options.seeds,
        ),
        options.input_sizes,
        options.quick,
    ),
}


def add_trainings(parser: argparse.ArgumentParser) -> None:
    """The arguments of what trains networks."""
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("data/pocket"),
        help="for baselines: folder with train/ and val/, as of `synthetic render --train 12000 --val 1000`",
    )
    parser.add_argument(
        "--few",
        type=Path,
        default=Path("data/few"),
        help="for ablations: the same, as of `synthetic render --data data/few --train 600 --val 300`",
    )
    parser.add_argument(
        "--work", type=Path, default=Path("data/networks"), help="for training: where the weights are kept"
    )
    parser.add_argument(
        "--minutes", type=float, default=24, help="for baselines: of one core, or of the GPU, for each network"
    )
    parser.add_argument("--passes", type=float, default=10, help="for ablations: over the scenes; 10 as in the paper")
    parser.add_argument(
        "--input-data",
        type=Path,
        default=Path("data/input_size"),
        help="for input_size: folder with train/, val/ and test/, as of `synthetic compose --data data/input_size"
        " --size 256 --train 2000 --val 200 --test 600`",
    )
    parser.add_argument(
        "--input-minutes",
        type=float,
        default=8,
        help="for input_size: of one core, or of the GPU, for each training",
    )
    parser.add_argument(
        "--input-sizes",
        type=int,
        nargs="+",
        choices=INPUT_SIZES,
        default=list(INPUT_SIZES),
        help="for input_size: which sizes are trained at; the smallest always is",
    )
    parser.add_argument("--seeds", type=int, default=3, help="for ablations and input_size: trainings of each network")
    parser.add_argument("--workers", type=int, default=0, help="for ablations: processes that read pictures")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the same code on less work; writes no results")
    parser.add_argument("--only", nargs="+", choices=[*PARTS], default=[*PARTS])
    parser.add_argument(
        "--weights", type=Path, default=DEFAULT_WEIGHTS, help="for generalisation: other weights, nothing is written"
    )
    parser.add_argument("--before", type=Path, help="for drawn: the reviewer before it was trained on drawn pictures")
    parser.add_argument(
        "--drawn",
        type=Path,
        default=drawn.UNSEEN,
        help="for drawn: shards of `pocket label`, of unseen products",
    )
    parser.add_argument("--composites", type=Path, default=Path("data/composites/test"), help="for generalisation")
    parser.add_argument(
        "--sheets", type=Path, help="for generalisation: a folder for the pictures that it gets most wrong"
    )
    add_trainings(parser)
    options = parser.parse_args()
    for name in options.only:
        figures, details = PARTS[name](options)
        publish(
            "reviewer",
            COMMAND,
            "0, and where several trainings count also 1, 2, ...",
            figures,
            options.quick or options.weights != DEFAULT_WEIGHTS,
            details,
            reviews=name not in ("index", "baselines"),
            paints=name == "drawn",
        )


if __name__ == "__main__":
    main()
