"""Why does the shipped reviewer not see a wrong size? Ablations and probes on the stand-in for photographs.

    python -m benchmarks.sizes --assets NODE_MODULES --data data/photographed [--quick]
    python -m benchmarks.sizes --only opinion --split test --assets NODE_MODULES --weights FILE [--pictures DIR]

Pictures: of the stand-in's validation split, the first of wrong size and the first available ones that show a thing
beside the product, as many of each. The same pictures are asked about with another product's caption or none, with
a caption that turns right into wrong and wrong into right, without the things beside the product, before a plain wall,
and with true depth and saliency. Then probes on RFNet's features, fitted on the training split of --data (`synthetic
photographed`), are asked for the two sizes that a comparison needs. `opinion` asks the second opinion "size" about such
pictures of a split, the true size given or by the caption; FILE is what `rfnet sizes` wrote. docs/protocol.md, section
7.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from reliable_ads.rfnet.data.samples import Samples
from reliable_ads.rfnet.data.shards import write_shard
from reliable_ads.rfnet.data.sources import read_shards
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.opinions.protocol import OpinionError
from reliable_ads.rfnet.opinions.size import Size
from reliable_ads.rfnet.sizes import parse_sizes
from reliable_ads.rfnet.training.head import Features, cached_features, fit_head, read_features
from reliable_ads.rfnet.training.metrics import average_precision, intervals
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_networks
from reliable_ads.synthetic.assets import Assets
from reliable_ads.synthetic.photographed.composer import Composer
from reliable_ads.synthetic.photographed.plans import make_plan
from reliable_ads.synthetic.photographed.things import KINDS, SIZED, kinds_of

from .common import DRAWS, Figure, publish, reviewer_print

COMMAND = "python -m benchmarks.sizes --assets NODE_MODULES"
SIZE, SIDE = 256, 160  # pixels of a picture, and as RFNet reads it
EACH = 120  # pictures of each label
SHARD = "s00000.zip"
SIZE_LABEL = LABELS.index("size_mismatch")
RIDGE = 30.0  # of the probes, on standardised features
ABLATIONS = ("as_it_is", "other_caption", "no_caption", "turned_caption", "no_props", "plain", "true_maps")


def article(caption: str) -> str:
    return ("an " if caption[0] in "aeiou" else "a ") + caption


def captions_of(row: dict, rng) -> dict[str, str]:
    """The captions that the ablations put in the place of a row's own."""
    others = [KINDS[code][0] for code in kinds_of("val") if article(KINDS[code][0]) != row["caption"]]
    far = np.log(4)
    wrong = row["label"] == LABELS[SIZE_LABEL]
    # what is as large as this product is shown, or, where it is shown as large as it is, something far from that
    turned = sorted(SIZED.values(), key=lambda thing: abs(np.log(thing[1] / row["shown_metres"])))
    if not wrong:
        turned = [thing for thing in SIZED.values() if abs(np.log(thing[1] / row["shown_metres"])) > far]
    return {
        "other_caption": article(str(rng.choice(others))),
        "no_caption": "",
        "turned_caption": article(turned[int(rng.integers(3 if wrong else len(turned)))][0]),
    }


def chosen(composer: Composer, split: str, each: int):
    """(number, picture) of the first pictures of wrong size and of the first available ones that show a thing beside
    the product.
    """
    missing, number = {LABELS[0]: each, LABELS[SIZE_LABEL]: each}, -1
    while any(missing.values()):
        number += 1
        if not missing.get(make_plan(split, number, SIZE, composer.assets).label):
            continue
        picture = composer.compose(split, number)
        if picture.objects:
            missing[picture.plan.label] -= 1
            yield number, picture


def compose(assets: Path, each: int, work: Path) -> dict[str, Path]:
    """The validation pictures of every ablation as a folder of one shard each."""
    with tempfile.TemporaryDirectory() as scratch:
        composer, rng = Composer(Assets(assets, scratch), SIZE), np.random.default_rng(0)
        rows: dict[str, list] = {name: [] for name in ABLATIONS if name != "true_maps"}
        for number, picture in chosen(composer, "val", each):
            row = picture.row()
            rows["as_it_is"].append(row)
            for name, caption in captions_of(row, rng).items():
                rows[name].append({**row, "caption": caption})
            rows["no_props"].append(composer.compose("val", number, props=False).row())
            rows["plain"].append(composer.compose("val", number, props=False, place=False).row())
    return {name: written(work / name, kept) for name, kept in rows.items()}


