"""Opinions by name, as command lines and nodes ask for them: "contact", or "language=FOLDER".

A further opinion is one entry of OPENERS, at its end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..files import quoted
from .protocol import AnyOpinion, OpinionError


@dataclass(frozen=True)
class Opener:
    """How a name becomes an Opinion. needs: what must be given behind "=", "" for nothing; open(path) -> an Opinion,
    or raises OpinionError; light: it loads no network.
    """

    needs: str
    open: Callable[[str], AnyOpinion]
    light: bool = False


def _contact(path: str) -> AnyOpinion:
    from .contact import Contact

    return Contact()


def _own_label(path: str) -> AnyOpinion:
    from .own_label import OwnLabel

    return OwnLabel()


def _language(path: str) -> AnyOpinion:
    from .language import Language

    return Language(path)


def _server(path: str) -> AnyOpinion:
    from .server import Server

    return Server(path)


def _expansion(path: str) -> AnyOpinion:
    from .expansion import open_expansion

    return open_expansion(path)


def _size(path: str) -> AnyOpinion:
    from .size import Size

    return Size()


OPENERS = {
    "contact": Opener("", _contact, light=True),
    "own_label": Opener("", _own_label, light=True),
    "language": Opener("FOLDER", _language),
    "server": Opener("FILE.json", _server, light=True),
    "expansion": Opener("FILE.onnx or FOLDER", _expansion),
    "size": Opener("", _size, light=True),
}


def named(text: str) -> tuple[Opener, str]:
    """(how it is opened, the path behind "=") of a text such as "contact". Raises OpinionError."""
    name, _, path = text.partition("=")
    opener = OPENERS.get(name)
    known = ", ".join(f"{each}={opener.needs}" if opener.needs else each for each, opener in OPENERS.items())
    if opener is None:
        raise OpinionError(f"{quoted(text, 60)} is no second opinion: use {known}.")
    if bool(path) != bool(opener.needs):
        way = f"write {name}={opener.needs}" if opener.needs else f"write {name} alone"
        raise OpinionError(f"{quoted(text, 60)} can't be opened: {way}.")
    return opener, path


def open_opinion(text: str) -> AnyOpinion:
    """The opinion that a text such as "contact" or "language=models/LLM/SmolVLM" names. Raises OpinionError."""
    opener, path = named(text)
    return opener.open(path)


def open_opinions(texts: Sequence[str]) -> list[AnyOpinion]:
    """The same for several. Raises OpinionError."""
    return [open_opinion(text) for text in texts]


def with_networks(opinions: Sequence[AnyOpinion]) -> list:
    """What holds a network, as `network`, in those that ask one: itself, or what it segments with."""
    return [model for model in (getattr(one, "segment", one) for one in opinions) if hasattr(model, "network")]


def check_opinions(texts: Sequence[str]) -> None:
    """Raises OpinionError for all that is seen before a network is loaded: names, files, what a server's file says."""
    for text in texts:
        opener, path = named(text)
        if opener.light:
            opener.open(path)
        elif not Path(path).exists():
            raise OpinionError(f"{quoted(text, 60)} can't be opened: {quoted(path)} does not exist, check the path.")
    check_twice([text.partition("=")[0] for text in texts])


def check_twice(names: Sequence[str]) -> None:
    """Raises OpinionError where an opinion's name is there twice."""
    if twice := [name for name in names if names.count(name) > 1]:
        raise OpinionError(f"the opinion {twice[0]} is given twice: give each once.")
