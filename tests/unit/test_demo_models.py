"""`dev.py demo --checkpoint`: which template it takes, and what it refuses before a server starts."""

import pytest
import torch
from safetensors.torch import save_file

from reliable_ads.devtools import arguments, demo, own_models


def checkpoint(width: int = 768, channels: int = 4) -> dict:
    """What tells a checkpoint of Stable Diffusion by its header."""
    unet = "model.diffusion_model.input_blocks."
    return {f"{unet}0.0.weight": (8, channels, 3, 3), f"{unet}1.1.transformer_blocks.0.attn2.to_k.weight": (8, width)}


def control(width: int = 768) -> dict:
    return {
        "zero_convs.0.0.weight": (8, 8, 1, 1),
        "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (8, width),
    }


def options_for(folder, **files):
    """The demo's options with these files: {name of the option: {key: shape}}."""
    given = []
    for option, tensors in files.items():
        path = folder / f"my_{option}.safetensors"
        save_file({key: torch.zeros(shape) for key, shape in tensors.items()}, path)
        given += [f"--{option}", str(path)]
    return arguments.parse(["demo", *given])[0]


@pytest.mark.parametrize("width, name", [(768, "SD 1.5"), (2048, "SDXL")])
def test_models_of_the_user_get_the_template_of_their_kind(tmp_path, width, name):
    options = options_for(
        tmp_path, checkpoint=checkpoint(width), controlnet=control(width), vae={"decoder.conv_in": (1,)}
    )
    assert name in own_models.template(options).stem
    own_models.install(options, tmp_path / "models")
    assert (tmp_path / "models" / "checkpoints" / "my_checkpoint.safetensors").is_file()
    loaders = {"ckpt": "CheckpointLoaderSimple", "canny": "ControlNetLoader", "encode": "VAEEncode"}
    prompt = {key: {"class_type": kind, "inputs": {"vae": ["ckpt", 2]}} for key, kind in loaders.items()}
    own_models.put(prompt, options)
    assert prompt["ckpt"]["inputs"]["ckpt_name"] == "my_checkpoint.safetensors"
    assert prompt["canny"]["inputs"]["control_net_name"] == "my_controlnet.safetensors"
    assert prompt["encode"]["inputs"]["vae"] == ["own_vae", 0]
    assert prompt["own_vae"]["inputs"] == {"vae_name": "my_vae.safetensors"}


@pytest.mark.parametrize(
    "files, words",
    [
        ({"checkpoint": {"a": (1,)}, "controlnet": control()}, '"my_checkpoint.safetensors" holds no UNet'),
        ({"checkpoint": checkpoint(1024), "controlnet": control()}, "is a checkpoint of SD 2.x: the demo draws with"),
        ({"checkpoint": checkpoint(128), "controlnet": control()}, "leave --checkpoint and --controlnet out"),
        ({"checkpoint": checkpoint(channels=9), "controlnet": control()}, "is an inpainting checkpoint"),
        ({"checkpoint": checkpoint(), "controlnet": {"a": (1,)}}, '"my_controlnet.safetensors" is no ControlNet'),
        (
            {"checkpoint": checkpoint(), "controlnet": control(2048)},
            '"my_controlnet.safetensors" is a ControlNet of SDXL, and "my_checkpoint.safetensors" is a checkpoint of SD'
            " 1.5",
        ),
        ({"checkpoint": checkpoint(), "controlnet": control(), "vae": {"a": (1,)}}, "holds no VAE"),
    ],
)
def test_models_that_the_demo_cannot_draw_with(tmp_path, files, words):
    with pytest.raises(ValueError) as caught:
        own_models.template(options_for(tmp_path, **files))
    said = str(caught.value)
    assert words in said and len(said) < 400 and "\n" not in said


def test_models_that_are_none_end_the_demo_before_a_server_starts(tmp_path, capsys):
    for name in ("sd", "canny"):
        (tmp_path / f"{name}.safetensors").write_bytes(b"\x80\x04 a pickle")
    given = ["--checkpoint", str(tmp_path / "sd.safetensors"), "--controlnet", str(tmp_path / "canny.safetensors")]
    assert demo.main([*given, "--out", str(tmp_path / "out")]) == 1
    assert "sd.safetensors" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "given, words",
    [
        (("--checkpoint", "none.safetensors"), "there is no file none.safetensors"),
        (("--checkpoint", "sd.ckpt"), "is no .safetensors file: other formats can run code"),
        (("--checkpoint", "sd.safetensors"), "give --controlnet, too"),
        (("--controlnet", "sd.safetensors"), "give --checkpoint, too"),
        (("--vae", "sd.safetensors"), "give --checkpoint, too"),
        (("--size", "100"), "100 is no multiple of 8: give one, such as 96"),
        (("--checkpoint", "sd.safetensors", "--controlnet", "sd.safetensors", "--webui", "x"), "leave --webui out"),
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(tmp_path, monkeypatch, capsys, given, words):
    monkeypatch.chdir(tmp_path)
    for name in ("sd.safetensors", "sd.ckpt"):
        (tmp_path / name).touch()
    with pytest.raises(SystemExit):
        arguments.parse(["demo", *given])
    assert words in " ".join(capsys.readouterr().err.split())
