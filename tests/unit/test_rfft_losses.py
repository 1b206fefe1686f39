"""The three losses against values and gradients worked out by hand, in float64."""

import math

import pytest
import torch

from reliable_ads.rfft.losses import consistent_condition, feedback, kl_baseline

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
    loss = consistent_condition(text, null, ref_text, ref_null, 0.75)  # sqrt(1 - 0.75) = 1/2
    assert loss.item() == pytest.approx((5 / 0.5 + 2 / 0.5) / 2)
    loss.backward()
    # d |z| / dz = z / |z|, over sqrt(1 - alpha_bar), halved by the mean; the null branch has the opposite sign
    expected = torch.tensor([3 / 5, 4 / 5, 0, 1], dtype=D) / 0.5 / 2
    assert torch.allclose(text.grad.flatten(), expected) and torch.allclose(null.grad.flatten(), -expected)


def test_consistent_condition_lets_both_branches_move_together():
    torch.manual_seed(0)
    text, null, shift = (torch.randn(2, 4, 3, 3, dtype=D) for _ in range(3))
    assert consistent_condition(text + shift, null + shift, text, null, 0.5).item() < 1e-12
    assert kl_baseline(text + shift, text).item() > 1


def test_the_start_of_a_run_gives_zero_and_not_nan():
    text, null = (torch.randn(2, 4, 3, 3, dtype=D).requires_grad_() for _ in range(2))
    (consistent_condition(text, null, text.detach(), null.detach(), 0.3) + kl_baseline(text, text.detach())).backward()
    assert (text.grad == 0).all() and (null.grad == 0).all()


def test_alpha_bar_may_differ_by_picture():
    text = torch.ones(2, 1, 1, 1, dtype=D)
    zero = torch.zeros_like(text)
    loss = consistent_condition(text, zero, zero, zero, torch.tensor([0.0, 0.96], dtype=D).view(2, 1, 1, 1))
    assert loss.item() == pytest.approx((1 + 5) / 2)
