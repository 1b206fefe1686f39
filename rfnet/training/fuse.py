"""Fitting the layer that joins RFNet with second opinions (fusion.py) on a user's labels.

It is a logistic regression with a penalty on whatever leaves RFNet's own verdict. How strong the penalty is, and
whether the opinions help at all, is decided by cross-validation over products: a product is never in both parts.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import torch

from ..common_sizes import LARGEST_CM, SMALLEST_CM
from ..data.errors import BrokenSample, DataError
from ..data.samples import Samples
from ..data.seen import seen_key
from ..data.spans import mix
from ..finished import canvas_of, on_canvas
from ..fusion import Fusion, Opinion
from ..labels import LABELS
from ..opinions.panel import Panel
from ..opinions.protocol import DEFECTS
from ..painters import fingerprint
from ..pictures import PictureError
from ..product import Product
from .calibrate import most_that_lose
from .checkpoint import Tensors, resume, save_state
from .metrics import classification_report, without_nan
from .scale import log_sizes

EVERY = 20  # samples between two writings of what was asked
SIDE = 384  # pixels at which pictures are shown to the opinions
FOLDS = 5
LEAST, LEAST_OF_KIND = 40, 4  # pictures in all; of available ones, and of others
STRENGTHS = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)  # of the penalty
FEWEST = 10  # pictures on which an opinion must know a defect, to count for it
EVEN = 1e-3  # spread of an evidence that is always the same


@dataclass
class Evidence:
    """N labelled pictures as a panel sees them: log_p (N, 5) RFNet's log-probabilities, opinions {name: (N, 4)
    log-odds, NaN for "don't know"}, labels (N,) positions in LABELS, products: N ids, models {name: what it asks};
    notes: what was left out; samples (N,): which of the samples they are.
    """

    log_p: torch.Tensor
    opinions: dict[str, torch.Tensor]
    labels: np.ndarray
    products: list[str]
    models: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    samples: np.ndarray | None = None

    def rows(self, rows: np.ndarray) -> "Evidence":
        chosen = {name: values[rows] for name, values in self.opinions.items()}
        products = [self.products[row] for row in rows]
        return Evidence(self.log_p[rows], chosen, self.labels[rows], products, self.models)

    def only(self, names) -> "Evidence":
        chosen = {name: values for name, values in self.opinions.items() if name in names}
        return Evidence(self.log_p, chosen, self.labels, self.products, self.models)


class Collecting:
    """What was asked of N samples; a file beside the result keeps it by what is seen (seen.seen_key), so that no
    picture is asked about twice, whatever the run was stopped by and whatever was labelled since.
    """

    def __init__(self, panel: Panel, keys: list[int]):
        self.panel = panel
        self.notes: list[str] = []
        count = len(keys)
        self.tensors = {
            "keys": torch.tensor(np.array(keys, np.uint64).view(np.int64)),
            "asked": torch.zeros(count, dtype=torch.bool),
            "seen": torch.zeros(count, dtype=torch.bool),
            "log_p": torch.zeros(count, len(LABELS)),
        }
        shape = (count, len(DEFECTS))
        self.tensors |= {f"opinion.{opinion.name}": torch.full(shape, torch.nan) for opinion in panel.opinions}

    @property
    def left(self) -> list[int]:
        """Rows that were not asked about."""
        return torch.nonzero(~self.tensors["asked"]).flatten().tolist()

    def look(self, samples: Samples, row: int) -> None:
        """Raises DataError where an opinion doesn't answer any more; that row is then left."""
        try:
            sample = samples.read(row)
            size_cm = size_cm_of(sample)
            product = Product.from_arrays(sample["product"], caption=sample["caption"], size_cm=size_cm)
            canvas = canvas_of(product, SIDE, SIDE)
            images = on_canvas(sample["image"].astype(np.float32) / 255, canvas)
            review = self.panel.reviewer.review(images, canvas)
            found, left_out = self.panel.ask(canvas, images, review)
            for name in (opinion.name for opinion in self.panel.opinions if getattr(opinion, "silent", False)):
                said = next((each for each in left_out if f"opinion {name} " in each), f"The opinion {name} is silent")
                raise DataError(
                    f"{said.rstrip('.')}, twice in a row. What was asked before is kept: run the same command again"
                    f" once {name} answers, or leave it out."
                )
            self.tensors["log_p"][row] = review.probabilities[0].clamp(min=1e-9).log()
            self.tensors["seen"][row] = True
            for name, values in found.items():
                self.tensors[f"opinion.{name}"][row] = values[0]
            self.notes += left_out
            failed = any(hasattr(each, "silent") and each.name not in found for each in self.panel.opinions)
            self.tensors["asked"][row] = not failed  # a server that failed once is asked again in another run
        except (BrokenSample, PictureError) as error:
            self.notes.append(str(error))

    def save(self, path: Path, identity: str) -> None:
        asked = self.tensors["asked"]
        save_state(path, identity, {name: values[asked] for name, values in self.tensors.items()}, {})

    def restore(self, tensors: Tensors, place: dict) -> None:
        rows = {key: row for row, key in enumerate(tensors["keys"].tolist())}
        known = [(row, rows[key]) for row, key in enumerate(self.tensors["keys"].tolist()) if key in rows]
        here, there = (torch.tensor(each, dtype=torch.long) for each in (zip(*known) if known else ((), ())))
        for name, values in self.tensors.items():
            values[here] = tensors[name][there]


