"""Values from outside (TOML, JSON, metadata of weights, command lines) into the types that they must have, with bounds,
by msgspec.

    @dataclass
    class Options:
        steps: Annotated[int, Meta(ge=1, le=10_000)] = 20

    convert({"steps": 0}, Options, 'the config "a.toml"')
    # StructureError: the config "a.toml": steps: expected int >= 1, found 0.

Nothing is guessed at: True is no number, "3" is no number, 3 is no text, an unknown key is refused, NaN and infinity
are no numbers.
"""

import difflib
import json
import math
import re
from functools import cache, lru_cache
from typing import Any, TypeVar, get_args, get_type_hints, overload

import msgspec

T = TypeVar("T")
DEEPEST, DIGITS = 32, 40  # levels of brackets, and digits of a number, that anything of ours ever needs
LIMIT = 16 << 20  # characters of a JSON text


class StructureError(ValueError):
    """A value has another form than it must have; one sentence that names where it stands, what was found and what is
    allowed.
    """


@overload
def convert(value, kind: type[T], what: str) -> T: ...


@overload
def convert(value, kind: Any, what: str) -> Any: ...  # an annotation, such as Annotated[int, Meta(ge=0)]


def convert(value, kind, what: str):
    """`value`, made of dicts, lists, texts and numbers, as a `kind`: a dataclass, a msgspec.Struct or any annotation.

    Raises StructureError.

    what: what an error calls the whole of it, such as 'the config "a.toml"'. Unknown keys are refused.
    """
    _finite(value, what)
    if _known(kind):
        if not isinstance(value, dict):
            raise StructureError(f"{what} is {shortened(value)}: it must be a table of keys and values.")
        refuse_unknown(value, kind, what)
    try:
        found = msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise StructureError(_sentence(error, value, what)) from error
    if unknown := _left_over(value, msgspec.to_builtins(found, enc_hook=str)):
        raise StructureError(f"{what} has the unknown {shortened(unknown)}: leave it out.")
    return found


def check_fields(instance, names: tuple = ()) -> None:
    """The fields of a dataclass against the types and bounds of its annotations; their values stay as they are, so that
    6 does not become 6.0. names: only these. Raises StructureError: 'steps is 0: it must be a whole number of at least
    1.'
    """
    for name, kind in get_type_hints(type(instance), include_extras=True).items():
        if names and name not in names:
            continue
        value = getattr(instance, name)
        _finite(value, name)
        try:
            msgspec.convert(value, kind, strict=True)
        except msgspec.ValidationError as error:
            reason, _, place = str(error).partition(" - at `$")
            found = _at(value, place.rstrip("`").removeprefix("."))
            raise StructureError(
                f"{name}{shortened(place.rstrip('`'), 30)[1:-1]} is {shortened(found)}: {_wanted(reason, kind)}."
            ) from error


def refuse_unknown(values: dict, kind: type, what: str) -> None:
    """Raises StructureError where a table has keys that a dataclass lacks; those that are spelt most alike are named
    first.
    """
    known = _known(kind)
    if unknown := sorted(str(key) for key in set(values) - known):
        told = ", ".join(shortened(key, 40)[1:-1] for key in unknown[:3]) + (" and others" if len(unknown) > 3 else "")
        raise StructureError(f"{what}: unknown keys: {told}. Known are {nearest(unknown[0], known)}: use these.")


def nearest(word: str, known) -> str:
    """Names, those first that are spelt most like a word, cut where they get long."""
    names = sorted(known, key=lambda name: -difflib.SequenceMatcher(None, word[:60], name).ratio())
    return ", ".join(names[:12]) + (f" and {len(names) - 12} others" if len(names) > 12 else "")


@overload
def from_json(text: str | bytes, kind: type[T], what: str) -> T: ...


@overload
def from_json(text: str | bytes, kind: Any, what: str) -> Any: ...


def from_json(text: str | bytes, kind, what: str):
    """A JSON text as a `kind`, as convert does it.

    Raises StructureError on text that is no JSON, nests too deep or says a key twice.
    """
    return convert(parse_json(text, what), kind, what)


