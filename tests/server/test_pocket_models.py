"""The pocket family in ComfyUI computes what diffusers computes with the same weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from reliable_ads.devtools.api_graph import node
from reliable_ads.pocket.family import SCALE_FACTOR
from reliable_ads.pocket.ldm import load_pocket, save_checkpoint, save_controlnet

from . import ads
from .ads import ad


@pytest.fixture(scope="module")
def pocket(base):
    return load_pocket(base / "models" / "pocket" / ads.CHECKPOINT, base / "models" / "pocket" / ads.CONTROLNET)


def only(*names, **more) -> dict:
    return {**{name: value for name, value in ad().items() if name in names}, **more}


def euler(steps: int, cfg: float, scheduler: str) -> dict:
    return node(
        "KSampler",
        model=["models", 0],
        positive=["control", 0],
        negative=["control", 1],
        latent_image=["empty", 0],
        seed=4,
        steps=steps,
        cfg=cfg,
        sampler_name="euler",
        scheduler=scheduler,
        denoise=1.0,
    )


def test_the_vae_encodes_as_in_diffusers(client, base, pocket):
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    client.upload("noise.png", ads.png(Image.fromarray(picture)))
    graph = only(
        "models",
        "encode",
        load=node("LoadImage", image="noise.png"),
        keep=node("SaveLatent", samples=["encode", 0], filename_prefix="vae"),
    )
    graph["encode"]["inputs"]["pixels"] = ["load", 0]
    client.outputs(graph)
    with torch.no_grad():
        expected = pocket.encode(torch.from_numpy(picture).float().div(255).movedim(-1, 0)[None]) / SCALE_FACTOR
    assert torch.allclose(torch.from_numpy(ads.latent(base, "vae")), expected, atol=1e-3)


def test_a_whole_sample_is_diffusers_sample(client, base, pocket):
    """Euler, twelve steps, guidance and ControlNet on: prompt, text encoder, UNet, ControlNet and schedule all have to
    agree.
    """
    steps, cfg = 12, 5.0
    noise = torch.randn(1, 4, 16, 16, generator=torch.manual_seed(4))
    graph = only("picture", "product", "models", "prompt", "negative", "control")
    graph["empty"] = node("EmptyLatentImage", width=128, height=128, batch_size=1)
    graph["sample"] = euler(steps, cfg, "normal")
    graph["keep"] = node("SaveLatent", samples=["sample", 0], filename_prefix="euler")
    graph["hint"] = node("SaveImage", images=["product", 3], filename_prefix="hint")
    outputs = client.outputs(graph)
    hint = torch.from_numpy(ads.pixels(client, outputs["hint"]).copy()).float().div(255).movedim(-1, 0)[None]

    from diffusers import EulerDiscreteScheduler

    schedule = EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="linspace",
        prediction_type="v_prediction",
    )
    schedule.set_timesteps(steps)
    with torch.no_grad():
        context = pocket.encode_prompts(["", graph["prompt"]["inputs"]["text"]])
        latent = noise * (1 + schedule.sigmas[0] ** 2) ** 0.5  # as ComfyUI scales the first noise
        for t in schedule.timesteps:
            seen = schedule.scale_model_input(latent, t)
            plain, guided = pocket.velocity(
                seen.repeat(2, 1, 1, 1), t.repeat(2), context, hint.repeat(2, 1, 1, 1)
            ).chunk(2)
            latent = schedule.step(plain + cfg * (guided - plain), t, latent).prev_sample
    ours = torch.from_numpy(ads.latent(base, "euler")) * SCALE_FACTOR
    assert (ours - latent).abs().max() / latent.abs().max() < 2e-3


def test_a_family_that_matches_flows_is_drawn_along_straight_lines(client, base, pocket):
    """The same weights under another name: they paint noise then, but both sides have to paint the same."""
    flow, names = replace(pocket, config={**pocket.config, "prediction": "flow"}), ("flow_sd", "flow_canny")
    files = [base / "models" / "pocket" / f"{name}.safetensors" for name in names]
    save_checkpoint(files[0], flow)
    save_controlnet(files[1], flow)
    steps, noise = 4, torch.randn(1, 4, 16, 16, generator=torch.manual_seed(4))
    graph = only("picture", "product", "models", "prompt", "negative", "control")
    graph["models"]["inputs"] |= {"ckpt_name": files[0].name, "control_net_name": files[1].name}
    graph["empty"] = node("EmptyLatentImage", width=128, height=128, batch_size=1)
    graph["sample"] = euler(steps, 1.0, "sgm_uniform")
    graph["keep"] = node("SaveLatent", samples=["sample", 0], filename_prefix="flow")
    graph["hint"] = node("SaveImage", images=["product", 3], filename_prefix="hint")
    outputs = client.outputs(graph)
    hint = torch.from_numpy(ads.pixels(client, outputs["hint"]).copy()).float().div(255).movedim(-1, 0)[None]
    latent = noise
    with torch.no_grad():
        context = pocket.encode_prompts([graph["prompt"]["inputs"]["text"]])
        for step in range(steps):
            t = torch.tensor([1000 * (1 - step / steps)])
            latent = latent - pocket.velocity(latent, t, context, hint) / steps
    ours = torch.from_numpy(ads.latent(base, "flow")) * SCALE_FACTOR
    assert (ours - latent).abs().max() / latent.abs().max() < 2e-3
    for file in files:
        file.unlink()
