"""Early rejection: thresholds lose no more than the stated share, cheap ones are found, and profiles know what they
speak of.
"""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reliable_ads.cyclic.early_rejection import (
    CANDIDATES,
    Draws,
    EarlyThreshold,
    Profile,
    ProfileError,
    cost,
    cross_validate,
    fit_thresholds,
    pass_through,
    thresholds_at,
)

SETTINGS = {
    "steps": 20,
    "cfg": 4.0,
    "sampler_name": "ddim",
    "scheduler": "ddim_uniform",
    "denoise": 1.0,
    "threshold": 0.5,
}


def draws(count=200, noise=0.1, seed=0, check_cost=1.0) -> Draws:
    """Draws whose early scores tell the final verdict as far as the noise lets them."""
    random = np.random.default_rng(seed)
    final = random.uniform(0, 1, count)
    scores = np.clip(
        final[:, None] + random.normal(0, noise, (count, len(CANDIDATES))) * np.linspace(2, 0.5, len(CANDIDATES)), 0, 1
    )
    return Draws(np.array(CANDIDATES), scores, final >= 0.5, [f"p{i % 20}" for i in range(count)], check_cost, 2.0)


def test_thresholds_make_a_usable_picture_cheaper_and_keep_most_of_them():
    some = draws()
    thresholds = fit_thresholds(some, 20, 0.03)
    assert 1 <= len(thresholds) <= 3 and cost(some, thresholds, 20) < 0.85 * cost(some, (), 20)
    alive, _ = pass_through(some, thresholds, 20)
    assert (some.accepted & ~alive).sum() <= 0.03 * some.accepted.sum()


def test_fewer_are_lost_than_may_be_where_that_is_cheaper():
    sharp = draws(noise=0.02)
    alive, _ = pass_through(sharp, fit_thresholds(sharp, 20, 0.5), 20)
    assert (sharp.accepted & ~alive).sum() < 0.3 * sharp.accepted.sum()


def test_a_score_that_tells_nothing_gives_no_thresholds():
    some = draws()
    blind = Draws(
        some.progress, np.random.default_rng(1).uniform(0, 1, some.scores.shape), some.accepted, some.groups, 2.0, 2.0
    )
    assert cost(blind, fit_thresholds(blind, 20, 0.03), 20) > 0.9 * cost(blind, (), 20)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1000), st.floats(0, 0.3), st.sets(st.integers(0, len(CANDIDATES) - 1), min_size=1, max_size=3))
def test_thresholds_never_lose_more_than_they_may(seed, share, columns):
    some = draws(60, noise=0.4, seed=seed)
    losses = int(share * some.accepted.sum())
    alive, _ = pass_through(some, thresholds_at(some, sorted(columns), losses), 20)
    assert (some.accepted & ~alive).sum() <= losses


def test_what_is_paid_by_hand():
    two = Draws(
        np.array([0.5]), np.array([[0.9], [0.1]]), np.array([True, False]), ["a", "b"], check_cost=1.0, review_cost=2.0
    )
    alive, paid = pass_through(two, (EarlyThreshold(0.5, 0.5),), 20)
    assert alive.tolist() == [True, False] and paid.tolist() == [1 + 20 + 2, 1 + 10]
    assert cost(two, (EarlyThreshold(0.5, 0.5),), 20) == 34 and cost(two, (), 20) == 44


def test_a_preview_is_checked_inside_the_draw():
    assert [EarlyThreshold(p, 0).step(20) for p in (0.2, 0.01, 0.99)] == [4, 1, 19] and EarlyThreshold(0.5, 0).step(
        1
    ) == 1


def test_held_out_draws_judge():
    found = cross_validate(draws(400), 20)
    assert found["lost"] < 0.1 and found["cost_ratio"] < 0.9 and found["accepted"] == draws(400).accepted.sum()


def profile(count=100) -> Profile:
    made = Profile("model", "reviewer", SETTINGS, check_cost=1.0, review_cost=2.0)
    some = draws(count)
    for scores, accepted, group in zip(some.scores, some.accepted, some.groups):
        made.add(scores, accepted, group)
    return made


def test_a_profile_survives_its_file_and_takes_more_draws():
    made = profile().fit()
    again = Profile.from_json(made.to_json())
    assert again == made and again.thresholds == made.thresholds
    for scores, accepted in zip(draws(seed=5).scores, draws(seed=5).accepted):
        again.add(scores, accepted, "new")
    assert again.fit().about["draws"] == 300


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", "3", '"x"', b"\xff\xfe", '{"format": "reliable-ads/gates"}', '{"format": "x"}']
)
def test_other_files_are_refused(text):
    with pytest.raises(ProfileError, match="profile again"):
        Profile.from_json(text)


def test_a_profile_without_all_settings_is_refused():
    values = json.loads(profile().to_json())
    values["settings"].pop("sampler_name")
    with pytest.raises(ProfileError, match=r"its settings lack sampler_name.*profile again"):
        Profile.from_json(json.dumps(values))


def test_too_few_accepted_draws_are_refused():
    with pytest.raises(ProfileError, match="profile with more draws"):
        profile(20).fit()


def test_a_profile_says_what_it_does_not_speak_of():
    made = profile()
    assert made.why_not("model", "reviewer", SETTINGS) is None
    assert made.why_not("model", "reviewer", {**SETTINGS, "steps": 24, "cfg": 4.5}) is None
    assert "another model" in made.why_not("m", "reviewer", SETTINGS) and "another reviewer" in made.why_not(
        "model", "r", SETTINGS
    )
    assert (
        made.why_not("model", "reviewer", {**SETTINGS, "steps": 50, "sampler_name": "euler"})
        == "it was made with another sampler_name and steps"
    )
    with pytest.raises(ProfileError, match="2 preview checks where 8"):
        made.add([0.1, 0.2], True, "p")


@pytest.mark.parametrize("name", ["gates", "look", "scores"])
def test_a_profile_that_lacks_a_part_is_refused(name):
    values = json.loads(Profile("m", "r", SETTINGS).to_json())
    del values[name]
    with pytest.raises(ProfileError, match=f"it lacks {name}"):
        Profile.from_json(json.dumps(values))


def test_a_threshold_with_more_to_say_is_refused():
    values = json.loads(Profile("m", "r", SETTINGS, (EarlyThreshold(0.5, 0.1),)).to_json())
    values["gates"][0]["more"] = 1
    with pytest.raises(ProfileError, match='unknown "more"'):
        Profile.from_json(json.dumps(values))
