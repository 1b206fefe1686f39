"""Union ControlNets of SDXL: told what their hint is, drawn as diffusers draws them, tuned without their own layers."""

import pytest
import torch
from safetensors.torch import save_file

from reliable_ads.rfft.adapter import Adapter
from reliable_ads.rfft.loading import load, skeleton
from reliable_ads.rfft.rollout import Sampling, prepare, rollout

from .rfft_examples import jobs
from .sdxl_examples import LEVELS, save_small_sdxl


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("xl")
    save_small_sdxl(root)
    return root


def test_a_union_controlnet_is_told_that_its_hint_is_canny(small, tmp_path):
    from diffusers import ControlNetUnionModel, DDIMScheduler, StableDiffusionXLControlNetUnionPipeline

    shape = {"num_trans_channel": 32, "num_proj_channel": 32, "num_control_type": 8}
    union = ControlNetUnionModel(**LEVELS, conditioning_embedding_out_channels=(8, 8, 16, 16), **shape)
    for p in union.parameters():
        if not p.any():
            torch.nn.init.normal_(p, std=0.1)
    save_file(union.state_dict(), tmp_path / "union.safetensors")
    checkpoint = small / "xl.safetensors"
    models = load(checkpoint, tmp_path / "union.safetensors", small / "configs").freeze()
    assert all(torch.equal(a, b) for a, b in zip(models.controlnet.parameters(), union.parameters()))
    sampling = Sampling(2, 2.0)
    batch = prepare(models, jobs(1), sampling)
    batch.mask = torch.ones_like(batch.mask)
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    nobody = dict.fromkeys(("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"))
    pipeline = StableDiffusionXLControlNetUnionPipeline(
        vae=models.vae, unet=models.unet, controlnet=models.controlnet, scheduler=scheduler, **nobody
    )
    theirs = pipeline(
        prompt_embeds=batch.text.context,
        pooled_prompt_embeds=batch.text.pooled,
        negative_prompt_embeds=batch.null.context,
        negative_pooled_prompt_embeds=batch.null.pooled,
        control_image=[batch.hint],
        control_mode=[3],
        num_inference_steps=2,
        guidance_scale=2.0,
        latents=batch.noise,
        height=64,
        width=64,
        output_type="latent",
    ).images
    assert torch.allclose(rollout(models, batch, sampling)[0], theirs, atol=1e-4)

    adapter = Adapter(models.controlnet, 2)
    assert len(adapter.names) == len(
        Adapter(load(checkpoint, small / "ldm.safetensors", small / "configs").controlnet, 2).names
    )
    models.predict(batch.noise, 500, batch.text, batch.hint).sum().backward()
    assert all(update.up.grad is not None for update in adapter.updates)
    bones = skeleton(checkpoint, tmp_path / "union.safetensors", small / "configs")
    shapes = {key: value.shape for key, value in union.state_dict().items()}
    assert {key: value.shape for key, value in bones.controlnet.state_dict().items()} == shapes
