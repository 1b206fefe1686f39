"""The three losses of RFFT (arXiv:2408.00418), each a function that reads like its equation.

All return one number, the mean over the batch.

Noise predictions are (B, C, h, w): eps_theta of the ControlNet that learns, eps_ref of the one that it started from.
"""

import torch

from ..rfnet.labels import label_id

AVAILABLE = label_id("available")


def feedback(logits: torch.Tensor) -> torch.Tensor:
    """F_AC = -mean(y_d .

    log o): y_d is one-hot "available", o = softmax of the reviewer's logits (B, 5), in the order of LABELS.
    """
    return -logits.log_softmax(1)[:, AVAILABLE].mean()


def kl_baseline(eps: torch.Tensor, eps_ref: torch.Tensor) -> torch.Tensor:
    """|| eps_theta(x_t, text, hint) - eps_ref(x_t, text, hint) ||^2: the distance that plain fine-tuning is usually
    kept at, which fights the feedback.
    """
    return norm(eps - eps_ref).square().mean()


def consistent_condition(
    eps_text: torch.Tensor, eps_null: torch.Tensor, ref_text: torch.Tensor, ref_null: torch.Tensor, alpha_bar
) -> torch.Tensor:
    """L_CC = || (d_theta - d_ref) / sqrt(1 - alpha_bar_t) ||_2 with d = eps(x_t, text, hint) - eps(x_t, null, hint).

    -d / sqrt(1 - alpha_bar_t) is the score of the text given x_t: the pictures may change as long as the text goes on
    pulling them the same way. alpha_bar: of the step's timestep, a number or (B, 1, 1, 1).
    """
    d_theta, d_ref = eps_text - eps_null, ref_text - ref_null
    return norm((d_theta - d_ref) / (1 - torch.as_tensor(alpha_bar)) ** 0.5).mean()


def norm(x: torch.Tensor) -> torch.Tensor:
    """(B,): the Euclidean length of each sample. Its gradient at 0, where every run begins, is 0 and not NaN."""
    return torch.linalg.vector_norm(x.flatten(1), dim=1)
