"""Values from outside (TOML, JSON, metadata of weights, command lines) into the types that they must have, with bounds, by msgspec.

    @dataclass
    class Options:
        steps: Annotated[int, Meta(ge=1, le=10_000)] = 20

    convert({"steps": 0}, Options, 'the config "a.toml"')
    # StructureError: the config "a.toml": steps: expected int >= 1, found 0.

Nothing is guessed at: True is no number, "3" is no number, 3 is no text, an unknown key is refused, NaN and infinity are no numbers.
"""

import json
import math
import re
from typing import TypeVar

import msgspec

T = TypeVar("T")
DEEPEST, DIGITS = 32, 40  # levels of brackets, and digits of a number, that anything of ours ever needs
LIMIT = 16 << 20  # characters of a JSON text


class StructureError(ValueError):
    """A value has another form than it must have; one sentence that names where it stands, what was found and what is allowed."""


def convert(value, kind: type[T], what: str) -> T:
    """`value`, made of dicts, lists, texts and numbers, as a `kind`: a dataclass, a msgspec.Struct or any annotation. Raises StructureError.

    what: what an error calls the whole of it, such as 'the config "a.toml"'. Unknown keys are refused.
    """
    _finite(value, what)
    if fields := _known(kind):
        if not isinstance(value, dict):
            raise StructureError(f"{what} is {shortened(value)}: it must be a table of keys and values.")
        if unknown := sorted(str(key) for key in set(value) - fields):
            raise StructureError(f"{what} has the unknown {shortened(unknown[0])}: known are {', '.join(sorted(fields))[:200]}.")
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise StructureError(_sentence(error, value, what)) from error


def from_json(text: str | bytes, kind: type[T], what: str) -> T:
    """A JSON text as a `kind`, as convert does it. Raises StructureError on text that is no JSON, nests too deep or says a key twice."""
    return convert(parse_json(text, what), kind, what)


def parse_json(text: str | bytes, what: str, nan: bool = False):
    """The value that a JSON text stands for. Raises StructureError: it may not be large, nest deep, say a key twice, or hold NaN (nan: it may)."""
    if len(text) > LIMIT:
        raise StructureError(f"{what} is {len(text) >> 20} MiB long: that is more than anything of ours needs.")
    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        _shallow(text, what)
        return json.loads(text, object_pairs_hook=_once(what), parse_constant=float if nan else _no_constant(what), parse_int=_number(int, what), parse_float=_number(float, what))
    except (ValueError, RecursionError) as error:
        if isinstance(error, StructureError):
            raise
        reason = str(error)[:100] or type(error).__name__
        raise StructureError(f"{what} is no JSON that can be read ({reason}): {shortened(text)}.") from error


def shortened(value, longest: int = 60) -> str:
    """A value as an error quotes it, never more than `longest` characters of it."""
    text = value if isinstance(value, str) else repr(value) if not isinstance(value, (dict, list, tuple, set)) else f"a {type(value).__name__} of {len(value)}"
    text = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text[: longest + 1])
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    return f'"{text}"' if isinstance(value, str) else text


def _known(kind) -> set:
    """The keys of a dataclass or Struct; empty for other types."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {field.encode_name for field in msgspec.structs.fields(kind)}
    return set(getattr(kind, "__dataclass_fields__", ()))


def _sentence(error: msgspec.ValidationError, value, what: str) -> str:
    """msgspec says "Expected `int` >= 1 - at `$.steps`"; the value that stands there is added."""
    reason, _, place = str(error).partition(" - at `")
    place = place.rstrip("`").removeprefix("$").removeprefix(".")
    where = f"{what}: {shortened(place)[1:-1]}" if place else what
    return f"{where}: {reason[0].lower()}{reason[1:].replace('`', '')}, found {shortened(_at(value, place))}."


def _at(value, place: str):
    """What stands at a place such as "a.b[3].c" in a value."""
    for part in place.replace("[", ".[").split("."):
        try:
            value = value[int(part[1:-1])] if part.startswith("[") else value[part] if part else value
        except (KeyError, IndexError, TypeError, ValueError):
            return value
    return value


def _finite(value, what: str, depth: int = 0) -> None:
    if depth > DEEPEST:
        raise StructureError(f"{what} nests more than {DEEPEST} levels deep.")
    if isinstance(value, float) and not math.isfinite(value):
        raise StructureError(f"{what} holds {value}: write a finite number.")
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 64:
        raise StructureError(f"{what} holds a number of more than 64 bits: write a smaller one.")
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        _finite(each, what, depth + 1)


def _shallow(text: str, what: str) -> None:
    """Before json recurses for each bracket."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", re.sub(r'"(?:[^"\\]|\\.)*"', "", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            raise StructureError(f"{what} nests more than {DEEPEST} brackets deep.")


def _once(what: str):
    def table(pairs: list) -> dict:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            raise StructureError(f"{what} says {shortened(next(key for key in keys if keys.count(key) > 1))} twice: keep one of them.")
        return found

    return table


def _no_constant(what: str):
    def refuse(name: str):
        raise StructureError(f"{what} holds {name}, which is no number of JSON's.")

    return refuse


def _number(kind: type, what: str):
    def read(text: str):
        if len(text) > DIGITS:
            raise StructureError(f"{what} holds a number of {len(text)} digits: write a shorter one.")
        return kind(text)

    return read
