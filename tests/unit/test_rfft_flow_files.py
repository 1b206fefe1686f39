"""Files of the flow-matching families: single files and folders give the same networks, and what doesn't fit is refused
from headers, in one sentence that says what to do.
"""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from reliable_ads.benchmarks.small_flow import save_family
from reliable_ads.rfft.adapter import AdapterError
from reliable_ads.rfft.cli import check_family, main
from reliable_ads.rfft.config import ConfigError, read_config
from reliable_ads.rfft.families.loading import FLOW_FAMILIES, load
from reliable_ads.rfft.kinds import CONFIGS, check_models
from reliable_ads.rfft.loading import FAMILIES
from reliable_ads.rfft.lora import check_layout
from reliable_ads.rfft.merge import merge_files
from reliable_ads.rfft.models import ModelError

from .rfft_examples import vae_ldm
from .rfnet_examples import bottle_rgba


@pytest.fixture(scope="module")
def z_image(tmp_path_factory):
    return save_family("z_image", tmp_path_factory.mktemp("z"))


@pytest.fixture(scope="module")
def flux(tmp_path_factory):
    return save_family("flux", tmp_path_factory.mktemp("f"))


def z_image_files(checkpoint, folder) -> list:
    """The networks of a small Z-Image as ComfyUI's users have them: transformer, VAE, text encoder, tokenizer."""

    def read(name):
        (file,) = (checkpoint / name).glob("*.safetensors")
        return load_file(file)

    transformer = read("transformer")
    stored = {}
    for key, value in transformer.items():
        if ".attention.to_q." in key:
            parts = [transformer[key.replace("to_q", f"to_{part}")] for part in "qkv"]
            stored[key.replace("to_q", "qkv")] = torch.cat(parts)
        elif ".attention.to_k." not in key and ".attention.to_v." not in key:
            renamed = key.replace("all_final_layer.2-1.", "final_layer.").replace("all_x_embedder.2-1.", "x_embedder.")
            renamed = renamed.replace(".attention.to_out.0.", ".attention.out.")
            stored[
                renamed.replace("attention.norm_k", "attention.k_norm").replace("attention.norm_q", "attention.q_norm")
            ] = value
    save_file({f"model.diffusion_model.{key}": value for key, value in stored.items()}, folder / "dit.safetensors")
    linear = ("to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight")
    vae = {
        vae_ldm(key, 4): value[..., None, None].contiguous() if key.endswith(linear) else value
        for key, value in read("vae").items()
    }
    save_file(vae, folder / "ae.safetensors")
    save_file({f"model.{key}": value for key, value in read("text_encoder").items()}, folder / "qwen.safetensors")
    return [
        folder / "dit.safetensors",
        folder / "ae.safetensors",
        folder / "qwen.safetensors",
        checkpoint / "tokenizer",
    ]


def test_single_files_give_the_networks_of_the_folder(z_image, tmp_path):
    checkpoint, controlnet = z_image
    dit, *parts = z_image_files(checkpoint, tmp_path)
    family = FLOW_FAMILIES["z_image"]
    one = load(family, checkpoint, controlnet)
    two = load(family, dit, controlnet, parts, configs=checkpoint)
    for name, part in one.parts().items():
        other = two.parts()[name].state_dict()
        assert all(torch.equal(value, other[key]) for key, value in part.state_dict().items())
    assert torch.equal(one.encode_text(["on sand"]).context, two.encode_text(["on sand"]).context)


def test_a_controlnet_without_a_config_says_its_shape_by_its_weights(flux, z_image, tmp_path):
    for name, (checkpoint, controlnet) in (("flux", flux), ("z_image", z_image)):
        file = tmp_path / f"{name}.safetensors"
        save_file(load_file(controlnet), file)
        one, two = (load(FLOW_FAMILIES[name], checkpoint, each).controlnet for each in (controlnet, file))
        assert type(one) is type(two)
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters()))
    assert two.control_layers_places == [0, 1] and two.config.add_control_noise_refiner is None


