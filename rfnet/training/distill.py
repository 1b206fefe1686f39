"""Distillation: RFNet learns to say by itself what it and its fitted second opinions say together (after Hinton et al.,
arXiv:1503.02531), so that a slow panel becomes a quick and differentiable reviewer.
"""

import tempfile
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ..data.errors import DataError
from ..data.samples import Samples
from ..fusion import Fusion, parse_fusion
from ..memory import Memory
from ..weights import load_memory, load_networks, read_metadata, save_reviewer
from .augment import make_batch
from .batches import Order
from .config import FROZEN
from .evaluate import predict
from .fuse import Evidence, folds, fuse_probabilities
from .metrics import average_precision
from .processes import accelerator
from .remember import relearned
from .step import learning_rate

BATCH = 16
SLOWER = 0.4  # learning rate of the image encoder, as a share
LEAST = 20  # pictures


@dataclass
class Distilled:
    """report: JSON-able; path: the new weights file, None where the reviewer did not come nearer to the panel."""

    report: dict
    path: Path | None


def distill(
    weights,
    evidence: Evidence,
    samples: Samples,
    out,
    epochs: int = 6,
    lr: float = 2e-4,
    seed: int = 0,
    tell: Callable[[str], None] = lambda text: None,
) -> Distilled:
    """Trains on from a reviewer file that holds a fusion, with the panel's probabilities in the place of labels, and
    writes `out` if on held-out products it comes nearer to the panel: the epoch that comes nearest.

    evidence: fuse.collect's, of these samples. The new file has the fusion's threshold, no fusion, no certificate and
    no reading of sizes, since those spoke of the network before; a memory is learned anew, with these samples in it.
    Raises DataError.
    """
    fusion = fitted(weights, evidence.models)
    check(evidence.labels, evidence.products)
    rfnet, mapnet, metadata = load_networks(weights)
    teacher = fuse_probabilities(fusion, evidence)
    seen = samples.resized(rfnet.config.image_size).select(evidence.samples)
    held = folds(evidence.products, seed)[0]
    student = Student(rfnet, mapnet, float(metadata["temperature"]), seen, teacher, held)
    began, ap = student.divergence(), _ap(student.probabilities(), evidence.labels[held])
    best, kept = began, None
    for epoch in range(epochs):
        student.learn(epoch, epochs, lr, seed)
        now = student.divergence()
        tell(f"epoch {epoch + 1}/{epochs}: {now:.4f} from the panel on held-out products, {began:.4f} before")
        if now < best:
            best, kept = now, deepcopy(rfnet.state_dict())
    if kept is not None:
        rfnet.load_state_dict(kept)
    after, panel = (_ap(said, evidence.labels[held]) for said in (student.probabilities(), teacher[held]))
    report = {
        "n": len(seen),
        "products": len(set(evidence.products)),
        "held_out": len(held),
        "divergence": {"before": began, "after": best},
        "ap": {"before": ap, "after": after if kept is not None else ap, "panel": panel},
        "opinions": evidence.models,
        "reason": _reason(len(held), began, best if kept is not None else None),
    }
    if kept is None:
        return Distilled(report, None)
    about = {key: value for key, value in metadata.items() if key in ("temperature", "maps", "data_fingerprint")}
    about |= {"threshold": f"{fusion.threshold:g}", "created_with": "rfnet distill", "distilled": report}
    networks = rfnet.cpu(), mapnet.cpu()
    save_reviewer(out, *networks, about, _memory(weights, networks, seen))
    return Distilled(report, Path(out))


def _memory(weights, networks: tuple, seen: Samples) -> Memory | None:
    """What the reviewer file remembers and what has taught now, as the new network sees it; None where it has none."""
    memory = load_memory(weights, networks[0].feature_width)
    if memory is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        return relearned(memory, networks, seen, folder)


def fitted(weights, models: dict[str, str]) -> Fusion:
    """The fusion of a reviewer file, to be learned from with opinions that ask these models: {name: model}.

    Raises DataError, before anything is asked.
    """
    fusion = parse_fusion(read_metadata(weights).get("fusion", ""))
    if fusion is None:
        raise DataError(f'"{Path(weights).name}" holds no fitted opinions to learn from: run `rfnet fuse` first.')
    if lacking := sorted(fusion.opinions.keys() - models.keys()):
        raise DataError(
            f"the opinions were fitted with {', '.join(lacking)}, too: name it after --opinions or --recorded."
        )
    for name, opinion in fusion.opinions.items():
        if opinion.model != models[name]:
            raise DataError(f"the opinion {name} was fitted with {opinion.model}: ask the same, or fit again.")
    return fusion


