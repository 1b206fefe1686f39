"""Fixed jobs: a product, a fitting prompt and a seed each, the same for every measurement."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..rfnet.data.sources import read_shards
from ..rfnet.product import Product
from .product_files import read_products
from .products import seed_of
from .scenes import LIGHTS, PANORAMAS, SURFACES, WALL_COLOURS, WALLS, wall_words

TEST_SPLIT = Path(__file__).parent / "test_split"
SIZE = 128  # of a scene's pictures, pixels


@dataclass(frozen=True)
class Job:
    """One picture to draw, whatever draws it."""

    product_id: str
    product: Product
    prompt: str
    seed: int
    kind: str = ""  # what thing it is, where that is known


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


def jobs_of(source: Path) -> list[Job]:
    """One job for each product of an archive (product_files), or for each distinct product of a folder of shards, in a
    fixed order. Raises DataError.
    """
    if source.suffix == ".zip":
        return [_job(name, product, kind) for name, kind, product in read_products(source)]
    return _jobs_of_scenes(source)


def _job(name: str, product: Product, kind: str = "") -> Job:
    return Job(name, product, prompt_for(name), seed_of("seed", name) % 2**31, kind)


def _jobs_of_scenes(folder: Path) -> list[Job]:
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
        jobs.append(_job(name, Product(sample["product"].astype(np.float32) / 255, sample["caption"])))
    return jobs
