"""Calibration of a trained reviewer on labelled pictures of products that it never saw: its temperature, then
thresholds for risks.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ..data.errors import DataError
from ..risks import RISKS, certify, painter_in
from .evaluate import fit_temperature
from .metrics import calibration_error


@dataclass
class Calibration:
    """temperature; risks: {"0.05": entry of risks.certify}; about: n, products, and ECE of p(available) on the
    certifying half before and after; threshold: of `most_that_lose`, None where none was asked for.
    """

    temperature: float
    risks: dict
    about: dict
    threshold: float | None = None


def halves(products, seed: int = 0):
    """(rows, rows): two halves of the products, no product in both. DataError where there is only one product."""
    names, product = np.unique(np.asarray(products), return_inverse=True)
    if len(names) < 2:
        raise DataError(
            f'all {len(product)} scenes belong to one product ("{names[0]}"): calibration halves the data by product,'
            ' so give "product_id" in the index and more products.'
        )
    first = np.random.default_rng(seed).permutation(len(names)) < len(names) // 2
    return np.flatnonzero(first[product]), np.flatnonzero(~first[product])


def most_that_lose(share: float, p: np.ndarray, good: np.ndarray) -> float:
    """The highest threshold, in steps of 0.01, that rejects at most this share of the available pictures.

    p (N,) of p(available), good (N,) bool.
    """
    steps = np.arange(1, 100) / 100
    lost = (p[good] < steps[:, None]).mean(1)
    return float(steps[lost <= share].max(initial=steps[0]))


def calibrate(
    logits: torch.Tensor,
    labels: np.ndarray,
    products,
    risks=RISKS,
    unit: str = "product",
    confidence: float = 0.95,
    before: float = 1.0,
    seed: int = 0,
    keep: bool = False,
    lose: float | None = None,
) -> Calibration:
    """Fit the temperature on half of the products (keep: leave it at `before`), certify thresholds for each risk on the
    other half (risks.py says what that promises). lose: choose the plain threshold too, as `most_that_lose` does, on
    all of them.

    logits (N, 5) before any temperature; labels (N,) label ids; products: N product ids; before: the temperature used
    so far. Raises DataError where a half holds no available scene or no other, ValueError on a risk or unit that makes
    no sense.
    """
    labels = np.asarray(labels)
    products = np.asarray(products)
    fit, held = halves(products, seed)
    for rows in (fit, held):
        if len(set((labels[rows] == 0).tolist())) < 2:
            raise DataError(
                "half of the products has no available scene, or nothing but available ones: calibration needs both, in"
                " the shares that the reviewer will meet."
            )
    temperature = before if keep else fit_temperature(logits[fit], torch.from_numpy(labels[fit]))
    p = (logits / temperature).softmax(1)[:, 0].double().numpy()
    bad = labels != 0
    fit_half, held_half = ((p[rows], bad[rows], products[rows].tolist()) for rows in (fit, held))
    entries = {f"{risk:g}": certify(fit_half, held_half, risk, unit, confidence, seed) for risk in risks}

    def ece(t):
        return calibration_error((logits[held] / t).softmax(1)[:, 0].double().numpy(), ~bad[held], np.ones(len(held)))

    about = {
        "n": len(labels),
        "products": len(set(products.tolist())),
        "ece_before": ece(before),
        "ece_after": ece(temperature),
    }
    threshold = None if lose is None else most_that_lose(lose, p, ~bad)
    return Calibration(temperature, entries, about, threshold)


def summary(calibration: Calibration, kept: bool = False) -> str:
    """The calibration as lines to print."""
    about = calibration.about
    lines = [
        (
            f"{about['n']} scenes of {about['products']} products: half of the products"
            f" {'chose where to begin' if kept else 'fitted the temperature'}, the other half certified"
        ),
        (
            f"temperature {calibration.temperature:.3f}; ECE of p(available) {about['ece_before']:.3f} before,"
            f" {about['ece_after']:.3f} after"
        ),
    ]
    if "unfamiliar" in about:
        lines.append(f"{about['unfamiliar'] * 100:.1f} % of the pictures are unfamiliar to the reviewer")
    if calibration.threshold is not None:
        lines.append(f"accept from p(available) >= {calibration.threshold:g}, where no risk is chosen")
    entries = calibration.risks.values()
    lines += {f"painted by {painter.text}" for painter in map(painter_in, entries) if painter}
    for risk, entry in calibration.risks.items():
        lines.append(
            f"risk {risk}: "
            + (
                f"not certified: {entry['refused']}"
                if "refused" in entry
                else (
                    f"accept from p(available) >= {entry['threshold']:g}; {entry['bad']} of {entry['accepted']}"
                    f" accepted were bad, at most {entry['bound']:.3f} with {entry['confidence']:.3g} confidence; one"
                    f" draw per {entry['unit']}, {entry['products']} products"
                )
            )
        )
    return "\n".join(lines)
