"""Which pictures come next: unsure ones, unlike what is labelled, one per product and likely defect at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reliable_ads.rfnet.active import AT_A_TIME, entropy, order
from reliable_ads.rfnet.agreement import Agreement, agreements, cohens_kappa

UNSURE, RATHER, SURE = [0.2] * 5, [0.8, 0.05, 0.05, 0.05, 0.05], [1.0, 0, 0, 0, 0]


def test_the_unsure_come_first():
    found = order([SURE, RATHER, UNSURE], np.eye(3), "abc")
    assert found == [2, 1, 0] and order([SURE, RATHER, UNSURE], np.eye(3), "abc", count=1) == [2]


def test_what_is_like_a_labelled_picture_comes_last():
    features = [[0.0, 0], [5, 5], [5, 9]]
    assert order([UNSURE] * 3, features, "abc", known=[[0.0, 0]])[-1] == 0
    assert order([UNSURE, RATHER, RATHER], features, "abc", known=[[0.0, 0]])[-1] == 0


def test_near_twins_do_not_follow_one_another():
    found = order([UNSURE] * 4, [[0, 0], [0, 0.01], [9, 0], [0, 9]], "abcd")
    assert {0, 1} - set(found[:3]) and found[3] in (0, 1)


def test_a_product_comes_once_with_each_likely_defect():
    products = [f"p{number % 4}" for number in range(40)]
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(5), 40)
    found = order(probabilities, random.normal(size=(40, 3)), products)
    for turn in range(0, 20, AT_A_TIME):
        groups = [(products[row], int(probabilities[row].argmax())) for row in found[turn : turn + AT_A_TIME]]
        assert len(set(groups)) == len(groups)


def test_one_product_is_no_reason_to_stop():
    assert sorted(order([RATHER] * 25, np.eye(25), ["p"] * 25)) == list(range(25))


def test_nothing_waits():
    assert order(np.zeros((0, 5)), np.zeros((0, 3)), []) == []


@st.composite
def pools(draw):
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    count = draw(st.integers(1, 25))
    products = [f"p{random.integers(4)}" for _ in range(count)]
    known = random.normal(size=(draw(st.integers(0, 5)), 4))
    return random.dirichlet(np.ones(5), count), random.normal(size=(count, 4)), products, known


@settings(max_examples=60, deadline=None)
@given(pool=pools(), count=st.integers(0, 30), scale=st.floats(0.01, 100))
def test_an_order_is_of_all_pictures_once_and_knows_neither_names_nor_units(pool, count, scale):
    probabilities, features, products, known = pool
    found = order(probabilities, features, products, known)
    assert sorted(found) == list(range(len(products)))
    assert order(probabilities, features, products, known, count) == found[:count]
    assert order(probabilities, features * scale + 3, products, known * scale + 3) == found
    turned = order(probabilities[::-1], features[::-1], products[::-1], known)
    assert [len(products) - 1 - row for row in turned] == found


def test_entropy_is_largest_where_all_is_open():
    assert entropy(np.array([UNSURE, SURE])) == pytest.approx([np.log(5), 0], abs=1e-9)


def test_kappa_of_known_tables():
    first = ["a"] * 25 + ["b"] * 25
    second = ["a"] * 20 + ["b"] * 5 + ["a"] * 10 + ["b"] * 15
    assert cohens_kappa(first, second) == pytest.approx(0.4)  # (0.7 - 0.5) / (1 - 0.5)
    assert cohens_kappa(first, first) == 1 and cohens_kappa(["a"], ["a"]) is None and cohens_kappa([], []) is None
    assert cohens_kappa(["a", "b"], ["b", "a"]) == -1


def test_labellers_are_compared_on_what_both_saw():
    said = {("1", "Ana"): "x", ("2", "Ana"): "y", ("2", "Bo"): "y", ("3", "Bo"): "x", ("1", "Bo"): "y", ("9", ""): "x"}
    assert agreements(said) == [Agreement(("Ana", "Bo"), 2, 1, 0.0)]
    assert "Ana and Bo agree on 1 of 2" in str(agreements(said)[0]) and agreements({}) == []
