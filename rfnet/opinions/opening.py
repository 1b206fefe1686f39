"""Opinions by name, as command lines and nodes ask for them: "contact", or "language=FOLDER".

A further opinion is one entry of OPENERS, at its end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..files import quoted
from .protocol import Opinion, OpinionError


@dataclass(frozen=True)
class Opener:
    """How a name becomes an Opinion. needs: what must be given behind "=", "" for nothing; open(path) -> an Opinion,
    or raises OpinionError.
    """

    needs: str
    open: Callable[[str], Opinion]


def _contact(path: str) -> Opinion:
    from .contact import Contact

    return Contact()


def _own_label(path: str) -> Opinion:
    from .own_label import OwnLabel

    return OwnLabel()


def _language(path: str) -> Opinion:
    from .language import Language

    return Language(path)


def _server(path: str) -> Opinion:
    from .server import Server

    return Server(path)


def _expansion(path: str) -> Opinion:
    from .expansion import open_expansion

    return open_expansion(path)


OPENERS = {
    "contact": Opener("", _contact),
    "own_label": Opener("", _own_label),
    "language": Opener("FOLDER", _language),
    "server": Opener("FILE.json", _server),
    "expansion": Opener("FILE.onnx or FOLDER", _expansion),
}


def open_opinion(text: str) -> Opinion:
    """The opinion that a text such as "contact" or "language=models/LLM/SmolVLM" names. Raises OpinionError."""
    name, _, path = text.partition("=")
    opener = OPENERS.get(name)
    known = ", ".join(f"{each}={opener.needs}" if opener.needs else each for each, opener in OPENERS.items())
    if opener is None:
        raise OpinionError(f"{quoted(text, 60)} is no second opinion: use {known}.")
    if bool(path) != bool(opener.needs):
        way = f"write {name}={opener.needs}" if opener.needs else f"write {name} alone"
        raise OpinionError(f"{quoted(text, 60)} can't be opened: {way}.")
    return opener.open(path)


def open_opinions(texts: Sequence[str]) -> list[Opinion]:
    """The same for several. Raises OpinionError."""
    return [open_opinion(text) for text in texts]
