"""A training's config: a TOML file, and changes from the command line above it, as a dataclass that checks itself."""

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from ..files import quoted
from ..structured import StructureError, nearest, refuse_unknown, shortened
from ..textfiles import TextError, read_toml, toml_reader


class Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


Config = TypeVar("Config", bound=Dataclass)


def read_toml_config(
    path, kind: type[Config], error: type[Exception], paths: tuple[str, ...], changes: dict | None = None
) -> Config:
    """The file at `path` as a `kind`, a dataclass.

    paths: keys whose texts are paths, relative to the file's folder ("loras.file": that key of each table in a list);
    changes: {key: value} that stand above the file's; None leaves the file's. Raises `error`.
    """
    path = Path(path)
    changes = changes or {}
    source = f"the config {quoted(path)}"
    try:
        values = read_toml(path)
        refuse_unknown(values, kind, source)
    except TextError as cause:
        raise error(f"the config {cause}") from cause
    except StructureError as cause:
        raise error(str(cause)) from cause
    names = [field.name for field in fields(kind)]
    if unknown := sorted(changes.keys() - set(names)):
        key = shortened(unknown[0], 40)[1:-1]
        raise error(f"there is no key {key} to set. Known are {nearest(unknown[0], names)}: use these.")
    for key in paths:
        values = _from_folder(path.parent, values, key.split("."))
    values |= {key: value for key, value in changes.items() if value is not None}
    return make_config(values, kind, error, source)


def make_config(values: dict, kind: type[Config], error: type[Exception], source: str) -> Config:
    """A `kind` of these values. source: what messages call them. Raises `error`, which names what is wrong."""
    try:
        refuse_unknown(values, kind, source)
    except StructureError as cause:
        raise error(str(cause)) from cause
    required = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    if missing := [name for name in required if name not in values]:
        raise error(f"{source} lacks {', '.join(missing)}: name it there or on the command line.")
    try:
        return kind(**values)
    except ValueError as cause:
        raise error(f"{source} can't be used: {cause}") from cause


def parse_overrides(pairs: list[str], error: type[Exception]) -> dict:
    """{key: value} out of "key=value" texts, the values as TOML has them; a word without quotes is a text.

    Raises `error`.
    """
    try:
        toml = toml_reader()
    except TextError as cause:
        raise error(str(cause)) from None
    overrides: dict = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            raise error(f"{quoted(pair, 60)} is no change of the config: write key=value, such as epochs=2.")
        try:
            overrides |= toml.loads(f"{key} = {value}")
        except (ValueError, RecursionError):
            overrides[key.strip()] = value
    return overrides


def _from_folder(folder: Path, value, keys: list[str]):
    """The text that stands below these keys, or a list of them, as a path from the folder on.

    What is no path stays as it is, for the dataclass to refuse.
    """
    if isinstance(value, list):
        return [_from_folder(folder, each, keys) for each in value]
    if not keys:
        return str(folder / value) if isinstance(value, str) and value else value
    if isinstance(value, dict) and keys[0] in value:
        return value | {keys[0]: _from_folder(folder, value[keys[0]], keys[1:])}
    return value
