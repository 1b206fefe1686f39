"""RF Train ControlNet on the real server: a few steps end to end, the result at once in the loader's list, a cancel
that loses nothing, sentences for wrong input.
"""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from reliable_ads.devtools.api_graph import node
from reliable_ads.rfft.adapter import read_adapter

from . import tiny_models
from .ads import CHECKPOINT, CONTROLNET, REVIEWER, cut_out, drawn, fails, ours, pixels

TEACHER = "tr_teacher.safetensors"
QUICK = """
size = 64
batch = 1
gradient_steps = 1
last_steps = 1
sampling_steps = 2
guidance = 2.0
rank = 2
evaluation_products = 1
checkpointing = false
diversity_loss = 1.0
warm_up = 1
"""


@pytest.fixture(scope="module")
def folder(base):
    """A reviewer that says how good it is, and two products below the server's input folder."""
    tiny_models.write_reviewer(base / "models" / "rfnet" / TEACHER, {"scores": json.dumps({"ap": {"value": 0.9}})})
    (base / "models" / "controlnet").mkdir(exist_ok=True)
    products = base / "input" / "tr_products"
    products.mkdir()
    for number, name in enumerate(("red_box", "tin")):
        cut_out(200 + 20 * number).save(products / f"{name}.png")
    yield products
    for file in (base / "models" / "controlnet").glob("tr_*"):
        file.unlink()


def train(name: str, advanced: str = QUICK, **changes) -> dict:
    values = {
        "ckpt_name": CHECKPOINT,
        "control_net_name": CONTROLNET,
        "reviewer_name": TEACHER,
        "folder": "tr_products",
        "prompts": "{caption} on a table\n\n on a beach",
        "result_name": name,
        "steps": 2,
        "learning_rate": 0.05,
        "loss": "consistent condition",
        "beta": 0.0,
        "training_seed": 5,
        "advanced": advanced,
    }
    return {
        "train": node("RFTrainer", **{**values, **changes}),
        "said": node("PreviewAny", source=["train", 4]),
        "curves": node("PreviewImage", images=["train", 3]),
    }


def last_of(base, name: str):
    return base / "models" / "controlnet" / f"{name}.last.safetensors"


LUCKY: list[int] = []  # looked for once


@pytest.fixture
def lucky(client, folder) -> int:
    """A training seed whose second step is better than the start: two steps of so small a network hang on roundings,
    which differ from processor to processor.
    """
    for seed in range(4, 20) if not LUCKY else ():
        if "which is kept" in client.outputs(train(f"tr_lucky{seed}", training_seed=seed))["said"]["text"][0]:
            LUCKY.append(seed)
            break
    assert LUCKY, "no second step was better than the start, of sixteen seeds"
    return LUCKY[0]


def test_a_training_ends_in_a_file_that_the_loader_has_and_that_samples(client, base, folder, lucky):
    bars, pictures, said = [], 0, []
    for event in client.run(train("tr_first", training_seed=lucky)):
        assert event.kind != "execution_error", event.data["exception_message"]
        bars += [event.data["value"]] if event.kind == "progress" and event.node == "train" else []
        pictures += event.kind == "preview"
        said += [event.data["text"]] if event.kind == "progress_text" else []
    shown = client.history(client.prompt_id)["outputs"]
    assert bars[-1] == 2 and pictures >= 2 and any("p(available)" in text for text in said)
    report = shown["said"]["text"][0]
    assert re.match(
        r"2 steps done\.\nAccepted by the reviewer: .* before, .* at step 2, which is kept in tr_first\.safetensors\.",
        report,
    ), report
    assert str(base / "models" / "controlnet") in report
    assert (base / "models" / "controlnet" / "tr_first.safetensors").is_file()
    assert pixels(client, shown["train"]).shape == (
        128,
        64,
        3,
    )  # two products and prompts would be two columns; one is measured, before above after
    curves = pixels(client, shown["curves"])
    assert curves.shape[:2] == (260, 768) and (curves != 255).any()

    _tensors, metadata = read_adapter(last_of(base, "tr_first"), base / "models" / "pocket" / CONTROLNET)
    assert (
        metadata["checkpoint"] == CHECKPOINT
        and json.loads(metadata["losses"])["loss"] == "cc"
        and json.loads(metadata["memory"])["climbed"] == []
    )
    listed = client.ask("/object_info/RFControlNetLoader")["RFControlNetLoader"]["input"]["required"]["adapter"][1][
        "options"
    ]
    assert "tr_first.last.safetensors" in listed
    found = drawn(client, base, {"plain": ours(CONTROLNET), "tuned": ours(CONTROLNET, "tr_first.last.safetensors")})
    assert np.isfinite(found["tuned"]).all() and not np.array_equal(found["plain"], found["tuned"])

    more = client.outputs(train("tr_first", steps=3, training_seed=lucky))  # the same with more steps goes on
    assert json.loads(read_adapter(last_of(base, "tr_first"))[1]["steps"]) == 3 and more["said"]["text"]


