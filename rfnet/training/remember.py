"""`rfnet remember`: what a reviewer shall keep of its training, written into its weights file."""

import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..data.errors import DataError
from ..data.samples import Samples
from ..data.shards import write_shard
from ..data.sources import open_samples
from ..familiarity import UNFAMILIAR, fit_familiarity
from ..labels import LABELS
from ..memory import Memory
from ..weights import load_networks, save_reviewer
from .head import read_features

MEASURED = 1000  # pictures of each data set at most that say what is familiar


def remember(
    weights,
    data: list,
    out,
    count: int = 200,
    seed: int = 0,
    progress=lambda steps: steps,
    numbers: dict | None = None,
) -> dict:
    """Writes the reviewer file again with a memory: `count` pictures of these data sets, evenly over the sets and their
    labels, as small as the reviewer looks at them, and what familiar pictures look like to it.

    data: what sources.open_samples reads; each is one kind of pictures. A memory that was there is replaced; weights
    and metadata stay. progress wraps the batches that are looked at; numbers: as open_samples takes them. Returns
    {"sets": {name: pictures that were measured}, "kept": pictures, "findings": what was wrong with the data, "damaged":
    how many of these}. Raises DataError, weights.WeightsError, OSError.
    """
    rfnet, mapnet, metadata = load_networks(weights)
    random = np.random.default_rng(seed)
    sets = {}
    for path in data:
        samples = open_samples(path, rfnet.config.image_size, numbers)
        rows = np.sort(random.permutation(len(samples))[:MEASURED])
        sets[str(path)] = samples.select(rows).without_broken()
    features = [read_features(rfnet, mapnet, samples, progress=progress).features for samples in sets.values()]
    familiarity = fit_familiarity(features, [samples.product_ids for samples in sets.values()])
    kept = [spread(samples, share, random) for samples, share in zip(sets.values(), _shares(sets, count))]
    save_reviewer(out, rfnet, mapnet, metadata, Memory(_shard(list(sets.values()), kept), familiarity))
    return {
        "sets": {name: len(samples) for name, samples in sets.items()},
        "kept": sum(map(len, kept)),
        "findings": [str(samples.findings) for samples in sets.values() if samples.findings.counts],
        "damaged": sum(samples.findings.damaged for samples in sets.values()),
    }


def spread(samples: Samples, count: int, random: np.random.Generator) -> list[int]:
    """Rows of `count` samples: half of them available, the others evenly over the defects, as far as there are such,
    and each of another product as far as that goes.
    """
    rows: dict[int, list[int]] = defaultdict(list)
    seen: dict[str, int] = defaultdict(int)
    order = random.permutation(len(samples))
    rank = {}
    for row in order:
        rank[row] = seen[samples.product_id(row)]
        seen[samples.product_id(row)] += 1
    for row in sorted(order, key=lambda row: rank[row]):
        rows[int(samples.labels[row])].append(int(row))
    turn = [label for defect in range(1, len(LABELS)) for label in (0, defect)]
    chosen: list[int] = []
    while len(chosen) < min(count, len(samples)):
        for label in turn:
            if rows[label] and len(chosen) < count:
                chosen.append(rows[label].pop(0))
    return sorted(chosen)


def _shares(sets: dict[str, Samples], count: int) -> list[int]:
    """How many pictures of each set are kept; small sets leave their share to the others."""
    left = count
    shares = dict.fromkeys(sets, 0)
    for number, name in enumerate(sorted(sets, key=lambda name: len(sets[name]))):
        shares[name] = min(len(sets[name]), round(left / (len(sets) - number)))
        left -= shares[name]
    return list(shares.values())


def _shard(sets: list[Samples], kept: list[list[int]]) -> bytes:
    scenes = []
    for number, (samples, rows) in enumerate(zip(sets, kept)):
        for row in rows:
            sample = samples.read(row)
            scenes.append(
                {
                    "id": f"{number}-{row}",
                    "image": Image.fromarray(sample["image"]),
                    "product": Image.fromarray(sample["product"]),
                    "caption": sample["caption"],
                    "prompt": sample.get("prompt", ""),
                    "label": LABELS[sample["label"]],
                    "cause": "remembered",
                    "product_id": f"{number}-{sample['product_id']}",
                    "room_id": "",
                }
            )
    if not scenes:
        return b""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "memory.zip"
        write_shard(path, scenes)
        return path.read_bytes()


def relearned(memory: Memory, networks: tuple, own: Samples, folder) -> Memory:
    """The memory for a network that was trained on: the same pictures, seen anew, and one's own beside them."""
    sets = [own]
    if (pictures := memory.unpack(folder)) is not None:
        sets.insert(0, open_samples(pictures, own.size))
    features = [read_features(networks[0], networks[1], samples).features for samples in sets]
    return Memory(memory.shard, fit_familiarity(features, [samples.product_ids for samples in sets]))


def check_data(data: list) -> None:
    """Raises DataError where a data set is named twice: it would count as two kinds."""
    if len({str(Path(path).resolve()) for path in data}) < len(data):
        raise DataError("a data set is named twice in --data: name each once.")


def summary(report: dict) -> str:
    sets = ", ".join(f"{number} of {name}" for name, number in report["sets"].items())
    return f"measured {sets}; {report['kept']} pictures are kept in the file"


def judge(rfnet, mapnet, memory: Memory | None, samples: Samples, progress=lambda steps: steps) -> tuple:
    """(logits (N, 5), the share of the samples that are unfamiliar or None), in one pass."""
    seen = read_features(rfnet, mapnet, samples, progress=progress)
    return seen.judged(rfnet.added), share_unfamiliar(memory, seen.features)


def share_unfamiliar(memory: Memory | None, features: torch.Tensor) -> float | None:
    """The share of pictures with these features (N, W) that are unfamiliar; None without a memory."""
    return None if memory is None else float((memory.familiarity.share_further(features) < UNFAMILIAR).float().mean())
