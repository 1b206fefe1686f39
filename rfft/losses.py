"""The losses of RFFT (arXiv:2408.00418), each a function that reads like its equation, and their registry.

What is minimised is feedback + beta * regulariser. A config's `loss` names the entry of LOSSES that says what the
regulariser is. A loss of your own is a function and an entry:

    def score_distance(eps_text, ref_text, score_weight):
        return norm(score_weight * (eps_text - ref_text)).mean()

    LOSSES["score"] = Loss("score distance", "the noise that the text asks for stays", score_distance)

Its arguments' names say what it needs of a step, and nothing else is computed:

    eps_text, eps_null   the noise, or a flow-matching model's velocity, that is predicted now, with the text and
                         without; (B, C, h, w)
    ref_text, ref_null   the same of the ControlNet that the training began with; they carry no gradient
    score_weight         what makes a difference of these one of scores: 1 / sqrt(1 - alpha_bar_t), or
                         (1 - sigma) / sigma of a flow, clamped; a number
    alpha_bar            alpha_bar_t of the step, a number
    pictures             the predicted pictures x0-hat, decoded, with the product put back; (B, 3, H, W) in [0, 1]
    logits               what the reviewer says of them, (B, 5) in the order of LABELS

All losses return one number, the mean over the batch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from ..rfnet.labels import label_id

AVAILABLE = label_id("available")
QUANTITIES = ("eps_text", "eps_null", "ref_text", "ref_null", "score_weight", "alpha_bar", "pictures", "logits")


def feedback(logits: torch.Tensor) -> torch.Tensor:
    """F_AC = -mean(y_d . log o): y_d is one-hot "available", o = softmax of the reviewer's logits (B, 5)."""
    return -logits.log_softmax(1)[:, AVAILABLE].mean()


def consistent_condition(
    eps_text: torch.Tensor, eps_null: torch.Tensor, ref_text: torch.Tensor, ref_null: torch.Tensor, score_weight
) -> torch.Tensor:
    """L_CC = || w (d_theta - d_ref) ||_2 with d = eps(x_t, text, hint) - eps(x_t, null, hint) and
    w = 1 / sqrt(1 - alpha_bar_t), or what the schedule has in its place.

    -w d is the score of the text given x_t: the pictures may change as long as the text goes on pulling them the same
    way. score_weight: w, a number or (B, 1, 1, 1).
    """
    d_theta, d_ref = eps_text - eps_null, ref_text - ref_null
    return norm(score_weight * (d_theta - d_ref)).mean()


def kl_baseline(eps_text: torch.Tensor, ref_text: torch.Tensor) -> torch.Tensor:
    """|| eps_theta(x_t, text, hint) - eps_ref(x_t, text, hint) ||^2, the distance that plain fine-tuning is usually
    kept at. It fights the feedback.
    """
    return norm(eps_text - ref_text).square().mean()


def no_regulariser(logits: torch.Tensor) -> torch.Tensor:
    """0: the feedback alone, under which all backgrounds become the same."""
    return torch.zeros((), device=logits.device)


def norm(x: torch.Tensor) -> torch.Tensor:
    """(B,): the Euclidean length of each sample. Its gradient at 0, where every run begins, is 0 and not NaN."""
    return torch.linalg.vector_norm(x.flatten(1), dim=1)


@dataclass(frozen=True)
class Loss:
    """An entry of LOSSES.

    title: how the trainer node lists it; effect: what it does, in a few words for a tooltip; regulariser: a function of
    any of QUANTITIES, by name; feedback: a function of the logits, to replace F_AC. Raises TypeError where the
    regulariser's arguments have other names.
    """

    title: str
    effect: str
    regulariser: Callable[..., torch.Tensor]
    feedback: Callable[[torch.Tensor], torch.Tensor] = feedback
    needs: frozenset = field(init=False)

    def __post_init__(self):
        needs = frozenset(inspect.signature(self.regulariser).parameters)
        if unknown := sorted(needs - set(QUANTITIES)):
            raise TypeError(
                f'the loss "{self.title}" asks for {", ".join(unknown)}: name its arguments after any of'
                f" {', '.join(QUANTITIES)}."
            )
        object.__setattr__(self, "needs", needs)

    def __str__(self) -> str:
        return f"{self.title}: {self.effect}."

    @property
    def needs_null(self) -> bool:
        """Whether the step has to be taken without text, too."""
        return "eps_null" in self.needs

    @property
    def needs_reference(self) -> bool:
        """Whether the ControlNet as it was has to take the same step."""
        return bool(self.needs & {"ref_text", "ref_null"})

    @property
    def needs_reference_null(self) -> bool:
        return "ref_null" in self.needs

    def regularise(self, quantities: dict) -> torch.Tensor:
        """The regulariser of what it needs among QUANTITIES."""
        return self.regulariser(**{name: quantities[name] for name in self.needs})


LOSSES = {
    "cc": Loss("consistent condition", "the prompt keeps its meaning", consistent_condition),
    "kl": Loss("KL", "pictures stay near the old ones", kl_baseline),
    "none": Loss("plain", "nothing; diversity falls most", no_regulariser),
}


def titles() -> dict[str, str]:
    """{title: name} of all LOSSES, as the trainer node lists them."""
    return {loss.title: name for name, loss in LOSSES.items()}
