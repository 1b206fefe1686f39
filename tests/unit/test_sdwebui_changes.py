"""What remedies change of a draw in a web UI, and which of them can't be had there."""

from types import SimpleNamespace

import pytest

from reliable_ads.cyclic.remedies import Policy, names
from reliable_ads.sdwebui.changes import PromptChange, impossible
from reliable_ads.sdwebui.settings import DEFAULTS


def change(words=None, tuned="tuned_net", has_control=True, position="centre") -> PromptChange:
    return PromptChange(DEFAULTS.words if words is None else words, tuned, has_control, position)


def reasons(given: PromptChange, cfg_scale: float = 5.0) -> dict:
    return impossible(given, SimpleNamespace(cfg_scale=cfg_scale), names())


def test_nothing_is_changed_at_first():
    plain = change().at({})
    assert plain.added == {"positive": [], "negative": []} and plain.guidance == plain.strength == 1
    assert plain.swapped_in is None and (plain.placement.dilation, plain.placement.down, plain.placement.scale) == (
        0,
        0,
        1,
    )


def test_all_remedies_at_once():
    policy = Policy()
    for label in ("indistinctiveness", "shape_hallucination", "space_mismatch", "size_mismatch"):
        policy.answer(label)
    asked = change().at(policy.values)
    assert asked.added["positive"] == [DEFAULTS.contrast_words, DEFAULTS.surface_words]
    assert asked.added["negative"] == [DEFAULTS.avoid_words]
    assert asked.guidance == 1.5 and asked.strength == 1.15 and asked.swapped_in == "tuned_net"
    assert (asked.placement.dilation, asked.placement.down, asked.placement.scale) == (-4, 0.03, 0.9)


def test_changes_begin_anew_each_time():
    known = change()
    known.at({"contrast": 1.0, "scale": 0.8})
    assert known.at({"surface": 1.0}).added["positive"] == [DEFAULTS.surface_words]
    assert known.at({}).placement.scale == 1


@pytest.mark.parametrize(
    "given, cfg_scale, left_out",
    [
        (change(), 5.0, set()),
        (change(), 1.0, {"guidance", "avoid"}),
        (change(has_control=False), 5.0, {"control", "tuned"}),
        (change(tuned=None), 5.0, {"tuned"}),
        (change(position="keep"), 5.0, {"position", "scale"}),
        (change(words={}), 5.0, {"contrast", "surface", "avoid"}),
    ],
)
def test_remedies_that_cannot_be_had_are_left_out_with_a_reason(given, cfg_scale, left_out):
    found = reasons(given, cfg_scale)
    assert found.keys() == left_out and all(found.values())


def test_only_those_asked_for_are_tried():
    assert impossible(change(has_control=False), SimpleNamespace(cfg_scale=5.0), {"contrast"}) == {}
