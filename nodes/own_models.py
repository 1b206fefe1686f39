"""Models that ComfyUI itself loads, asked for a second opinion: what they are called, and what their faults become."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..rfnet.opinions.protocol import OpinionError
from ..rfnet.painters import fingerprint
from ..rfnet.structured import shortened


@contextmanager
def asking(name: str) -> Iterator[None]:
    """What goes wrong in a model becomes an OpinionError that names it. Without room on the device ComfyUI has its own
    ways, so that stays what it is.
    """
    try:
        yield
    except (OpinionError, torch.cuda.OutOfMemoryError):
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError) as error:
        reason = shortened(str(error).split("\n")[0].rstrip("."), 150)[1:-1]
        raise OpinionError(f"{name} could not be asked ({reason}).") from error


def known_as(name: str, network) -> str:
    """A model by name and weights: a layer that was fitted with its answers holds for no other."""
    try:
        return f"{name} {fingerprint(network.state_dict().values())}"
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        logging.info("Reliable Ads: can't tell the weights of %s (%s)", name, error)  # packed in new ways, perhaps
        return name
