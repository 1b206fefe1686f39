"""Fitting what reads the size that a picture shows (sizes.py): a ridge regression on features that RFNet has anyway.

In available pictures a product looks as large as it is, so reading the product would do. Pictures of wrong size count
as much as all others together, where that says little.
"""

from dataclasses import dataclass

import numpy as np

from ..data.errors import DataError
from ..data.samples import Samples
from ..data.shards import SIZES
from ..data.sources import open_samples
from ..sizes import SizeReader
from ..weights import change_metadata, load_networks
from .fuse import folds
from .head import read_features
from .scale import log_sizes

RIDGES = (10.0, 30.0, 100.0, 300.0, 1000.0)  # how strongly the weights of standardised features are held at zero
LEAST, LEAST_PRODUCTS = 100, 5  # pictures and products that tell the size
EQUAL = 0.05  # of a log: a size shown that far from the true one is right


@dataclass
class Shown:
    """N pictures: features (N, W), log_metres (N,) of the product as they show it, weights (N,) of sum N, products: N
    ids.
    """

    features: np.ndarray
    log_metres: np.ndarray
    weights: np.ndarray
    products: list[str]

    def rows(self, rows) -> "Shown":
        return Shown(
            self.features[rows], self.log_metres[rows], self.weights[rows], [self.products[row] for row in rows]
        )


def shown_sizes(samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """(log metres (N,) of the product as each picture shows it, whether that is another size than the true one (N,)).

    What has no "shown_metres" shows the true size where it is available; NaN where nothing tells it.
    """
    columns = {name: samples.column(name) for name in SIZES if name in samples.texts}
    logs = np.array([log_sizes({name: column[row] for name, column in columns.items()}) for row in range(len(samples))])
    true, shown = logs.reshape(-1, len(SIZES)).T
    shown = np.where(np.isnan(shown) & (samples.labels == 0), true, shown)
    return shown, np.abs(shown - true) > EQUAL


def even_weights(wrong: np.ndarray) -> np.ndarray:
    """(N,) of sum N: those of wrong size count as much as all others together, where there are some."""
    share = wrong.mean()
    if not 0 < share < 1:
        return np.ones(len(wrong))
    return np.where(wrong, 0.5 / share, 0.5 / (1 - share))


def fit_sizes(shown: Shown) -> SizeReader:
    """The reader with the ridge that is least off on products that it was not fitted on, which is its sigma.

    Raises DataError where there is too little to fit on, or where it tells no more than the mean would.
    """
    names = set(shown.products)
    if len(shown.products) < LEAST or len(names) < LEAST_PRODUCTS:
        raise DataError(
            f"{len(shown.products)} pictures of {len(names)} products tell how large the product looks: at least"
            f" {LEAST} of {LEAST_PRODUCTS} are needed. Such are the shards of `synthetic compose`."
        )
    parts = folds(shown.products)
    errors = {ridge: _held_out(shown, ridge, parts) for ridge in RIDGES}
    ridge = min(RIDGES, key=lambda each: errors[each])
    middle = np.average(shown.log_metres, weights=shown.weights)
    explained = 1 - errors[ridge] / np.average((shown.log_metres - middle) ** 2, weights=shown.weights)
    if explained <= 0:
        raise DataError(
            f"nothing was written: in pictures of held-out products sizes are read no better than by their mean"
            f" ({len(shown.products)} pictures of {len(names)} products). Give more pictures."
        )
    weight, bias = _ridge(shown, ridge)
    about = {
        "n": len(shown.products),
        "products": len(names),
        "ridge": ridge,
        "explained": round(float(explained), 4),
    }
    values = [float(f"{value:.6g}") for value in weight]
    return SizeReader(weight=values, bias=float(bias), sigma=float(np.sqrt(errors[ridge])), about=about)


def _ridge(shown: Shown, ridge: float) -> tuple[np.ndarray, float]:
    """(weight (W,), bias) of the least weighted squares, with a penalty on the weights of standardised features."""
    share = shown.weights / shown.weights.sum()
    middle = share @ shown.features
    spread = np.sqrt(share @ (shown.features - middle) ** 2) + 1e-3
    x, y = (shown.features - middle) / spread, shown.log_metres - share @ shown.log_metres
    gram = x.T @ (shown.weights[:, None] * x) + ridge * np.eye(x.shape[1])
    weight = np.linalg.solve(gram, x.T @ (shown.weights * y)) / spread
    return weight, share @ shown.log_metres - weight @ middle


def _held_out(shown: Shown, ridge: float, parts: list) -> float:
    """Mean square of the error in log metres, each picture read by what saw none of its product."""
    error = np.zeros(len(shown.products))
    for held in parts:
        weight, bias = _ridge(shown.rows(np.setdiff1d(np.arange(len(error)), held)), ridge)
        error[held] = shown.features[held] @ weight + bias - shown.log_metres[held]
    return float(np.average(error**2, weights=shown.weights))


def read_shown(rfnet, mapnet, sets: list[Samples], progress=lambda steps: steps) -> Shown:
    """What fit_sizes takes, of those samples that tell how large the product looks. Raises DataError where none do."""
    features, logs, wrong, products = [], [], [], []
    for number, samples in enumerate(sets):
        shown, off = shown_sizes(samples)
        rows = np.flatnonzero(np.isfinite(shown))
        if not len(rows):
            continue
        told = samples.select(rows)
        features.append(read_features(rfnet, mapnet, told, progress=progress).features.double().numpy())
        logs.append(shown[rows])
        wrong.append(off[rows])
        products += [f"{number} {product}" for product in told.product_ids]
    if not features:
        raise DataError(
            "no picture tells how large the product looks: give shards of `synthetic compose`, whose rows have"
            f" {SIZES[1]}, or available pictures of known size."
        )
    return Shown(np.concatenate(features), np.concatenate(logs), even_weights(np.concatenate(wrong)), products)


def add_sizes(weights, data: list, out, progress=lambda steps: steps) -> SizeReader:
    """Writes the reviewer file again with a reader of sizes fitted on these data sets, its networks bit for bit; one
    that was there is replaced. data: what sources.open_samples reads. Raises DataError, weights.WeightsError, OSError.
    """
    rfnet, mapnet, _ = load_networks(weights)
    sets = [open_samples(path, rfnet.config.image_size).without_broken() for path in data]
    reader = fit_sizes(read_shown(rfnet, mapnet, sets, progress))
    change_metadata(weights, out, {"sizes": reader.to_json()})
    return reader
