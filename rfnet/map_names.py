"""What maps are called in weights, in tables and in sentences: depth and saliency, and where they come from."""

import json
from typing import Annotated

import msgspec
from msgspec import Meta

from .structured import from_json, shortened

BUILTIN = "builtin"  # MapNet, whose weights lie in the reviewer's own file
OUTSIDE = "another node"  # maps that another node made, by whatever means
KINDS = ("depth", "saliency")
LONGEST_NAME = 200

Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME, pattern=r"^[^\x00-\x1f\x7f]+\Z")]


class MapNames(msgspec.Struct):
    depth: Name
    saliency: Name


class MapError(RuntimeError):
    """This model can't be used as a source of maps; the message names it, and what to do."""


def map_name(depth: str = BUILTIN, saliency: str = BUILTIN) -> str:
    """The record of two estimators: one word where one made both, else JSON such as {"depth": "builtin", "saliency":
    "u2net"}.
    """
    return depth if depth == saliency else json.dumps({"depth": depth, "saliency": saliency})


def parse_maps(text: str) -> dict:
    """{"depth": name, "saliency": name} out of what map_name wrote. Raises ValueError on anything else."""
    if not text.lstrip().startswith("{"):
        if not text.strip():
            raise ValueError("it is empty")
        if len(text) > LONGEST_NAME or not text.isprintable():
            raise ValueError(f"{shortened(text)} is no name of a model")
        return dict.fromkeys(KINDS, text)
    return msgspec.to_builtins(from_json(text, MapNames, "it"))


def map_notes(trained: dict, fed: dict) -> list:
    """One sentence for each kind whose maps are fed from something else than what the reviewer was trained with."""
    return [
        f'The {kind} maps come from "{fed[kind]}", but this reviewer was trained with "{trained[kind]}" ones: '
        "its verdicts hold only as far as the two agree, so feed the maps that it knows, or train it with these."
        for kind in fed
        if fed[kind] != trained[kind]
    ]
