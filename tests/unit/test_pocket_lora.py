"""Styles leave the product alone; a style's LoRA is a file that others read, and does as much as its strength says; the
UNet can be trained on alone.
"""

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from reliable_ads.pocket import family, ldm
from reliable_ads.pocket.training.cli import main
from reliable_ads.pocket.training.diffusion import train_diffusion
from reliable_ads.pocket.training.export import trained_pocket
from reliable_ads.pocket.training.feed import Given
from reliable_ads.pocket.training.style_lora import attached, low_rank_updates, save_lora, train_lora
from reliable_ads.pocket.training.styles import STYLES, restyle, restyled
from reliable_ads.pocket.tuning import models_of
from reliable_ads.rfft.lora import fold_loras

from .pocket_examples import SMALL, scenes


@pytest.fixture
def folder(tmp_path):
    pocket = family.build_pocket(SMALL, seed=1)
    with torch.no_grad():
        pocket.controlnet.controlnet_mid_block.weight.normal_(std=0.1)  # a ControlNet that does something
    ldm.save_checkpoint(tmp_path / ldm.CHECKPOINT.name, pocket)
    ldm.save_controlnet(tmp_path / ldm.CONTROLNET.name, pocket)
    return tmp_path


def pocket_in(folder):
    return ldm.load_pocket(folder / ldm.CHECKPOINT.name, folder / ldm.CONTROLNET.name)


def inputs():
    random = torch.Generator().manual_seed(3)
    return (
        torch.randn(2, 4, 16, 16, generator=random),
        torch.tensor([300, 700]),
        torch.randn(2, 77, 32, generator=random),
    )


@pytest.mark.parametrize("style", STYLES)
def test_a_style_changes_the_background_and_never_the_product(style):
    before = scenes(3)
    after = restyled(before, style)
    product = before.arrays["product"][..., 3] == 255
    images, changed = before.arrays["image"], after.arrays["image"]
    assert changed.dtype == np.uint8 and np.array_equal(changed[product], images[product])
    change = np.abs(changed.astype(int) - images)[~product]
    assert change.mean() > 12, "not to be seen"
    grey = np.tile(np.linspace(0, 255, 128).astype(np.uint8)[None, :, None], (128, 1, 3))
    light = restyle(grey, np.zeros((128, 128), np.uint8), style).astype(float).mean((0, 2))
    assert light[-1] - light[0] > 90 and np.diff(light).min() >= -1, "what is lighter stays lighter"


def test_a_style_that_is_none():
    with pytest.raises(ValueError, match='no style "cubism": choose one of sepia, night, pastel, poster'):
        restyled(scenes(1), "cubism")


@pytest.mark.slow(reason="a training")
def test_two_steps_make_a_file_that_is_folded_by_its_strength(folder):
    file = train_lora(
        restyled(scenes(6), "sepia"),
        "sepia",
        folder / "lora_sepia.safetensors",
        steps=2,
        batch=2,
        rank=4,
        checkpoint=folder / ldm.CHECKPOINT.name,
    )
    tensors = load_file(file)
    layer = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q"
    assert (
        tensors[f"{layer}.lora_down.weight"].shape == (4, 32)
        and tensors[f"{layer}.lora_up.weight"].shape == (32, 4)
        and tensors[f"{layer}.alpha"] == 4
    )
    assert any(value.any() for key, value in tensors.items() if key.endswith("lora_up.weight"))
    with safe_open(file, "pt") as opened:
        assert {"style": "sepia", "ss_network_dim": "4", "steps": "2"}.items() <= opened.metadata().items()

    def drawn(strength):
        models = models_of(pocket_in(folder))
        fold_loras(models, [{"file": file, "strength": strength}])
        with torch.no_grad():
            return models.unet(*inputs()).sample

    plain = pocket_in(folder).unet
    with torch.no_grad():
        assert torch.equal(drawn(0.0), plain(*inputs()).sample)
        half, whole = drawn(0.5) - drawn(0.0), drawn(1.0) - drawn(0.0)
    assert (
        0 < half.norm() < whole.norm()
        and torch.nn.functional.cosine_similarity(half.flatten(), whole.flatten(), 0) > 0.9
    )


