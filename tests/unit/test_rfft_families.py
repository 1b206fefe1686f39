"""SD 3.5, Flux.1, Qwen-Image and Z-Image, each as a small network of the real architecture: drawn as diffusers draws
it, tuned in the adapter and nowhere else, and the whole way from files to a merged ControlNet.
"""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from reliable_ads.benchmarks.small_flow import save_family
from reliable_ads.rfft.adapter import Adapter, load_adapter
from reliable_ads.rfft.config import TrainConfig, read_config
from reliable_ads.rfft.estimate import estimate
from reliable_ads.rfft.families.loading import FLOW_FAMILIES, load, skeleton
from reliable_ads.rfft.kinds import CONFIGS
from reliable_ads.rfft.memory import MemoryPlan
from reliable_ads.rfft.merge import merge_files
from reliable_ads.rfft.objective import objective
from reliable_ads.rfft.rollout import Batch, Sampling, prepare, rollout
from reliable_ads.rfft.train import Run

from .rfft_examples import jobs, small_reviewer, state

SMALL = {
    "size": 64,
    "steps": 2,
    "batch": 1,
    "accumulation": 1,
    "gradient_steps": 1,
    "last_steps": 1,
    "sampling_steps": 2,
    "rank": 2,
    "evaluate_every": 4,
    "evaluation_products": 1,
    "evaluation_seeds": 2,
    "diversity_loss": 1.0,
    "precision": "no",
    "half_base": False,
    "checkpointing": False,
    "warm_up": 1,
    "lr": 1e-3,
}


@pytest.fixture(scope="module", params=FLOW_FAMILIES)
def family(request, tmp_path_factory):
    """A family's description, its small checkpoint and ControlNet, and its models."""
    about = FLOW_FAMILIES[request.param]
    checkpoint, controlnet = save_family(request.param, tmp_path_factory.mktemp(request.param))
    models = load(about, checkpoint, controlnet).freeze()
    return SimpleNamespace(
        about=about, name=request.param, checkpoint=checkpoint, controlnet=controlnet, models=models, seen=jobs(2)
    )


def config_of(family, folder, **changes) -> TrainConfig:
    """The shipped config of a family, for its small networks."""
    paths = {"checkpoint": str(family.checkpoint), "controlnet": str(family.controlnet), "folder": str(folder)}
    shipped = CONFIGS / f"{family.name}_canny.toml"
    return read_config(shipped, **{**SMALL, **paths, "products": "p", "prompts": "p", "force": True, **changes})


# Drawing


def drawn_by_diffusers(family, batch: Batch, steps: int, guidance: float) -> torch.Tensor:
    """Latents of the family's ControlNet pipeline, of the same noise, hints and texts."""
    import diffusers

    models, text, null = family.models, batch.text, batch.null
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler.from_pretrained(family.checkpoint / "scheduler")
    shared = {
        "scheduler": scheduler,
        "vae": models.vae,
        "transformer": models.transformer,
        # A second one, since pipelines give some ControlNets parts of the transformer
        "controlnet": load(family.about, family.checkpoint, family.controlnet).controlnet,
        "text_encoder": None,
        "tokenizer": None,
    }
    asked = {
        "control_image": torch.stack([job.canvas.hint for job in batch.jobs]) * 2 - 1,
        "height": 64,
        "width": 64,
        "num_inference_steps": steps,
        "controlnet_conditioning_scale": 0.8,
        "latents": batch.noise,
        "output_type": "latent",
    }
    if family.name == "sd35":
        pipeline = diffusers.StableDiffusion3ControlNetPipeline(
            **shared, text_encoder_2=None, tokenizer_2=None, text_encoder_3=None, tokenizer_3=None
        )
        # As the model's page has it for the canny ControlNet
        pipeline.image_processor = diffusers.image_processor.VaeImageProcessor(do_normalize=False)
        asked["control_image"] = torch.stack([job.canvas.hint for job in batch.jobs]) * 255 * 0.5 + 0.5
        asked |= {"prompt_embeds": text.context, "pooled_prompt_embeds": text.pooled, "guidance_scale": guidance}
        asked |= {"negative_prompt_embeds": null.context, "negative_pooled_prompt_embeds": null.pooled}
    elif family.name == "flux":
        pipeline = diffusers.FluxControlNetPipeline(**shared, text_encoder_2=None, tokenizer_2=None)
        asked |= {"prompt_embeds": text.context, "pooled_prompt_embeds": text.pooled, "guidance_scale": 3.5}
        asked |= {"latents": packed(batch.noise)}
    elif family.name == "qwen_image":
        pipeline = diffusers.QwenImageControlNetPipeline(**shared)
        mask = torch.tensor([[place < length for place in range(text.context.shape[1])] for length in text.lengths])
        asked |= {"prompt_embeds": text.context, "prompt_embeds_mask": mask.long(), "latents": packed(batch.noise)}
    else:
        pipeline = diffusers.ZImageControlNetPipeline(**shared)
        # Its scale counts from 0
        asked |= {"guidance_scale": guidance - 1, "prompt": None}
        asked |= {"prompt_embeds": [words[:length] for words, length in zip(text.context, text.lengths)]}
        asked |= {"negative_prompt_embeds": [words[:length] for words, length in zip(null.context, null.lengths)]}
    pipeline.set_progress_bar_config(disable=True)
    latents = pipeline(**asked).images
    return latents if latents.ndim == 4 else pipeline._unpack_latents(latents, 64, 64, 8).reshape(batch.noise.shape)