def parse_json(text: str | bytes, what: str, nan: bool = False):
    """The value that a JSON text stands for.

    Raises StructureError: it may not be large, nest deep, say a key twice, or hold NaN (nan: it may).
    """
    if len(text) > LIMIT:
        raise StructureError(f"{what} is {len(text) >> 20} MiB long: that is more than anything of ours needs.")
    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        _shallow(text, what)
        return _decoder(what, nan).decode(text)
    except UnicodeDecodeError as error:
        raise StructureError(f"{what} is no JSON: its bytes are no text in UTF-8.") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, StructureError):
            raise
        reason = str(error)[:100] or type(error).__name__
        raise StructureError(f"{what} is no JSON that can be read ({reason}): {shortened(text)}.") from error


@lru_cache(maxsize=16)
def _decoder(what: str, nan: bool) -> json.JSONDecoder:
    constant = float if nan else _no_constant(what)
    return json.JSONDecoder(
        object_pairs_hook=_once(what),
        parse_constant=constant,
        parse_int=_number(int, what),
        parse_float=_number(float, what),
    )


def shortened(value, longest: int = 60) -> str:
    """A value as an error quotes it, never more than `longest` characters of it."""
    text = (
        value
        if isinstance(value, str)
        else (
            repr(value)
            if not isinstance(value, (dict, list, tuple, set))
            else f"a {type(value).__name__} of {len(value)}"
        )
    )
    text = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text[: longest + 1])
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    return f'"{text}"' if isinstance(value, str) else text


WORDS = (  # what msgspec says, for people
    ("int | float", "a number"),
    ("int", "a whole number"),
    ("float", "a number"),
    ("str", "a text"),
    ("bool", "true or false"),
    ("array", "a list"),
    ("object", "a table"),
    ("null", "nothing"),
    (" | ", " or "),
    (" of length >= 1", " that is not empty"),
    (" >= ", " of at least "),
    (" <= ", " of at most "),
    (" > ", " of more than "),
    (" < ", " of less than "),
)


def _wanted(reason: str, kind) -> str:
    """What msgspec expects, in words: "it must be a whole number of at least 1", "use one of cc, kl, none"."""
    if reason.startswith("Invalid enum value"):
        return f"use one of {', '.join(map(str, get_args(kind)))}"
    told = reason.split(", got")[0].removeprefix("Expected ").replace("`", "")
    for word, plain in WORDS:
        told = re.sub(rf"\b{re.escape(word)}\b" if word[0].isalpha() else re.escape(word), plain, told)
    return "it must be " + re.sub(r"([0-9])[.]0$", r"\1", told)


def _left_over(value, taken) -> str:
    """A key inside of a value that msgspec passed over, as it does in a dataclass; "" where all of it was taken."""
    if isinstance(value, dict) and isinstance(taken, dict):
        left = [str(key) for key in value if key not in taken]
        return left[0] if left else next(filter(None, (_left_over(value[key], taken[key]) for key in value)), "")
    if isinstance(value, (list, tuple)) and isinstance(taken, (list, tuple)):
        return next(filter(None, map(_left_over, value, taken)), "")
    return ""


@cache
def _known(kind) -> frozenset:
    """The keys of a dataclass or Struct; empty for other types."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return frozenset(field.encode_name for field in msgspec.structs.fields(kind))
    return frozenset(getattr(kind, "__dataclass_fields__", ()))


def _sentence(error: msgspec.ValidationError, value, what: str) -> str:
    """msgspec says "Expected `int` >= 1 - at `$.steps`"; the value that stands there is added."""
    if isinstance(error.__cause__, (ValueError, TypeError)) and not isinstance(
        error.__cause__, msgspec.ValidationError
    ):
        return f"{what}: {error.__cause__}"  # what __post_init__ says
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
    if isinstance(value, str) and ("\0" in value or not _whole(value)):
        raise StructureError(f"{what} holds a text with invalid characters, in {shortened(value)}: write it again.")
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        _finite(each, what, depth + 1)


def _whole(text: str) -> bool:
    """Whether a text can be written to a file: JSON's \\ud800 can't."""
    try:
        return text.isascii() or bool(text.encode("utf-8"))
    except UnicodeEncodeError:
        return False


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
            raise StructureError(
                f"{what} says {shortened(next(key for key in keys if keys.count(key) > 1))} twice: keep one of them."
            )
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