@pytest.mark.parametrize("name", FLOW_FAMILIES)
def test_shipped_shapes_are_the_real_models(name):
    """Billions of weights of the transformers, as their authors state them, and their text encoders'."""
    from reliable_ads.rfft.families.loading import unfilled

    stated = {"sd35": 8.06, "flux": 11.90, "qwen_image": 20.43, "z_image": 6.15}[name]
    family = FLOW_FAMILIES[name]
    counts = {}
    for part, network in family.networks.items():
        config = json.loads((CONFIGS / name / part / "config.json").read_text())
        counts[part] = sum(p.numel() for p in unfilled(network, config).parameters()) / 1e9
    assert counts["transformer"] == pytest.approx(stated, abs=0.1)
    texts = {"sd35": [0.124, 0.695, 4.762], "flux": [0.123, 4.762], "qwen_image": [7.07], "z_image": [4.02]}[name]
    assert [count for part, count in counts.items() if part.startswith("text")] == pytest.approx(texts, abs=0.1)
    assert counts["vae"] == pytest.approx(0.127 if name == "qwen_image" else 0.084, abs=0.01)


# What doesn't fit


def refused(match, name, checkpoint, controlnet, parts=(), **options):
    with pytest.raises(ModelError, match=match) as caught:
        load(FLOW_FAMILIES[name], checkpoint, controlnet, parts, **options)
    assert "\n" not in str(caught.value)


def test_a_transformer_alone_is_refused_with_what_it_lacks(z_image, tmp_path):
    checkpoint, controlnet = z_image
    dit, vae, qwen, _ = z_image_files(checkpoint, tmp_path)
    lacks = r'"dit.safetensors" holds no {}.*name the file that does in parts.*diffusers folder of Z-Image'
    refused(lacks.format("VAE"), "z_image", dit, controlnet, configs=checkpoint)
    refused(
        lacks.format("text encoder .it is a transformer alone"), "z_image", dit, controlnet, [vae], configs=checkpoint
    )
    refused("comes without the tokenizer", "z_image", dit, controlnet, [vae, qwen], configs=checkpoint)
    refused("holds no transformer of Flux.1 but one of Z-Image", "flux", dit, controlnet)


def test_rounded_weights_are_refused(z_image, tmp_path):
    checkpoint, controlnet = z_image
    dit, *parts = z_image_files(checkpoint, tmp_path)
    scaled = {**load_file(dit), "model.diffusion_model.layers.0.attention.qkv.scale_weight": torch.ones(1)}
    save_file(scaled, tmp_path / "fp8.safetensors")
    refused(
        '"fp8.safetensors" holds weights of 8 bits .*take the file in fp16 or bf16',
        "z_image",
        tmp_path / "fp8.safetensors",
        controlnet,
        parts,
    )
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    refused(
        '"model.gguf" is a GGUF file.*take the .safetensors file', "z_image", tmp_path / "model.gguf", controlnet, parts
    )


def test_another_family_s_controlnet_or_checkpoint_is_refused(z_image, flux, tmp_path):
    (checkpoint, controlnet), (other_checkpoint, other) = z_image, flux
    refused(
        "is a ControlNet of Flux.1: choose one for Z-Image, such as Z-Image-Turbo-Fun", "z_image", checkpoint, other
    )
    refused("holds a FluxTransformer2DModel, which is not Z-Image", "z_image", other_checkpoint, controlnet)
    wide = load_file(other)
    wide["controlnet_x_embedder.weight"] = torch.zeros(len(wide["controlnet_x_embedder.weight"]), 20)
    save_file(wide, tmp_path / "inpaint.safetensors")
    refused("takes 4 channels more than a hint has", "flux", other_checkpoint, tmp_path / "inpaint.safetensors")
    save_file({"controlnet_cond_embedding.conv_in.weight": torch.zeros(1)}, tmp_path / "sd.safetensors")
    refused('"sd.safetensors" is a ControlNet of Stable Diffusion', "z_image", checkpoint, tmp_path / "sd.safetensors")
    save_file({"rfft.x.lora_up.weight": torch.zeros(1)}, tmp_path / "a.safetensors")
    refused('"a.safetensors" is an RFFT adapter and not', "z_image", checkpoint, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match="has no unet: give a whole diffusers folder"):
        check_models(checkpoint, controlnet)


