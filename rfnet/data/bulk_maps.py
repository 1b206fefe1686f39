"""Depth and saliency of a whole data set, computed once: chunks of bytes in a folder, written whole, so that a killed
run goes on.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save
from torch.utils.data import DataLoader, Dataset

from ..files import quoted, refusal, write_bytes, write_text
from ..structured import from_json
from ..tensors import read_header
from .errors import BrokenSample, DataError
from .map_files import NAMES, SUMMARY, chunk_file
from .samples import Samples

CHUNK = 1024  # samples per file


def precompute_maps(
    samples: Samples,
    estimator,
    folder,
    size: int = 128,
    batch: int = 32,
    progress=iter,
    name: str = "builtin",
    workers: int = 0,
) -> dict:
    """Compute depth and saliency of every sample's image and write them, as bytes, into numbered files of CHUNK samples
    and a maps.json.

    estimator: images (B, 3, size, size) float in [0, 1], as the data set's pictures are read -> (depth, saliency), each
    (B, 1, H, W) in [0, 1]; name: what to call it in the files. progress wraps the chunk numbers, as tqdm does; workers:
    processes that decode pictures. Run again after an interruption, finished files are kept once they prove to belong
    to these samples, this size and this estimator's name; a damaged one is computed again. Images that can't be read
    have no maps and are listed in maps.json. Returns what maps.json says; afterwards `samples.with_maps(folder)` reads
    them. Raises DataError where the folder holds the maps of something else.
    """
    folder = Path(folder)
    samples = samples.resized(size)
    folder.mkdir(parents=True, exist_ok=True)
    count = -(-len(samples) // CHUNK)
    identity = {"selection": _ordered(samples.ids), "size": str(size), "estimator": name, "samples": str(len(samples))}
    broken: list[str] = []
    for number in progress(range(count)):
        rows = range(number * CHUNK, min(len(samples), (number + 1) * CHUNK))
        done = _finished(chunk_file(folder, number), identity)
        broken += (
            _compute(samples, rows, estimator, chunk_file(folder, number), identity, batch, workers)
            if done is None
            else done
        )
    summary = {**identity, "chunks": count, "fingerprint": samples.fingerprint, "broken": broken}
    write_text(folder / SUMMARY, json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    return summary


def _ordered(ids: np.ndarray) -> str:
    return hashlib.sha256(ids.astype("<u8").tobytes()).hexdigest()[:16]


def _finished(path: Path, identity: dict):
    """The sentences on broken images of a finished chunk; None where it has to be computed.

    Raises DataError for another data set's chunk.
    """
    from safetensors import SafetensorError, safe_open

    try:
        metadata = read_header(path, ValueError).metadata
        with safe_open(path, "numpy"):
            pass
    except (ValueError, SafetensorError):
        return None
    except OSError as error:
        raise DataError(refusal(path, error)) from error
    differs = [key for key, value in identity.items() if metadata.get(key) != value]
    if differs:
        raise DataError(
            f"{quoted(path)} holds maps of another {' and '.join(differs)}: give an empty folder, or delete this one."
        )
    return from_json(metadata.get("broken", ""), list[str], f"the list of broken pictures in {quoted(path)}")


class _Images(Dataset):
    """The images of some samples for a DataLoader: uint8 arrays, or the sentence that says why there is none."""

    def __init__(self, samples: Samples, rows):
        self.samples = samples
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int):
        row = self.rows[place]
        try:
            return row, self.samples.read_image(row)
        except BrokenSample as error:
            return row, str(error)


def _compute(samples: Samples, rows, estimator, path: Path, identity: dict, batch: int, workers: int) -> list:
    readable: list[int] = []
    broken: list[str] = []
    maps: dict[str, list[np.ndarray]] = {name: [] for name in NAMES}
    for pairs in DataLoader(_Images(samples, rows), batch, num_workers=workers, collate_fn=list):
        broken += [image for _, image in pairs if isinstance(image, str)]
        pixels = {row: image for row, image in pairs if not isinstance(image, str)}
        if not pixels:
            continue
        images = torch.from_numpy(np.stack(list(pixels.values()))).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            estimates = dict(zip(NAMES, estimator(images)))
        for name, values in estimates.items():
            if values.shape[:2] != (len(images), 1) or not torch.isfinite(values).all():
                raise DataError(
                    f"the estimator gave a {name} of shape {tuple(values.shape)} for {len(images)} images, or NaN: it"
                    f" must give ({len(images)}, 1, H, W) in [0, 1]."
                )
            maps[name].append((values[:, 0].float().clamp(0, 1) * 255 + 0.5).byte().cpu().numpy())
        readable += pixels
    tensors = {
        name: np.concatenate(values) if values else np.zeros((0, 1, 1), np.uint8) for name, values in maps.items()
    }
    tensors["ids"] = samples.ids[np.array(readable, np.int64)].view(np.int64)
    write_bytes(path, save(tensors, {**identity, "broken": json.dumps(broken, ensure_ascii=False)}))
    return broken
