"""Fixed jobs: a test product, a fitting prompt and a seed each, the same for every measurement."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..rfnet.data.sources import read_shards
from ..rfnet.product import Product
from .products import seed_of
from .scenes import LIGHTS, PANORAMAS, SURFACES, WALL_COLOURS, WALLS, wall_words

TEST_SPLIT = Path(__file__).parent / "test_split"
SIZE = 128  # of its pictures, pixels


@dataclass(frozen=True)
class Job:
    """One picture to draw, whatever draws it."""

    product_id: str
    product: Product
    prompt: str
    seed: int


def prompt_for(product_id: str, outdoors: bool | None = None) -> str:
    """A prompt in words the pocket checkpoint was trained on, drawn from the product's id."""
    rng = np.random.default_rng(seed_of("brief", product_id))  # the word is a part of the seed

    def choose(options):
        return str(list(options)[rng.integers(len(options))])

    if rng.random() < 0.3 if outdoors is None else outdoors:
        surface = choose(["a lawn", "sand", "snow"])
        room = PANORAMAS["train"][choose(["dawn", "forest", "park", "sky", "sunrise", "city"])]
    else:
        surface = choose([s for s, (_, _, carries) in SURFACES.items() if carries != "any"])
        room = (
            choose(PANORAMAS["train"].values())
            if rng.random() < 0.4
            else wall_words(choose(WALLS), choose(WALL_COLOURS))
        )
    return f"photo, on {surface}, {room}, {choose(LIGHTS)}"


def test_jobs(count: int, folder: Path = TEST_SPLIT) -> list[Job]:
    """`count` of a split's jobs_of. Raises ValueError when the split has fewer products."""
    jobs = jobs_of(folder)
    if len(jobs) < count:
        raise ValueError(f"{folder} shows {len(jobs)} whole products, {count} were asked for")
    return jobs[:count]


def jobs_of(folder: Path) -> list[Job]:
    """One job per distinct product of a split, in a fixed order."""
    samples = read_shards(folder, SIZE)
    jobs, seen = [], set()
    for row in range(len(samples)):
        # only available scenes show the whole product: elsewhere clutter may stand before it; and no product of another
        # size or with other parts than usual
        name = samples.product_id(row)
        if name in seen or samples.labels[row] != 0 or samples.texts["cause"][row]:
            continue
        seen.add(name)
        sample = samples.read(row)
        product = Product(sample["product"].astype(np.float32) / 255, sample["caption"])
        jobs.append(Job(name, product, prompt_for(name), seed_of("seed", name) % 2**31))
    return jobs
