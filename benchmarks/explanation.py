"""Do the heat maps show what the verdicts hang on? A deletion test on the shipped reviewer and the shipped test split.

    python -m benchmarks.explanation [--quick] [--sheet FILE.png]

Of scenes that the reviewer rejects, the hottest 15 % of the picture outside the product is painted over with the
colours around it, and the log-odds of the defect are asked again. The same share is painted over at random places of
the heat's own coarseness, and at the places that are hot in another scene, which shows how much of the effect is where
defects mostly are anyway.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from reliable_ads.rfnet.data.samples import Samples
from reliable_ads.rfnet.data.sources import read_shards
from reliable_ads.rfnet.explain import annotate_heat, explain
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.product import Canvas, Product, place
from reliable_ads.rfnet.reviewer import annotate
from reliable_ads.rfnet.sheets import contact_sheet
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer

from .common import ROOT, Figure, publish

COMMAND = "python -m benchmarks.explanation"
SHARE = 0.15  # of the picture, painted over
GRAIN = 8  # cells on a side of the random places: the token grid of the generated image
SEED = 0


def canvas_of(scenes: Samples, row: int) -> Canvas:
    """The canvas that this scene's picture was made around."""
    sample = scenes.read(row)
    product = Product.from_arrays(sample["product"], caption=sample["caption"])
    return place(product, scenes.size, scenes.size, position="keep")


def picture_of(scenes: Samples, row: int) -> torch.Tensor:
    return torch.from_numpy(scenes.read(row)["image"] / 255.0).float().permute(2, 0, 1)[None]


def rejected(reviewer, scenes: Samples, each: int) -> list:
    """(row, canvas, review) of the first rejected scenes whose most probable defect is each label, `each` per label."""
    found = {label: [] for label in range(1, len(LABELS))}
    for row in range(len(scenes)):
        canvas = canvas_of(scenes, row)
        review = reviewer.review(picture_of(scenes, row), canvas)
        defect = 1 + int(review.probabilities[0, 1:].argmax())
        if not review.accepted[0] and len(found[defect]) < each:
            found[defect].append((row, canvas, review))
        if all(len(chosen) == each for chosen in found.values()):
            break
    return [one for chosen in found.values() for one in chosen]


def cover(picture: torch.Tensor, canvas: Canvas, order: np.ndarray) -> torch.Tensor:
    """A picture (1, 3, H, W) whose SHARE of pixels with the highest order (H, W), outside the product, shows what is
    around them.
    """
    import cv2

    free = canvas.alpha.numpy() < 0.02
    chosen = np.zeros(free.shape, bool)
    candidates = np.flatnonzero(free)
    hottest = candidates[np.argsort(-order.ravel()[candidates], kind="stable")]
    chosen.flat[hottest[: int(SHARE * free.size)]] = True

    def blur(values):
        return cv2.GaussianBlur(values.astype(np.float32), (0, 0), free.shape[0] / 8)

    pixels = picture[0].permute(1, 2, 0).numpy()
    known = (free & ~chosen)[..., None].astype(np.float32)
    around = blur(pixels * known) / np.maximum(blur(known)[..., None], 1e-6)
    return torch.from_numpy(np.where(chosen[..., None], around, pixels)).float().permute(2, 0, 1)[None]


def by_product(values, products, draws: int = 2000) -> tuple:
    """A mean with its bootstrap 95 % interval over products."""
    units, unit = np.unique(products, return_inverse=True)
    times = np.random.default_rng(SEED).multinomial(len(units), np.full(len(units), 1 / len(units)), draws)[:, unit]
    means = (times * values).sum(1) / times.sum(1)
    return float(np.mean(values)), float(np.percentile(means, 2.5)), float(np.percentile(means, 97.5))


