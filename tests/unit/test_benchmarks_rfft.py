"""What benchmarks/rfft.py makes of its measurements, and that nothing is measured on what was learned from."""

import numpy as np
import pytest

from reliable_ads.benchmarks import figures, rfft, tuning


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
    assert rfft.gain(before, before, 0.2).holds is False and rfft.gain(before + 0.25, before, 0.2).holds
    assert rfft.gain(before + 0.2, before).low == pytest.approx(
        0.2
    )  # paired: products that differ among themselves widen nothing


def test_a_ratio_of_the_same_products_has_no_interval_where_they_all_shrink_alike():
    before = np.linspace(1, 3, 50)
    assert rfft.ratio(before * 0.5, before) == pytest.approx((0.5, 0.5, 0.5))


def test_pictures_of_a_product_are_one_observation():
    assert rfft.of_products(np.array([1, 0, 1, 1]), 2).tolist() == [0.5, 1.0]


def test_what_is_measured_was_never_learned_from():
    products = tuning.test_products()
    names = {job.product_id for job in products}
    assert len(names) == len(products) >= 200
    assert all(name.startswith("test-") for name in names)
    learned = tuning.learned_products()
    assert len(learned) >= 300 and all(name.startswith("train-") for name in learned)


def test_every_training_has_a_config_and_a_name_in_the_tables():
    for name in tuning.RUNS:
        assert tuning.config(name).result.name == f"{name}.safetensors"
        assert name not in tuning.COMPARED or figures.find("rfft", f"gain_{name}").title != f"gain_{name}"
