"""What benchmarks/sampler.py makes of its draws: costs as ratios of sums, what an arm serves, and who is hardest."""

import numpy as np
import pytest

from reliable_ads.benchmarks import sampler, sampler_costs
from reliable_ads.benchmarks.figures import find
from reliable_ads.benchmarks.sampler_pictures import worse


def row(arm, product, seed, steps, served=1):
    return {
        "arm": arm,
        "product": product,
        "seed": seed,
        "steps": steps,
        "seconds": steps / 4,
        "attempts": steps / 8,
    } | {
        "served": served,
        "hash": f"{arm}{product}{seed}" if served else None,
    }


def rows(costs, pilot=(8, 8, 8, 40)):
    """costs: {arm: steps}, the same for four products with two seeds each."""
    found = [row("pilot", product, seed, steps) for product, steps in enumerate(pilot) for seed in range(2)]
    for arm in sampler_costs.ARMS:
        for product in range(4):
            found += [row(arm, product, seed, costs.get(arm, 16)) for seed in range(2)]
    return found


def test_every_arm_is_compared_with_the_plain_loop():
    figures = sampler_costs.figures_of(rows({"plain": 16, "early": 12, "tuned": 8, "best_of_n": 40}))
    value = {key: figure.value for key, figure in figures.items()}
    assert value["steps_ratio_early"] == pytest.approx(0.75) and value["steps_ratio_tuned_hard"] == pytest.approx(0.5)
    assert value["steps_ratio_best_of_n"] == pytest.approx(2.5) and value["served_plain"] == 1
    assert value["attempts_before"] == pytest.approx(2) and value["attempts_after"] == pytest.approx(1)
    assert figures["steps_ratio_early"].low == pytest.approx(0.75) and figures["steps_ratio_early"].n == 4
    assert all(find("sampler", key).title != key for key in figures)


def test_what_serves_nothing_costs_without_end():
    found = [one | {"served": 0} if one["arm"] == "early" else one for one in rows({})]
    assert sampler_costs.figures_of(found)["steps_ratio_early"].value == float("inf")


def test_the_hardest_are_those_of_the_pilot():
    found = rows({}, pilot=(8, 40, 8, 16))
    assert sampler_costs.hardest(sampler_costs.table(found, "pilot"), 4).tolist() == [1]


def report(*chances, threshold=0.5):
    usable = [n for n, chance in enumerate(chances, 1) if chance >= threshold]
    attempts = [{"probabilities": {"available": chance}} for chance in chances]
    return {"attempts": attempts, "usable": usable, "accepted": bool(usable)}


def test_best_of_n_serves_its_best_where_that_passes():
    assert sampler.served("plain", report(0.2, 0.6), 0.5) == 1
    assert sampler.served("plain", report(0.2, 0.3), 0.5) is None
    none_accepted = report(0.6, 0.9, 0.2, threshold=1.0)
    assert sampler.served("best_of_n", none_accepted, 0.5) == 1
    assert sampler.served("best_of_n", none_accepted, 0.95) is None


def test_arms_take_turns_and_the_pilot_is_last():
    orders = [sampler.turns(number) for number in range(6)]
    assert {order[0] for order in orders} == set(sampler_costs.ARMS) - {"remedies"}
    assert all(order[-2] == "remedies" for order in orders)  # answers what the plain loop rejected
    assert all(sorted(order[:-1]) == sorted(sampler_costs.ARMS) and order[-1] == "pilot" for order in orders)


def test_bad_pictures_are_compared_on_products_that_both_served():
    figures = worse("bad", {"plain": {0: [True], 1: [False]}, "early": {1: [True, False], 2: [True]}})
    assert figures["bad_plain"].value == 0.5 and figures["bad_early"].value == 0.75
    assert figures["bad_early_more"].value == 0.5 and figures["bad_early_more"].n == 1
    assert np.isfinite(figures["bad_early_more"].low)


def test_the_plain_loop_is_the_beginning_of_best_of_n():
    attempts = [
        {"probabilities": {"available": chance}, "steps": 8, "seconds": 2.0} for chance in (0.2, 0.6, 0.9, 0.1, 0.3)
    ]
    whole = {"attempts": attempts, "steps": 40, "seconds": 11.0, "usable": [], "accepted": False}
    plain = sampler.begun(whole, 0.5)
    assert (len(plain["attempts"]), plain["steps"], plain["seconds"]) == (2, 16, 5.0)  # what surrounds the draws stays
    assert plain["accepted"] and sampler.served("plain", plain, 0.5) == 1
    none = sampler.begun(whole, 0.95)
    assert none["steps"] == 40 and not none["accepted"] and sampler.served("plain", none, 0.95) is None
