"""Rollouts and their differentiable steps: the same pictures as the plain sampler, exact counts, true gradients.

Also the small world the other tests of rfft use.
"""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler

from reliable_ads.pocket.pipeline import sample
from reliable_ads.rfft.models import Passes
from reliable_ads.rfft.rollout import (
    Job,
    Sampling,
    chosen_steps,
    differentiable_step,
    draw,
    guided_epsilon,
    prepare,
    reference,
    review_logits,
    rollout,
)
from reliable_ads.rfnet.product import Product, place

from .rfft_examples import jobs, models_of, small_reviewer, tiny_pocket
from .rfnet_examples import bottle_rgba

SAMPLING = Sampling(steps=4, guidance=3.0)


@pytest.fixture(scope="module")
def pocket():
    return tiny_pocket()


@pytest.fixture(scope="module")
def models(pocket):
    return models_of(pocket)


@torch.no_grad()
def by_diffusers(pocket, jobs, steps, guidance):
    """The same recipe written out with diffusers' DDIM."""
    ddim = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    ddim.set_timesteps(steps)
    canvases = [job.canvas for job in jobs]
    product = pocket.encode(torch.stack([canvas.shown for canvas in canvases]))
    mask = F.interpolate(torch.stack([c.inpaint_mask for c in canvases])[:, None], product.shape[-2:], mode="bilinear")
    hints = torch.stack([canvas.hint for canvas in canvases])
    context = [pocket.encode_prompts([job.prompt for job in jobs]), pocket.encode_prompts([""] * len(jobs))]
    noise = torch.stack([torch.randn(product[0].shape, generator=torch.Generator().manual_seed(j.seed)) for j in jobs])
    x = noise
    for t in ddim.timesteps:
        x = mask * x + (1 - mask) * ddim.add_noise(product, noise, t)
        text, null = (pocket.velocity(x, t.expand(len(x)), each, hints) for each in context)
        x = ddim.step(null + guidance * (text - null), t, x).prev_sample
    pictures = pocket.decode(mask * x + (1 - mask) * product)
    return torch.cat([canvas.paste(picture[None]) for canvas, picture in zip(canvases, pictures)])


@pytest.mark.parametrize("guidance", [3.0, 1.0])
def test_drawing_equals_diffusers(pocket, models, guidance):
    asked = jobs(3)
    mine = draw(models, prepare(models, asked, Sampling(5, guidance)), Sampling(5, guidance))
    assert torch.allclose(mine, by_diffusers(pocket, asked, 5, guidance), atol=2e-4)
    canvases, prompts, seeds = zip(*[(job.canvas, job.prompt, job.seed) for job in asked])
    assert torch.equal(mine, sample(pocket, canvases, prompts, seeds, steps=5, cfg=guidance, sampler="ddim"))
    for job, picture in zip(asked, mine):
        opaque = job.canvas.alpha == 1
        assert torch.equal(picture[:, opaque], job.canvas.rgb[:, opaque])


def test_a_picture_does_not_depend_on_its_neighbours(models):
    asked = jobs(3)
    together = draw(models, prepare(models, asked, SAMPLING), SAMPLING)
    alone = draw(models, prepare(models, asked[1:2], SAMPLING), SAMPLING)
    assert torch.allclose(together[1], alone[0], atol=1e-4)


def test_the_last_step_seen_alone_is_the_finished_picture(models):
    """At the last step x0-hat is what DDIM's end, at timestep 0, is noised from: run alone, it must give nearly that
    picture.
    """
    batch = prepare(models, jobs(), SAMPLING)
    latents, kept = rollout(models, batch, SAMPLING, keep=[3])
    alone = differentiable_step(models, batch, SAMPLING, 3, kept[3]).pictures
    assert (alone - batch.paste(models.decode(latents))).abs().mean() < 0.03