def test_what_is_trained_is_what_the_file_says(folder):
    """The hooks of the training and the folded file compute the same; without the hooks the UNet is what it was."""
    unet = pocket_in(folder).unet
    updates = low_rank_updates(unet, 3)
    with torch.no_grad():
        plain = unet(*inputs()).sample
        for update in updates.values():
            update.up.normal_(std=0.05).copy_(update.up.half())
            update.down.copy_(update.down.half())
        with attached(unet, updates):
            hooked = unet(*inputs()).sample
        save_lora(folder / "l.safetensors", updates)
        models = models_of(pocket_in(folder))
        fold_loras(models, [{"file": folder / "l.safetensors"}])
        assert torch.allclose(models.unet(*inputs()).sample, hooked, atol=1e-4) and not torch.allclose(
            hooked, plain, atol=1e-2
        )
        assert torch.equal(unet(*inputs()).sample, plain)


@pytest.mark.slow(reason="three trainings")
def test_a_stopped_training_goes_on(folder, capsys):
    options = {"batch": 2, "rank": 2, "checkpoint": folder / ldm.CHECKPOINT.name}
    whole = load_file(train_lora(scenes(6), "night", folder / "whole.safetensors", steps=4, **options))
    train_lora(scenes(6), "night", folder / "broken.safetensors", steps=2, **options)
    resumed = load_file(train_lora(scenes(6), "night", folder / "broken.safetensors", steps=4, **options))
    assert "goes on from step 2" in capsys.readouterr().out and resumed.keys() == whole.keys()
    with pytest.raises(
        ValueError,
        match=r"in the style night on pocket_sd.safetensors: delete it to start over, or choose another --out",
    ):
        train_lora(scenes(6), "sepia", folder / "broken.safetensors", steps=4, **options)


@pytest.mark.parametrize(
    "change, says",
    [
        ({"out": "lora"}, "a file that ends with .safetensors, such as lora_night.safetensors"),
        ({"rank": 0}, "--rank is 0: it must be at least 1"),
        ({"steps": 0}, "it must be more than 0"),
        ({"steps": None, "minutes": -1.0}, "it must be more than 0"),
        ({"checkpoint": "gone.safetensors"}, "gone.safetensors does not exist"),
        ({"checkpoint": ldm.CONTROLNET.name}, "is missing"),
    ],
)
def test_bad_input_is_refused_before_anything_is_computed(folder, change, says):
    options = {"out": "l.safetensors", "checkpoint": ldm.CHECKPOINT.name, "steps": 1, "rank": 2, **change}
    with pytest.raises(ValueError, match=says):
        train_lora(
            None, "night", **{**options, "out": folder / options["out"], "checkpoint": folder / options["checkpoint"]}
        )


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    command = ["train", "lora", "--data", str(tmp_path), "--out", str(tmp_path / "l.safetensors")]
    assert main([*command, "--style", "night"]) == 2 and "holds no .zip shards" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command, "--style", "cubism"])
    assert "choose from" in capsys.readouterr().err


@pytest.mark.slow(reason="three trainings and a sheet of samples")
def test_only_the_unet_learns_and_the_controlnet_still_fits(folder):
    start = folder / ldm.CHECKPOINT.name
    options = {"steps": 3, "batch": 2, "sheet_columns": 2, "only_unet": True, "config": SMALL}
    train_diffusion("diffusion", Given(scenes(6)), scenes(2, 1), folder / "work", start=start, **options)
    before, after = pocket_in(folder), trained_pocket(folder / "work")
    for name in ("controlnet", "text_encoder", "vae"):
        assert all(
            torch.equal(value, before.parts()[name].state_dict()[key])
            for key, value in after.parts()[name].state_dict().items()
        ), name
    assert any(not torch.equal(value, before.unet.state_dict()[key]) for key, value in after.unet.state_dict().items())
    ldm.save_checkpoint(folder / "other.safetensors", after)
    assert ldm.load_pocket(folder / "other.safetensors", folder / ldm.CONTROLNET.name).config == before.config

    with pytest.raises(ValueError, match=r"a new training has none: begin with pocket_sd.safetensors"):
        train_diffusion("diffusion", None, None, folder / "none", **options)
    (folder / ldm.CONTROLNET.name).unlink()
    with pytest.raises(
        ValueError, match=r"pocket_sd.safetensors has none: begin with .* in a folder with its pocket_canny.safetensors"
    ):
        train_diffusion("diffusion", None, None, folder / "none", start=start, **options)