def size_cm_of(sample: dict) -> float:
    """The true size of a sample's product, 0 where it isn't known."""
    metres = math.exp(log_sizes(sample)[0])  # NaN stays NaN
    return 100 * metres if SMALLEST_CM <= 100 * metres <= LARGEST_CM else 0.0


def collect(panel: Panel, samples: Samples, progress: Callable = iter, state: Path | None = None) -> Evidence:
    """What RFNet and each opinion say of each sample, seen as in use. progress wraps the rows that are asked about, as
    tqdm does; state: the file that keeps what was asked, to be deleted once a result is written. Raises DataError.
    """
    samples = samples.resized(SIDE)
    models = {opinion.name: opinion.model for opinion in panel.opinions}
    asking = Collecting(panel, [seen_as(samples, row) for row in range(len(samples))])
    identity = json.dumps([fingerprint(panel.reviewer.state_dict().values()), panel.reviewer.temperature, models, SIDE])
    if state:
        mismatch = "holds answers of another reviewer or of other opinions: delete it, or give another --out."
        resume(state, identity, asking.restore, DataError, mismatch)
    left = asking.left
    try:
        for number, row in enumerate(progress(left), 1):
            asking.look(samples, row)
            if state and number % EVERY == 0:
                asking.save(state, identity)
    finally:
        if state and left:
            asking.save(state, identity)
    rows = np.flatnonzero(asking.tensors["seen"].numpy())
    if not len(rows):
        raise DataError(f"none of {len(samples)} pictures could be looked at, first: {asking.notes[0]}")
    columns = {name: asking.tensors[f"opinion.{name}"][rows] for name in models}
    products = samples.product_ids
    return Evidence(
        asking.tensors["log_p"][rows],
        columns,
        samples.labels[rows].astype(np.int64),
        [products[row] for row in rows],
        models,
        asking.notes,
        rows,
    )


def seen_as(samples: Samples, row: int) -> int:
    """What a panel sees of a sample, in 64 bits; 0 where it can't be read."""
    try:
        return int(mix(seen_key(samples, row), np.float64(size_cm_of(samples.texts_of(row))).view(np.uint64))[0])
    except BrokenSample:
        return 0


