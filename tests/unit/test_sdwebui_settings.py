"""The accordion's settings: by name, by order, in infotext and back; what can't be meant is refused with a sentence."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as some

from reliable_ads.cyclic.remedies import REMEDIES, Policy, names
from reliable_ads.sdwebui.settings import (
    CHOICES,
    DEFAULTS,
    HELD,
    LIMITS,
    NAMES,
    TITLES,
    Refused,
    Settings,
    begin_at,
)

from .webui_infotext import read, written

OPINIONS = ("contact", "own_label", "server=my+own server.json", "expansion=birefnet-lite.onnx")
TEXT = some.text(max_size=60).map(str.strip).filter(lambda text: '"' not in text[:1] and "\r" not in text)


def value_of(name: str):
    """A strategy of values that a setting may have."""
    default = getattr(DEFAULTS, name)
    if name in CHOICES:
        return some.sampled_from(CHOICES[name])
    if isinstance(default, bool):
        return some.booleans()
    if name == "opinions":
        return some.lists(some.sampled_from(OPINIONS), unique=True).map(tuple)
    if isinstance(default, tuple):
        return some.lists(some.sampled_from(names()), unique=True).map(tuple)
    if isinstance(default, int):
        return some.integers(1, 1000)
    if isinstance(default, float):
        return some.floats(*LIMITS[name])
    return TEXT


SETTINGS = some.fixed_dictionaries({name: value_of(name) for name in TITLES if name != "begin_at"})


def test_one_dict_gives_them_by_name_and_turns_it_on():
    settings = Settings.from_args([{"attempts": 3, "caption": "a mug"}])
    assert settings == dataclasses.replace(DEFAULTS, enabled=True, attempts=3, caption="a mug")


def test_values_in_order_are_the_accordions():
    values = [getattr(DEFAULTS, name) for name in NAMES]
    assert Settings.from_args(values) == DEFAULTS
    assert Settings.from_args([True]).enabled and Settings.from_args([]) == DEFAULTS


@given(SETTINGS)
def test_infotext_gives_them_back(values):
    settings = Settings(**values)
    back = read(written(settings.infotext()))
    again = Settings.from_args([{name: back.get(title, "") for name, title in TITLES.items()}])
    assert again == dataclasses.replace(settings, enabled=True)


def test_infotext_holds_no_pictures():
    settings = Settings(product=object(), mask=object(), product_name="0" * 16)
    assert settings.infotext() == DEFAULTS.infotext()


@given(
    some.dictionaries(
        some.sampled_from(NAMES),
        some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20),
    )
)
def test_anything_is_settings_or_refused_with_a_sentence(values):
    try:
        settings = Settings.from_args([values])
        assert 1 <= settings.attempts <= 1000 and 0 <= settings.threshold <= 1
        assert settings.changes is not None
    except Refused as error:
        assert 0 < len(str(error)) < 400 and str(error).endswith(".")


@pytest.mark.parametrize(
    "values, said",
    [
        ({"nothing": 1}, 'there is no setting "nothing"'),
        ({"attempts": 2.5}, "attempts is 2.5: it must be a whole number between 1 and 1000"),
        ({"attempts": True}, None),
        ({"threshold": float("nan")}, "between 0 and 1"),
        ({"threshold": "0,5"}, "between 0 and 1"),
        ({"position": "left"}, 'position is "left": choose one of centre, keep'),
        ({"remedies": "contrast + hope"}, 'there is no remedy "hope"'),
        ({"caption": "x" * 2001}, "2001 letters"),
        ({"opinions": ["contact", "hope"]}, 'there is no second opinion "hope": choose out of contact, own_label'),
        ({"opinions": "server=../../key.json"}, "there is no second opinion"),
        ({"opinions": "language=folder"}, "there is no second opinion"),
        ({"opinions": 3}, 'opinions is "3": give a list of names'),
    ],
)
def test_what_cannot_be_meant(values, said):
    if said is None:
        assert Settings.from_args([values]).attempts == 1
        return
    with pytest.raises(Refused, match=said):
        Settings.from_args([values])


def test_the_sentence_about_an_unknown_name_is_short():
    with pytest.raises(Refused) as failure:
        Settings.from_args([{"x" * 500: 1}])
    assert len(str(failure.value)) < 400


@given(some.lists(some.sampled_from(names()), max_size=12))
def test_begin_at_gives_an_attempts_remedies_back(defects):
    """All but those that the prompts and the CFG scale in infotext hold already."""
    policy = Policy()
    for name in defects:
        policy.answer(next(remedy.label for remedy in REMEDIES if remedy.name == name))
    kept = [change for change in policy.changes if change["remedy"] not in HELD]
    said = begin_at(policy.changes)
    again = Settings(begin_at=read(written({"RF begin at": said})).get("RF begin at", "") if said else "").changes
    assert [(each["remedy"], each["after"]) for each in again] == [(each["remedy"], each["after"]) for each in kept]


@pytest.mark.parametrize("text", ["down", "dilation", "dilation -400", "hope 1", "guidance 1.5", "scale nan", "[1]"])
def test_begin_at_that_is_none(text):
    with pytest.raises(Refused, match="no list of remedies"):
        _ = Settings(begin_at=text).changes


def test_words_of_remedies():
    assert Settings(contrast_words=" ", surface_words="on a table ").words == {
        "surface": "on a table",
        "avoid": DEFAULTS.avoid_words,
    }