def test_an_adapter_of_another_family_is_refused(z_image, flux, tmp_path):
    from reliable_ads.rfft.adapter import Adapter, save_adapter, sha256_of

    (_, controlnet), (checkpoint, other) = z_image, flux
    adapter = Adapter(load(FLOW_FAMILIES["flux"], checkpoint, other).controlnet, 1)
    save_adapter(tmp_path / "flux_adapter.safetensors", adapter, sha256_of(other), other.name)
    with pytest.raises(
        AdapterError,
        match=r'"flux_adapter.safetensors" is an adapter for ControlNets of Flux.1, and .* is one of Z-Image: choose',
    ):
        merge_files(controlnet, [tmp_path / "flux_adapter.safetensors"], tmp_path / "merged.safetensors")


def test_a_lora_in_another_layout_is_refused_from_its_header(tmp_path):
    file = tmp_path / "peft.safetensors"
    save_file({"transformer.x_embedder.lora_A.weight": torch.zeros(1, 1)}, file)
    with pytest.raises(
        ModelError, match=r'"peft.safetensors" is no LoRA in kohya\'s layout .*convert it, or take another'
    ):
        check_layout(file)


@pytest.mark.parametrize(
    "family, changes, match",
    [
        ("flux", {"sampler": "dpmpp_2m"}, 'flux is drawn with sampler = "euler"'),
        ("flux", {"size": 72}, "size is 72: flux needs a multiple of 16"),
        ("flux", {"loras": [{"file": "l.safetensors"}]}, "loras can't be folded into flux yet: merge them"),
        ("diffusers", {"sampler": "euler"}, "which draws flow-matching models: use ddim or dpmpp_2m"),
        ("diffusers", {"parts": ["x"], "sampler": "ddim"}, "parts are for flow-matching models"),
    ],
)
def test_settings_of_other_families_are_refused(family, changes, match):
    config = read_config(CONFIGS / "flux_canny.toml", family=family, **changes)
    with pytest.raises(ConfigError, match=match):
        check_family(config, FAMILIES[family])


def test_parts_are_paths_beside_the_config(tmp_path):
    text = (CONFIGS / "flux_canny.toml").read_text().replace("# parts", "parts")
    (tmp_path / "flux.toml").write_text(text)
    assert read_config(tmp_path / "flux.toml").parts[0] == str(tmp_path / "ae.safetensors")
    with pytest.raises(ConfigError, match="parts are paths: write parts = "):
        read_config(CONFIGS / "flux_canny.toml", parts=[1])


@pytest.mark.slow(reason="a training")
def test_the_command_line_estimates_trains_measures_and_merges(z_image, tmp_path, capsys):
    from PIL import Image

    checkpoint, controlnet = z_image
    (tmp_path / "products").mkdir()
    Image.fromarray(bottle_rgba()).save(tmp_path / "products" / "bottle.png")
    (tmp_path / "prompts.txt").write_text("on sand")
    places = {"checkpoint": checkpoint, "controlnet": controlnet, "products": tmp_path / "products"}
    places |= {"prompts": tmp_path / "prompts.txt", "folder": tmp_path / "out"}
    small = "size=64 steps=1 batch=1 accumulation=1 gradient_steps=1 last_steps=1 sampling_steps=2 rank=2 name=z"
    small += " evaluation_products=1 evaluation_seeds=2 diversity_loss=1.0"
    asked = [str(CONFIGS / "z_image_canny.toml"), "--set", *[f"{k}={v}" for k, v in places.items()], *small.split()]
    assert main(["estimate", *asked]) == 0 and "GiB = " in capsys.readouterr().out
    assert main(["train", *asked]) == 0
    last = tmp_path / "out" / "z.last.safetensors"
    assert main(["evaluate", *asked, "--adapter", str(last), "--json"]) == 0
    assert 0 <= json.loads(capsys.readouterr().out.splitlines()[-1])["rate"]["value"] <= 1
    assert main(["merge", str(controlnet), str(last), "--out", str(tmp_path / "merged.safetensors")]) == 0