def check(labels: np.ndarray, products: list[str]) -> None:
    """Raises DataError where N labels of these products are too few to fit on."""
    available = int((labels == 0).sum())
    if len(labels) < LEAST:
        raise DataError(f"{len(labels)} pictures are labelled: at least {LEAST} are needed. Label more.")
    for count, what in ((available, "as available"), (len(labels) - available, "with a defect")):
        if count < LEAST_OF_KIND:
            raise DataError(f"{count} pictures are labelled {what}: at least {LEAST_OF_KIND} are needed. Label more.")
    if len(set(products)) < 2:
        raise DataError(
            f'all pictures show one product ("{products[0]}"): label pictures of at least two, so that one'
            " product can tell whether what was learned on the others holds."
        )


def fit(evidence: Evidence, strength: float) -> Fusion:
    """The layer with the least cross-entropy plus strength / 2 times the squares of what leaves RFNet's verdict: the
    bias, the opinions' weights, and how far RFNet's own weight is from 1. Weights are never negative.
    """
    from scipy.optimize import minimize

    odds = (evidence.log_p[:, 1:] - evidence.log_p[:, :1]).double()
    labels = torch.from_numpy(evidence.labels)
    columns = [_column(values.double()) for values in evidence.opinions.values()]
    scaled = torch.stack([column[0] for column in columns]) if columns else odds.new_zeros(0, *odds.shape)
    speaks = scaled.abs().amax(1) > 0  # (opinions, 4)
    count = int(speaks.sum())

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        free = torch.tensor(values, requires_grad=True)
        weights = torch.zeros(speaks.shape, dtype=torch.float64).masked_scatter(speaks, free[5:])
        fused = free[0] * odds + free[1:5] + (weights[:, None] * scaled).sum(0)
        logits = torch.cat([fused.new_zeros(len(fused), 1), fused], 1)
        away = torch.cat([free[:1] - 1, free[1:]])
        total = torch.nn.functional.cross_entropy(logits, labels) + strength / 2 * (away**2).sum()
        return float(total.detach()), torch.autograd.grad(total, free)[0].numpy()

    bounds = [(0, 100.0), *[(-50.0, 50.0)] * 4, *[(0, 100.0)] * count]
    found = torch.tensor(minimize(loss, [1.0, *[0.0] * (4 + count)], jac=True, bounds=bounds, method="L-BFGS-B").x)
    weights = torch.zeros(speaks.shape, dtype=torch.float64).masked_scatter(speaks, found[5:])
    opinions = {
        name: Opinion(
            model=evidence.models.get(name, ""),
            weight=weight.tolist(),
            centre=column[1].tolist(),
            spread=column[2].tolist(),
        )
        for name, weight, column in zip(evidence.opinions, weights, columns)
    }
    return Fusion(rfnet=float(found[0]), bias=found[1:5].tolist(), opinions=opinions)


