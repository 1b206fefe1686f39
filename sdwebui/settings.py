"""What the accordion holds: its values, their names in the API and in infotext, and what is asked of each.

Knows no web UI, so that it is tested without one.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from ..cyclic.remedies import REMEDIES, Policy, names
from ..rfnet.common_sizes import LARGEST_CM
from ..rfnet.files import is_safe_name, quoted
from ..rfnet.risks import ACCEPT

AUTO, NONE = "auto", "none"
MARKS = ("product", "background")
POSITIONS = ("centre", "keep")
ON_EXHAUSTED = ("best", "last", "stop")
MEASURES = ("contact", "own_label", "size")  # second opinions that need no file
ASKED = ("server", "expansion")  # and those that need one: "server=NAME.json", "expansion=NAME.onnx"
PRODUCT = "RF product"  # where infotext names the product's file in the store
LIMITS = {
    "image_scale": (0.05, 1.0),
    "threshold": (0.0, 1.0),
    "control_weight": (0.0, 2.0),
    "size_cm": (0.0, LARGEST_CM),
}
CHOICES = {"mask_marks": MARKS, "position": POSITIONS, "on_exhausted": ON_EXHAUSTED, "accept": tuple(ACCEPT)}


class Refused(ValueError):
    """What can't be done as it was asked for; one sentence that says what to do."""


def words_of(name: str) -> str:
    return next(remedy.words for remedy in REMEDIES if remedy.name == name)


@dataclass(frozen=True)
class Settings:
    """The accordion's values, in the order of its components. The API takes them by these names.

    product, mask: a Pillow picture, or as the API gives it, base64. product_name: a product that was used before, by
    its name in infotext; taken where no product is given. begin_at: the remedies of an attempt, as its infotext lists
    them, to draw it again.
    """

    enabled: bool = False
    product: Any = None
    product_name: str = ""
    mask: Any = None
    mask_marks: str = "product"
    use_init_image: bool = False
    caption: str = ""
    image_scale: float = 0.72
    position: str = "centre"
    attempts: int = 5
    on_exhausted: str = "best"
    keep_rejected: bool = False
    reviewer_name: str = "rfnet_compact.safetensors"
    threshold: float = 0.0
    accept: str = "threshold"
    early_rejection: str = AUTO
    control_net_name: str = AUTO
    control_weight: float = 1.0
    remedies: tuple = field(default_factory=lambda: tuple(r.name for r in REMEDIES if r.on and r.name != "tuned"))
    tuned_control_net_name: str = NONE
    contrast_words: str = words_of("contrast")
    surface_words: str = words_of("surface")
    avoid_words: str = words_of("avoid")
    begin_at: str = ""
    opinions: tuple = ()
    size_cm: float = 0.0

    @classmethod
    def from_args(cls, args) -> Settings:
        """From the values of the accordion's components, or from one dict of named values, as the API gives them.

        Raises Refused on a name or a value that can't be meant.
        """
        args = list(args)
        if args and isinstance(args[0], dict):
            given = {"enabled": True, **args[0]}
            if unknown := sorted(set(given) - set(NAMES)):
                raise Refused(f"there is no setting {quoted(unknown[0], 30)}: use some of {', '.join(NAMES)}.")
        else:
            given = dict(zip(NAMES, args))
        return cls(**{name: checked(name, value) for name, value in given.items()})

    def infotext(self) -> dict:
        """{name in infotext: value} of all that makes a picture, the product aside."""
        apart = ("remedies", "opinions", "size_cm")
        values = {TITLES[name]: getattr(self, name) for name in TITLES if name not in apart}
        values[TITLES["remedies"]] = " + ".join(self.remedies) or NONE
        values[TITLES["opinions"]] = " + ".join(self.opinions)
        values[TITLES["size_cm"]] = self.size_cm or ""
        return {title: value for title, value in values.items() if value != ""}

    @property
    def words(self) -> dict[str, str]:
        """{remedy: its words} of those that have any."""
        named = {name: getattr(self, f"{name}_words", "").strip() for name in names()}
        return {name: text for name, text in named.items() if text}

    @property
    def changes(self) -> list:
        """begin_at, such as "dilation -4 + control 1.15", as a report lists it. Raises Refused."""
        try:
            parts = [part.split() for part in self.begin_at.split("+") if part.strip()]
            changes = [{"remedy": name, "after": float(value)} for name, value in parts]
            Policy().begin_at(changes)
            if held := {change["remedy"] for change in changes} & HELD:
                raise ValueError(f"what {min(held)} changes stands in the page itself")
            return changes
        except ValueError as error:
            raise Refused(
                f"begin_at is {quoted(self.begin_at, 60)}, and no list of remedies ({str(error)[:120]}): take it from a"
                " picture's infotext, or leave it empty."
            ) from error


