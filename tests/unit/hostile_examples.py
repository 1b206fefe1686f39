"""How a hostile file has to be refused, and texts that parsers choke on."""

import json

import pytest

from reliable_ads.pocket.ldm import CONTROLNET, PocketFileError
from reliable_ads.rfnet.tensors import read_header
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS

GATES = DEFAULT_WEIGHTS.with_name("pocket.gates.json")
DEEP, LONG = "[" * 200_000, "9" * 5000
CONFIG = json.loads(read_header(CONTROLNET, PocketFileError).metadata["pocket"])


def refused(call, error, *names) -> str:
    """What is said: one short sentence that names all of these."""
    with pytest.raises(error) as caught:
        call()
    said = str(caught.value)
    assert len(said) < 400 and said.isprintable() and all(name in said for name in names), said
    return said
