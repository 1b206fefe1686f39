"""Merged files: one file in the layout of its base, the same in every layout, with the names of the real families."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from reliable_ads.pocket.ldm import key_maps
from reliable_ads.rfft.adapter import AdapterError, save_adapter, sha256_of
from reliable_ads.rfft.merge import fold, merge_files, merge_states, weight_names
from reliable_ads.rfft.names import layers_of, ldm_name

from .adapter_examples import answer, filled, near, tiny_with
from .rfft_examples import TINY


def test_merge_writes_one_file_in_the_layout_of_the_base(base, tmp_path):
    path, controlnet = base
    adapter = filled(controlnet)
    save_adapter(tmp_path / "a.safetensors", adapter, sha256_of(path), path.name)
    out = tmp_path / "merged.safetensors"
    merge_files(path, [tmp_path / "a.safetensors"], out)
    merged, original = load_file(out), load_file(path)
    assert merged.keys() == original.keys() and all(
        merged[k].dtype == original[k].dtype and merged[k].shape == original[k].shape for k in merged
    )
    assert torch.equal(merged["input_blocks.1.0.in_layers.0.weight"], original["input_blocks.1.0.in_layers.0.weight"])
    assert near(answer(tiny_with(out)), answer(controlnet)) < 5e-3  # fp16
    with pytest.raises(AdapterError, match="exists: choose another name"):
        merge_files(path, [tmp_path / "a.safetensors"], out)
    with pytest.raises(AdapterError, match=r"must end in .safetensors"):
        merge_files(path, [tmp_path / "a.safetensors"], tmp_path / "m.ckpt")
    with pytest.raises(AdapterError, match="1 adapters and 2 strengths"):
        merge_files(path, [tmp_path / "a.safetensors"], tmp_path / "m.safetensors", [1, 2])


def test_a_merged_file_is_what_fold_gives_and_still_says_what_its_base_said(base, tmp_path):
    path, controlnet = base
    save_adapter(tmp_path / "a.safetensors", filled(controlnet), sha256_of(path), path.name)
    merge_files(path, [tmp_path / "a.safetensors"], tmp_path / "merged.safetensors", [0.7])
    tensors, metadata = fold(path, [(tmp_path / "a.safetensors", 0.7)])
    merged = load_file(tmp_path / "merged.safetensors")
    assert all(torch.equal(merged[key], value) for key, value in tensors.items())
    assert (
        metadata["format"] == "reliable-ads/rfft-controlnet" and json.loads(metadata["pocket"])["unet"] == TINY["unet"]
    )
    assert json.loads(metadata["adapters"])[0]["strength"] == 0.7
    for adapters in ([], [(tmp_path / "a.safetensors", 0.0)]):
        assert all(torch.equal(value, load_file(path)[key]) for key, value in fold(path, adapters)[0].items())


def test_an_adapter_of_another_family_and_other_formats_are_refused(tmp_path):
    layer = "input_blocks.1.1.transformer_blocks.0.attn2.to_k"
    save_file(
        {"zero_convs.0.0.weight": torch.zeros(4, 4, 1, 1), f"{layer}.weight": torch.zeros(4, 768)},
        tmp_path / "sd15.safetensors",
    )
    tensors = {
        f"rfft.{layer}.lora_up.weight": torch.zeros(4, 1),
        f"rfft.{layer}.lora_down.weight": torch.zeros(1, 2048),
        f"rfft.{layer}.alpha": torch.tensor(1.0),
    }
    save_adapter(tmp_path / "xl.safetensors", tensors, "0" * 64, "canny_xl.safetensors")
    with pytest.raises(
        AdapterError,
        match=(
            r'"xl.safetensors" is an adapter for ControlNets of SDXL, and "sd15.safetensors" is one of SD 1.5: choose'
            ' .*"canny_xl.safetensors"'
        ),
    ):
        fold(tmp_path / "sd15.safetensors", [(tmp_path / "xl.safetensors", 1.0)])
    with pytest.raises(AdapterError, match=r'"xl.safetensors" is no ControlNet .* but an RFFT adapter'):
        fold(tmp_path / "xl.safetensors", [])
    (tmp_path / "old.pth").write_bytes(b"pickle")
    with pytest.raises(AdapterError, match=r'"old.pth" is no .safetensors file'):
        fold(tmp_path / "old.pth", [])


def test_a_union_controlnet_keeps_its_own_layers():
    names = weight_names(
        {
            "controlnet_cond_embedding.conv_in.weight",
            "control_add_embedding.linear_1.weight",
            "transformer_layes.0.mlp.c_fc.weight",
        },
        "union",
    )
    assert names == {"input_hint_block.0": "controlnet_cond_embedding.conv_in.weight"}


def test_a_file_that_changed_has_another_fingerprint(tmp_path):
    file = tmp_path / "x.safetensors"
    file.write_bytes(b"one")
    before = sha256_of(file)
    file.write_bytes(b"two")
    os.utime(file, (1, 1))
    assert sha256_of(file) != before
    with pytest.raises(AdapterError, match="can't be read"):
        sha256_of(tmp_path / "none")


@pytest.mark.slow(reason="a process of its own")
def test_merging_needs_no_diffusers():
    """ComfyUI's users have torch; diffusers is for those who train."""
    code = (
        "import sys, reliable_ads.rfft.merge, reliable_ads.pocket.ldm; sys.exit(' '.join({'diffusers', 'transformers',"
        " 'accelerate'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_all_three_layouts_merge_alike(base, tmp_path):
    path, controlnet = base
    ldm = load_file(path)
    prefixed = {f"control_model.{k}": v for k, v in ldm.items()}
    diffusers = {k: v.half() for k, v in controlnet.state_dict().items()}
    tensors, merged = filled(controlnet).tensors(), {}
    for name, state in (("ldm", ldm), ("prefixed", prefixed), ("diffusers", diffusers)):
        merged[name] = merge_states(state, [(tensors, 1.0, "a")], name)
        assert merged[name].keys() == state.keys()
    maps = key_maps(TINY, controlnet=controlnet)["controlnet"]
    for own, key in maps.items():
        assert torch.equal(merged["ldm"][key], merged["prefixed"][f"control_model.{key}"]) and torch.equal(
            merged["ldm"][key], merged["diffusers"][own]
        )
    for sign, words in (
        ("lora_controlnet", "control-LoRA"),
        ("difference", "difference to a UNet"),
        ("other", "is no ControlNet"),
    ):
        with pytest.raises(AdapterError, match=words):
            weight_names({sign: 0}, "x.safetensors")


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {
            "block_out_channels": (320, 640, 1280),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "transformer_layers_per_block": (1, 2, 10),
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
            "attention_head_dim": (5, 10, 20),
            "cross_attention_dim": 2048,
        },
    ],
)
def test_names_of_the_real_families(sizes):
    """SD 1.5's ControlNet and SDXL's, built without memory: every layer has an ldm name, no two the same."""
    from diffusers import ControlNetModel

    with torch.device("meta"):
        controlnet = ControlNetModel(**{"cross_attention_dim": 768, **sizes})
    state = controlnet.state_dict()
    assert sizes or len(state) == 340
    layers = layers_of(state)
    assert layers == 2
    names = [
        ldm_name(name, layers)
        for name, module in controlnet.named_modules()
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d))
    ]
    assert len(names) == len(set(names))
    if not sizes:
        assert {
            "time_embed.0",
            "input_blocks.0.0",
            "input_blocks.3.0.op",
            "input_blocks.10.0.in_layers.2",
            "middle_block.1.proj_in",
            "zero_convs.11.0",
            "middle_block_out.0",
            "input_hint_block.14",
        } <= set(names)
    else:
        assert {"label_emb.0.0", "label_emb.0.2", "input_blocks.7.1.transformer_blocks.9.attn2.to_k"} <= set(names)
    with pytest.raises(KeyError):
        ldm_name("up_blocks.0.resnets.0.conv1", 2)