def check(labels: np.ndarray, products: list[str]) -> None:
    """Raises DataError where N samples of these products are too few to learn from."""
    if len(set(products)) < 2 or len(labels) < LEAST:
        raise DataError(
            f"{len(labels)} pictures of {len(set(products))} product(s) are too few to learn on and"
            f" to judge by: give at least {LEAST}, of two products or more."
        )


def _reason(held: int, before: float, after: float | None) -> str:
    if after is None:
        return (
            f"Nothing was written: on {held} pictures of held-out products the reviewer came no nearer to what it and"
            f" the opinions say together ({before:.4f}). Give more pictures, or a smaller --lr."
        )
    return (
        f"The reviewer says by itself more of what it and the opinions say together: on {held} pictures of held-out"
        f" products it is {after:.4f} from them (Kullback-Leibler divergence), {before:.4f} before."
    )


class Student:
    """RFNet that learns a teacher's probabilities (N, 5) on N samples; rows `held` only judge."""

    def __init__(self, rfnet, mapnet, temperature: float, samples: Samples, teacher: torch.Tensor, held: np.ndarray):
        self.device = accelerator().device
        self.rfnet, self.mapnet = rfnet.to(self.device), mapnet.to(self.device)
        self.temperature, self.samples, self.teacher, self.held = temperature, samples, teacher, held
        self.rows = np.setdiff1d(np.arange(len(samples)), held)
        parts = dict(rfnet.images.backbone.named_modules())
        for name in FROZEN:  # those of compact's backbone; another has none of these names
            if name in parts:
                parts[name].requires_grad_(False)
        slow = {id(p) for p in rfnet.images.backbone.parameters()}
        trained = [p for p in rfnet.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            [{"params": [p for p in trained if (id(p) in slow) == inside]} for inside in (False, True)],
            weight_decay=0.02,
            betas=(0.9, 0.98),
        )

    def learn(self, epoch: int, epochs: int, lr: float, seed: int) -> None:
        """One epoch."""
        order = Order(len(self.rows), min(BATCH, len(self.rows)), seed, 0, 1)
        for step in range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch):
            torch.manual_seed(order.seed_of(step))
            rows = self.rows[order.rows(step)]
            loss = self._loss(make_batch(self.samples, rows.tolist(), augment=True).to(self.device), rows)
            for group, share in zip(self.optimizer.param_groups, (1.0, SLOWER)):
                group["lr"] = learning_rate(lr * share, step / (epochs * order.steps_per_epoch))
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.rfnet.parameters(), 1.0)
            self.optimizer.step()

    def _loss(self, batch, rows: np.ndarray) -> torch.Tensor:
        self.rfnet.train()
        with torch.no_grad():  # it learns from the maps that it will get in use
            maps = self.mapnet(batch.image)
        tokens = self.rfnet.tokenize(batch.captions).to(self.device)
        logits = self.rfnet(batch.shown, batch.image, *maps, tokens).float() / self.temperature
        return F.kl_div(logits.log_softmax(1), self.teacher[rows].to(self.device), reduction="batchmean")

    def probabilities(self) -> torch.Tensor:
        """(held-out rows, 5)."""
        logits = predict(self.rfnet, self.mapnet, self.samples.select(self.held))
        return (logits.float() / self.temperature).softmax(1)

    def divergence(self) -> float:
        """Mean Kullback-Leibler divergence of the student from the teacher on what is held out."""
        said = self.probabilities().clamp(min=1e-9).log()
        return float(F.kl_div(said, self.teacher[self.held], reduction="batchmean"))


def _ap(probabilities: torch.Tensor, labels: np.ndarray) -> float | None:
    """AP of "available"; None where no picture is."""
    ap = average_precision(labels == 0, probabilities[:, 0].double().numpy(), np.ones(len(labels)))
    return ap if ap == ap else None
