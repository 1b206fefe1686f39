"""What RFFT minimises at one step of a drawing: the feedback, and what keeps the text's meaning (arXiv:2408.00418)."""

from __future__ import annotations

import torch

from .adapter import Adapter
from .config import TrainConfig
from .losses import AVAILABLE, LOSSES
from .models import Models
from .rollout import Batch, differentiable_step, reference, review_logits


def objective(
    models: Models, reviewer, adapter: Adapter, config: TrainConfig, batch: Batch, i: int, x: torch.Tensor
) -> dict:
    """{"total", "feedback", "regulariser", "available"} of step i on its kept x_t: F_AC + beta * L, and the mean
    p(available), which is what is wanted. Means over the batch.
    """
    loss = LOSSES[config.loss]
    sampling = config.training_sampling
    ref_text = ref_null = None
    if loss.needs_reference:
        # Before the step: nothing of it is in memory yet. The reference is the same network without the adapter.
        with adapter.off():
            ref_text, ref_null = reference(models, batch, sampling, i, x, loss.needs_reference_null)
    step = differentiable_step(models, batch, sampling, i, x, loss.needs_null)
    canvases = [job.canvas for job in batch.jobs]
    logits = review_logits(reviewer, step.pictures, canvases, config.through_maps).to(x.dtype)
    feedback = loss.feedback(logits)
    regulariser = loss.regularise({**vars(step), "ref_text": ref_text, "ref_null": ref_null, "logits": logits})
    return {
        "total": feedback + config.beta * regulariser,
        "feedback": feedback,
        "regulariser": regulariser,
        "available": logits.softmax(1)[:, AVAILABLE].mean(),
    }
