"""Fine-tuning a reviewer's network on a few labels of one's own, and on as many pictures that it shall not forget."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..architectures import ARCHITECTURES
from ..data.samples import Samples
from ..model import RFNet
from ..weights import load_networks
from .augment import Batch, make_batch
from .config import FROZEN
from .losses import verdict_loss
from .low_rank import merge
from .mixed import MixedDataset
from .step import learning_rate

BACKBONE = 0.4  # the image encoder's learning rate, as a share of the rest's


@dataclass(frozen=True)
class Tuning:
    """epochs: how often each picture of one's own is seen; lr: the learning rate; seed: of the order of the pictures
    and their augmentation; device: where it runs.
    """

    epochs: float = 4
    lr: float = 2e-4
    seed: int = 0
    device: str = "cpu"

    def batch(self, count: int) -> int:
        """Pictures of one's own per step: a few labels shall make more than one step."""
        return max(1, min(count, max(8, min(32, count // 8))))

    def steps(self, count: int) -> int:
        return max(1, round(count / self.batch(count) * self.epochs))


def tune(
    weights,
    samples: Samples,
    rehearsal: MixedDataset | None,
    tuning: Tuning,
    watch: Callable = lambda network, steps: None,
    prepare: Callable[[RFNet], list[dict]] | None = None,
) -> tuple:
    """(RFNet, MapNet): the networks of a reviewer file, trained on with all samples; the estimator of maps stays.

    rehearsal: pictures from elsewhere, as many of them in each step as one's own. watch: as in adapt. prepare(rfnet):
    chooses what learns, and gives AdamW's parameter groups, each with its "rate"; by default everything but the layers
    that training freezes. Raises weights.WeightsError.
    """
    rfnet, mapnet, _ = load_networks(weights)
    rfnet.to(tuning.device)
    mapnet.to(tuning.device)
    steps = tuning.steps(len(samples))
    watch(rfnet, steps)
    watch(mapnet, steps)
    with torch.random.fork_rng():
        groups = (prepare or all_but_frozen)(rfnet)
        for group in groups:
            group["rate"] *= tuning.lr
        optimizer = torch.optim.AdamW(groups, lr=tuning.lr, weight_decay=0.02, betas=(0.9, 0.98))
        present = torch.zeros(5, dtype=torch.bool)
        present[torch.from_numpy(np.unique(samples.labels)).long()] = True
        if rehearsal:
            present[torch.from_numpy(np.unique(rehearsal.labels)).long()] = True
        for step, batch in enumerate(_batches(samples, rehearsal, tuning, steps)):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(group["rate"], step / steps)
            _step(rfnet, mapnet, batch.to(tuning.device), optimizer, present.to(tuning.device))
    merge(rfnet)
    return rfnet.eval(), mapnet


def device(cpu: bool) -> str:
    """Where to train: the accelerator that is there, unless one stays off it."""
    if cpu:
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def all_but_frozen(rfnet: RFNet) -> list[dict]:
    """Everything learns but the first layers of compact's image encoder, which has its counterpart in no other."""
    if rfnet.config.backbone == ARCHITECTURES["compact"].backbone:
        modules = dict(rfnet.images.backbone.named_modules())
        for name in FROZEN:
            modules[name].requires_grad_(False)
    slow = {id(parameter) for parameter in rfnet.images.backbone.parameters()}
    learning = [parameter for parameter in rfnet.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in learning if (id(parameter) in slow) == inside], "rate": rate}
        for inside, rate in ((False, 1.0), (True, BACKBONE))
    ]
    return [group for group in groups if group["params"]]


def _step(rfnet: RFNet, mapnet: nn.Module, batch: Batch, optimizer, present: torch.Tensor) -> None:
    """One step of AdamW. Labels that nothing here shows take no part, so that what is known of them stays."""
    rfnet.train()
    for module in rfnet.modules():  # a few labels don't say how pictures are spread
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    with torch.no_grad():
        maps = mapnet(batch.image)
    logits = rfnet(batch.shown, batch.image, *maps, rfnet.tokenize(batch.captions).to(batch.image.device))
    labels = (present.cumsum(0) - 1)[batch.labels]
    loss = verdict_loss(logits[:, present].float(), labels, torch.ones(int(present.sum())).to(logits), 0.05)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
    optimizer.step()


def _batches(samples: Samples, rehearsal: MixedDataset | None, tuning: Tuning, steps: int):
    """One augmented batch per step: each half in an order of its own, again and again."""
    torch.manual_seed(tuning.seed)
    size = tuning.batch(len(samples))
    own = _order(len(samples), size, steps, (tuning.seed, 0))
    other = _order(len(rehearsal), size, steps, (tuning.seed, 1)) if rehearsal else [[]] * steps
    both = _Both(samples, rehearsal)
    for mine, theirs in zip(own, other):
        yield make_batch(both, [*mine, *(len(samples) + row for row in theirs)], augment=True)


@dataclass
class _Both:
    own: Samples
    other: MixedDataset | None

    def __getitem__(self, row: int) -> dict:
        if row < len(self.own):
            return self.own[row]
        assert self.other is not None
        return self.other[row - len(self.own)]


def _order(count: int, size: int, steps: int, seed: tuple) -> list:
    rounds = math.ceil(steps * size / count)
    rows = np.concatenate([np.random.default_rng((*seed, number)).permutation(count) for number in range(rounds)])
    return rows[: steps * size].reshape(steps, size).tolist()
