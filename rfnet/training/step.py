"""One training step: the loss of a batch, its gradient, AdamW's update."""

import math

import torch
from torch import nn

from .augment import Batch
from .config import TrainConfig
from .losses import map_loss, verdict_loss
from .networks import Networks
from .scale import scale_loss


def learning_rate(base: float, progress: float, schedule: str = "cosine") -> float:
    """progress: the share of the stage that is done. "cosine": a short warm-up, then a cosine down to a hundredth;
    "step": divided by 10 at half (arXiv:2408.00418: at epoch 5 of 10).
    """
    if schedule == "step":
        return base if progress < 0.5 else base / 10
    return base * min(1, progress / 0.03 + 0.02) * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)


class Step:
    """`loss = step(batch, progress)` for the batches of one stage.

    stage: "maps" trains the estimator of depth and saliency, "rfnet" the reviewer on what that estimator sees, or on
    maps that were computed beforehand. label_weights (5,): what each label counts in the loss.
    """

    def __init__(
        self,
        stage: str,
        config: TrainConfig,
        networks: Networks,
        accelerator,
        label_weights: torch.Tensor,
        computed_maps: bool,
    ):
        self.stage = stage
        self.config = config
        self.networks = networks
        self.accelerator = accelerator
        self.label_weights = label_weights
        self.computed_maps = computed_maps
        reviewer = networks.reader if config.scale else networks.rfnet
        self.network: nn.Module = networks.mapnet if stage == "maps" else reviewer
        self.model, self.optimizer = accelerator.prepare(self.network, self._new_optimizer())

    def __call__(self, batch: Batch, progress: float) -> float:
        batch = batch.to(self.accelerator.device)
        self.model.train()
        with self.accelerator.autocast():
            loss = map_loss(self.model, batch) if self.stage == "maps" else self._reviewer_loss(batch)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(group["rate"], progress, self.config.schedule)
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()

    def _reviewer_loss(self, batch: Batch) -> torch.Tensor:
        config = self.config
        with torch.no_grad():  # RFNet learns from the maps that it will get in use
            maps = batch.maps if self.computed_maps else self.networks.mapnet(batch.image)
        tokens = self.networks.rfnet.tokenize(batch.captions).to(batch.image.device)
        output = self.model(batch.shown, batch.image, *maps, tokens)
        logits = output[0] if config.scale else output
        loss = verdict_loss(logits.float(), batch.labels, self.label_weights, config.smoothing, config.labels)
        return loss + config.scale * scale_loss(output[1].float(), batch.sizes) if config.scale else loss

    def _new_optimizer(self) -> torch.optim.Optimizer:
        """AdamW; what is pretrained, the image encoders and a text tower, learns at a rate of its own."""
        rfnet = self.networks.rfnet
        config = self.config
        pretrained: list[nn.Module] = [self.networks.mapnet.backbone, rfnet.images.backbone]
        if rfnet.config.reads_captions and rfnet.config.text != "small":
            pretrained.append(rfnet.text)
        slow = {id(p) for module in pretrained for p in module.parameters()}
        trained = [p for p in self.network.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trained if (id(p) in slow) == inside], "rate": rate}
            for inside, rate in ((False, config.lr), (True, config.backbone_lr))
        ]
        return torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=config.lr,
            weight_decay=config.weight_decay,
            betas=(0.9, 0.98),
        )
