"""Merging: an adapter folded into its base draws what the two draw together, in every layout, and the file says what it
came from.
"""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from reliable_ads.pocket.ldm import from_ldm, key_maps
from reliable_ads.rfft.adapter import (
    AdapterError,
    save_adapter,
    sha256_of,
)
from reliable_ads.rfft.merge import fold, merge_files, merge_states, weight_names

from .rfft_examples import TINY, answer, controlnet_file, filled, near, same, tiny_pocket, tiny_with


@pytest.fixture
def base(tmp_path):
    """(ControlNet file in ldm layout, fp16; the module with exactly its weights)."""
    return controlnet_file(tmp_path / "base.safetensors")


def test_merged_equals_base_and_adapter_at_every_strength(base):
    path, controlnet = base
    names = key_maps(TINY, controlnet=controlnet)["controlnet"]
    adapter, tensors = filled(controlnet), load_file(path)
    single = {k: v.float() for k, v in tensors.items()}
    for strength in (1.0, 0.5, 0.0):
        adapter.strength = strength
        with_adapter = answer(controlnet)
        merged = tiny_pocket().controlnet
        from_ldm(merged, names, merge_states(single, [(adapter.tensors(), strength, "a")], "base"), "merged")
        assert near(answer(merged), with_adapter) < 1e-5
        assert strength or same(answer(merged), with_adapter)
    assert (
        merge_states(tensors, [(adapter.tensors(), 1.0, "a")], "base")["zero_convs.0.0.weight"].dtype == torch.float16
    )


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
