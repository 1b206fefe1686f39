"""The small models as files for Automatic1111, and `dev.py demo --webui` where it can't run."""

import copy
import json
import os

import pytest

from reliable_ads.devtools import demo, webui
from reliable_ads.pocket.family import PICTURE_SIZE, POCKET
from reliable_ads.pocket.ldm import CHECKPOINT, PocketFileError
from reliable_ads.pocket.tuning import DRAWING
from reliable_ads.rfft.tokens import tokenize
from reliable_ads.sdwebui import pocket_files


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web ui") / "models"
    pocket_files.install(folder)
    return folder


def described(models) -> dict:
    return json.loads((models / "Stable-diffusion" / CHECKPOINT.with_suffix(".yaml").name).read_text())["model"]


def test_it_draws_as_the_family_does():
    """The host has names of its own for the sampler and the schedule."""
    drawn = pocket_files.DRAW
    assert (drawn["steps"], drawn["cfg_scale"]) == (DRAWING["steps"], DRAWING["cfg"])
    assert (drawn["width"], drawn["height"]) == (PICTURE_SIZE, PICTURE_SIZE)
    assert drawn["scheduler"].lower().replace(" ", "_") == DRAWING["scheduler"]
    assert drawn["sampler_name"].lower().replace("dpm++ ", "dpmpp_") == DRAWING["sampler_name"]


def test_the_yaml_lies_beside_the_checkpoint_and_has_its_numbers(models):
    assert (models / "Stable-diffusion" / CHECKPOINT.name).read_bytes() == CHECKPOINT.read_bytes()
    params = described(models)["params"]
    unet, config = params["unet_config"]["params"], pocket_files.read_config(header(), "it")
    assert [unet["model_channels"] * each for each in unet["channel_mult"]] == config["unet"]["channels"]
    assert unet["context_dim"] == config["clip"]["hidden_size"]
    assert params["first_stage_config"]["params"]["config"] == config["vae"]


def header():
    return pocket_files.read_header(CHECKPOINT, PocketFileError)


def test_another_family_gets_its_own_numbers():
    larger = copy.deepcopy(POCKET)
    larger["unet"] |= {
        "channels": [96, 192, 288, 288],
        "attention": [False, True, False, True],
        "layers": 2,
        "heads": 4,
    }
    params = pocket_files.description(larger, "folder")["model"]["params"]["unet_config"]["params"]
    assert params["model_channels"] == 96 and params["channel_mult"] == [1, 2, 3, 3]
    assert params["attention_resolutions"] == [2, 8] and params["num_res_blocks"] == 2 and params["num_heads"] == 4


def test_widths_that_it_can_not_build_are_refused():
    odd = copy.deepcopy(POCKET)
    odd["unet"]["channels"] = [64, 96, 128]
    with pytest.raises(PocketFileError, match="no multiples of the first"):
        pocket_files.description(odd, "folder")


def test_the_tokenizer_gives_the_ids_that_the_family_learned_with(models):
    from transformers import CLIPTokenizer

    folder = described(models)["params"]["cond_stage_config"]["params"]["version"]
    assert folder == str(models / "rfnet" / f"{CHECKPOINT.stem}_text")
    prompts = ["photo, on sand, a desert at dawn", "«été» 50ml 保湿", ""]
    ids = CLIPTokenizer.from_pretrained(folder)(prompts, padding="max_length", max_length=77).input_ids
    assert ids == tokenize(prompts).tolist()


def test_after_a_move_it_names_the_new_place(models, tmp_path):
    moved = tmp_path / "moved"
    models.rename(moved)
    pocket_files.install(moved)
    assert described(moved)["params"]["cond_stage_config"]["params"]["version"].startswith(str(moved))
    assert sorted(path.name for path in (moved / "Stable-diffusion").iterdir()) == [
        CHECKPOINT.name,
        CHECKPOINT.with_suffix(".yaml").name,
    ]
    moved.rename(models)


def a_web_ui(folder, *rooms):
    for room in rooms:
        (folder / room).mkdir(parents=True)
    (folder / "launch.py").touch()
    python = folder / webui.VENV_PYTHON
    python.parent.mkdir(parents=True)
    python.touch()
    return folder


def test_a_web_ui_without_a_python_named_is_run_with_its_own(tmp_path):
    host = webui.Host.named(str(a_web_ui(tmp_path)))
    assert host.kind == "Automatic1111" and host.python == tmp_path / webui.VENV_PYTHON


@pytest.mark.parametrize(
    "rooms, sentence",
    [
        (["modules_forge"], "Forge knows checkpoints by their shapes"),
        (["modules_forge", "ldm_patched"], "reForge knows checkpoints by their shapes"),
    ],
)
def test_the_demo_says_where_it_can_not_run(tmp_path, capsys, rooms, sentence):
    assert demo.main(["--webui", str(a_web_ui(tmp_path, *rooms)), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_folder_that_is_no_web_ui_is_named(tmp_path, capsys):
    assert demo.main(["--webui", f"{tmp_path}{os.pathsep}python"]) == 1
    assert "names no web UI" in capsys.readouterr().err