def test_what_was_trained_goes_on_to_the_nodes_behind(client, base, folder, lucky):
    found = drawn(client, base, {"before": ours(CONTROLNET), "after": train("tr_used", training_seed=lucky)["train"]})
    assert np.isfinite(found["after"]).all() and not np.array_equal(found["before"], found["after"])


def test_where_nothing_gets_better_the_report_says_so_and_the_controlnet_goes_on_as_it_was(client, base, folder):
    idle = train("tr_idle", learning_rate=1e-30)  # too small to change a weight
    idle["named"] = node("PreviewAny", source=["train", 1])
    shown = client.outputs(idle)
    assert re.match(
        r"2 steps done\.\nNo step was better than the start \(0%.*\), so there is no tr_idle\.safetensors: more steps",
        shown["said"]["text"][0],
    ), shown["said"]["text"][0]
    assert shown["named"]["text"] == [""]
    assert not (base / "models" / "controlnet" / "tr_idle.safetensors").exists() and last_of(base, "tr_idle").is_file()
    found = drawn(client, base, {"before": ours(CONTROLNET), "after": idle["train"]})
    assert np.array_equal(found["before"], found["after"])


def test_a_cancel_within_a_step_saves_what_there_is_and_the_next_run_goes_on(client, base, folder):
    said, pressed, ended = [], False, None
    for event in client.run(train("tr_stopped", steps=500)):
        if event.kind == "progress_text":
            said.append(event.data["text"])
            if not pressed and event.data["text"].startswith("step 2 of"):
                client.interrupt()
                pressed = True
        ended = event.kind
    assert ended == "execution_interrupted"
    stopped = re.fullmatch(
        r"Stopped after step (\d+) of 500: .*tr_stopped.last.safetensors can be used as they are.*queue the same again"
        r" to go on from there.",
        said[-1],
    )
    assert stopped, said[-1]
    metadata = read_adapter(last_of(base, "tr_stopped"))[1]
    assert metadata["steps"] == stopped[1] and 2 <= int(stopped[1]) < 20
    again = [
        event.data["text"]
        for event in client.run(train("tr_stopped", steps=int(stopped[1]) + 1))
        if event.kind == "progress_text"
    ]
    assert again[0] == f"going on from step {stopped[1]} of {int(stopped[1]) + 1}"


