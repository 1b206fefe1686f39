"""What benchmarks/rfft.py makes of its measurements, and that nothing is measured on what was learned from."""

import numpy as np
import pytest

from reliable_ads.benchmarks import common, figures, rfft, rfft_fronts, rfft_pictures, tuning
from reliable_ads.synthetic.jobs import jobs_of
from reliable_ads.synthetic.scenes import SURFACES


def test_passes_are_counted_on_the_rising_line_through_the_evaluations():
    def to(*rates):
        return rfft.passes_to(np.arange(len(rates)) * 100.0, np.array(rates), 0.15)

    assert to(0.5, 0.6, 0.7) == pytest.approx(150)
    assert to(0.5, 0.7, 0.6, 0.7) == pytest.approx(
        100
    )  # both between are 0.65 on it: neither the lucky nor the unlucky evaluation decides
    assert to(0.5, 0.4, 0.7) == pytest.approx(175)  # what lies below the start counts as the start
    assert to(0.5, 0.6) == float("inf")


def test_a_gain_is_that_of_the_same_products():
    before = np.array([0.0, 1.0] * 50)
    even = rfft.gain(np.minimum(before + 0.5, 1.0), before)
    assert even.value == pytest.approx(0.25) and even.low > 0.15 and even.n == 100
    # paired: products that differ among themselves widen nothing
    assert rfft.gain(before + 0.2, before).low == pytest.approx(0.2)


def test_a_share_of_what_is_left_has_no_interval_where_all_shrink_alike():
    before = np.linspace(1, 3, 50)
    left = rfft_fronts.of_before(np.stack([before * 0.5] * 3), before)
    assert (left.value, left.low, left.high) == pytest.approx((0.5, 0.5, 0.5))


def test_pictures_of_a_product_are_one_observation():
    assert rfft_fronts.of_products(np.array([1, 0, 1, 1]), 2).tolist() == [0.5, 1.0]


def ways(cc, kl):
    """Three betas each: (rate, diversity) of all seeds and products."""
    found = {}
    for loss, points in (("cc", cc), ("kl", kl)):
        for beta, (rate, diversity) in zip(tuning.BETAS, points):
            found[f"{loss}_{beta:g}"] = {"rate": np.full((3, 20), rate), "diversity": np.full((3, 20), diversity)}
    return found


def test_losses_are_compared_where_both_fronts_reach():
    before = {"diversity": np.ones(20)}
    kl = ((0.8, 0.6), (0.7, 0.8), (0.6, 1.0))
    above = rfft_fronts.cc_above_kl(ways(((0.85, 0.7), (0.8, 0.8), (0.65, 1.0)), kl), before)
    assert above.value == pytest.approx(0.05) and above.low > 0
    crossing = rfft_fronts.cc_above_kl(ways(((0.9, 0.6), (0.7, 0.8), (0.5, 1.0)), kl), before)
    assert crossing.value == pytest.approx(-0.1)
    assert rfft_fronts.cc_above_kl(ways(((0.9, 0.1), (0.9, 0.2), (0.9, 0.3)), kl), before) is None


def test_the_least_share_of_a_gain_is_that_of_the_worst_neighbour():
    gains = {"pocket": np.full(30, 0.4), "seed": np.full(30, 0.3), "lora_sepia": np.full(30, 0.1)}
    assert rfft.least_share(gains).value == pytest.approx(0.25)


def test_what_is_measured_was_never_learned_from():
    unseen, chosen = (jobs_of(source) for source in (common.UNSEEN, common.VALIDATION))
    assert all(job.product_id.startswith("test-") for job in unseen)
    assert all(job.product_id.startswith("val-") for job in chosen)
    assert len(common.products(3, True)) == 3 and common.products(1, True)[0].product_id == chosen[0].product_id


def test_every_training_has_a_config_and_a_name_in_the_tables():
    assert len(tuning.COMPARED) == 21 and tuning.TUNED in tuning.COMPARED
    for name in tuning.RUNS:
        assert tuning.config(name).result.name == f"{name.replace('.', '-')}.safetensors"
    for way in tuning.WAYS:
        assert figures.find("rfft", f"gain_{way}").title != f"gain_{way}"


def test_prompts_say_what_labellers_have_to_name():
    for job in common.products(40, True):
        asked = rfft_pictures.asked_of(job.prompt)
        assert job.prompt.startswith(f"photo, on {asked['surface']}, {asked['room']}, ")
        assert asked["surface"] in {"a lawn", "sand", "snow", *SURFACES}


def test_labels_of_a_tuning():
    rows = [
        {"way": way, "product": 0, "hash": way, "prompt": "photo, on sand, a city square, soft light"}
        for way in ("before", "after")
    ]
    said = {"before": ["space_mismatch"] * 3, "after": ["available", "available", "space_mismatch"]}
    assert rfft_pictures.usable(said, rows) == {"before": {0: 0.0}, "after": {0: 1.0}}
    given = {"a": {"after": {"surface": "sand", "room": "a pine forest"}}}
    assert rfft_pictures.adherence(given, rows) == {"after": {0: 0.5}}
    pair = {"way": "after", "product": 0, "after": "left"}
    given = {"a": {rfft_pictures.key_of(pair): "left"}, "b": {rfft_pictures.key_of(pair): "same"}}
    assert rfft_pictures.beauty(given, [pair]) == {"after": {0: 0.75}}


def test_losses_are_compared_on_the_products_that_all_of_them_drew():
    each = {"before": {0: 1.0, 1: 0.0, 2: 0.0}} | {f"none_{seed}": {0: 1.0, 1: float(seed)} for seed in (0, 1)}
    alike = rfft_pictures.on_the_same(each)
    assert {run: values.tolist() for run, values in alike.items()} == {
        "before": [1.0, 0.0],
        "none_0": [1.0, 0.0],
        "none_1": [1.0, 1.0],
    }
    assert rfft_pictures.of_ways(alike).keys() == {"before"}, "a way lacks its third seed"
    found = rfft_pictures.of_ways(alike | {"none_2": alike["none_1"]})["none"]
    assert found.value == pytest.approx(5 / 6) and found.n == 2
