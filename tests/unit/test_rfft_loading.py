"""Checkpoints without a network: single files and folders give the same networks; what doesn't fit is refused from its
header; and the commands.
"""

import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from reliable_ads.pocket.ldm import key_maps, save_controlnet, to_ldm
from reliable_ads.rfft.adapter import Adapter, save_adapter, sha256_of
from reliable_ads.rfft.cli import main
from reliable_ads.rfft.kinds import CONFIGS, SD15, SDXL, check_checkpoint, check_controlnet, check_folder
from reliable_ads.rfft.loading import FAMILIES, Family, load
from reliable_ads.rfft.models import ModelError
from reliable_ads.rfft.rollout import Sampling, draw, prepare
from reliable_ads.rfft.tokens import tokenize
from reliable_ads.rfnet.weights import save_reviewer

from .rfft_examples import TINY, jobs, models_of, tiny_pocket, vae_ldm
from .rfnet_examples import bottle_rgba, small_networks

U, V, T = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A tiny SD 1.x family as a diffusers folder, as single files, and the configs that say how small it is."""
    from diffusers import AutoencoderKL

    root, pocket = tmp_path_factory.mktemp("sd"), tiny_pocket()
    torch.manual_seed(1)
    vae = AutoencoderKL(
        block_out_channels=(32,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
    )
    configs = root / "configs"
    for part, module in (("unet", pocket.unet), ("vae", vae), ("controlnet", pocket.controlnet)):
        module.save_config(configs / part)
    (configs / "text_encoder").mkdir()
    (configs / "text_encoder" / "config.json").write_text(json.dumps(TINY["clip"]))
    for part, module in (("unet", pocket.unet), ("vae", vae), ("text_encoder", pocket.text_encoder)):
        module.save_pretrained(root / "folder" / part, safe_serialization=True)
    maps = key_maps(TINY, unet=pocket.unet, text_encoder=pocket.text_encoder)
    attention = {"to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight"}
    single = {
        **to_ldm(pocket.unet, maps["unet"]),
        **to_ldm(pocket.text_encoder, maps["text_encoder"]),
        **{
            V + vae_ldm(k, 4): v[..., None, None] if any(k.endswith(end) for end in attention) else v
            for k, v in vae.state_dict().items()
        },
    }
    save_file({k: v.contiguous() for k, v in single.items()}, root / "sd.safetensors")
    save_controlnet(root / "canny.safetensors", pocket)
    return root, configs


def test_a_single_file_and_a_folder_give_the_same_pictures(files):
    root, configs = files
    asked, sampling, drawn = jobs(1), Sampling(2, 2.0), []
    for checkpoint in (root / "sd.safetensors", root / "folder"):
        models = load(checkpoint, root / "canny.safetensors", configs).freeze()
        assert models.schedule.prediction == "epsilon"
        drawn.append(draw(models, prepare(models, asked, sampling), sampling))
    assert torch.allclose(*drawn, atol=1e-5) and drawn[0].std() > 0.01
    pocket = tiny_pocket()
    assert all(torch.equal(v, models.unet.state_dict()[k]) for k, v in pocket.unet.state_dict().items())
    assert all(
        torch.equal(v.half().float(), models.controlnet.state_dict()[k])
        for k, v in pocket.controlnet.state_dict().items()
    )
    assert torch.allclose(models.encode_text(["on sand"]).context, pocket.encode_prompts(["on sand"]), atol=1e-6)


def test_the_shipped_configs_are_those_of_sd15():
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    counts = {}
    with torch.device("meta"):
        for part, kind in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL), ("controlnet", ControlNetModel)):
            counts[part] = sum(
                p.numel() for p in kind.from_config(kind.load_config(CONFIGS / "sd15" / part)).parameters()
            )
        counts["text"] = sum(
            p.numel()
            for p in CLIPTextModel(
                CLIPTextConfig(**json.loads((CONFIGS / "sd15" / "text_encoder" / "config.json").read_text()))
            ).parameters()
        )
    assert counts == {"unet": 859_520_964, "vae": 83_653_863, "controlnet": 361_279_120, "text": 123_060_480}


def test_tokens_are_those_of_sd():
    prompts = ["a red mug, on sand", "word " * 200, ""]
    assert tokenize(prompts).shape == (3, 77)
    assert tokenize(["a cat"])[0, :4].tolist() == [49406, 320, 2368, 49407]


WHOLE = {U + "input_blocks.0.0.weight": (8, 4, 3, 3), V + "x": (1,), T + "x": (1,)}


@pytest.mark.parametrize(
    "keys, words",
    [
        (
            {**WHOLE, U + "input_blocks.0.0.weight": (8, 9, 3, 3)},
            "is an inpainting checkpoint.*9 channels.*choose the normal checkpoint",
        ),
        ({**WHOLE, "conditioner.embedders.0.model.x": (1,)}, "is the refiner of SDXL.*choose the base"),
        (
            {**WHOLE, "conditioner.embedders.0.transformer.x": (1,)},
            "holds no text encoder .*conditioner.embedders.1.model.*choose a whole SDXL checkpoint",
        ),
        ({**WHOLE, "ztsnr": (1,)}, "was trained with a noise schedule of its own .ztsnr"),
        ({k: v for k, v in WHOLE.items() if not k.startswith(V)}, "holds no VAE.*choose a checkpoint with its VAE"),
        ({k: v for k, v in WHOLE.items() if not k.startswith(T)}, "holds no text encoder"),
        ({"x": (1,)}, "holds no UNet"),
        ({**WHOLE, "cond_stage_model.model.x": (1,)}, "is an SD 2.x checkpoint"),
    ],
)
def test_checkpoints_that_do_not_fit(tmp_path, keys, words):
    save_file({k: torch.zeros(shape) for k, shape in keys.items()}, tmp_path / "c.safetensors")
    with pytest.raises(ModelError, match=f'"c.safetensors" {words}'):
        check_checkpoint(tmp_path / "c.safetensors")


def test_files_that_are_none(tmp_path, files):
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00")
    (tmp_path / "old.ckpt").write_bytes(b"PK")
    for name, words in (
        ("cut.safetensors", "is cut short"),
        ("old.ckpt", "is no .safetensors file.*convert it first"),
        ("none.safetensors", "does not exist"),
    ):
        with pytest.raises(ModelError, match=words):
            check_checkpoint(tmp_path / name)
    save_file({k: torch.zeros(s) for k, s in WHOLE.items()} | {"v_pred": torch.zeros(1)}, tmp_path / "v.safetensors")
    assert check_checkpoint(tmp_path / "v.safetensors") == (SD15, "v_prediction")
    with pytest.raises(ModelError, match=r'folder ".*" has no unet'):
        load(tmp_path, files[0] / "canny.safetensors", files[1])


def test_controlnets_that_do_not_fit(tmp_path, files):
    root, configs = files
    check_controlnet(root / "canny.safetensors", SD15, configs)
    with pytest.raises(
        ModelError,
        match=(
            r'"canny.safetensors" is a ControlNet of another family .its context is 32 wide, not'
            " 768.*control_v11p_sd15_canny"
        ),
    ):
        check_controlnet(root / "canny.safetensors")
    save_file(
        {"zero_convs.0.0.weight": torch.zeros(1), "a.attn2.to_k.weight": torch.zeros(1, 2048)},
        tmp_path / "xl.safetensors",
    )
    with pytest.raises(ModelError, match=r'"xl.safetensors" is a ControlNet of SDXL'):
        check_controlnet(tmp_path / "xl.safetensors")
    save_file({"lora_controlnet": torch.zeros(1)}, tmp_path / "lora.safetensors")
    with pytest.raises(ModelError, match="is a control-LoRA"):
        check_controlnet(tmp_path / "lora.safetensors")
    save_file(
        {
            "zero_convs.0.0.weight": torch.zeros(1),
            "a.attn2.to_k.weight": torch.zeros(1, 2048),
            "task_embedding": torch.zeros(6, 320),
        },
        tmp_path / "union.safetensors",
    )
    with pytest.raises(ModelError, match=r'"union.safetensors" is a union ControlNet'):
        check_controlnet(tmp_path / "union.safetensors", SDXL)


@pytest.mark.parametrize(
    "unet, scheduler, words",
    [
        ({}, {"rescale_betas_zero_snr": True}, "noise schedule of its own .rescale_betas_zero_snr is True"),
        ({}, {"sigma_data": 0.5}, "noise schedule of its own .sigma_data"),
        ({}, {"prediction_type": "sample"}, "prediction_type is sample"),
        ({"cross_attention_dim": 1024}, {}, "is no SD 1.5 checkpoint .its context is 1024 wide, not 768"),
        ({}, None, "has a config that can't be read"),
    ],
)
def test_folders_that_do_not_fit(tmp_path, unet, scheduler, words):
    usual = {
        "prediction_type": "v_prediction",
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
    }
    for part in ("unet", "vae", "text_encoder", "scheduler"):
        (tmp_path / part).mkdir()
    (tmp_path / "unet" / "config.json").write_text(json.dumps({"in_channels": 4, "cross_attention_dim": 768}))
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(usual))
    assert check_folder(tmp_path) == (SD15, "v_prediction")
    (tmp_path / "unet" / "config.json").write_text(json.dumps({"in_channels": 4, "cross_attention_dim": 768, **unet}))
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(
        "{" if scheduler is None else json.dumps({**usual, **scheduler})
    )
    with pytest.raises(ModelError, match=words):
        check_folder(tmp_path)


# The commands


@pytest.fixture
def job(files, tmp_path):
    (tmp_path / "products").mkdir()
    Image.fromarray(bottle_rgba()).save(tmp_path / "products" / "blue_bottle.png")
    (tmp_path / "prompts.txt").write_text("on sand, a park\n")
    save_reviewer(tmp_path / "r.safetensors", *small_networks(), {"scores": {"ap": {"value": 0.9}}})
    lines = {
        "checkpoint": "sd",
        "controlnet": str(files[0] / "canny.safetensors"),
        "products": "products",
        "prompts": "prompts.txt",
        "reviewer": "r.safetensors",
        "folder": "out",
        "name": "tuned",
        "family": "tiny",
        "size": 64,
        "steps": 1,
        "batch": 1,
        "gradient_steps": 1,
        "last_steps": 1,
        "sampling_steps": 2,
        "rank": 2,
        "evaluation_products": 1,
        "evaluation_seeds": 2,
    }
    (tmp_path / "c.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items()))
    return tmp_path


FAMILY = {"tiny": Family(lambda checkpoint, controlnet: models_of(tiny_pocket()))}


@pytest.mark.slow(reason="a training")
def test_train_and_evaluate_as_commands(job, capsys):
    assert main(["train", str(job / "c.toml"), "--set", "diversity_loss=1.0"], FAMILY) == 0
    assert "after 1 steps" in capsys.readouterr().out
    last = job / "out" / "tuned.last.safetensors"
    assert main(["evaluate", str(job / "c.toml"), "--adapter", str(last), "--json"], FAMILY) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rate"]["n"] == 2 and report["cc"] > 0
    with Image.open(job / "out" / "tuned.png") as sheet:
        assert sheet.size == (64, 128)


def test_merge_as_a_command(files, tmp_path, capsys):
    base, controlnet = files[0] / "canny.safetensors", tiny_pocket().controlnet
    adapter = Adapter(controlnet, 2)
    for update in adapter.updates:
        torch.nn.init.normal_(update.up)
    save_adapter(tmp_path / "a.safetensors", adapter, sha256_of(base), base.name)
    out = tmp_path / "m.safetensors"
    assert main(["merge", str(base), str(tmp_path / "a.safetensors"), "--out", str(out), "--strength", "0"]) == 0
    before, after = load_file(base), load_file(out)
    assert all(torch.equal(before[k], after[k]) for k in before) and "wrote" in capsys.readouterr().out
    save_controlnet(tmp_path / "other.safetensors", tiny_pocket(seed=9))
    assert (
        main(
            [
                "merge",
                str(tmp_path / "other.safetensors"),
                str(tmp_path / "a.safetensors"),
                "--out",
                str(tmp_path / "n.safetensors"),
            ]
        )
        == 1
    )
    assert (
        'rfft: "a.safetensors" belongs to "canny.safetensors"' in capsys.readouterr().err
        and not (tmp_path / "n.safetensors").exists()
    )


@pytest.mark.parametrize(
    "change, words",
    [
        ("steps=0", "steps is 0"),
        ("name=a/b", 'name is "a/b"'),
        ("family=sd4", 'family is "sd4": use one of diffusers, flux, qwen_image, sd35, tiny, z_image'),
        ('loras=[{file="none.safetensors"}]', 'the LoRA "none.safetensors" does not exist'),
        ("minimum_ap=0.95", "average precision of 0.90, below 0.95"),
        ("products=/nowhere", "nowhere"),
    ],
)
def test_bad_input_is_said_before_models_are_loaded(job, capsys, change, words):
    def never(*_):
        raise AssertionError("loaded")

    assert main(["train", str(job / "c.toml"), "--set", change], {"tiny": Family(never)}) == 1
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert "diffusers" in FAMILIES
