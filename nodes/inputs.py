"""What may go into an input: which outputs may be linked to it, and what a value has to be. One place for all nodes.

ComfyUI itself compares the names of types while queueing, in another way in each of its versions, and never looks
at what then comes through a link. Here a link may also join what means the same (a list of names and COMBO, a text
that is in the list, INT and FLOAT), and each value is looked at.
"""

import math
import operator

import torch
from comfy_execution.validation import validate_node_input

NAMES = ("COMBO", "STRING")  # what may bring a name, beside the lists of names that old nodes have for a type
ALSO = {"INT": ("FLOAT",), "FLOAT": ("INT",), "STRING": ("COMBO",)}  # what may be linked beside the type itself
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
LONGEST = 1_000_000  # characters of a text
SEEDS = 2**64


class Refused(ValueError):
    """An input that a node can't use; one sentence that begins with the input's name."""


def quoted(value, longest: int = 60) -> str:
    """A value as a sentence names it, shortened; a text stands in quotes."""
    return f'"{shown(value, longest)}"' if isinstance(value, str) else shown(repr(value), longest)


def shown(text: str, longest: int = 60) -> str:
    """A text on one line without signs that turn, hide or break what stands around it, shortened."""
    line = " ".join(text[: 2 * longest].split())
    cut = line[:longest] + "..." * (len(line) > longest or len(text) > 2 * longest)
    return "".join(sign if sign.isprintable() else "?" for sign in cut)


def check_link(name: str, kind, about: dict, received) -> None:
    """Raises Refused where an output of type `received` can't be meant for the input `name`.

    Types are ComfyUI's; that of an old node's output may be a list of names.
    """
    wanted = "COMBO" if isinstance(kind, (list, tuple)) else kind
    if is_names(received):
        options = options_of(kind, about)
        in_common = not received or not options or set(map(str, received)) & set(map(str, options))
        if wanted == "STRING" or (wanted == "COMBO" and in_common):
            return
        needs = f"one of {few(options)}" if wanted == "COMBO" else spoken(wanted)
        raise Refused(f"{name} can't take the names that are linked to it ({few(received)}): it takes {needs}.")
    also = NAMES if wanted == "COMBO" else ALSO.get(wanted, ())
    if str(received) != "*" and not any(validate_node_input(received, each) for each in (wanted, *also)):
        needs = " or ".join(dict.fromkeys([spoken(wanted), *also]))
        raise Refused(f"{name} can't take a link of type {few([received])}: connect {needs} to it.")


def value_of(name: str, kind, about: dict, value, linked: bool = False):
    """The value as the node takes it: 20.0 for an INT is 20. linked: it came through a link. Raises Refused."""
    wanted = "COMBO" if isinstance(kind, (list, tuple)) else kind
    if wanted in ("INT", "FLOAT"):
        return number(name, about, value, wanted == "INT")
    if wanted == "BOOLEAN":
        return truth(name, value)
    if wanted == "STRING":
        return text(name, value, linked)
    if wanted == "COMBO":
        return choice(name, options_of(kind, about), value)
    if value is None or isinstance(value, (str, bytes, int, float)):
        given = "nothing" if value is None else quoted(value)
        raise Refused(f"{name} got {given}, and needs {spoken(wanted)}: connect an output of that type to it.")
    if wanted in ("IMAGE", "MASK", "IMAGE,MASK", "LATENT"):
        check_tensor(name, wanted, value)
    return value


def number(name: str, about: dict, value, whole: bool):
    """An int or a float within the input's bounds. A seed below 0 is what torch, and so KSampler, takes it for."""
    result = plain_number(value)
    if result is None or not math.isfinite(result):
        raise Refused(f"{name} is {quoted(value)}, which is no {'whole ' * whole}number.")
    if whole:
        if abs(result - round(result)) > 1e-6:
            raise Refused(f"{name} is {result:g}, and must be a whole number: round it first.")
        result = round(result)
    low = about.get("min", -math.inf)
    high = about.get("max", math.inf)
    if whole and high == SEEDS - 1 and -(2**63) <= result < 0:
        return result % SEEDS
    near = 0 if whole else 1e-6  # what arithmetic in another node leaves of 1.0
    if not low - near <= result <= high + near:
        raise Refused(f"{name} is {quoted(result)}, and must lie between {low} and {high}.")
    return result if whole else min(max(float(result), low), high)


def plain_number(value) -> int | float | None:
    """A Python number, also out of numpy's and of a tensor with one element; None for anything else."""
    if isinstance(value, (str, bytes)):
        return None
    for convert in (operator.index, float):
        try:
            return convert(value)
        except (TypeError, ValueError, OverflowError, RuntimeError):
            continue
    return None


def truth(name: str, value) -> bool:
    try:
        result = value.item() if hasattr(value, "item") else value
    except (ValueError, RuntimeError):
        result = None
    if not isinstance(result, (bool, int, float)):
        raise Refused(f"{name} is {quoted(value)}, and must be true or false.")
    return bool(result)


def text(name: str, value, linked: bool) -> str:
    if isinstance(value, (bool, int, float)):
        value = str(value)
    if not isinstance(value, str):
        raise Refused(f"{name} got {quoted(value)}, and needs a text.")
    if len(value) > LONGEST and not linked:
        raise Refused(f"{name} holds {len(value)} characters, and must not be longer than {LONGEST}.")
    if "\0" in value or any("\ud800" <= sign <= "\udfff" for sign in value):
        raise Refused(f"{name} holds an invalid character (a NUL, or half a character): type it again.")
    return value


def choice(name: str, options: list, value) -> str:
    if not isinstance(value, str):
        raise Refused(f"{name} is {quoted(value)}, and must be one of {few(options)}.")
    text(name, value, linked=False)
    if value not in options:
        raise Refused(f"{name} is {quoted(value)}, which is not in its list: choose one of {few(options)}.")
    return value


def check_tensor(name: str, wanted: str, value) -> None:
    fits = {"IMAGE": is_image, "MASK": is_mask, "LATENT": is_latent}
    if not any(fits[kind](value) for kind in wanted.split(",")):
        shape = f"of shape {tuple(value.shape)}" if hasattr(value, "shape") else f"({type(value).__name__})"
        raise Refused(f"{name} got something {shape}, which is no {spoken(wanted)}: look at the node that made it.")


def is_image(value) -> bool:
    return torch.is_tensor(value) and value.ndim == 4 and value.shape[-1] >= 3 and value.numel() > 0


def is_mask(value) -> bool:
    return torch.is_tensor(value) and 2 <= value.ndim <= 4 and value.numel() > 0


def is_latent(value) -> bool:
    return isinstance(value, dict) and hasattr(value.get("samples"), "shape")


def options_of(kind, about: dict) -> list:
    """The names that a list input offers, in either of ComfyUI's spellings; none for other inputs."""
    return list(kind) if isinstance(kind, (list, tuple)) else list(about.get("options") or [])


def is_names(received) -> bool:
    return isinstance(received, (list, tuple, set, frozenset, dict))


def spoken(wanted: str) -> str:
    """A type as a sentence names it: "IMAGE or MASK"."""
    return wanted.replace(",", " or ")


def few(names, most: int = 6, longest: int = 40) -> str:
    """The first names of a list, and how many more there are."""
    names = [shown(str(name), longest) for name in names]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing") + more
