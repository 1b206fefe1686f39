"""SDXL: the real layout, as ComfyUI has it, fits the shipped shapes key by key on the meta device; a small SDXL goes
the whole way, from single files to a trained adapter.
"""

import json

import pytest
import torch
from safetensors.torch import save_file

from reliable_ads.rfft.adapter import read_adapter
from reliable_ads.rfft.config import TrainConfig, read_config
from reliable_ads.rfft.estimate import estimate
from reliable_ads.rfft.kinds import CONFIGS, SDXL, check_models
from reliable_ads.rfft.loading import from_open_clip, load, skeleton
from reliable_ads.rfft.lora import fold_loras
from reliable_ads.rfft.memory import MemoryPlan
from reliable_ads.rfft.models import ModelError
from reliable_ads.rfft.names import ldm_key, unet_key
from reliable_ads.rfft.rollout import Sampling, draw, prepare
from reliable_ads.rfft.train import Run

from .comfy_process import in_comfyui
from .rfft_examples import jobs, small_reviewer
from .sdxl_examples import save_small_sdxl

REAL = """
import json, torch
import comfy.cldm.cldm, comfy.ops, comfy.sdxl_clip, comfy.supported_models
from comfy.ldm.models.autoencoder import AutoencoderKL
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
unet = {
    "image_size": 32, "use_spatial_transformer": True, "legacy": False, "num_classes": "sequential",
    "adm_in_channels": 2816, "in_channels": 4, "model_channels": 320, "num_res_blocks": [2, 2, 2],
    "transformer_depth": [0, 0, 2, 2, 10, 10], "channel_mult": [1, 2, 4], "transformer_depth_middle": 10,
    "use_linear_in_transformer": True, "context_dim": 2048, "num_head_channels": 64,
}
vae = {
    "double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128,
    "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0,
}
meta = {"device": "meta", "operations": comfy.ops.disable_weight_init}
with torch.device("meta"):
    parts = {
        "unet": UNetModel(out_channels=4, transformer_depth_output=[0, 0, 0, 2, 2, 2, 10, 10, 10], **unet, **meta),
        "controlnet": comfy.cldm.cldm.ControlNet(hint_channels=3, **unet, **meta),
        "vae": AutoencoderKL(ddconfig=vae, embed_dim=4),
    }
    text = comfy.sdxl_clip.SDXLClipModel(device="meta", dtype=torch.float32)
    found = {name: part.state_dict() for name, part in parts.items()}
    found["text"] = comfy.supported_models.SDXL.process_clip_state_dict_for_saving(None, text.state_dict())
shapes = {name: {key: list(value.shape) for key, value in part.items()} for name, part in found.items()}
print("LAYOUT" + json.dumps(shapes))
"""


@pytest.fixture(scope="module")
def layout():
    return json.loads(in_comfyui(REAL).split("LAYOUT")[1])


@pytest.fixture(scope="module")
def bones(tmp_path_factory, layout):
    """(Models on the meta device, checkpoint file, ControlNet file): files of the real layout and size, whose weights
    are holes that take no room on disk.
    """
    folder = tmp_path_factory.mktemp("real")
    single = (
        {f"model.diffusion_model.{key}": shape for key, shape in layout["unet"].items()}
        | {f"first_stage_model.{key}": shape for key, shape in layout["vae"].items()}
        | layout["text"]
    )
    for name, shapes in (("sdxl", single), ("canny", layout["controlnet"])):
        hollow(folder / f"{name}.safetensors", shapes)
    return (
        skeleton(folder / "sdxl.safetensors", folder / "canny.safetensors"),
        folder / "sdxl.safetensors",
        folder / "canny.safetensors",
    )


