"""Who paints in a graph: the model with its LoRAs and the ControlNets of a draw, told by their weights."""

import logging

from ..rfnet.painters import Painter, fingerprint
from .early_rejection import fingerprint_of
from .families import all_controls
from .hints import shows


def painter_of(draw, tuned=None) -> Painter | None:
    """The painter of a Draw; None where it can't be told.

    tuned: a CONTROL_NET that takes the place of those that show the product, as a remedy lets it.
    """
    controls = [tuned if tuned is not None and shows(each, draw.canvas) else each for each in all_controls(draw)]
    networks = {id(network): network for network in (getattr(each, "control_model", None) for each in controls)}
    if None in networks.values() or changes_more(draw.patcher):
        return None
    try:
        controlnets = frozenset(fingerprint(network.state_dict().values()) for network in networks.values())
        return Painter(fingerprint_of(draw.patcher, of_network), controlnets)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        logging.info("Reliable Ads: it can't be told what paints (%s)", error)  # other packs' networks are of any kind
        return None


def of_network(network, original: dict) -> str:
    """The fingerprint of a network, with some of its weights as they were loaded."""
    return fingerprint((network.state_dict() | original).values())


def changes_more(patcher) -> bool:
    """Whether nodes have changed more of a model than its weights, as IP-Adapters do: no file says how."""
    options = patcher.model_options.get("transformer_options", {})
    return bool(patcher.object_patches or options.get("patches") or options.get("patches_replace"))
