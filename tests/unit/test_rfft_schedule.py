"""DDIM as a function: equal to diffusers' scheduler for both kinds of prediction, and its own inverse."""

import math

import pytest
import torch
from diffusers import DDIMScheduler

from reliable_ads.rfft.schedule import Schedule, scaled_linear


def ddim(prediction, steps):
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction,
    )
    scheduler.set_timesteps(steps)
    return scheduler


@pytest.mark.parametrize("steps", [1, 7, 20, 40])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_steps_equal_diffusers(prediction, steps):
    theirs = ddim(prediction, steps)
    schedule = Schedule(theirs.alphas_cumprod, prediction)
    times = schedule.timesteps(steps)
    assert times == theirs.timesteps.tolist()
    torch.manual_seed(0)
    x = y = torch.randn(2, 4, 8, 8)
    for t, before in zip(times, [*times[1:], -1]):
        output = torch.randn(2, 4, 8, 8)
        answer = theirs.step(output, t, y)
        eps = schedule.predicted(x, output, t)
        assert torch.allclose(schedule.clean(x, eps, t), answer.pred_original_sample, atol=1e-3, rtol=1e-4)
        x, y = schedule.step(x, eps, t, before), answer.prev_sample
        assert torch.allclose(x, y, atol=1e-3, rtol=1e-4)


def test_noise_and_clean_are_inverse():
    schedule = Schedule(ddim("epsilon", 10).alphas_cumprod.double())
    x0, eps = torch.randn(2, 4, 8, 8, dtype=torch.float64), torch.randn(2, 4, 8, 8, dtype=torch.float64)
    for t in (1, 300, 999):
        x = schedule.noisy(x0, eps, t)
        assert torch.allclose(schedule.clean(x, eps, t), x0)
        a = schedule.alpha_bar(t)
        v = a**0.5 * eps - (1 - a) ** 0.5 * x0
        assert torch.allclose(Schedule(schedule.alphas_cumprod, "v_prediction").predicted(x, v, t), eps)


def test_between_two_timesteps_the_logarithm_of_sigma_is_linear():
    schedule = Schedule(scaled_linear())

    def log_sigma(t):
        a = schedule.alpha_bar(t)
        return 0.5 * math.log((1 - a) / a)

    assert schedule.timesteps(8, "dpmpp_2m") == [999 * (1 - i / 8) for i in range(8)]
    for t in (0.25, 374.625, 998.5):
        low, high = log_sigma(math.floor(t)), log_sigma(math.ceil(t))
        assert log_sigma(t) == pytest.approx(low + (t - math.floor(t)) * (high - low), abs=1e-9)
    assert schedule.alpha_bar(999.0) == schedule.alpha_bar(999)
    with pytest.raises(ValueError, match="0 sampling steps"):
        schedule.timesteps(0, "dpmpp_2m")


def test_bad_settings_are_refused_in_a_sentence():
    alphas = torch.linspace(0.99, 0.01, 1000)
    with pytest.raises(ValueError, match="0 sampling steps: use between 1 and 1000"):
        Schedule(alphas).timesteps(0)
    with pytest.raises(ValueError, match=r'predicts "sample".*epsilon and v_prediction'):
        Schedule(alphas, "sample")