def _column(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(scaled (N, 4) with zero for "don't know", centre (4,), spread (4,)) of evidence (N, 4); all zero for a defect
    that too few pictures know about, or that is always the same.
    """
    known = ~values.isnan()
    count = known.sum(0).clamp(min=1)
    centre = values.nan_to_num().sum(0) / count
    spread = (((values - centre).nan_to_num() ** 2).sum(0) / count).sqrt()
    use = (known.sum(0) >= FEWEST) & (spread > EVEN)
    spread = torch.where(use, spread, torch.ones_like(spread))
    return ((values - centre) / spread).nan_to_num() * use, centre, spread


def fuse_probabilities(fusion: Fusion, evidence: Evidence) -> torch.Tensor:
    """(N, 5)."""
    return fusion.logits(evidence.log_p, fusion.pulls(evidence.opinions)).softmax(1)


def folds(products: list[str], seed: int = 0) -> list[np.ndarray]:
    """Rows of up to FOLDS parts without a common product."""
    names, product = np.unique(np.asarray(products), return_inverse=True)
    count = min(FOLDS, len(names))
    part = np.random.default_rng(seed).permutation(len(names)) % count
    return [np.flatnonzero(part[product] == number) for number in range(count)]


def cross_validated(evidence: Evidence, strength: float, parts: list[np.ndarray]) -> torch.Tensor:
    """(N, 5) probabilities, each picture's by a layer that saw no picture of its product."""
    result = torch.zeros_like(evidence.log_p)
    for held in parts:
        rest = np.setdiff1d(np.arange(len(evidence.labels)), held)
        result[held] = fuse_probabilities(fit(evidence.rows(rest), strength), evidence.rows(held))
    return result


@dataclass
class Fused:
    """fusion: the layer, None where the opinions don't help; report: JSON-able."""

    fusion: Fusion | None
    report: dict


def fuse(evidence: Evidence, seed: int = 0, lose: float | None = None) -> Fused:
    """The layer for these labels, if by cross-validation it foretells them better than RFNet fitted in the same way
    without opinions.

    lose: the threshold becomes the highest that rejects at most this share of the available pictures, by the
    cross-validated probabilities; None: one half. Raises DataError.
    """
    check(evidence.labels, evidence.products)
    parts = folds(evidence.products, seed)
    names = list(evidence.opinions)
    alone, _, _ = _best(evidence.only([]), parts)
    loss, strength, probabilities = _best(evidence, parts)
    without = {
        name: _best(evidence.only([other for other in names if other != name]), parts)[0] if len(names) > 1 else alone
        for name in names
    }
    report = {
        "n": len(evidence.labels),
        "products": len(set(evidence.products)),
        "strength": strength,
        "loss": {"rfnet_as_it_is": _loss(evidence.log_p.exp(), evidence.labels), "rfnet": alone, "fused": loss},
        "loss_without": without,
        "before": _scores(evidence.log_p.exp(), evidence),
        "after": _scores(probabilities, evidence),
    }
    threshold = 0.5 if lose is None else most_that_lose(lose, probabilities[:, 0].numpy(), evidence.labels == 0)
    better = loss < alone
    report["reason"] = _reason(report, better, threshold)
    if not better:
        return Fused(None, report)
    fitted = fit(evidence, strength)
    return Fused(msgspec.structs.replace(fitted, threshold=threshold, about=report), report)


def _best(evidence: Evidence, parts: list[np.ndarray]) -> tuple[float, float, torch.Tensor]:
    """(loss, strength, probabilities) of the strength with the least cross-validated loss."""
    tried = []
    for strength in STRENGTHS:
        probabilities = cross_validated(evidence, strength, parts)
        tried.append((_loss(probabilities, evidence.labels), strength, probabilities))
    return min(tried, key=lambda each: each[0])


def _loss(probabilities: torch.Tensor, labels: np.ndarray) -> float:
    chosen = probabilities[torch.arange(len(labels)), torch.from_numpy(labels)]
    return float(-chosen.clamp(min=1e-9).log().mean())


def _scores(probabilities: torch.Tensor, evidence: Evidence) -> dict:
    """AP of each label and the calibration error, with intervals over products."""
    report = classification_report(probabilities.double().numpy(), evidence.labels, evidence.products)
    return without_nan({"ap": report["ap"], "ece": report["ece"], "defects": report["defects"]})


def _reason(report: dict, better: bool, threshold: float) -> str:
    before, after = (report[part]["ap"]["value"] for part in ("before", "after"))
    loss = report["loss"]
    helps = [name for name, without in report["loss_without"].items() if without > loss["fused"]]
    if not better:
        return (
            f"Nothing was written: with the opinions, labels of held-out products are foretold no better than by the"
            f" reviewer alone (loss {loss['fused']:.3f} against {loss['rfnet']:.3f}, {report['n']} labels of"
            f" {report['products']} products). Label more, or leave the opinions out."
        )
    return (
        f"The opinions help: on held-out products of {report['n']} labels the loss falls from {loss['rfnet']:.3f} to"
        f' {loss["fused"]:.3f}, average precision of "{LABELS[0]}" goes from {before:.3f} to {after:.3f}.'
        f" What helps: {', '.join(helps) or 'none by itself'}. Accepted from {threshold:g}."
    )
