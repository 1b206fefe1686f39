"""Values from outside: types, bounds, unknown keys, and JSON that is made to hurt; each refusal is one short
sentence.
"""

from dataclasses import dataclass, field
from typing import Annotated

import pytest
from msgspec import Meta

from reliable_ads.rfnet.structured import StructureError, convert, from_json, parse_json, shortened


@dataclass
class Options:
    steps: Annotated[int, Meta(ge=1, le=10_000)] = 20
    lr: Annotated[float, Meta(gt=0)] = 1e-3
    names: list[str] = field(default_factory=list)


@dataclass
class Inner:
    a: int = 0


@dataclass
class Outer:
    inner: list[Inner] = field(default_factory=list)


def test_an_unknown_key_further_inside_is_refused():
    assert convert({"inner": [{"a": 1}]}, Outer, "it") == Outer([Inner(1)])
    with pytest.raises(StructureError, match='it has the unknown "b"'):
        convert({"inner": [{"a": 1}, {"a": 1, "b": 2}]}, Outer, "it")


def test_what_fits_is_taken():
    assert convert({"steps": 3, "lr": 1, "names": ["a"]}, Options, "it") == Options(3, 1.0, ["a"])
    assert from_json('{"names": ["[[[["]}', Options, "it").names == ["[[[["]


@pytest.mark.parametrize(
    "value, words",
    [
        ({"steps": 0}, "it: steps: expected int >= 1, found 0"),
        ({"steps": True}, "steps: expected int, got bool, found True"),
        ({"steps": "3"}, 'steps: expected int, got str, found "3"'),
        ({"step": 3}, "it: unknown keys: step. Known are steps, names, lr: use these"),
        ([1, 2], "it is a list of 2: it must be a table"),
        ({"names": ["a", 1]}, r"names\[1\]: expected str, got int, found 1"),
        ({"lr": float("nan")}, "it holds nan"),
        ({"steps": 10**30}, "more than 64 bits"),
        ({"steps": None}, "found None"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(value, words):
    with pytest.raises(StructureError, match=words):
        convert(value, Options, "it")


@pytest.mark.parametrize(
    "text, words",
    [
        ('{"a": 1, "a": 2}', 'says "a" twice'),
        ("[" * 200_000, "nests more than 32"),
        ('{"a":' * 200_000, "nests more than 32"),
        ("[NaN]", "holds NaN"),
        ("9" * 5000, "number of 5000 digits"),
        ("[1e999]", "holds inf"),
        ('{"a', "is no JSON"),
        (b"\xff\xfe", "is no JSON: its bytes are no text in UTF-8"),
        ("", "is no JSON"),
    ],
)
def test_hostile_json_is_refused_in_one_short_sentence(text, words):
    with pytest.raises(StructureError, match=words) as caught:
        from_json(text, list, "it")
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


def test_values_are_quoted_shortened():
    assert (
        len(shortened("x" * 10**6)) < 70
        and shortened({"a": 1}) == "a dict of 1"
        and shortened("a\nb") == '"a\N{REPLACEMENT CHARACTER}b"'
    )
    assert parse_json('["[", "[", "]"]', "it") == ["[", "[", "]"]
