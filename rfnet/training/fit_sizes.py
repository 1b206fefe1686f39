"""Fitting what reads the size that a picture shows (sizes.py): a ridge regression on features that RFNet has anyway.

In available pictures a product looks as large as it is, so reading the product would do. Pictures of wrong size count
as much as all others together, where that says little. A ridge pulls its readings to their mean, the more so in
pictures unlike those that the network learned from: so they are stretched until right sizes read as right, on average,
in pictures that were not fitted on.
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
LEAST_RIGHT = 20  # pictures of right size that tell by how much to stretch
LEAST_SLOPE = 0.1  # of readings over true sizes: what is flatter reads nothing
EQUAL = 0.05  # of a log: a size shown that far from the true one is right


@dataclass
class Shown:
    """N pictures: features (N, W); shown, true (N,): log metres of the product as they show it and as it is, NaN where
    that isn't known; products: N ids.
    """

    features: np.ndarray
    shown: np.ndarray
    true: np.ndarray
    products: list[str]

    def rows(self, rows) -> "Shown":
        return Shown(self.features[rows], self.shown[rows], self.true[rows], [self.products[row] for row in rows])

    @property
    def wrong(self) -> np.ndarray:
        """(N,): whether it shows another size than the true one."""
        return np.abs(self.shown - self.true) > EQUAL

    @property
    def weights(self) -> np.ndarray:
        """(N,) of sum N: those of wrong size count as much as all others together, where there are some."""
        share = self.wrong.mean()
        if not 0 < share < 1:
            return np.ones(len(self.shown))
        return np.where(self.wrong, 0.5 / share, 0.5 / (1 - share))


def sizes_of(samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """(shown, true), as in Shown. What has no "shown_metres" shows the true size where it is available."""
    columns = {name: samples.column(name) for name in SIZES if name in samples.texts}
    logs = np.array([log_sizes({name: column[row] for name, column in columns.items()}) for row in range(len(samples))])
    true, shown = logs.reshape(-1, len(SIZES)).T
    return np.where(np.isnan(shown) & (samples.labels == 0), true, shown), true


def fit_sizes(shown: Shown, unseen: Shown | None = None) -> SizeReader:
    """The reader. unseen: pictures that the network was not trained on, whose right sizes say by how much to stretch
    it; None: held-out products of the others. Raises DataError where there is too little, or nothing to be read.
    """
    _check(shown)
    parts = folds(shown.products)
    held_out = {ridge: _held_out(shown, ridge, parts) for ridge in RIDGES}
    ridge = min(RIDGES, key=lambda each: np.average((held_out[each] - shown.shown) ** 2, weights=shown.weights))
    weight, bias = _ridge(shown, ridge)
    read = held_out[ridge] if unseen is None else unseen.features @ weight + bias
    slope, start, sigma = _line(read, shown if unseen is None else unseen)
    values = [float(f"{value:.6g}") for value in weight / slope]
    about = {
        "n": len(shown.products),
        "products": len(set(shown.products)),
        "unseen": 0 if unseen is None else len(unseen.products),
        "ridge": ridge,
        "slope": round(slope, 4),
    }
    return SizeReader(weight=values, bias=float((bias - start) / slope), sigma=max(0.01, sigma / slope), about=about)


def _check(shown: Shown) -> None:
    names = set(shown.products)
    if len(shown.products) < LEAST or len(names) < LEAST_PRODUCTS:
        raise DataError(
            f"{len(shown.products)} pictures of {len(names)} products tell how large the product looks: at least"
            f" {LEAST} of {LEAST_PRODUCTS} are needed. Such are the shards of `synthetic compose`."
        )


def _ridge(shown: Shown, ridge: float) -> tuple[np.ndarray, float]:
    """(weight (W,), bias) of the least weighted squares, with a penalty on the weights of standardised features."""
    weights = shown.weights
    share = weights / weights.sum()
    middle = share @ shown.features
    spread = np.sqrt(share @ (shown.features - middle) ** 2) + 1e-3
    x, y = (shown.features - middle) / spread, shown.shown - share @ shown.shown
    gram = x.T @ (weights[:, None] * x) + ridge * np.eye(x.shape[1])
    weight = np.linalg.solve(gram, x.T @ (weights * y)) / spread
    return weight, float(share @ shown.shown - weight @ middle)


def _held_out(shown: Shown, ridge: float, parts: list) -> np.ndarray:
    """Readings (N,) in log metres, each picture's by what saw none of its product."""
    read = np.zeros(len(shown.products))
    for held in parts:
        weight, bias = _ridge(shown.rows(np.setdiff1d(np.arange(len(read)), held)), ridge)
        read[held] = shown.features[held] @ weight + bias
    return read


def _line(read: np.ndarray, of: Shown) -> tuple[float, float, float]:
    """(slope, start, deviation) of readings over the true sizes of pictures of right size. Raises DataError."""
    right = ~of.wrong & np.isfinite(of.true)
    if right.sum() < LEAST_RIGHT or of.true[right].std() < EQUAL:
        raise DataError(
            f"{right.sum()} pictures tell how large the product is and show it so: at least {LEAST_RIGHT}, of several"
            " sizes, are needed."
        )
    slope, start = np.polyfit(of.true[right], read[right], 1)
    if slope < LEAST_SLOPE:
        raise DataError(
            "nothing was written: in pictures that were not fitted on, the readings hardly follow the sizes"
            f" ({right.sum()} pictures of right size, slope {slope:.2f}). Give more pictures."
        )
    return float(slope), float(start), float((read[right] - slope * of.true[right] - start).std())


def read_shown(rfnet, mapnet, sets: list[Samples], progress=lambda steps: steps) -> Shown:
    """What fit_sizes takes, of those samples that tell how large the product looks. Raises DataError where none do."""
    found = []
    for number, samples in enumerate(sets):
        shown, true = sizes_of(samples)
        rows = np.flatnonzero(np.isfinite(shown))
        if len(rows):
            told = samples.select(rows)
            features = read_features(rfnet, mapnet, told, progress=progress).features.double().numpy()
            found.append((features, shown[rows], true[rows], [f"{number} {product}" for product in told.product_ids]))
    if not found:
        raise DataError(
            "no picture tells how large the product looks: give shards of `synthetic compose`, whose rows have"
            f" {SIZES[1]}, or available pictures of known size."
        )
    features, shown, true, products = zip(*found)
    return Shown(
        np.concatenate(features),
        np.concatenate(shown),
        np.concatenate(true),
        [name for each in products for name in each],
    )


def add_sizes(weights, data: list, out, unseen: list | None = None, progress=lambda steps: steps) -> SizeReader:
    """Writes the reviewer file again with a reader of sizes fitted on these data sets, its networks bit for bit; one
    that was there is replaced. data, unseen: what sources.open_samples reads. Raises DataError, weights.WeightsError,
    OSError.
    """
    rfnet, mapnet, _ = load_networks(weights)
    told, others = (
        [open_samples(path, rfnet.config.image_size).without_broken() for path in paths]
        for paths in (data, unseen or [])
    )
    shown = read_shown(rfnet, mapnet, told, progress)
    reader = fit_sizes(shown, read_shown(rfnet, mapnet, others, progress) if others else None)
    change_metadata(weights, out, {"sizes": reader.to_json()})
    return reader
