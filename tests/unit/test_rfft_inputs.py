"""What a training reads before it begins: its config, products and prompts; bad ones are refused or named."""

from argparse import Namespace

import pytest
from PIL import Image

from reliable_ads.rfft.cli import _checked
from reliable_ads.rfft.config import ConfigError, read_config
from reliable_ads.rfft.inputs import (
    open_products,
    products_of,
    read_pairs,
    read_products,
    read_prompts,
)
from reliable_ads.rfft.loading import FAMILIES

from .rfnet_examples import bottle_rgba


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "products").mkdir()
    Image.fromarray(bottle_rgba()).save(tmp_path / "products" / "blue_bottle.png")
    (tmp_path / "prompts.txt").write_text("# places\n\non sand, a park\n")
    (tmp_path / "c.toml").write_text(
        'checkpoint = "sd"\ncontrolnet = "cn"\nproducts = "products"\nprompts = "prompts.txt"\nfolder = "out"\nname ='
        ' "tuned"\nsize = 64\n'
    )
    return tmp_path


def test_a_config_is_read_beside_its_file(folder):
    config = read_config(folder / "c.toml", steps=7)
    assert (
        config.steps == 7
        and config.products == str(folder / "products")
        and config.result == folder / "out" / "tuned.safetensors"
    )
    (folder / "products" / "red.png").write_bytes((folder / "products" / "blue_bottle.png").read_bytes())
    (folder / "products" / "red.txt").write_text("a red thing\n")
    found = read_pairs(config)
    assert [canvas.product.caption for canvas, _ in found] == ["blue bottle", "a red thing"] and {
        prompt for _, prompt in found
    } == {"on sand, a park"}


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"steps": 0}, "steps is 0: it must be a whole number of at least 1"),
        ({"name": "a/b"}, 'name is "a/b": use letters, digits'),
        ({"name": "a.b"}, "letters, digits"),
        ({"name": ""}, "letters"),
        ({"loss": "ppo"}, 'loss is "ppo": use one of cc, kl, none'),
        ({"beta": -1}, "beta is -1: it must be a number of at least 0"),
        ({"evaluation_seeds": 1}, "evaluation_seeds is 1"),
        ({"gradient_steps": 11}, "only 10 steps to take them from"),
        ({"size": 100}, "multiple of 8"),
        ({"lr": 0.0}, "lr is 0.0: it must be a number of more than 0"),
        ({"stepz": 1}, "there is no key stepz to set"),
        ({"precision": "fp16"}, "use one of no, bf16"),
    ],
)
def test_a_config_that_cannot_be_is_refused(folder, changes, words):
    with pytest.raises(ConfigError, match=words):
        read_config(folder / "c.toml", **changes)


def test_products_and_prompts_are_looked_at_first(folder):
    (folder / "none").mkdir()
    with pytest.raises(
        ConfigError, match=r'the product folder ".*none" holds no product pictures .*: give a folder of cut-outs'
    ):
        read_products(folder / "none")
    with pytest.raises(ConfigError, match=r'nowhere" can.t be read .No such file'):
        read_products(folder / "nowhere")
    Image.new("RGB", (40, 40), "red").save(folder / "none" / "flat.png")
    with pytest.raises(
        ConfigError, match=r'no product can be used, first "flat.png": .* give cut-outs with a transparent background'
    ):
        read_products(folder / "none")
    (folder / "empty.txt").write_text("\n  \n# only this\n")
    with pytest.raises(ConfigError, match="hold no line with a prompt: write one prompt per line"):
        read_prompts(folder / "empty.txt")
    with pytest.raises(ConfigError, match=r'none.txt" does not exist'):
        read_prompts(folder / "none.txt")
    (folder / "marked.txt").write_text("\ufeff# places\non sand\n", encoding="utf-8")
    assert read_prompts(folder / "marked.txt") == ["on sand"]


def test_a_damaged_product_is_named_and_the_others_go_on(folder):
    (folder / "products" / "red.png").write_bytes((folder / "products" / "blue_bottle.png").read_bytes())
    (folder / "products" / "red.txt").write_text("a red thing\n")
    (folder / "products" / "blue_bottle.txt").write_bytes("eine Flasche aus Weißglas".encode("latin-1"))
    (folder / "products" / "cut.png").write_bytes(b"\x89PNG\r\n")
    (folder / "products" / "._cut.png").write_bytes(b"what macOS leaves")
    Image.new("RGB", (40, 40), "red").save(folder / "products" / "photo.jpg")
    found = open_products(folder / "products")
    assert [product.caption for product in products_of(found)] == ["a red thing"]
    assert sorted(found.broken) == ["blue_bottle.png", "cut.png"]
    assert "save it as UTF-8" in found.broken["blue_bottle.png"]
    assert found.left_out == "1 file of other kinds (.jpg)"


def test_the_exit_status_says_that_a_product_was_left_out(folder, capsys):
    args = Namespace(config=folder / "c.toml", set=[], families={"diffusers": FAMILIES["diffusers"]}, status=0)
    assert len(_checked(args)[2]) == 1 and args.status == 0 and not capsys.readouterr().err
    (folder / "products" / "cut.png").write_bytes(b"\x89PNG\r\n")
    assert len(_checked(args)[2]) == 1 and args.status == 1
    assert 'rfft: Left out: "cut.png": ' in capsys.readouterr().err