def hollow(path, shapes: dict) -> None:
    """A safetensors file in half precision with all its weights zero and none of them written."""
    header, at = {}, 0
    for key, shape in shapes.items():
        size = 2 * torch.Size(shape).numel()
        header[key] = {"dtype": "F16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)


def sizes(module) -> dict:
    return {key: tuple(value.shape) for key, value in module.state_dict().items() if not key.endswith("position_ids")}


def empty(shapes: dict, prefix: str = "") -> dict:
    return {prefix + key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


@pytest.mark.slow(reason="ComfyUI's own SDXL in a process of its own")
def test_every_weight_of_the_real_layout_has_its_place(layout, bones):
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint

    models, checkpoint, controlnet = bones
    assert check_models(checkpoint, controlnet) == (SDXL, "epsilon")
    assert (
        round(sum(p.numel() for p in models.unet.parameters()) / 1e9, 2) == 2.57
        and round(sum(p.numel() for p in models.controlnet.parameters()) / 1e9, 2) == 1.25
    )

    def turned(tensors):
        return {key: tuple(value.shape) for key, value in tensors.items()}

    def config(part):
        return json.loads((CONFIGS / "sdxl" / part / "config.json").read_text())

    assert turned(
        convert_ldm_unet_checkpoint(empty(layout["unet"], "model.diffusion_model."), config("unet"))
    ) == sizes(models.unet)
    vae = turned(convert_ldm_vae_checkpoint(empty(layout["vae"], "first_stage_model."), config("vae")))
    assert {
        key: shape[:2] if len(shape) == 4 and "attentions" in key else shape for key, shape in vae.items()
    } == sizes(models.vae)
    assert {ldm_key(key, 2): shape for key, shape in sizes(models.controlnet).items()} == {
        key: tuple(shape) for key, shape in layout["controlnet"].items()
    }
    ldm = {unet_key(key, 2, [False, True, True]): shape for key, shape in sizes(models.unet).items()}
    assert ldm == {key: tuple(shape) for key, shape in layout["unet"].items()}
    for encoder, part, prefix in zip(models.text_encoder, SDXL.texts, SDXL.texts.values()):
        stored = {
            key.removeprefix(prefix): value for key, value in empty(layout["text"]).items() if key.startswith(prefix)
        }
        stored = (
            from_open_clip(stored)
            if part == "text_encoder_2"
            else {key.removeprefix("text_model."): value for key, value in stored.items()}
        )
        wanted = {key.removeprefix("text_model."): shape for key, shape in sizes(encoder).items()}
        assert {key: tuple(value.shape) for key, value in stored.items() if key in wanted} == wanted
        assert set(stored) - set(wanted) <= {"embeddings.position_ids"}


def test_the_shipped_config_of_sdxl():
    config = read_config(CONFIGS / "sdxl_canny.toml")
    assert config.size == 1024 and config.half_base and config.precision == "bf16" and config.checkpointing


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("xl")
    save_small_sdxl(root)
    return root


def test_single_files_of_either_layout_and_a_folder_draw_the_same(small):
    drawn, sampling = [], Sampling(2, 2.0)
    for checkpoint, controlnet in (
        ("xl.safetensors", "ldm.safetensors"),
        ("xl.safetensors", "diffusers.safetensors"),
        ("folder", "ldm.safetensors"),
    ):
        models = load(small / checkpoint, small / controlnet, small / "configs").freeze()
        drawn.append(draw(models, prepare(models, jobs(1), sampling), sampling))
    assert (
        torch.allclose(drawn[0], drawn[1]) and torch.allclose(drawn[0], drawn[2], atol=1e-5) and drawn[0].std() > 0.01
    )
    text = models.encode_text(["on sand", "on a table"])
    assert text.context.shape == (2, 77, 64) and text.pooled.shape == (2, 32)
    assert models.vae.config.scaling_factor == 0.13025


def test_sdxls_further_conditions_matter(small):
    models = load(small / "xl.safetensors", small / "ldm.safetensors", small / "configs").freeze()
    batch, asked = prepare(models, jobs(2), Sampling(2, 2.0)), []
    from dataclasses import replace

    for text in (batch.text, replace(batch.text, pooled=batch.text.pooled * 0)):
        asked.append(models.predict(batch.noise, 500, text, batch.hint))
    assert not torch.allclose(*asked)
    added = models.added_conditions(batch.text, batch.hint)
    assert added["time_ids"].tolist() == [[64, 64, 0, 0, 64, 64]] * 2


@pytest.mark.slow(reason="a training")
def test_a_small_sdxl_learns_and_takes_loras(small, tmp_path):
    config = TrainConfig(
        checkpoint="xl",
        controlnet=str(small / "ldm.safetensors"),
        products="",
        prompts="",
        folder=str(tmp_path),
        name="xl",
        size=64,
        steps=1,
        batch=1,
        gradient_steps=1,
        last_steps=1,
        sampling_steps=2,
        guidance=2.0,
        rank=2,
        evaluation_products=1,
        evaluation_seeds=2,
        diversity_loss=1.0,
        force=True,
    )
    models = load(small / "xl.safetensors", small / "ldm.safetensors", small / "configs")
    up, down = torch.randn(64, 2), torch.randn(2, 64)
    before = models.unet.down_blocks[1].attentions[0].transformer_blocks[1].attn1.to_q.weight.clone()
    save_file(
        {
            "lora_unet_input_blocks_3_1_transformer_blocks_1_attn1_to_q.lora_up.weight": up,
            "lora_unet_input_blocks_3_1_transformer_blocks_1_attn1_to_q.lora_down.weight": down,
            "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.ones(64, 2),
            "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.ones(2, 32),
        },
        tmp_path / "l.safetensors",
    )
    fold_loras(models, [{"file": str(tmp_path / "l.safetensors"), "strength": 0.5}])
    assert torch.allclose(
        models.unet.down_blocks[1].attentions[0].transformer_blocks[1].attn1.to_q.weight,
        before + 0.5 * up @ down,
        atol=1e-5,
    )
    pairs = [(job.canvas, job.prompt) for job in jobs(2)]
    run = Run(config, models, small_reviewer(), pairs, watch=lambda event: None)
    assert run()["steps"] == 1 and any(name.startswith("label_emb") for name in run.learner.adapter.names)
    tensors, metadata = read_adapter(config.last, small / "ldm.safetensors")
    learned = [value for key, value in tensors.items() if key.endswith("lora_up.weight")]
    assert any(value.abs().sum() > 0 for value in learned) and metadata["steps"] == "1"
    guessed = estimate(
        config,
        skeleton(small / "xl.safetensors", small / "ldm.safetensors", small / "configs"),
        small_reviewer(),
        run.pairs,
        MemoryPlan(True, 1),
    )
    networks = (*models.parts().values(), run.reviewer)
    assert guessed.weights == sum(p.numel() * 4 for part in networks for p in part.parameters())
    assert guessed.activations > 10**6


def test_files_of_other_sizes_are_refused(small, tmp_path):
    from safetensors.torch import load_file

    whole = load_file(small / "ldm.safetensors")
    save_file(
        {key: value for key, value in whole.items() if key != "label_emb.0.0.weight"}, tmp_path / "cn.safetensors"
    )
    with pytest.raises(ModelError, match=r'"cn.safetensors" lacks 1 of .*as add_embedding.linear_1.weight'):
        load(small / "xl.safetensors", tmp_path / "cn.safetensors", small / "configs")
    with pytest.raises(ModelError, match="is a ControlNet of another family"):
        load(small / "xl.safetensors", small / "ldm.safetensors")
