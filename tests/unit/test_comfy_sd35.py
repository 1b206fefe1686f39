"""RF Load ControlNet reads a ControlNet of SD 3.5 in diffusers' layout: ComfyUI's network then puts out what diffusers'
does.
"""

import pytest
import torch
from safetensors.torch import load_file, save_file

from .comfy_process import in_comfyui

SCRIPT = """
import torch
from safetensors.torch import load_file, save_file
from reliable_ads.nodes.controlnet_loader import load

network = load(sys.argv[1], []).control_model
given = load_file(sys.argv[2])
torch.nn.init.normal_(network.x_embedder.proj.weight, std=0.1)  # which comes from the model
torch.nn.init.zeros_(network.x_embedder.proj.bias)
seen = []
network.transformer_blocks[0].register_forward_pre_hook(lambda block, inputs: seen.append(inputs[0]))
with torch.no_grad():
    outputs = network(given["x"], given["t"], given["pooled"], hint=given["hint"])["output"]
    hidden = (seen[0] - network.pos_embed_input(given["hint"])).contiguous()
save_file({"hidden": hidden, **{f"out {k}": value.contiguous() for k, value in enumerate(outputs)}}, sys.argv[3])
"""


@pytest.mark.slow(reason="ComfyUI in a process of its own")
def test_comfyui_puts_out_what_diffusers_does(tmp_path):
    from diffusers import SD3ControlNetModel

    torch.manual_seed(0)
    network = SD3ControlNetModel(
        sample_size=16,
        in_channels=16,
        num_layers=2,
        attention_head_dim=64,
        num_attention_heads=2,
        joint_attention_dim=None,
        caption_projection_dim=128,
        pooled_projection_dim=2048,
        out_channels=16,
        use_pos_embed=False,
        pos_embed_type=None,
        force_zeros_for_pooled_projection=False,
    )
    for layer in (*network.controlnet_blocks, network.pos_embed_input.proj):
        torch.nn.init.normal_(layer.weight, std=0.1)
    given = {name: torch.randn(1, 16, 8, 8) for name in ("x", "hint")}
    given |= {"t": torch.tensor([500.0]), "pooled": torch.randn(1, 2048)}
    files = [tmp_path / f"{name}.safetensors" for name in ("controlnet", "given", "made")]
    save_file(network.state_dict(), files[0])
    save_file(given, files[1])

    in_comfyui(SCRIPT, *files)

    made = load_file(files[2])
    with torch.no_grad():
        (outputs,) = network(made["hidden"], given["hint"], 1.0, None, given["pooled"], given["t"], return_dict=False)
    assert len(outputs) == 2
    for number, output in enumerate(outputs):
        assert output.std() > 0.01 and torch.allclose(made[f"out {number}"], output, atol=1e-4)
