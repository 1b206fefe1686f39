"""Scores on the validation data while a training runs: which weights are kept, and what is shown of it."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ..data.errors import DataError
from ..files import write_bytes
from ..map_sources import BUILTIN
from ..weights import load_networks, save_reviewer
from .config import TrainConfig
from .evaluate import fit_temperature, predict, score
from .metrics import format_report
from .mixed import MixedDataset
from .networks import Networks


class Validation:
    """`row = validation(step, losses)` after each epoch: scores, the best weights in `config.out` and the last beside
    it. Every process scores alike; only the first writes and prints.

    history: the rows so far; best: the highest average precision among them.
    """

    def __init__(
        self, config: TrainConfig, networks: Networks, train: MixedDataset, val: MixedDataset, first: bool = True
    ):
        self.config = config
        self.networks = networks
        self.train = train
        self.val = val
        self.first = first
        self.out = Path(config.out)
        self.best = -1.0
        self.history: list[dict] = []
        self.tensorboard: Any = None  # a SummaryWriter, once the first row is there

    def __call__(self, step: int, losses: list[float]) -> None:
        rfnet = self.networks.rfnet
        mapnet = self.networks.mapnet
        report = score(predict(rfnet, mapnet, self.val, workers=self.config.workers), self.val, resamples=0)
        row = {
            "step": step,
            "loss": float(np.mean(losses)),
            "ap": report["ap"]["value"],
            "accuracy": report["accuracy"]["value"],
            **{f"ap_{name}": value["value"] for name, value in report["defects"].items()},
        }
        self.history.append(row)
        if self.first:
            self._show(row)
            about = self._about()
            if row["ap"] > self.best:
                save_reviewer(self.out, rfnet, mapnet, about)
            save_reviewer(self.out.with_name(f"{self.out.stem}.last{self.out.suffix}"), rfnet, mapnet, about)
        self.best = max(self.best, row["ap"])

    def finish(self, device: torch.device) -> dict:
        """Fit the temperature of the best weights and write it and their scores into `config.out`; the report."""
        rfnet, mapnet, _ = load_networks(self.out)
        rfnet.to(device)
        mapnet.to(device)
        logits = predict(rfnet, mapnet, self.val, workers=self.config.workers)
        temperature = fit_temperature(logits, torch.from_numpy(self.val.labels))
        report = score(logits, self.val, temperature)
        if not self.first:
            return report
        about = {
            **self._about(),
            "temperature": f"{temperature:.4f}",
            "threshold": "0.5",
            "scores": {"split": "val", **report},
            "created_with": "rfnet train",
        }
        save_reviewer(self.out, rfnet, mapnet, about)
        written = f"wrote {self.out}, {self.out.stat().st_size / 1e6:.1f} MB{self._draw_curves()}"
        print(f"{format_report(report)}\ntemperature {temperature:.3f}; {written}")
        return report

    def _about(self) -> dict:
        """What the weights' metadata says of the training."""
        return {
            "data_fingerprint": self.train.fingerprint,
            "history": self.history,
            "maps": self.train.map_name or BUILTIN,
        }

    def _draw_curves(self) -> str:
        """The curves as a picture beside the weights; without matplotlib, a word on why there is none."""
        try:
            from .plots import training

            write_bytes(self.out.with_suffix(".png"), training(self.history))
        except RuntimeError as error:
            return f"; no curves were drawn: {error}"
        return ""

    def _show(self, row: dict) -> None:
        defects = ", ".join(f"{name[3:]} {value:.2f}" for name, value in row.items() if name.startswith("ap_"))
        tqdm.write(
            f"after {row['step']} steps: loss {row['loss']:.3f}, AP {row['ap']:.4f}, five-way accuracy"
            f" {row['accuracy']:.4f}, {defects}"
        )
        if not self.config.tensorboard:
            return
        self.tensorboard = self.tensorboard or _summary_writer(self.out)
        for name, value in row.items():
            if name != "step":
                self.tensorboard.add_scalar(name, value, row["step"])
        self.tensorboard.flush()


def _summary_writer(out: Path):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise DataError(
            "tensorboard = true needs the package tensorboard: pip install tensorboard, or leave it out."
        ) from None
    return SummaryWriter(str(out.parent / f"{out.stem}.tensorboard"))
