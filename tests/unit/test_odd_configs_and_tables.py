"""Configs of `rfnet train` and `rfft train`, tables and shards with values that don't belong there: refused or counted,
each in one short sentence.
"""

import json
import os
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image

from reliable_ads.rfft import config as rfft
from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.tables import read_table
from reliable_ads.rfnet.training import config as rfnet

GOOD = {
    "rfnet": {"train": ["a"], "val": ["b"], "out": "o.safetensors"},
    "rfft": {"checkpoint": "a", "controlnet": "b", "products": "p", "prompts": "q", "folder": "f", "name": "n"},
}
MODULES = {"rfnet": rfnet, "rfft": rfft}
ODD = (
    "-1e9",
    "nan",
    "inf",
    "1979-05-27",
    "07:32:00",
    "9" * 30,
    "9" * 50,
    "[[[[]]]]",
    "[1]",
    "[{a = 1}]",
    "{a = 1}",
    "true",
    '"\\u0000"',
)
KEYS = [(program, key) for program, module in MODULES.items() for key in module.TrainConfig.__dataclass_fields__]
SWITCHES = {"augment", "tensorboard", "through_maps", "checkpointing", "half_base", "rollout_guidance", "force"}


def refused(program, tmp_path, text) -> str:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises((DataError, rfft.ConfigError)) as caught:
        MODULES[program].read_config(tmp_path / "c.toml")
    said = str(caught.value)
    assert len(said) < 400 and said.isprintable() and "c.toml" in said
    return said


@pytest.mark.parametrize("program, key", KEYS)
def test_values_that_do_not_belong_there_are_refused_by_name(program, key, tmp_path):
    others = "".join(f"{name} = {json.dumps(value)}\n" for name, value in GOOD[program].items() if name != key)
    for value in ODD:
        if value == "true" and key in SWITCHES:
            continue
        said = refused(program, tmp_path, f"{others}{key} = {value}\n")
        assert key in said or "is no TOML" in said or "invalid characters" in said or "has a tab" in said


@pytest.mark.parametrize("program", MODULES)
def test_an_unknown_key_is_answered_with_those_spelt_alike(program, tmp_path):
    assert "unknown keys: bacth. Known are batch" in refused(program, tmp_path, "bacth = 1\n")
    assert "unknown keys" in refused(program, tmp_path, "x" * 5000 + " = 1\n")


def test_numbers_stay_as_they_were_written(tmp_path):
    """A state of an earlier run knows its settings as JSON: 6 must not become 6.0."""
    (tmp_path / "c.toml").write_text(
        'train = "a"\nval = ["b"]\nout = "o"\nepochs = 6\nlr = 1\narchitecture = {width = 64}\n'
    )
    config = rfnet.read_config(tmp_path / "c.toml")
    assert json.dumps(
        [config.epochs, config.lr, config.map_epochs, config.architecture.width]
    ) == "[6, 1, 3, 64]" and config.train == [str(tmp_path / "a")]
    settings = rfft.config_of(
        {**GOOD["rfft"], "loras": [{"file": "x/a.safetensors", "strength": 1}], "beta": 0}, "it"
    ).settings()
    assert json.dumps([settings["loras"], settings["beta"]]) == '[[{"file": "a.safetensors", "strength": 1}], 0]'
    assert asdict(rfft.TrainConfig(**GOOD["rfft"]))["guidance"] == 7.5


@pytest.fixture
def table(tmp_path):
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((64, 64, 4), 255, np.uint8)).save(tmp_path / "p.png")
    (tmp_path / "dir.png").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo.png")
    return tmp_path / "t.jsonl"


@pytest.mark.parametrize(
    "line, words",
    [
        ("[]", "it is a list of 0"),
        ("null", "it is None"),
        ("7", "it is 7"),
        ("[" * 200_000, "nests more than 32"),
        ('{"a":' + "9" * 5000 + "}", "number of 5000 digits"),
        ('{"image": "a.png", "product": "p.png", "label": true}', "label: expected int"),
        ('{"image": ["a.png"], "product": "p.png", "label": 0}', "image: expected str"),
        ('{"image": "a.png", "product": "p.png", "label": 0, "caption": {"a": 1}}', "caption: expected"),
        ('{"image": "a\\u0000.png", "product": "p.png", "label": 0}', "invalid characters"),
        ('{"image": "\\ud800", "product": "p.png", "label": 0}', "invalid characters"),
        ('{"image": "a.png", "image": "a.png"}', 'says "image" twice'),
        ('{"label": NaN}', "NaN"),
        ('{"image": "' + "x" * 5000 + '", "product": "p.png", "label": 0}', "which does not exist"),
        ('{"image": "../a.png", "product": "p.png", "label": 0}', 'without ".."'),
    ],
)
def test_an_odd_row_is_named_with_its_line_and_the_others_count(line, words, table):
    good = '{"image": "a.png", "product": "p.png", "label": "available", "other": [1, {"a": null}]}\n'
    table.write_text(f"{good}{line}\n", encoding="utf-8")
    samples = read_table(table)
    (said,) = (sentence for kept in samples.findings.sentences.values() for sentence in kept)
    assert (
        len(samples) == 1
        and samples.findings.damaged == 1
        and 'line 2 of "t.jsonl"' in said
        and words in said
        and len(said) < 400
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes there")
@pytest.mark.parametrize("name, words", [("fifo.png", "is a pipe or a device"), ("dir.png", "is a folder")])
def test_a_pipe_or_a_folder_in_a_picture_s_place_is_named(name, words, table):
    table.write_text("".join(f'{{"image": "{image}", "product": "p.png", "label": 0}}\n' for image in ("a.png", name)))
    broken = read_table(table).read_many([1])[1]
    assert words in broken[0][1] and name in broken[0][1] and "Errno" not in broken[0][1]