def compose_alone(assets: Path, split: str, each: int, folder: Path) -> Path:
    """The pictures of a split as they are, as a folder of one shard."""
    with tempfile.TemporaryDirectory() as scratch:
        composer = Composer(Assets(assets, scratch), SIZE)
        return written(folder, [picture.row() for _, picture in chosen(composer, split, each)])


def written(folder: Path, rows: list) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_shard(folder / SHARD, rows)
    return folder


@dataclass
class Probe:
    """A ridge regression on standardised features: predict(features (N, W)) -> (N,)."""

    middle: np.ndarray
    spread: np.ndarray
    weights: np.ndarray
    bias: float

    @classmethod
    def fit(cls, features: np.ndarray, wanted: np.ndarray) -> Probe:
        middle, spread = features.mean(0), features.std(0) + 1e-3
        x = (features - middle) / spread
        gram = x.T @ x + RIDGE * np.eye(x.shape[1])
        return cls(middle, spread, np.linalg.solve(gram, x.T @ (wanted - wanted.mean())), float(wanted.mean()))

    def predict(self, features: np.ndarray) -> np.ndarray:
        return (features - self.middle) / self.spread @ self.weights + self.bias


def logs(samples: Samples, name: str) -> np.ndarray:
    """The log of a size in metres, (N,)."""
    return np.log(np.array([float(value) for value in samples.column(name)]))


def compared(metadata: dict, seen: Features, samples: Samples) -> dict[str, Figure]:
    """AP of the wrong sizes by RFNet alone, and by RFNet and the opinion "size": their log-odds added, and those of the
    opinion alone; with the true size given, and with what its table says of the caption.
    """
    reader = parse_sizes(metadata.get("sizes", ""))
    if reader is None:
        raise SystemExit("these weights read no sizes: run `rfnet sizes` first")
    judge = Judge(samples.labels == SIZE_LABEL, samples.product_ids)
    alone = odds(seen.logits) / float(metadata["temperature"])
    found = {"ap_rfnet": judge.ap(alone)}
    for name, sizes in {"given": 100 * np.exp(logs(samples, "metres")), "usual": np.zeros(len(samples))}.items():
        evidence = evidence_of(reader, seen.features, samples.column("caption"), sizes)
        found |= {
            f"ap_size_opinion_{name}": judge.ap(alone + evidence),
            f"change_size_opinion_{name}": judge.ap(alone + evidence, alone),
            f"ap_size_opinion_{name}_alone": judge.ap(evidence),
        }
        if name == "usual":
            found["known_usual"] = Figure(float((evidence != 0).mean()), n=len(evidence))
    return found


def evidence_of(reader, features: torch.Tensor, captions: list, sizes_cm) -> np.ndarray:
    """Log-odds (N,) of the opinion "size", 0 where nobody knows the true size."""
    found = []
    for log_metres, caption, size_cm in zip(reader.read(features), captions, sizes_cm):
        canvas = SimpleNamespace(product=SimpleNamespace(caption=caption, size_cm=float(size_cm)))
        review = SimpleNamespace(shown_size=(log_metres[None], reader.sigma))
        try:
            found.append(float(Size().evidence_in(canvas, review).nan_to_num().sum()))
        except OpinionError:
            found.append(0.0)
    return np.array(found)


def odds(logits: torch.Tensor) -> np.ndarray:
    """The log-odds of size_mismatch against available: the two labels that these pictures have."""
    return (logits[:, SIZE_LABEL] - logits[:, 0]).double().numpy()


@dataclass
class Judge:
    """AP on pictures of which those of wrong size are marked (N,), with intervals over products (N ids)."""

    wrong: np.ndarray
    products: list

    def ap(self, scores: np.ndarray, against: np.ndarray | None = None) -> Figure:
        """AP of the wrong sizes, or by how much it is above that of other scores."""

        def statistic(weights):
            value = average_precision(self.wrong, scores, weights)
            return [value if against is None else value - average_precision(self.wrong, against, weights)]

        return Figure(**intervals(statistic, self.products, DRAWS)[0], n=len(scores))