def measure(each: int) -> tuple[dict[str, Figure], dict, list]:
    """Figures, details, and [(picture, review, explanation)] for a sheet."""
    reviewer = load_reviewer(DEFAULT_WEIGHTS)
    scenes = read_shards(ROOT / "synthetic" / "test_split", 128)
    random = np.random.default_rng(SEED)
    chosen = rejected(reviewer, scenes, each)
    pictures = [picture_of(scenes, row) for row, _, _ in chosen]
    shown = [
        (picture, review, explain(reviewer, picture, canvas, review=review))
        for picture, (_, canvas, review) in zip(pictures, chosen)
    ]
    drops = {"hottest": [], "random": [], "elsewhere": []}
    for number, ((_row, canvas, _), (picture, _review, why)) in enumerate(zip(chosen, shown)):
        label = int(why.label_ids[0])
        size = picture.shape[-2:]
        field = torch.from_numpy(random.random((1, 1, GRAIN, GRAIN), np.float32))
        orders = {
            "hottest": why.heat[0],
            "random": torch.nn.functional.interpolate(field, size, mode="bicubic", align_corners=False)[0, 0],
            "elsewhere": shown[number - each][2].heat[0],  # a scene of another defect
        }
        before = odds(reviewer, picture, canvas, label)
        for name, order in orders.items():
            drops[name].append(before - odds(reviewer, cover(picture, canvas, order.numpy()), canvas, label))
    figures, details = figures_of({name: np.array(values) for name, values in drops.items()}, scenes, chosen, shown)
    return {**figures, **cost_of(reviewer, pictures[0], chosen[0][1])}, details, shown


def odds(reviewer, picture: torch.Tensor, canvas: Canvas, label: int) -> float:
    """A picture's log-odds of one label."""
    return float(torch.logit(reviewer.review(picture, canvas).probabilities[0, label].double(), 1e-9))


def cost_of(reviewer, picture: torch.Tensor, canvas: Canvas, batch: int = 8, rounds: int = 3) -> dict[str, Figure]:
    """CPU time of explaining a picture of a batch that was reviewed, in seconds and over that of reviewing it; medians
    of some rounds.
    """
    images = picture.expand(batch, -1, -1, -1)
    times = []
    for _ in range(rounds):
        started = time.process_time()
        review = reviewer.review(images, canvas)
        reviewed = time.process_time()
        explain(reviewer, images, canvas, review=review)
        times.append((time.process_time() - reviewed, reviewed - started))
    explaining, reviewing = np.median(times, 0) / batch
    return {
        "seconds": Figure(explaining, n=rounds),
        "cost": Figure(explaining / reviewing, n=rounds),
    }


def figures_of(drops: dict, scenes: Samples, chosen: list, shown: list) -> tuple[dict[str, Figure], dict]:
    rows = [row for row, _, _ in chosen]
    products = [scenes.product_id(row) for row in rows]
    labels = np.array([int(why.label_ids[0]) for _, _, why in shown])
    figures = {f"drop_{name}": Figure(*by_product(values, products), len(rows)) for name, values in drops.items()}
    for name in ("random", "elsewhere"):
        more = by_product(drops["hottest"] - drops[name], products)
        figures[f"hottest_over_{name}"] = Figure(*more, len(rows))
    per_label = {
        LABELS[label]: {name: round(float(values[labels == label].mean()), 3) for name, values in drops.items()}
        for label in np.unique(labels)
    }
    shares = {
        name: round(float(np.mean([why.inputs[0][name] for _, _, why in shown])), 4) for name in shown[0][2].inputs[0]
    }
    return figures, {
        "drops_per_label": per_label,
        "mean_share_of_inputs": shares,
        "scenes": [scenes.texts["id"][row] for row in rows],
        "products": len(set(products)),
    }


def sheet(shown: list, columns: int = 6) -> Image.Image:
    """Each verdict above its heat."""
    pairs = [(annotate(picture, review)[0], annotate_heat(picture, review, why)[0]) for picture, review, why in shown]
    return contact_sheet([contact_sheet(pair, columns=1) for pair in pairs], columns, gap=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the same code on 8 scenes; writes no results")
    parser.add_argument("--sheet", type=Path, help="write a picture of twelve verdicts and their heat")
    options = parser.parse_args()
    figures, details, shown = measure(2 if options.quick else 40)
    publish("explanation", COMMAND, [SEED], figures, options.quick, details)
    print(f"  drops per defect {details['drops_per_label']}\n  mean share of inputs {details['mean_share_of_inputs']}")
    if options.sheet:
        sheet(shown[:: max(len(shown) // 12, 1)][:12]).save(options.sheet)


if __name__ == "__main__":
    main()