@pytest.mark.parametrize("guidance", [3.0, 1.0])
def test_the_last_step_of_dpmpp_2m_seen_alone_is_the_finished_picture(models, guidance):
    sampling = Sampling(steps=4, guidance=guidance, sampler="dpmpp_2m")
    batch = prepare(models, jobs(), sampling)
    latents, kept = rollout(models, batch, sampling, keep=[1, 3])
    alone = differentiable_step(models, batch, sampling, 3, kept[3]).pictures
    assert torch.allclose(alone, batch.paste(models.decode(latents)), atol=1e-5)
    assert torch.equal(rollout(models, batch, sampling, keep=[1], to_the_end=False)[1][1], kept[1])


def test_dpmpp_2m_goes_the_way_of_comfyuis_sigmas(models):
    """Written out as ComfyUI's sampler writes it: x is x0 + sigma * noise."""
    sampling = Sampling(steps=5, guidance=2.0, sampler="dpmpp_2m")
    batch = prepare(models, jobs(2), sampling)
    times = sampling.timesteps(models.schedule)
    alphas = [models.schedule.alpha_bar(t) for t in times]
    sigmas = [((1 - a) / a) ** 0.5 for a in alphas] + [0.0]
    x, last = batch.noise * (1 + sigmas[0] ** 2) ** 0.5 + batch.product, None
    for i, (t, a) in enumerate(zip(times, alphas)):
        x = batch.blend(x, batch.product + sigmas[i] * batch.noise)
        eps, _, _ = guided_epsilon(models, batch, sampling, x * a**0.5, t)
        x0 = batch.blend(x - sigmas[i] * eps, batch.product)
        if last is None or sigmas[i + 1] == 0:
            ahead = x0
        else:
            now, then, before = (-np.log(sigmas[i + shift]) for shift in (0, 1, -1))
            share = (then - now) / (now - before) / 2
            ahead = (1 + share) * x0 - share * last
        x = sigmas[i + 1] / sigmas[i] * x + (1 - sigmas[i + 1] / sigmas[i]) * ahead
        last = x0
    assert torch.allclose(rollout(models, batch, sampling)[0], x, atol=1e-4)


def test_kept_steps_are_what_the_unet_saw(models):
    batch = prepare(models, jobs(), SAMPLING)
    _, kept = rollout(models, batch, SAMPLING, keep=[1, 3])
    none, again = rollout(models, batch, SAMPLING, keep=[1], to_the_end=False)
    assert sorted(kept) == [1, 3] and none is None and torch.equal(kept[1], again[1])
    t = models.schedule.timesteps(4)[3]
    outside = (batch.mask == 0).expand_as(kept[3])
    assert outside.any() and torch.allclose(
        kept[3][outside], models.schedule.noisy(batch.product, batch.noise, t)[outside]
    )


@pytest.mark.parametrize("guidance, expected", [(3.0, 2), (1.0, 1)])
def test_passes_are_counted_exactly(models, guidance, expected):
    models.passes, sampling = Passes(), Sampling(6, guidance)
    batch = prepare(models, jobs(3), sampling)
    rollout(models, batch, sampling)
    assert (models.passes.plain, models.passes.gradient) == (6 * 3 * expected, 0)
    models.passes = Passes()
    _, kept = rollout(models, batch, sampling, keep=[2, 4], to_the_end=False)
    assert models.passes.total == 4 * 3 * expected  # steps 0 to 3; step 4 is only looked at
    differentiable_step(models, batch, sampling, 4, kept[4], with_null=False)
    assert models.passes.gradient == 3 * expected
    differentiable_step(models, batch, sampling, 2, kept[2])
    reference(models, batch, sampling, 2, kept[2])
    reference(models, batch, sampling, 2, kept[2], with_null=False)
    assert (models.passes.plain, models.passes.gradient) == (12 * expected + 6 + 3, 3 * expected + 6)


def test_the_real_unet_is_asked_as_often_as_is_counted(models):
    seen = []
    handle = models.unet.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    models.passes = Passes()
    batch = prepare(models, jobs(2), SAMPLING)
    _, kept = rollout(models, batch, SAMPLING, keep=[3])
    differentiable_step(models, batch, SAMPLING, 3, kept[3])
    handle.remove()
    assert sum(seen) == models.passes.total == 4 * 4 + 4