class Measured:
    """The reviewer's answers on each ablation's pictures; rows are the same pictures throughout."""

    def __init__(self, folders: dict[str, Path]):
        self.rfnet, self.mapnet, _ = load_networks(DEFAULT_WEIGHTS)
        self.samples = {name: read_shards(folder, SIDE) for name, folder in folders.items()}
        self.samples["true_maps"] = self.samples["as_it_is"].with_own_maps("the composer")
        self.features = {name: self.read(samples) for name, samples in self.samples.items()}
        self.products = self.samples["as_it_is"].product_ids
        self.ap = Judge(self.samples["as_it_is"].labels == SIZE_LABEL, self.products).ap

    def read(self, samples: Samples) -> Features:
        return read_features(self.rfnet, self.mapnet, samples)

    def ablations(self) -> dict[str, Figure]:
        base = odds(self.features["as_it_is"].logits)
        found = {}
        for name in ABLATIONS:
            scores = odds(self.features[name].logits)
            found[f"ap_{name}"] = self.ap(scores)
            if name != "as_it_is":
                found[f"change_{name}"] = self.ap(scores, base)
        return found

    def probes(self, train: Samples) -> tuple[dict[str, Figure], dict]:
        """What the features tell of both sizes, and what comparing them would give."""
        known = self.read(train)
        here = self.features["as_it_is"].features.numpy()
        truth = {name: logs(self.samples["as_it_is"], name) for name in ("metres", "shown_metres")}
        told, found = {}, {}
        for name in truth:
            probe = Probe.fit(known.features.numpy(), logs(train, name))
            told[name] = probe.predict(here)
            found[f"r2_{name}"] = self._explained(told[name], truth[name])
            if name == "shown_metres":
                alone = probe.predict(self.features["no_props"].features.numpy())
                found["r2_shown_metres_no_props"] = self._explained(alone, truth[name])
        ratio = {
            "both_told": told["shown_metres"] - told["metres"],
            "true_size_given": told["shown_metres"] - truth["metres"],
            "shown_size_given": truth["shown_metres"] - told["metres"],
        }
        found |= {f"ap_compared_{name}": self.ap(np.abs(value)) for name, value in ratio.items()}
        head = fit_head(known, train.labels)
        mended = odds(self.features["as_it_is"].judged(head).detach())
        found["ap_head"] = self.ap(mended)
        found["change_head"] = self.ap(mended, odds(self.features["as_it_is"].logits))
        return found, {"probed_on": len(train), "head_learned_from": len(train)}

    def _explained(self, told: np.ndarray, truth: np.ndarray) -> Figure:
        """The share of the variance of a log size that is told."""

        def statistic(weights):
            middle = np.average(truth, weights=weights)
            return [
                1
                - np.average((told - truth) ** 2, weights=weights) / np.average((truth - middle) ** 2, weights=weights)
            ]

        return Figure(**intervals(statistic, self.products, DRAWS)[0], n=len(told))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--assets", type=Path, required=True, help="the node_modules folder of `synthetic photographed`"
    )
    parser.add_argument("--data", type=Path, default=Path("data/photographed"), help="what that command wrote")
    parser.add_argument("--quick", action="store_true", help="the same code on less work; writes no results")
    parser.add_argument("--only", choices=("why", "opinion"), nargs="+", default=["why", "opinion"])
    parser.add_argument("--split", choices=("val", "test"), default="val", help="of the opinion's pictures")
    parser.add_argument("--pictures", type=Path, help="keeps the opinion's pictures and features here")
    parser.add_argument(
        "--weights", type=Path, default=DEFAULT_WEIGHTS, help="of the opinion: those that ship, with a reader of sizes"
    )
    options = parser.parse_args()
    each = 10 if options.quick else EACH
    with tempfile.TemporaryDirectory() as work:
        if "why" in options.only:
            why(options, each, Path(work))
        if "opinion" in options.only:
            opinion(options, each, options.pictures or Path(work) / "opinion")


def opinion(options, each: int, pictures: Path) -> None:
    folder = pictures / options.split
    if not (folder / SHARD).exists():
        compose_alone(options.assets, options.split, each, folder)
    samples = read_shards(folder, SIDE)
    rfnet, mapnet, metadata = load_networks(options.weights)
    seen = cached_features(folder / "features.safetensors", reviewer_print(options.weights), rfnet, mapnet, samples)
    found = compared(metadata, seen, samples)
    details = {f"{options.split}_products": len(set(samples.product_ids))}
    named = {f"{options.split}_{name}": figure for name, figure in found.items()}
    quick = options.quick or reviewer_print(options.weights) != reviewer_print()
    publish("sizes", COMMAND, [0], named, quick, details)


def why(options, each: int, work: Path) -> None:
    train = read_shards(options.data / "train", SIDE)
    if options.quick:
        train = train.select(range(min(60, len(train))))
    measured = Measured(compose(options.assets, each, work))
    found, details = measured.probes(train)
    details["products"] = len(set(measured.products))
    publish("sizes", COMMAND, [0], {**measured.ablations(), **found}, options.quick, details)


if __name__ == "__main__":
    main()
