"""The schedule of flow matching: equal to diffusers' scheduler over whole drawings, and to values worked out by
hand.
"""

import math

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from reliable_ads.rfft.flow import WEIGHT_LIMIT, DynamicShift, FlowSchedule, from_diffusers, shifted
from reliable_ads.rfft.schedule import Schedule, scaled_linear

D = torch.float64
# As the models' own scheduler_config.json have it: SD 3.5, Flux.1 dev, Qwen-Image, Z-Image-Turbo
SD35 = {"shift": 3.0}
FLUX = {"shift": 3.0, "use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15, "max_image_seq_len": 4096}
QWEN = {"use_dynamic_shifting": True, "max_shift": 0.9, "max_image_seq_len": 8192, "shift_terminal": 0.02}
Z_IMAGE = {"shift": 3.0, "use_dynamic_shifting": False}
LINEAR = {"use_dynamic_shifting": True, "time_shift_type": "linear"}
CONFIGS = [(SD35, "trained"), (FLUX, "even"), (QWEN, "even"), (Z_IMAGE, "even"), (LINEAR, "even"), ({}, "even")]


def theirs(config, spacing, steps, tokens):
    """diffusers' scheduler, set up as the pipelines of these models do it."""
    scheduler = FlowMatchEulerDiscreteScheduler(**config)
    mu = from_diffusers({**config, "use_dynamic_shifting": True}).dynamic.mu(tokens)
    sigmas = None if spacing == "trained" else np.linspace(1.0, 1 / steps, steps)
    scheduler.set_timesteps(None if sigmas is not None else steps, sigmas=sigmas, mu=mu)
    return scheduler


@pytest.mark.parametrize("config, spacing", CONFIGS)
@pytest.mark.parametrize("steps, tokens", [(1, 256), (8, 1024), (28, 4096), (50, 6000)])
def test_a_drawing_equals_diffusers(config, spacing, steps, tokens):
    if steps == 1:
        config = {**config, "shift_terminal": None}  # a single step has nothing to stretch: diffusers divides by zero
    scheduler = theirs(config, spacing, steps, tokens)
    schedule = from_diffusers(config, spacing=spacing)
    times = schedule.timesteps(steps, "euler", tokens)
    assert torch.tensor(times, dtype=D) / 1000 == pytest.approx(scheduler.sigmas[:-1].double(), abs=1e-6)

    torch.manual_seed(0)
    x0, noise = torch.randn(2, 1, 4, 8, 8, dtype=D)
    sampler = schedule.sampler("euler")
    x = y = sampler.start(noise, x0, times[0])
    assert torch.allclose(x, noise, atol=1e-12)
    # their sigmas are kept in float32, so that the drawing in float64 is compared with its own
    sigmas = scheduler.sigmas.double()
    for i, (t, before) in enumerate(zip(times, [*times[1:], None])):
        v = torch.tanh(x) - 0.5 * noise
        y = y + (sigmas[i + 1] - sigmas[i]) * (torch.tanh(y) - 0.5 * noise)
        x = sampler.step(x, v, schedule.clean(x, v, t), t, before)
        assert torch.allclose(x, y, atol=1e-6, rtol=0)


@pytest.mark.parametrize("config, spacing", CONFIGS[:4])
def test_single_steps_and_noise_equal_diffusers(config, spacing):
    scheduler = theirs(config, spacing, 10, 1024)
    schedule = from_diffusers(config, spacing=spacing)
    torch.manual_seed(0)
    x0, noise, v, x = torch.randn(4, 1, 4, 8, 8, dtype=D)
    times = schedule.timesteps(10, "euler", 1024)
    for i, (t, before) in enumerate(zip(times, [*times[1:], 0.0])):
        now = scheduler.timesteps[i : i + 1]
        scheduler._step_index = None
        assert torch.allclose(schedule.noisy(x0, noise, t), scheduler.scale_noise(x0, now, noise), atol=1e-6)
        scheduler._step_index = i
        stepped = scheduler.step(v, now[0], x).prev_sample
        assert torch.allclose(schedule.step(x, v, t, before), stepped.double(), atol=1e-6)


def test_values_worked_out_by_hand():
    schedule = FlowSchedule(shift=3.0)
    # 1, 3/4, 1/2, 1/4, each s -> 3 s / (1 + 2 s)
    assert schedule.timesteps(4) == pytest.approx([1000, 900, 750, 500])
    x0, e = torch.tensor([[2.0]], dtype=D), torch.tensor([[-1.0]], dtype=D)
    x = schedule.noisy(x0, e, 250)  # 3/4 of 2 - 1/4
    v = e - x0
    assert x.item() == 1.25 and v.item() == -3
    assert schedule.clean(x, v, 250).item() == 2 and schedule.noise(x, v, 250).item() == -1
    assert schedule.step(x, v, 250, 100).item() == pytest.approx(1.7)  # 0.9 of 2 - 0.1
    assert schedule.step(x, v, 250, -1).item() == 2
    assert schedule.score_weight(250) == pytest.approx(3)
    assert schedule.score_weight(1000) == 0
    assert schedule.alpha_bar(500) == 0.5 and schedule.alpha_bar(0) == 1


def test_a_step_is_the_same_line_seen_from_both_ends():
    schedule = FlowSchedule()
    torch.manual_seed(0)
    x, v = torch.randn(2, 2, 16, 4, 4, dtype=D)
    for t, before in ((1000, 700), (700, 20), (20, 0)):
        ends = schedule.noisy(schedule.clean(x, v, t), schedule.noise(x, v, t), before)
        assert torch.allclose(schedule.step(x, v, t, before), ends, atol=1e-12)


def test_the_weight_is_the_scores_and_is_clamped():
    schedule = FlowSchedule()
    # the score of a normal distribution around x0, -(x - (1 - sigma) x0) / sigma^2 = -e / sigma, is linear in v
    for t in (1, 30, 48, 200, 500, 999):
        sigma = t / 1000
        assert schedule.score_weight(t) == pytest.approx(min((1 - sigma) / sigma, WEIGHT_LIMIT))
        assert schedule.score_weight(t) >= schedule.score_weight(t + 1)
    assert schedule.score_weight(0) == WEIGHT_LIMIT
    assert FlowSchedule(weight_limit=3.0).score_weight(200) == 3


def test_diffusion_has_the_paper_s_weight():
    schedule = Schedule(scaled_linear())
    assert schedule.score_weight(400) == pytest.approx((1 - schedule.alpha_bar(400)) ** -0.5)
    with pytest.raises(ValueError, match='sampler is "euler": diffusion models are drawn with ddim or dpmpp_2m'):
        schedule.timesteps(4, "euler")


def test_larger_pictures_stay_at_high_noise_for_longer():
    shift = DynamicShift()
    assert shift.mu(256) == 0.5 and shift.mu(4096) == pytest.approx(1.15)
    assert shift.factor(256) == pytest.approx(math.exp(0.5))
    schedule = FlowSchedule(dynamic=shift)
    small, large = (schedule.timesteps(10, "euler", tokens) for tokens in (1024, 4096))
    assert small[0] == large[0] == 1000 and all(a < b for a, b in zip(small[1:], large[1:]))
    with pytest.raises(ValueError, match="depend on the size of the picture"):
        schedule.timesteps(10)


def test_shifts_leave_the_ends_alone():
    assert shifted(0.0, 3.0) == 0 and shifted(1.0, 3.0) == 1 and shifted(0.5, 1.0) == 0.5


def test_z_image_has_another_sign_and_another_clock():
    schedule = from_diffusers(Z_IMAGE, sign=-1, clock="rising")
    assert schedule.network_time(1000) == 0 and schedule.network_time(250) == 0.75
    output = torch.tensor([2.0])
    assert schedule.predicted(output, output, 500).item() == -2
    assert FlowSchedule().predicted(output, output, 500).item() == 2
    assert FlowSchedule().network_time(250) == 250 and FlowSchedule(clock="sigma").network_time(250) == 0.25


def test_what_is_drawn_in_another_way_is_refused():
    schedule = FlowSchedule()
    with pytest.raises(ValueError, match="0 sampling steps: use between 1 and 1000"):
        schedule.timesteps(0)
    with pytest.raises(ValueError, match='sampler is "dpmpp_2m": flow-matching models are drawn with'):
        schedule.timesteps(4, "dpmpp_2m")
    assert schedule.timesteps(4, "ddim") == schedule.timesteps(4, "euler")
    for bad in ({"use_karras_sigmas": True}, {"stochastic_sampling": True}, {"time_shift_type": "cubic"}):
        with pytest.raises(ValueError, match=f"{min(bad)} is .*which RFFT doesn't know"):
            from_diffusers(bad)
