"""A training of `rfft train` as the tab asks for it: its files in a folder of its own. Knows no web UI."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..rfft.config import TrainConfig, config_of
from ..rfft.inputs import check_result, check_reviewer, open_products, prompts_of
from ..rfft.interactive import SHORTER, advanced_settings, usual_for
from ..rfnet.files import write_text
from ..rfnet.weights import read_metadata

SOURCE = "what Tune was given"


@dataclass(frozen=True)
class Asked:
    """What the section's inputs say. pocket: the family of checkpoint and controlnet; settings: fields of TrainConfig;
    loras: the folder that LoRAs in `advanced` are named in; cpu: where it will run.
    """

    checkpoint: Path
    controlnet: Path
    reviewer: Path
    products: Path
    prompts: str
    folder: Path
    settings: dict
    advanced: str
    loras: Path
    pocket: bool
    cpu: bool


@dataclass(frozen=True)
class Prepared:
    """arguments: of the command line; notes: sentences on products that are left out."""

    arguments: list
    log: Path
    picture: Path
    config: TrainConfig
    notes: list


def prepare(asked: Asked, place: Path) -> Prepared:
    """Checks all that is quick to check, and writes config.toml and prompts.txt into place/NAME.

    Raises ConfigError and the libraries' other errors, each a sentence that says what to do.
    """
    from ..pocket.ldm import check_pair
    from ..pocket.tuning import SAMPLING

    if asked.pocket:
        check_pair(asked.checkpoint, asked.controlnet)
    usual = SAMPLING if asked.pocket else usual_for(asked.checkpoint, asked.controlnet, asked.cpu)
    values = {
        **usual,
        **SHORTER,
        **asked.settings,
        **advanced_settings(asked.advanced),
        "checkpoint": str(asked.checkpoint),
        "controlnet": str(asked.controlnet),
        "reviewer": str(asked.reviewer),
        "products": str(asked.products),
        "prompts": "prompts.txt",
        "folder": str(asked.folder),
        "family": "pocket" if asked.pocket else "diffusers",
    }
    config = config_of(values, SOURCE)
    loras = [{**lora, "file": str(lora_path(asked.loras, lora["file"]))} for lora in config.loras]
    check_result(config)
    check_reviewer(read_metadata(config.reviewer), asked.reviewer.name, config.minimum_ap, config.force)
    prompts = prompts_of(asked.prompts.splitlines())
    listed = open_products(asked.products)
    own = place / config.name
    write_text(own / "prompts.txt", "".join(f"{prompt}\n" for prompt in prompts))
    write_text(own / "config.toml", toml({**values, **({"loras": loras} if loras else {})}))
    picture = own / "progress.png"
    arguments = ["rfft", "train", own / "config.toml", "--picture", picture]
    return Prepared(arguments, own / "log.txt", picture, config, listed.sentences)


def lora_path(folder: Path, name: str) -> Path:
    """A LoRA of the web UI, by its name below its folder. Raises ValueError on what is none, or lies elsewhere."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.safetensors"))}
    if name not in found:
        raise ValueError(f'there is no LoRA "{name}" in {folder}: give the name of a file there.')
    return found[name]


def toml(values: dict) -> str:
    """A TOML file of texts, numbers, truths, lists and tables in one line."""
    return "".join(f"{key} = {toml_value(value)}\n" for key, value in values.items())


def toml_value(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_value(str(key))} = {toml_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
