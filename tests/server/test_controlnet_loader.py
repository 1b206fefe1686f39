"""RF Load ControlNet on the real server: what it loads is what stock nodes load, to the last bit, and what doesn't
belong is refused in one sentence.
"""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from reliable_ads.devtools.api_graph import node
from reliable_ads.pocket.ldm import CONTROLNET as SHIPPED
from reliable_ads.pocket.ldm import load_pocket
from reliable_ads.rfft.adapter import Adapter, read_adapter, save_adapter, sha256_of
from reliable_ads.rfft.cli import main

from .ads import CHECKPOINT, CONTROLNET, REVIEWER, drawn, fails, ours

TUNED = "pocket_canny_reliable.safetensors"
ATTENTION = "input_blocks.1.1.transformer_blocks.0.attn2.to_k"


def merge(*arguments, out) -> None:
    assert main(["merge", *map(str, arguments), "--out", str(out)]) == 0


def write_strangers(controlnets, plain: dict) -> None:
    """Files that are cut short, lack weights, or are of another kind than the loader takes."""
    whole = (controlnets / "rf_one.safetensors").read_bytes()
    (controlnets / "rf_cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (controlnets / "rf_cut_base.safetensors").write_bytes((controlnets / "rf_canny.safetensors").read_bytes()[:90_000])
    (controlnets / "rf_old.pth").write_bytes(b"pickle")
    save_file(
        {key: value for key, value in plain.items() if key != "zero_convs.1.0.weight"},
        controlnets / "rf_lacking.safetensors",
    )
    save_file(
        {key: value for key, value in plain.items() if not key.startswith("input_hint_block.")},
        controlnets / "rf_hintless.safetensors",
    )
    save_file({"lora_controlnet": torch.zeros(1)}, controlnets / "rf_control_lora.safetensors")
    save_file(
        {"zero_convs.0.0.weight": torch.zeros(4, 4, 1, 1), f"{ATTENTION}.weight": torch.zeros(4, 768)},
        controlnets / "rf_sd15.safetensors",
    )
    wide = {
        f"rfft.{ATTENTION}.{end}": value
        for end, value in (
            ("lora_up.weight", torch.zeros(4, 1)),
            ("lora_down.weight", torch.zeros(1, 2048)),
            ("alpha", torch.tensor(1.0)),
        )
    }
    save_adapter(controlnets / "rf_xl_adapter.safetensors", wide, "0" * 64, "canny_xl.safetensors")
    save_file({"x": torch.zeros(1)}, controlnets / "rf_odd.safetensors")


@pytest.fixture(scope="module")
def folder(base):
    """models/controlnet with a base, two adapters, what `rfft merge` makes of them, and files that don't belong.

    The stock loader reads this small ControlNet with other heads than the pocket family has; that both loaders do the
    same with it is all that is asked here.
    """
    pocket, controlnets = base / "models" / "pocket", base / "models" / "controlnet"
    controlnets.mkdir(exist_ok=True)
    plain = load_file(pocket / CONTROLNET)
    save_file(plain, controlnets / "rf_canny.safetensors")
    module = load_pocket(pocket / CHECKPOINT, pocket / CONTROLNET).controlnet
    for name, rank, seed, file in (
        ("rf_one", 4, 1, controlnets / "rf_canny.safetensors"),
        ("rf_two", 2, 2, controlnets / "rf_canny.safetensors"),
        ("rf_pocket", 4, 1, pocket / CONTROLNET),
    ):
        adapter = Adapter(module, rank, seed=seed)
        adapter.remove()
        torch.manual_seed(seed)
        for update in adapter.updates:
            torch.nn.init.normal_(update.up, std=0.05)
        save_adapter(controlnets / f"{name}.safetensors", adapter, sha256_of(file), file.name)
    one, two = (controlnets / f"{name}.safetensors" for name in ("rf_one", "rf_two"))
    merge(controlnets / "rf_canny.safetensors", one, out=controlnets / "rf_merged.safetensors")
    strengths = ("--strength", "0.5", "1.5")
    merge(controlnets / "rf_canny.safetensors", one, two, *strengths, out=controlnets / "rf_both.safetensors")
    merge(pocket / CONTROLNET, controlnets / "rf_pocket.safetensors", out=pocket / "rf_pocket_merged.safetensors")
    write_strangers(controlnets, plain)
    return controlnets


def stock(name: str) -> dict:
    return node("ControlNetLoader", control_net_name=f"{name}.safetensors")


def test_every_strength_is_what_stock_loads_to_the_last_bit(client, base, folder):
    found = drawn(
        client,
        base,
        {
            "stock": stock("rf_canny"),
            "none": ours(),
            "zero": ours(adapter="rf_one", strength=0.0),
            "half": ours(adapter="rf_one", strength=0.5),
            "one": ours(adapter="rf_one"),
            "merged": stock("rf_merged"),
            "full": ours("rf_merged"),
            "both": ours(adapter="rf_one", strength=0.5, adapter_2="rf_two", strength_2=1.5),
            "other_order": ours(adapter="rf_two", strength=1.5, adapter_3="rf_one", strength_3=0.5),
            "both_merged": stock("rf_both"),
        },
    )

    def same(a, b):
        return np.array_equal(found[a], found[b])

    assert same("none", "stock") and same("zero", "stock")
    assert same("one", "merged") and same("full", "merged")
    assert same("both", "both_merged")
    span = np.abs(found["both"] - found["stock"]).max()
    assert span > 0.01 and np.abs(found["both"] - found["other_order"]).max() <= 1e-5 * span
    assert not any(same("half", other) for other in ("stock", "one", "both"))
    assert not same("one", "stock")


def test_a_pocket_controlnet_is_a_base_as_well(client, base, folder):
    merged = "rf_pocket_merged.safetensors"

    def pocket(controlnet):
        return node("RFPocketModels", ckpt_name=CHECKPOINT, control_net_name=controlnet)

    found = drawn(
        client,
        base,
        {
            "p_base": pocket(CONTROLNET),
            "p_zero": ours(CONTROLNET, "rf_pocket", 0.0),
            "p_one": ours(CONTROLNET, "rf_pocket"),
            "p_full": ours(merged),
            "p_merged": pocket(merged),
        },
    )

    def same(a, b):
        return np.array_equal(found[a], found[b])

    assert (
        same("p_zero", "p_base")
        and same("p_one", "p_merged")
        and same("p_full", "p_merged")
        and not same("p_one", "p_base")
    )


def test_the_adapter_that_ships_belongs_to_the_pocket_controlnet(client):
    adapters = client.ask("/object_info/RFControlNetLoader")["RFControlNetLoader"]["input"]["required"]["adapter"][1][
        "options"
    ]
    assert TUNED in adapters
    tensors, metadata = read_adapter(SHIPPED.with_name(TUNED), SHIPPED)  # refuses another base
    rates = json.loads(metadata["rates"])
    assert rates["after"]["value"] > rates["before"]["value"] and len(tensors) % 3 == 0


def test_each_list_holds_what_belongs_there(client, folder):
    inputs = client.ask("/object_info/RFControlNetLoader")["RFControlNetLoader"]["input"]
    bases, adapters = inputs["required"]["control_net_name"][1]["options"], inputs["required"]["adapter"][1]["options"]

    def own(names):
        return {name.removesuffix(".safetensors") for name in names if name.startswith("rf_")}

    assert adapters[0] == "none" and inputs["optional"]["adapter_3"][1]["options"] == adapters
    cut = {"rf_cut", "rf_cut_base"}  # nobody can say what they were meant to be
    assert own(adapters) == {"rf_one", "rf_two", "rf_pocket", "rf_xl_adapter"} | cut
    assert {"rf_canny", "rf_merged", "rf_pocket_merged"} | cut <= own(bases) and not own(bases) & {
        "rf_one",
        "rf_two",
        "rf_old.pth",
    }
    assert CONTROLNET in bases and CHECKPOINT not in bases and CHECKPOINT not in adapters


@pytest.mark.parametrize(
    "inputs, words",
    [
        (
            ("rf_canny", "rf_pocket"),
            (
                f'"rf_pocket.safetensors" belongs to "{CONTROLNET}" .* not to "rf_canny.safetensors" .*: choose the'
                " ControlNet file that it was trained on"
            ),
        ),
        (
            ("rf_sd15", "rf_xl_adapter"),
            (
                '"rf_xl_adapter.safetensors" is an adapter for ControlNets of SDXL, and "rf_sd15.safetensors" is one of'
                ' SD 1.5: choose .* "canny_xl.safetensors"'
            ),
        ),
        (("rf_canny", "rf_cut"), '"rf_cut.safetensors" is cut short .*: copy or download it again'),
        (("rf_cut_base", "rf_one"), '"rf_cut_base.safetensors" is cut short .*: copy or download it again'),
        (
            ("rf_canny", "rf_merged"),
            '"rf_merged.safetensors" is no RFFT adapter but a whole ControlNet: choose a file that `rfft train` wrote',
        ),
        (
            ("rf_one", "none"),
            '"rf_one.safetensors" is no ControlNet of Stable Diffusion but an RFFT adapter: choose a full ControlNet',
        ),
        (("rf_odd", "none"), '"rf_odd.safetensors" is no ControlNet of Stable Diffusion: choose'),
        (("rf_control_lora", "none"), '"rf_control_lora.safetensors" is a control-LoRA.*choose a full ControlNet'),
        (
            ("rf_lacking", "none"),
            '"rf_lacking.safetensors" is not a whole ControlNet: 1 of .* missing.*download it again',
        ),
        (
            ("rf_hintless", "none"),
            '"rf_hintless.safetensors" holds no ControlNet that ComfyUI can build: copy or download it again',
        ),
        (("rf_old.pth", "none"), '"rf_old.pth" is no .safetensors file: .* convert it'),
        (("rf_gone", "none"), "there is no file rf_gone.safetensors in models/controlnet.*put it there"),
        (("rf_canny", "../rfnet/" + REVIEWER), "there is no file .* in models/controlnet"),
    ],
)
def test_what_does_not_belong_is_refused_in_one_sentence(client, folder, inputs, words):
    message = fails(client, {"load": ours(*inputs), "show": node("PreviewAny", source=["load", 0])})
    assert re.search(words, message) and "\n" not in message, message


def test_an_adapter_that_was_trained_again_is_loaded_again(client, base, folder):
    shutil.copy(folder / "rf_one.safetensors", folder / "rf_new.safetensors")
    before = drawn(client, base, {"again": ours(adapter="rf_new")})["again"]
    shutil.copy(folder / "rf_two.safetensors", folder / "rf_new.safetensors")
    after = drawn(client, base, {"again": ours(adapter="rf_new")})["again"]
    assert not np.array_equal(before, after)
