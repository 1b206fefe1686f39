"""The losses against values and gradients worked out by hand, in float64; and one from outside of the package."""

import math
from pathlib import Path

import pytest
import torch

from reliable_ads.rfft.config import ConfigError
from reliable_ads.rfft.losses import LOSSES, Loss, consistent_condition, feedback, kl_baseline, norm, titles

D = torch.float64


def test_feedback_is_minus_the_mean_log_probability_of_available():
    # softmax of (ln 2, 0, 0, 0, 0) gives 2/6 for available, of (0, ln 4, 0, 0, 0) 1/8
    logits = torch.tensor([[math.log(2), 0, 0, 0, 0], [0, math.log(4), 0, 0, 0]], dtype=D, requires_grad=True)
    loss = feedback(logits)
    assert loss.item() == pytest.approx((math.log(3) + math.log(8)) / 2, abs=1e-12)
    loss.backward()
    # d(-log o_0) / d logits = o - y, halved by the mean over two pictures
    o = torch.tensor([[2, 1, 1, 1, 1], [1, 4, 1, 1, 1]], dtype=D) / torch.tensor([[6], [8]], dtype=D)
    assert torch.allclose(logits.grad, (o - torch.tensor([1, 0, 0, 0, 0], dtype=D)) / 2, atol=1e-12, rtol=0)


def test_kl_baseline_is_the_squared_distance():
    eps = torch.zeros(2, 1, 1, 2, dtype=D)
    eps[0, 0, 0] = torch.tensor([3.0, 4.0])
    eps[1, 0, 0] = torch.tensor([1.0, 0.0])
    eps.requires_grad_()
    ref = torch.zeros_like(eps)
    loss = kl_baseline(eps, ref)
    assert loss.item() == pytest.approx((25 + 1) / 2)
    loss.backward()
    assert torch.allclose(
        eps.grad.flatten(), torch.tensor([3.0, 4.0, 1.0, 0.0], dtype=D)
    )  # 2 (eps - ref), halved by the mean


def test_consistent_condition_is_the_length_of_what_the_text_direction_lost():
    tensors = [torch.zeros(2, 1, 1, 2, dtype=D) for _ in range(4)]
    text, null, ref_text, ref_null = tensors
    text[0, 0, 0], null[0, 0, 0] = torch.tensor([5.0, 4.0]), torch.tensor([1.0, -1.0])  # d_theta = (4, 5)
    ref_text[0, 0, 0], ref_null[0, 0, 0] = (
        torch.tensor([2.0, 3.0]),
        torch.tensor([1.0, 2.0]),
    )  # d_ref = (1, 1), difference (3, 4)
    text[1, 0, 0] = torch.tensor([0.0, 2.0])  # difference (0, 2)
    for tensor in tensors[:2]:
        tensor.requires_grad_()
    loss = consistent_condition(text, null, ref_text, ref_null, 2.0)  # 1 / sqrt(1 - 0.75)
    assert loss.item() == pytest.approx((5 / 0.5 + 2 / 0.5) / 2)
    loss.backward()
    # d |z| / dz = z / |z|, times the weight, halved by the mean; the null branch has the opposite sign
    expected = torch.tensor([3 / 5, 4 / 5, 0, 1], dtype=D) / 0.5 / 2
    assert torch.allclose(text.grad.flatten(), expected) and torch.allclose(null.grad.flatten(), -expected)


def test_consistent_condition_lets_both_branches_move_together():
    torch.manual_seed(0)
    text, null, shift = (torch.randn(2, 4, 3, 3, dtype=D) for _ in range(3))
    assert consistent_condition(text + shift, null + shift, text, null, 0.5).item() < 1e-12
    assert kl_baseline(text + shift, text).item() > 1


def test_the_start_of_a_run_gives_zero_and_not_nan():
    text, null = (torch.randn(2, 4, 3, 3, dtype=D).requires_grad_() for _ in range(2))
    (consistent_condition(text, null, text.detach(), null.detach(), 1.2) + kl_baseline(text, text.detach())).backward()
    assert (text.grad == 0).all() and (null.grad == 0).all()


def test_the_weight_may_differ_by_picture():
    text = torch.ones(2, 1, 1, 1, dtype=D)
    zero = torch.zeros_like(text)
    loss = consistent_condition(text, zero, zero, zero, torch.tensor([1.0, 5.0], dtype=D).view(2, 1, 1, 1))
    assert loss.item() == pytest.approx((1 + 5) / 2)


# From outside


def score_distance(eps_text, ref_text, score_weight):
    """|| (eps_theta - eps_ref) / sqrt(1 - alpha_bar_t) ||"""
    return norm(score_weight * (eps_text - ref_text)).mean()


def grey(pictures, eps_null):
    """How colourful the pictures are; eps_null shows that the null branch is there without a reference."""
    assert eps_null.shape[1] == 4 and len(eps_null) == len(pictures)
    return pictures.std(1).mean()


def half(logits):
    return feedback(logits) / 2


@pytest.mark.parametrize(
    "loss",
    [
        Loss("score distance", "the noise that the text asks for stays", score_distance),
        Loss("grey", "colours are punished", grey, feedback=half),
    ],
    ids=["score", "grey"],
)
def test_a_loss_from_outside_trains(world, monkeypatch, loss):
    with pytest.raises(ConfigError, match='loss is "mine": use one of cc, kl, none'):
        world(loss="mine")
    monkeypatch.setitem(LOSSES, "mine", loss)
    assert titles()[loss.title] == "mine" and loss.effect in str(loss)
    run = world(loss="mine", beta=2.0, steps=2, rollout_guidance=False)
    begin = [p.detach().clone() for p in run.learner.parameters]
    steps = []
    run.watch = lambda event: steps.append(event["loss"]) if event["kind"] == "step" else None
    answer = run()
    assert answer["steps"] == 2 and any(not torch.equal(a, b) for a, b in zip(begin, run.learner.parameters))
    assert steps[-1]["regulariser"] > 0
    assert steps[-1]["total"] == pytest.approx(steps[-1]["feedback"] + 2 * steps[-1]["regulariser"], rel=1e-4)


def test_a_loss_costs_only_the_passes_that_it_asks_for():
    needs = {name: (loss.needs_null, loss.needs_reference, loss.needs_reference_null) for name, loss in LOSSES.items()}
    assert needs == {"cc": (True, True, True), "kl": (False, True, False), "none": (False, False, False)}
    with pytest.raises(TypeError, match='"mine" asks for eps: name its arguments after any of eps_text, eps_null,'):
        Loss("mine", "", lambda eps: eps)


def test_the_documents_know_every_loss():
    root = Path(__file__).parents[2]
    method = (root / "docs" / "rfft.md").read_text(encoding="utf-8")
    help_page = (root / "web" / "docs" / "RFTrainer" / "en.md").read_text(encoding="utf-8")
    for name, loss in LOSSES.items():
        assert f'`"{name}"`' in method and f"`{loss.title}`" in help_page
