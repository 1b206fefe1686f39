"""Verdicts of a network over whole splits: logits, temperature, scores."""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

from ..data.samples import Samples
from ..files import write_bytes
from .augment import Batch, make_batch
from .batches import unwrap_errors
from .metrics import at_threshold, classification_report, precision_recall, reliability, without_nan
from .mixed import MixedDataset


@torch.no_grad()
def predict(
    rfnet, mapnet, samples: Samples | MixedDataset, batch: int = 32, progress=lambda steps: steps, workers: int = 0
) -> torch.Tensor:
    """Logits (N, 5) of every sample, seen as in use: maps by mapnet, or those that were computed beforehand
    (Samples.with_maps), product over grey. progress wraps the iterator of batches; workers: processes that read
    pictures.
    """
    return torch.cat([rfnet(*inputs).cpu() for inputs in batches(rfnet, mapnet, samples, batch, progress, workers)])


def batches(
    rfnet, mapnet, samples: Samples | MixedDataset, batch: int = 32, progress=lambda steps: steps, workers: int = 0
) -> Iterator[tuple]:
    """RFNet.forward's arguments for each batch; arguments as in predict. Both networks are then in eval mode."""
    rfnet.eval()
    mapnet.eval()
    device = next(rfnet.parameters()).device
    rows = range(len(samples))
    loader: DataLoader = DataLoader(
        _Rows(samples, [rows[start : start + batch] for start in rows[::batch]]), batch_size=None, num_workers=workers
    )
    for part in unwrap_errors(progress(loader)):
        image = part.image.to(device)
        maps = [values.to(device) for values in part.maps] if samples.map_name else mapnet(image)
        yield part.shown.to(device), image, *maps, rfnet.tokenize(part.captions).to(device)


class _Rows(Dataset):
    """The batch of each of some ranges of rows."""

    def __init__(self, samples: Samples | MixedDataset, ranges: list[range]):
        self.samples = samples
        self.ranges = ranges

    def __len__(self) -> int:
        return len(self.ranges)

    def __getitem__(self, number: int) -> Batch:
        return make_batch(self.samples, self.ranges[number])


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The temperature T that minimises the cross-entropy of p(available) = softmax(logits / T)[0], between 0.2 and 5
    (after Guo et al., arXiv:1706.04599): thresholds, risks and the calibration error speak of that probability, not of
    the defects' shares in the rest.
    """
    temperatures = torch.logspace(-0.7, 0.7, 141)
    odds = torch.stack([logits[:, 0] / t - (logits[:, 1:] / t).logsumexp(1) for t in temperatures])
    losses = torch.nn.functional.binary_cross_entropy_with_logits(
        odds, (labels == 0).float().expand_as(odds), reduction="none"
    ).mean(1)
    return float(temperatures[losses.argmin()])


def score(
    logits: torch.Tensor,
    samples: Samples | MixedDataset,
    temperature: float = 1.0,
    threshold: float = 0.5,
    resamples: int = 300,
    risks: dict | None = None,
) -> dict:
    """metrics.classification_report of logits (N, 5) against the scenes' labels, intervals by product.

    risks: what risks.parse_risks gave; the report then says under "risks" how many of those accepted at each are bad
    here.
    """
    probabilities = (logits / temperature).softmax(1).numpy()
    about = samples.labels, samples.product_ids
    report = classification_report(probabilities, *about, threshold, resamples)
    if risks:
        report["risks"] = {
            f"{risk:g}": (
                {"refused": entry["refused"]}
                if "refused" in entry
                else at_threshold(probabilities[:, 0], *about, entry["threshold"], resamples)
            )
            for risk, entry in risks.items()
        }
    return report


def curves(
    logits: torch.Tensor, samples: Samples | MixedDataset, temperature: float = 1.0, resamples: int = 300
) -> dict:
    """{"reliability", "precision_recall"}: what metrics says of the same logits, point by point."""
    probabilities = (logits / temperature).softmax(1).numpy()
    about = samples.labels, samples.product_ids, resamples
    return {
        "reliability": reliability(probabilities[:, 0], *about),
        "precision_recall": precision_recall(probabilities, *about),
    }


def write_report(report: dict, folder) -> list:
    """Write a report that holds its curves as report.json, reliability.png, confusion.png and precision_recall.png,
    each whole or not at all; returns the paths. Raises OSError when the disk refuses, RuntimeError without matplotlib.
    """
    from .plots import draw

    files = {**draw(report), "report.json": (json.dumps(without_nan(report), indent=1) + "\n").encode()}
    for name, content in files.items():
        write_bytes(Path(folder) / name, content)
    return [Path(folder) / name for name in files]
