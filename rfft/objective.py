"""What RFFT minimises, at one step of a drawing: the feedback and what keeps the text's meaning (arXiv:2408.00418)."""

from __future__ import annotations

import torch

from .config import TrainConfig
from .losses import consistent_condition, feedback, kl_baseline
from .models import Models
from .rollout import Batch, look, reference, review_logits


def objective(models: Models, reviewer, adapter, config: TrainConfig, batch: Batch, i: int, x: torch.Tensor) -> dict:
    """{"total", "feedback", "regulariser", "available"} of step i on its kept x_t: F_AC + beta * L, and the mean
    p(available), which is what is wanted. Means over the batch.
    """
    sampling, with_null, ref_text, ref_null = config.training_sampling, config.loss == "cc", None, None
    if config.loss != "none":
        with adapter.off():  # first, while nothing is kept for the way back
            ref_text, ref_null = reference(models, batch, sampling, i, x, with_null)
    mine = look(models, batch, sampling, i, x, with_null)
    logits = review_logits(reviewer, mine.pictures, [order.canvas for order in batch.orders], config.through_maps).to(
        x.dtype
    )
    if config.loss == "none":
        regulariser = torch.zeros((), device=logits.device)
    elif config.loss == "kl":
        regulariser = kl_baseline(mine.eps_text, ref_text)
    else:
        regulariser = consistent_condition(mine.eps_text, mine.eps_null, ref_text, ref_null, mine.alpha_bar)
    wanted = feedback(logits)
    return {
        "total": wanted + config.beta * regulariser,
        "feedback": wanted,
        "regulariser": regulariser,
        "available": logits.softmax(1)[:, 0].mean(),
    }