def begin_at(changes: list) -> str:
    """What infotext says of an attempt's remedies: those that the host's own infotext doesn't hold, as it does the
    prompts and the CFG scale.
    """
    return " + ".join(f"{each['remedy']} {each['after']:g}" for each in changes if each["remedy"] not in HELD)


NAMES = tuple(each.name for each in dataclasses.fields(Settings))
DEFAULTS = Settings()
# not in infotext: pictures (the product is there by its name in the store), and what makes no picture another one
TITLES = {
    name: "RF " + name.replace("_", " ")
    for name in NAMES
    if name not in ("enabled", "product", "product_name", "mask", "mask_marks", "use_init_image", "keep_rejected")
}
ENABLED = "RF enabled"
HELD = {"guidance", *(remedy.name for remedy in REMEDIES if remedy.words)}  # remedies that the host's infotext holds


def checked(name: str, value):
    """The value of a setting, of the type that it has. Raises Refused."""
    default = getattr(DEFAULTS, name)
    if value is None or (name == "size_cm" and value == ""):  # infotext has none where nobody said
        return default
    if default is None:
        return value
    if isinstance(default, bool):
        return value.strip().lower() == "true" if isinstance(value, str) else bool(value)
    if isinstance(default, tuple):
        return checked_opinions(value) if name == "opinions" else checked_remedies(value)
    if isinstance(default, (int, float)):
        return checked_number(name, value, type(default))
    text = str(value)
    if name in CHOICES and text not in CHOICES[name]:
        raise Refused(f"{name} is {quoted(text, 60)}: choose one of {', '.join(CHOICES[name])}.")
    if len(text) > 2000:
        raise Refused(f"{name} has {len(text)} letters: at most 2000 make sense.")
    return text


def checked_number(name: str, value, kind: type):
    low, high = LIMITS.get(name, (1, 1000))
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise Refused(f"{name} is {quoted(value, 60)}: it must be a number between {low:g} and {high:g}.") from None
    if not (math.isfinite(number) and low <= number <= high and (kind is float or number == int(number))):
        raise Refused(f"{name} is {value}: it must be a{' whole' * (kind is int)} number between {low:g} and {high:g}.")
    return kind(number)


def listed(name: str, value, known: str, sign: str = "+") -> tuple:
    """The names in a list, or in infotext's "contrast + surface" with this sign. known: which there are.

    Raises Refused.
    """
    if not isinstance(value, str | list | tuple):
        raise Refused(f"{name} is {quoted(value, 60)}: give a list of names out of {known}.")
    asked = value.split(sign) if isinstance(value, str) else value
    asked = [str(each).strip() for each in asked]
    return tuple(each for each in asked if each not in ("", NONE))


def checked_opinions(value) -> tuple:
    """The names of second opinions. Raises Refused; whether their files are there, opening tells."""
    known = ", ".join([*MEASURES, *(f"{kind}=FILE" for kind in ASKED)])
    chosen = tuple(dict.fromkeys(listed("opinions", value, known, " + ")))
    for name in chosen:
        kind, _, file = name.partition("=")
        if name not in MEASURES and not (kind in ASKED and is_safe_name(file)):
            raise Refused(f"there is no second opinion {quoted(name, 60)}: choose out of {known}.")
    return chosen


def checked_remedies(value) -> tuple:
    """The names of remedies, of a list or of infotext's "contrast + surface"."""
    chosen = listed("remedies", value, ", ".join(names()))
    if unknown := sorted(set(chosen) - set(names())):
        raise Refused(f"there is no remedy {quoted(unknown[0], 60)}: choose out of {', '.join(names())}.")
    return chosen