def packed(latents: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) -> tokens, written down once more."""
    tokens = [
        latents[:, :, row : row + 2, column : column + 2].flatten(1)
        for row in range(0, latents.shape[2], 2)
        for column in range(0, latents.shape[3], 2)
    ]
    return torch.stack(tokens, 1)


def test_a_drawing_equals_diffusers_pipeline(family, monkeypatch):
    # Its pipelines encode hints with a sample, and these with the mode
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())
    guided = family.name in ("sd35", "z_image")  # the others' guidance gives the null branch the text's ControlNet
    sampling = Sampling(3, 2.5 if guided else 1.0, 0.8, "a wall", "euler")
    batch = prepare(family.models, family.seen, sampling)
    everywhere = replace(batch, mask=torch.ones_like(batch.mask))  # their pipelines blend nothing in
    ours, _ = rollout(family.models, everywhere, sampling)
    theirs = drawn_by_diffusers(family, batch, 3, sampling.guidance)
    assert torch.allclose(ours, theirs, atol=2e-5, rtol=1e-4) and ours.std() > 0.1
    # and hint and text matter
    for other in (replace(everywhere, hint=batch.hint * 0), replace(everywhere, text=batch.null)):
        assert not torch.allclose(rollout(family.models, other, sampling)[0], ours, atol=1e-4)


def test_prompts_of_different_lengths_do_not_touch_each_other(family):
    texts = ["on sand", "on a table in the sunlight, a white wall"]
    together = family.models.encode_text(texts)
    batch = prepare(family.models, family.seen, Sampling(1, 1.0))
    predicted = family.models.predict(batch.noise, 600.0, together, batch.hint)
    for i, prompt in enumerate(texts):
        alone = family.models.encode_text([prompt])
        rows = slice(i, i + 1)
        single = family.models.predict(batch.noise[rows], 600.0, alone, batch.hint[rows])
        assert torch.allclose(predicted[rows], single, atol=1e-5)


def test_what_is_decoded_is_what_was_encoded_and_the_vae_s_own(family):
    models = family.models
    picture = torch.rand(1, 3, 64, 64)
    latents = models.encode(picture)
    assert latents.shape[2:] == (8, 8)
    if family.name == "qwen_image":
        mean, deviation = (
            torch.tensor(v).view(1, -1, 1, 1, 1)
            for v in (models.vae.config.latents_mean, models.vae.config.latents_std)
        )
        decoded = models.vae.decode(latents[:, :, None] * deviation + mean).sample[:, :, 0]
    else:
        config = models.vae.config
        decoded = models.vae.decode(latents / config.scaling_factor + config.shift_factor).sample
    assert torch.allclose(models.decode(latents), ((decoded + 1) / 2).clamp(0, 1), atol=1e-5)


# Learning


def objective_of(family, models, adapter, reviewer, folder, batch=None, **changes):
    config = config_of(family, folder, **changes)
    batch = batch or prepare(models, family.seen[:1], config.training_sampling)
    x = rollout(models, batch, config.training_sampling, keep=[1], to_the_end=False)[1][1]
    return lambda: objective(models, reviewer, adapter, config, batch, 1, x)["total"]


def test_the_objective_s_gradient_is_right_and_lies_in_the_adapter_alone(family, tmp_path):
    models = load(family.about, family.checkpoint, family.controlnet).freeze().to(torch.float64)
    reviewer = small_reviewer().double()
    adapter = Adapter(models.controlnet, 2)
    for update in adapter.updates:
        torch.nn.init.normal_(update.up, std=0.05)
    total = objective_of(family, models, adapter, reviewer, tmp_path)
    total().backward()
    frozen = [p for part in (*models.parts().values(), reviewer) for p in part.parameters()]
    assert all(p.grad is None for p in frozen)
    gradients = [p.grad for p in adapter.parameters()]
    assert sum(g is not None and bool(g.any()) for g in gradients) > 0.75 * len(gradients)

    torch.manual_seed(0)
    direction = [torch.randn_like(p) for p in adapter.parameters()]
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, direction) if g is not None)

    @torch.no_grad()
    def moved(by):
        for p, d in zip(adapter.parameters(), direction):
            p.add_(by * d)
        return float(total())

    step = 1e-5
    ahead, behind = moved(step), moved(-2 * step)
    assert (ahead - behind) / (2 * step) == pytest.approx(slope, rel=2e-3)


def test_recomputed_activations_give_the_same_gradient(family, tmp_path):
    models, gradients = family.models, []
    adapter = Adapter(models.controlnet, 2)
    for update in adapter.updates:
        torch.nn.init.normal_(update.up, std=0.05)
    for on in (False, True):
        adapter.zero_grad()
        models.checkpoint(on)
        objective_of(family, models, adapter, small_reviewer(), tmp_path)().backward()
        gradients.append([p.grad for p in adapter.parameters() if p.grad is not None])
    models.checkpoint(False)
    adapter.remove()
    assert all(torch.allclose(a, b, atol=1e-6, rtol=1e-4) for a, b in zip(*gradients))


def test_guidance_distilled_models_take_the_null_branch_in_the_gradient_step_alone(family, tmp_path):
    config = config_of(family, tmp_path)
    assert (config.guidance == 1) == (family.name in ("flux", "z_image"))
    models = family.models
    adapter = Adapter(models.controlnet, 2)
    total = objective_of(family, models, adapter, small_reviewer(), tmp_path)
    models.passes = type(models.passes)()
    batch = prepare(models, family.seen[:1], config.sampling)
    rollout(models, batch, config.sampling)
    assert models.passes.plain == (2 if config.guidance == 1 else 4)
    total()
    assert models.passes.gradient == 2  # with the text and without
    adapter.remove()


@pytest.mark.slow(reason="trainings")
def test_the_whole_way_of_a_shipped_config(family, tmp_path):
    pairs = [(job.canvas, job.prompt) for job in family.seen]

    def run(name, steps, base=None):
        models = load(family.about, family.checkpoint, family.controlnet)
        run = Run(
            config_of(family, tmp_path, name=name, steps=steps), models, small_reviewer(), pairs, watch=lambda e: None
        )
        run()
        return run

    whole = run("whole", 4)
    run("halves", 2)
    halves = run("halves", 4)
    ours, theirs = state(whole), state(halves)
    assert halves.step == 4 and ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    begin = Adapter(family.models.controlnet, 2)
    begin.remove()
    moved = [not torch.equal(a, b) for a, b in zip(begin.parameters(), whole.learner.parameters)]
    assert sum(moved) > 0.75 * len(moved)  # not what the last block would tell the text

    # What it wrote, merged into the ControlNet, is the ControlNet with it
    sampling = Sampling(1, 1.0)
    batch = prepare(family.models, family.seen, sampling)

    def ask(models):
        return models.predict(batch.noise, 500.0, batch.text, batch.hint)

    base = ask(family.models)
    file = tmp_path / "whole.last.safetensors"
    adapter = load_adapter(family.models.controlnet, file, family.controlnet)
    adapted = ask(family.models)
    adapter.strength = 0.0
    assert torch.equal(ask(family.models), base) and not torch.equal(adapted, base)
    adapter.remove()
    merged = family.controlnet.parent / "merged.safetensors"
    merge_files(family.controlnet, [file], merged)
    assert load_file(merged).keys() == load_file(family.controlnet).keys()
    assert torch.allclose(ask(load(family.about, family.checkpoint, merged).freeze()), adapted, atol=1e-4)


@pytest.mark.slow(reason="a step of training")
def test_memory_is_estimated_and_half_of_the_networks_learns_too(family, tmp_path):
    config = config_of(family, tmp_path, precision="bf16", half_base=True, steps=1, name="half")
    pairs = [(job.canvas, job.prompt) for job in family.seen]
    plans = [MemoryPlan(True, 1), MemoryPlan(False, 1)]
    guessed = [
        estimate(config, skeleton(family.about, family.checkpoint, family.controlnet), small_reviewer(), pairs, plan)
        for plan in plans[: 2 if family.name == "qwen_image" else 1]  # whose decoder recomputes by itself
    ]
    assert guessed[0].weights > 10**5 and guessed[0].activations > 10**5
    assert all(kept.activations > guessed[0].activations for kept in guessed[1:])
    models = load(family.about, family.checkpoint, family.controlnet, dtype=torch.bfloat16)
    run = Run(config, models, small_reviewer(), pairs, watch=lambda e: None)
    assert run()["steps"] == 1 and all(torch.isfinite(p).all() for p in run.learner.parameters)
    assert all(p.dtype == torch.bfloat16 for part in models.parts().values() for p in part.parameters())
