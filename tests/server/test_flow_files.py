"""RF Load ControlNet with files for flow-matching models: an adapter at 0 is the base, at 1 exactly the merged file."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from reliable_ads.devtools.api_graph import node
from reliable_ads.rfft.adapter import Adapter, save_adapter, sha256_of
from reliable_ads.rfft.merge import merge_files

from .ads import fails, latent, ours
from .flow_graphs import applied, flow_ad, with_stock


@pytest.fixture(scope="module")
def files(base):
    """A ControlNet of SD 3.5 in diffusers' layout that the models here can take, an adapter of it, and both merged."""
    from diffusers import SD3ControlNetModel

    folder = base / "models" / "controlnet"
    folder.mkdir(exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        network = SD3ControlNetModel(
            sample_size=16,
            patch_size=2,
            in_channels=16,
            num_layers=2,
            attention_head_dim=64,
            num_attention_heads=2,
            joint_attention_dim=64,
            caption_projection_dim=128,
            pooled_projection_dim=2048,
            out_channels=16,
            pos_embed_max_size=24,
        )
        for block in network.controlnet_blocks:
            torch.nn.init.normal_(block.weight, std=0.1)
        torch.nn.init.normal_(network.pos_embed_input.proj.weight, std=0.1)
        save_file(network.state_dict(), folder / "flow_sd35.safetensors")
        adapter = Adapter(network, 2, seed=1)
        for update in adapter.updates:
            torch.nn.init.normal_(update.up, std=0.05)
    base_file = folder / "flow_sd35.safetensors"
    save_adapter(folder / "flow_sd35_adapter.safetensors", adapter, sha256_of(base_file), base_file.name)
    merge_files(base_file, [folder / "flow_sd35_adapter.safetensors"], folder / "flow_sd35_merged.safetensors")
    kept = {key: value for key, value in network.state_dict().items() if "attn.to_k" not in key}
    save_file(kept, folder / "flow_sd35_lacking.safetensors")
    return folder


def test_an_adapter_at_0_is_the_base_and_at_1_the_merged_file(client, base, files):
    loaders = {
        "plain": node("ControlNetLoader", control_net_name="flow_sd35.safetensors"),
        "merged": node("ControlNetLoader", control_net_name="flow_sd35_merged.safetensors"),
        "zero": ours("flow_sd35", "flow_sd35_adapter", 0.0),
        "one": ours("flow_sd35", "flow_sd35_adapter", 1.0),
        "half": ours("flow_sd35", "flow_sd35_adapter", 0.5),
        "full": ours("flow_sd35_merged"),
    }
    graph = flow_ad("sd35")
    for name, loader in loaders.items():
        graph[name] = loader
        graph[f"apply_{name}"] = applied("sd35", control_net=[name, 0])
        prompts = {"positive": [f"apply_{name}", 0], "negative": [f"apply_{name}", 1]}
        graph[f"sample_{name}"] = with_stock(dict(graph), **prompts)["stock"]
        graph[f"keep_{name}"] = node("SaveLatent", samples=[f"sample_{name}", 0], filename_prefix=f"file_{name}")
    del graph["sampler"]
    client.outputs(graph)
    found = {name: latent(base, f"file_{name}") for name in loaders}
    for one, other in (("zero", "plain"), ("one", "merged"), ("full", "merged")):
        assert np.array_equal(found[one], found[other]), one
    assert not any(np.array_equal(found["half"], found[other]) for other in ("plain", "merged"))


def test_a_file_that_lacks_weights_is_refused(client, files):
    graph = {"load": ours("flow_sd35_lacking"), "show": node("PreviewAny", source=["load", 0])}
    assert '"flow_sd35_lacking.safetensors" is not a whole ControlNet' in fails(client, graph)


def test_the_output_that_belongs_to_the_file_is_used(client, base, files):
    """A ControlNet for Z-Image is a model patch; one of SD 3.5 is none."""
    folder = base / "models" / "model_patches"
    folder.mkdir(exist_ok=True)
    save_file({"control_all_x_embedder.2-1.weight": torch.zeros(8, 64)}, folder / "flow_z_image.safetensors")
    graph = {"load": ours("flow_sd35"), "show": node("PreviewAny", source=["load", 1])}
    assert "connect MODEL_PATCH for a ControlNet for Z-Image, and CONTROL_NET" in fails(client, graph)
    if not client.ask("/object_info/ZImageFunControlnet"):
        graph = {"load": ours("flow_z_image"), "show": node("PreviewAny", source=["load", 1])}
        assert "which this version of ComfyUI does not know: update ComfyUI" in fails(client, graph)
