"""LoRAs in the frozen networks: the weights are those that ComfyUI's LoRA loader makes; what is no plain LoRA for this
checkpoint is refused.
"""

import pytest
import torch
from safetensors.torch import load_file, save_file

from reliable_ads.pocket.family import build_pocket
from reliable_ads.pocket.ldm import key_maps, load_pocket, save_checkpoint, save_controlnet, to_ldm
from reliable_ads.pocket.tuning import models_of
from reliable_ads.rfft.lora import fold_loras, names_of, updates
from reliable_ads.rfft.models import ModelError

from ..former_family import FORMER
from .comfy_process import in_comfyui
from .rfft_examples import tiny_pocket

STOCK = """
import comfy.model_management, comfy.sd, comfy.utils
from reliable_ads.nodes.pocket_models import load_family
from safetensors.torch import save_file
checkpoint, controlnet, lora, out = sys.argv[1:]
model, clip, vae, control = load_family(checkpoint, controlnet)
model, clip = comfy.sd.load_lora_for_models(model, clip, comfy.utils.load_torch_file(lora), 0.7, 0.6)
comfy.model_management.load_models_gpu([model, clip.patcher], force_full_load=True)
unet = {"unet." + key: value for key, value in model.model.diffusion_model.state_dict().items()}
text = {"text." + key: value for key, value in clip.cond_stage_model.clip_l.transformer.state_dict().items()}
save_file({key: value.float().contiguous() for key, value in {**unet, **text}.items()}, out)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lora")
    pocket = build_pocket(FORMER, seed=1)  # ComfyUI's TAESD has one size, so that a whole family is needed
    save_checkpoint(folder / "sd.safetensors", pocket)
    save_controlnet(folder / "canny.safetensors", pocket)
    return folder


def pocket_of(folder):
    return load_pocket(folder / "sd.safetensors", folder / "canny.safetensors")


def lora(layers: dict, alpha: float = 3.0) -> dict:
    """A LoRA of rank 2 for these layers, convolutions with their own kernels."""
    torch.manual_seed(4)
    tensors = {}
    for name, layer in layers.items():
        down, up = (
            torch.randn(2, *layer.weight.shape[1:]) * 0.05,
            torch.randn(len(layer.weight), 2, *[1] * (layer.weight.ndim - 2)) * 0.05,
        )
        tensors |= {
            f"{name}.lora_up.weight": up,
            f"{name}.lora_down.weight": down,
            f"{name}.alpha": torch.tensor(alpha),
        }
    return tensors


LDM, DIFFUSERS = ("input_blocks", "middle_block", "output_blocks"), ("down_blocks", "mid_block", "up_blocks")
LEARNED = ("attn", "_ff_", "mlp", "in_layers", "resnets")  # what LoRAs change, and some convolutions


def named(models, blocks: tuple) -> dict:
    """{kohya's name: layer} by one layout's names."""
    return {
        name: layer
        for name, layer in names_of(models).items()
        if any(part in name for part in LEARNED)
        and ("lora_te_" in name or any(block in name for block in blocks))
        and not name.endswith(("norm1", "time_emb_proj"))
    }


@pytest.mark.slow(reason="ComfyUI's loader in a process of its own")
@pytest.mark.parametrize("blocks", [DIFFUSERS, LDM], ids=["diffusers names", "ldm names"])
def test_weights_are_those_of_comfyuis_lora_loader(folder, blocks):
    pocket = pocket_of(folder)
    before = {key: value.clone() for key, value in pocket.unet.state_dict().items()}
    models = models_of(pocket)
    tensors = lora(named(models, blocks))
    for file, prefix in (("both", "lora_"), ("unet", "lora_unet_"), ("text", "lora_te_")):
        save_file(
            {key: value for key, value in tensors.items() if key.startswith(prefix)}, folder / f"{file}.safetensors"
        )
    in_comfyui(STOCK, *(folder / f"{name}.safetensors" for name in ("sd", "canny", "both", "stock")))
    stock = load_file(folder / "stock.safetensors")

    fold_loras(
        models,
        [
            {"file": str(folder / "unet.safetensors"), "strength": 0.7},
            {"file": str(folder / "text.safetensors"), "strength": 0.6},
        ],
    )
    maps = key_maps(pocket.config, unet=pocket.unet, text_encoder=pocket.text_encoder)
    own = {
        "unet." + key.removeprefix("model.diffusion_model."): value
        for key, value in to_ldm(pocket.unet, maps["unet"]).items()
    }
    own |= {
        "text." + key.removeprefix("cond_stage_model.transformer."): value
        for key, value in to_ldm(pocket.text_encoder, maps["text_encoder"]).items()
    }
    changed = [key for key, value in pocket.unet.state_dict().items() if not torch.equal(value, before[key])]
    assert (
        own.keys() <= stock.keys()
        and len(changed)
        == len({key.rsplit(".lora", 1)[0] for key in tensors if key.startswith("lora_unet_") and ".lora" in key})
        > 50
    )
    for key, value in own.items():  # ComfyUI keeps this text encoder in half precision
        assert torch.allclose(
            value, stock[key].view_as(value), atol=1e-6 if key.startswith("unet.") else 1e-3, rtol=1e-5
        ), key


def test_strength_nothing_leaves_everything(folder):
    pocket = pocket_of(folder)
    models, plain = models_of(pocket), pocket_of(folder)
    save_file(lora(named(models, DIFFUSERS)), folder / "x.safetensors")
    fold_loras(models, [{"file": str(folder / "x.safetensors"), "strength": 0.0}])
    assert all(torch.equal(value, plain.unet.state_dict()[key]) for key, value in pocket.unet.state_dict().items())


@pytest.mark.parametrize(
    "tensors, words",
    [
        ({"lora_unet_x.hada_w1_a": torch.zeros(1)}, "is a LoHa, which RFFT doesn't fold"),
        ({"lora_unet_x.lokr_w1": torch.zeros(1)}, "is a LoKr"),
        ({"lora_unet_x.dora_scale": torch.zeros(1)}, "is a DoRA"),
        ({"unet.x.lora_A.weight": torch.zeros(1)}, "is no LoRA in kohya's layout"),
        ({"x": torch.zeros(1)}, "is no LoRA in kohya's layout"),
        (
            {
                "lora_unet_strange.lora_up.weight": torch.zeros(2, 2),
                "lora_unet_strange.lora_down.weight": torch.zeros(2, 2),
            },
            "changes lora_unet_strange and 0 more layers that this checkpoint doesn't have",
        ),
        (
            {"lora_unet_time_embedding_linear_1.lora_up.weight": torch.zeros(2, 2)},
            "lacks lora_unet_time_embedding_linear_1.lora_down.weight",
        ),
        (
            {
                "lora_unet_time_embedding_linear_1.lora_up.weight": torch.zeros(2, 2),
                "lora_unet_time_embedding_linear_1.lora_down.weight": torch.zeros(2, 3),
            },
            "was made for another kind of checkpoint",
        ),
    ],
)
def test_what_is_no_lora_for_this_checkpoint_is_refused(folder, tmp_path, tensors, words):
    save_file(tensors, tmp_path / "l.safetensors")
    with pytest.raises(ModelError, match=f'"l.safetensors" {words}'):
        fold_loras(models_of(tiny_pocket()), [{"file": str(tmp_path / "l.safetensors")}])


@pytest.mark.parametrize(
    "change, words",
    [
        (
            {"lora_unet_x_norm.w_norm": torch.ones(32), "lora_unet_x_norm.b_norm": torch.ones(32)},
            "more than a plain LoRA: lora_unet_x_norm.b_norm .trained norms. is the first of 2 tensors",
        ),
        ({".diff_b": torch.ones(64)}, "more than a plain LoRA: lora_unet_.*diff_b"),
        ({"lora_unet_x.a1.weight": torch.ones(4, 4)}, "more than a plain LoRA: .*a GLoRA"),
        ({"lora_unet_x.oft_blocks": torch.ones(2, 4, 4)}, "more than a plain LoRA: .*an OFT"),
        ({".dora_scale": torch.ones(4)}, "more than a plain LoRA: .*a DoRA"),
        ({".lora_mid.weight": torch.ones(4, 4, 3, 3)}, "more than a plain LoRA: .*middle weights"),
        ({".hada_t1": torch.ones(2)}, "more than a plain LoRA: .*a LoHa"),
        ({"bundle_emb.word.string_to_param.*": torch.ones(2)}, "more than a plain LoRA: bundle_emb"),
        ({"lora_unet_y.alpha": torch.tensor(1.0)}, "more than a plain LoRA: lora_unet_y.alpha"),
        ({".alpha": torch.tensor(float("nan"))}, "an alpha of nan"),
        ({".alpha": torch.tensor(-4.0)}, "an alpha of -4"),
        ({".alpha": torch.tensor(0.0)}, "an alpha of 0"),
        ({".alpha": torch.ones(3)}, r"an alpha of shape \(3,\)"),
        ({".alpha": torch.tensor(float("inf"))}, "an alpha of inf"),
        ({".lora_up.weight": "inf"}, "aren't finite"),
        ({".lora_down.weight": "int"}, "whole numbers"),
        ({".lora_down.weight": "flat"}, "shapes"),
        ({".lora_down.weight": "none"}, "shapes"),
        ({".lora_down.weight": "swapped"}, "was made for another kind of checkpoint"),
    ],
)
def test_every_tensor_is_used_or_refused_by_name(tmp_path, change, words):
    names = names_of(models_of(tiny_pocket()))
    name = next(
        name
        for name, layer in names.items()
        if layer.weight.ndim == 2 and layer.weight.shape[0] != layer.weight.shape[1]
    )
    outputs, inputs = names[name].weight.shape
    tensors = {
        f"{name}.lora_up.weight": torch.randn(outputs, 4),
        f"{name}.lora_down.weight": torch.randn(4, inputs),
        f"{name}.alpha": torch.tensor(4),
    }
    odd = {
        "inf": torch.full((outputs, 4), float("inf")),
        "int": torch.ones(4, inputs, dtype=torch.int8),
        "flat": torch.ones(4 * inputs),
        "none": torch.ones(0, inputs),
        "swapped": torch.ones(4, outputs),
    }
    save_file(tensors, tmp_path / "plain.safetensors")
    assert len(updates(tmp_path / "plain.safetensors", names)) == 1
    save_file(
        {
            **tensors,
            **{
                name + key if key.startswith(".") else key: odd.get(value) if isinstance(value, str) else value
                for key, value in change.items()
            },
        },
        tmp_path / "l.safetensors",
    )
    with pytest.raises(ModelError, match=f'"l.safetensors" .*{words}') as refused:
        updates(tmp_path / "l.safetensors", names)
    assert len(str(refused.value)) < 400


def test_a_layer_that_a_lora_names_twice_is_refused(tmp_path):
    names = names_of(models_of(tiny_pocket()))
    twice = [
        name
        for name in names
        if "attn1_to_q" in name and names[name] is names[next(name for name in names if "attn1_to_q" in name)]
    ]
    assert len(twice) == 2
    save_file(lora({name: names[name] for name in twice}), tmp_path / "l.safetensors")
    with pytest.raises(ModelError, match="twice"):
        updates(tmp_path / "l.safetensors", names)


def test_a_lora_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match=r'none.safetensors" does not exist'):
        fold_loras(models_of(tiny_pocket()), [{"file": str(tmp_path / "none.safetensors")}])