@pytest.fixture(scope="module")
def strangers(base, folder):
    """Files that don't fit: checkpoints without VAE, for inpainting, of SDXL; ControlNets of SD 1.5 and SDXL; products
    without transparency; none.
    """
    checkpoints, controlnets = base / "models" / "checkpoints", base / "models" / "controlnet"
    checkpoints.mkdir(exist_ok=True)

    def unet(channels):
        return {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(8, channels, 3, 3)}

    vae, text = {"first_stage_model.x": torch.zeros(1)}, {"cond_stage_model.transformer.x": torch.zeros(1)}
    two = {"conditioner.embedders.0.transformer.x": torch.zeros(1), "conditioner.embedders.1.model.x": torch.zeros(1)}
    for name, tensors in {
        "no_vae": {**unet(4), **text},
        "inpainting": {**unet(9), **vae, **text},
        "xl": {**unet(4), **vae, **two},
        "sd15": {**unet(4), **vae, **text},
    }.items():
        save_file(tensors, checkpoints / f"tr_{name}.safetensors")
    for name, width in (("cn15", 768), ("cnxl", 2048)):
        save_file(
            {
                "zero_convs.0.0.weight": torch.zeros(4, 4, 1, 1),
                "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": torch.zeros(4, width),
            },
            controlnets / f"tr_{name}.safetensors",
        )
    (base / "input" / "tr_none").mkdir()
    (base / "input" / "tr_flat").mkdir()
    cut_out().convert("RGB").save(base / "input" / "tr_flat" / "box.png")
    shutil.copy(base / "models" / "pocket" / CONTROLNET, controlnets / "tr_taken.safetensors")
    tiny_models.write_reviewer(
        base / "models" / "rfnet" / "tr_weak.safetensors", {"scores": json.dumps({"ap": {"value": 0.6}})}
    )


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"steps": 0}, "steps is 0: it must be a whole number of at least 1"),
        ({"learning_rate": 0.0}, "lr is 0.0: it must be a number of more than 0"),
        ({"result_name": "../up"}, 'name is "../up": use letters, digits'),
        ({"result_name": "a.b"}, 'name is "a.b": use letters'),
        ({"result_name": ""}, "use letters, digits"),
        ({"result_name": "tr_taken"}, 'tr_taken.safetensors" exists: choose another name'),
        ({"prompts": " \n# only a remark"}, "hold no line with a prompt: write one prompt per line"),
        ({"folder": " "}, None),
        ({"folder": "tr_none"}, 'tr_none" holds no product pictures .*: give a folder of cut-outs'),
        ({"folder": "tr_gone"}, 'tr_gone" can.t be read .No such file'),
        (
            {"folder": "tr_flat"},
            (
                'no product can be used, first "box.png": .*fills its whole picture.*give cut-outs with a transparent'
                " background"
            ),
        ),
        ({"reviewer_name": REVIEWER}, "doesn't say how good it is"),
        (
            {"reviewer_name": "tr_weak.safetensors"},
            "average precision of 0.60, below 0.75: .*train a better one, or set force = true",
        ),
        (
            {"ckpt_name": "tr_no_vae.safetensors", "control_net_name": "tr_cn15.safetensors"},
            "holds no VAE .*choose a checkpoint with its VAE baked in",
        ),
        (
            {"ckpt_name": "tr_inpainting.safetensors", "control_net_name": "tr_cn15.safetensors"},
            "is an inpainting checkpoint .*choose the normal checkpoint",
        ),
        (
            {"ckpt_name": "tr_sd15.safetensors", "control_net_name": "tr_cnxl.safetensors"},
            "is a ControlNet of SDXL .*the checkpoint is SD 1.5: choose one for SD 1.5",
        ),
        (
            {"ckpt_name": "tr_xl.safetensors", "control_net_name": "tr_cn15.safetensors"},
            "is a ControlNet of SD 1.5 .*the checkpoint is SDXL: choose one for SDXL",
        ),
        ({"control_net_name": "tr_cn15.safetensors"}, "tr_cn15.safetensors is not a pocket file"),
        ({"advanced": "size = 100"}, "size is 100: it must be a multiple of 8"),
        ({"advanced": "sizes = 64"}, "unknown keys: sizes. Known are"),
        ({"advanced": "size 64"}, '"advanced" is no TOML .*one key = value per line'),
        ({"advanced": "folder = '/tmp'"}, '"advanced" sets folder: use their own inputs for that'),
        ({"advanced": QUICK + "optimizer = 'adamw8bit'"}, "needs bitsandbytes: pip install bitsandbytes"),
    ],
)
def test_what_can_not_be_trained_is_refused_in_one_sentence_before_the_work(client, base, strangers, changes, words):
    if words is None:
        changes, words = (
            {**changes, "ckpt_name": "tr_sd15.safetensors", "control_net_name": "tr_cn15.safetensors"},
            'RF Train ControlNet has no folder: write into "folder"',
        )
    before = load_file(base / "models" / "controlnet" / "tr_taken.safetensors")
    message = fails(client, train("tr_bad", **changes))
    assert re.search(words, message, re.DOTALL) and "\n" not in message.strip(), message
    left = {path.name for path in (base / "models" / "controlnet").glob("tr_bad*")}
    assert not left and all(
        torch.equal(value, before[key])
        for key, value in load_file(base / "models" / "controlnet" / "tr_taken.safetensors").items()
    )


def test_a_weak_reviewer_teaches_when_it_is_forced_to(client, base, strangers):
    assert client.outputs(train("tr_forced", QUICK + "force = true\n", steps=1, reviewer_name="tr_weak.safetensors"))[
        "said"
    ]["text"]