def test_the_gradient_is_the_true_one():
    """Against central differences, in float64, through UNet, x0-hat, decode, paste and reviewer."""
    pocket = tiny_pocket()
    for part in pocket.parts().values():
        part.double()
    models, sampling = models_of(pocket), Sampling(3, 2.0)
    reviewer = small_reviewer().double()
    asked = jobs(1)
    batch = prepare(models, asked, sampling)
    weight = models.controlnet.controlnet_mid_block.weight
    x = batch.noise

    def value():
        return review_logits(
            reviewer, differentiable_step(models, batch, sampling, 2, x).pictures, [o.canvas for o in asked]
        )[0, 0]

    weight.requires_grad_()
    value().backward()
    place_ = np.unravel_index(int(weight.grad.abs().argmax()), weight.shape)
    with torch.no_grad():
        original, eps = weight[place_].item(), 1e-5
        weight[place_] = original + eps
        above = value().item()
        weight[place_] = original - eps
        below = value().item()
        weight[place_] = original
    assert weight.grad[place_].item() == pytest.approx((above - below) / (2 * eps), rel=1e-3)
    assert all(
        p.grad is None for part in (*models.parts().values(), reviewer) for p in part.parameters() if p is not weight
    )


def test_checkpointing_changes_no_gradient():
    models, reviewer = models_of(tiny_pocket()), small_reviewer()
    asked = jobs(2)
    batch = prepare(models, asked, SAMPLING)
    weight = models.controlnet.controlnet_down_blocks[0].weight.requires_grad_()
    gradients = []
    for on in (False, True):
        models.checkpoint(on)
        weight.grad = None
        review_logits(
            reviewer, differentiable_step(models, batch, SAMPLING, 3, batch.noise).pictures, [o.canvas for o in asked]
        )[:, 0].sum().backward()
        gradients.append(weight.grad.clone())
    assert gradients[0].abs().max() > 0 and torch.allclose(*gradients, rtol=1e-4, atol=1e-9)


def test_gradient_through_the_maps_can_be_switched_off():
    reviewer, asked = small_reviewer(), jobs(2)
    pictures = torch.rand(2, 3, 64, 64, requires_grad=True)
    canvases, gradients = [o.canvas for o in asked], []
    logits = [review_logits(reviewer, pictures, canvases, through) for through in (True, False)]
    assert torch.allclose(*logits, atol=1e-6)
    for answer in logits:
        gradients.append(torch.autograd.grad(answer[:, 0].sum(), pictures)[0])
    assert not torch.allclose(*gradients) and gradients[1].abs().max() > 0
    reviewer.maps = copy.deepcopy(reviewer.maps)
    for p in reviewer.maps.parameters():
        p.requires_grad_()
    review_logits(reviewer, pictures, canvases, False).sum().backward()
    assert all(p.grad is None for p in reviewer.maps.parameters())


def test_chosen_steps_are_the_last_ones_and_repeatable():
    sampling = Sampling(40)
    for seed in range(50):
        steps = chosen_steps(sampling, 10, 4, seed)
        assert len(set(steps)) == 4 and steps == sorted(steps) and min(steps) >= 30 and max(steps) < 40
        assert steps == chosen_steps(sampling, 10, 4, seed)
    assert {chosen_steps(sampling, 10, 1, seed)[0] for seed in range(200)} == set(range(30, 40))
    assert chosen_steps(Sampling(3), 10, 5, 0) == [0, 1, 2]


def test_canvases_of_two_sizes_are_refused(models):
    other = Job(place(Product.from_arrays(bottle_rgba()), 64, 72), "on sand", 0)
    with pytest.raises(ValueError, match="canvases of one size, these are 64x64, 64x72"):
        prepare(models, [*jobs(1), other], SAMPLING)
