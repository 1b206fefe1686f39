"""Calibration: exact bounds, thresholds that keep what they promise, refusals in words, and certificates stored in the
weights.
"""

import contextlib
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from scipy import stats

from reliable_ads.rfft.inputs import check_reviewer
from reliable_ads.rfnet.cli import main
from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.sources import read_shards
from reliable_ads.rfnet.reviewer import Reviewer, ReviewError
from reliable_ads.rfnet.risks import ACCEPT, GRID, UNITS, certify, count, likeliest, needed, parse_risks, upper_bound
from reliable_ads.rfnet.training.calibrate import calibrate, halves, most_that_lose, summary
from reliable_ads.rfnet.weights import WeightsError, change_metadata, load_reviewer, read_metadata, save_reviewer

from .rfnet_examples import small_networks, write_split

GOOD = {"threshold": 0.9, "accepted": 59, "bad": 0, "bound": 0.0496, "confidence": 0.95}


@settings(deadline=None)
@given(st.integers(1, 2000), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_bound_is_that_of_clopper_and_pearson(accepted, share, confidence):
    bad = round(share * accepted)
    bound = upper_bound(bad, accepted, confidence)
    if bad == accepted:
        assert bound == 1
    else:
        assert bad / accepted < bound < 1
        assert stats.binom.cdf(bad, accepted, bound) == pytest.approx(1 - confidence, rel=1e-6)  # its definition
        assert bound == pytest.approx(stats.beta.ppf(confidence, bad + 1, accepted - bad))
        assert upper_bound(bad + 1, accepted, confidence) > bound > upper_bound(bad, accepted + 1, confidence)


def test_known_bounds_and_sample_sizes():
    assert upper_bound(0, 59) < 0.05 < upper_bound(0, 58)
    assert upper_bound(2, 124) < 0.05 < upper_bound(2, 123)
    assert [needed(0.05, share) for share in (0, 0.02, 0.03)] == [59, 124, 311]
    assert needed(0.1) == 29 and needed(0.05, 0.05) is None and needed(0.05, 0.0499) is None
    assert upper_bound(0, 0) == 1 and upper_bound(np.array([0, 1]), np.array([0, 59])).tolist()[0] == 1


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.integers(0, 5)), min_size=1, max_size=40), st.integers(0, 9)
)
def test_counts_are_those_of_a_plain_loop(rows, seed):
    p, bad, products = (np.array(column) for column in zip(*rows))
    accepted, wrong = count(p, bad, products, "image", seed)
    assert accepted.tolist() == [(p >= threshold).sum() for threshold in GRID]
    assert wrong.tolist() == [bad[p >= threshold].sum() for threshold in GRID]
    accepted, wrong = count(p, bad, products, "product", seed)
    order = np.random.default_rng(seed).permutation(len(p))
    for row in (0, 60, 120, len(GRID) - 1):
        first = {}
        for place in order:
            if p[place] >= GRID[row]:
                first.setdefault(products[place], bad[place])
        assert (accepted[row], wrong[row]) == (len(first), sum(first.values()))


def world(products, images, random, hardness=1.0):
    """Pictures whose risk falls with p and differs by product: (p, bad, product ids)."""
    of = np.repeat(np.arange(products), images)
    z = random.normal(size=len(of)) * 1.5
    bad = random.random(len(of)) < 1 / (1 + np.exp(3 * z - 0.6 + random.normal(size=products)[of] * hardness))
    return 1 / (1 + np.exp(-z - 0.3)), bad, of


@pytest.mark.parametrize("unit, hardness", [("product", 1.0), ("product", 4.0), ("image", 0.0)])
def test_the_promise_is_kept_in_nineteen_cases_of_twenty(unit, hardness):
    accepted, wrong = count(*world(8_000, 4, np.random.default_rng(99), hardness), unit)
    truth = dict(zip(GRID.tolist(), wrong / np.maximum(accepted, 1)))
    random, runs = np.random.default_rng(1), 60
    entries = [
        certify(world(150, 4, random, hardness), world(150, 4, random, hardness), 0.2, unit, seed=run)
        for run in range(runs)
    ]
    certified = [entry for entry in entries if "threshold" in entry]
    assert len(certified) > runs / 2
    broken = sum(truth[entry["threshold"]] > 0.2 for entry in certified)
    assert broken <= stats.binom.ppf(0.999, runs, 0.05)


def test_a_certificate_says_what_it_stands_on():
    random = np.random.default_rng(3)
    held = world(400, 3, random)
    entry = certify(world(400, 3, random), held, 0.2, seed=5)
    accepted, wrong = count(*held, seed=5)
    row = GRID.tolist().index(entry["threshold"])
    assert (entry["accepted"], entry["bad"]) == (accepted[row], wrong[row])
    assert entry["bound"] == upper_bound(wrong[row], accepted[row]) <= 0.2
    assert (entry["products"], entry["images"], entry["unit"], entry["confidence"]) == (400, 1200, "product", 0.95)
    assert parse_risks(json.dumps({"0.2": entry})) == {0.2: entry}
    strict, loose = (certify(world(400, 3, np.random.default_rng(3)), held, risk)["threshold"] for risk in (0.1, 0.3))
    assert strict > entry["threshold"] > loose


def flawless(products):
    return (
        np.where(np.arange(products * 2) % 2, 0.9, 0.1),
        np.arange(products * 2) % 2 == 0,
        np.arange(products * 2) // 2,
    )


@pytest.mark.parametrize("unit", UNITS)
def test_fifty_nine_without_error_certify_five_percent_and_fifty_eight_do_not(unit):
    assert certify(flawless(59), flawless(59), 0.05, unit)["accepted"] == 59
    refused = certify(flawless(58), flawless(58), 0.05, unit)
    assert (
        "threshold" not in refused
        and "of 58 accepted" in refused["refused"]
        and "59 accepted with none bad would be needed" in refused["refused"]
    )


def test_refusals_say_how_many_would_be_needed():
    p, bad, products = flawless(100)
    p[[0, 2]] = 0.9  # two bad ones look good: 2 of 100 pass as "image"
    refused = certify((p, bad, products), (p, bad, products), 0.05, "image")["refused"]
    assert "of 102 accepted pictures" in refused and "2 are bad" in refused and "124 accepted" in refused
    p[:40:2] = 0.9
    assert (
        "no number of pictures certifies 5 %"
        in certify((p, bad, products), (p, bad, products), 0.05, "image")["refused"]
    )
    nothing = np.zeros(4), np.ones(4, bool), np.arange(4)
    assert "of 0 accepted" in certify(nothing, nothing, 0.05)["refused"]


def test_each_risk_begins_where_it_is_likeliest_to_pass():
    """The strictest pictures are all good, and too few; with the others there are enough for 10 %, but 6 % of them are
    bad.
    """

    def half(seed):
        number = np.arange(300)
        return np.where(number < 40, 0.97, 0.8), (number >= 40) & (number % 16 == 15), number + 1000 * seed

    fit, held = half(1), half(2)
    assert GRID[likeliest(*count(*fit), 0.10)] == 0.8
    entry = certify(fit, held, 0.10)
    assert entry["accepted"] == 300 and entry["bound"] <= 0.10
    assert "of 300 accepted pictures" in certify(fit, held, 0.05)["refused"]  # hopeless either way


def test_wrong_risks_and_units_are_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        certify(flawless(5), flawless(5), 1.0)
    with pytest.raises(ValueError, match="product, image"):
        certify(flawless(5), flawless(5), 0.1, "room")


@given(st.lists(st.integers(0, 30), min_size=2, max_size=100).filter(lambda ids: len(set(ids)) > 1), st.integers(0, 5))
def test_halves_share_no_product_and_lose_no_scene(products, seed):
    first, second = halves(products, seed)
    assert sorted([*first, *second]) == list(range(len(products)))
    sides = [{products[row] for row in rows} for rows in (first, second)]
    assert not sides[0] & sides[1] and len(sides[1]) - len(sides[0]) in (0, 1)


def overconfident(scale=3.0, scenes=4000):
    torch.manual_seed(0)
    truth = torch.randn(scenes, 5) * 2
    labels = torch.distributions.Categorical(logits=truth).sample().numpy()
    return truth * scale, labels, np.arange(scenes) // 4


def test_the_temperature_is_found_and_the_calibration_error_falls():
    calibration = calibrate(*overconfident(), risks=(0.4,))
    assert calibration.temperature == pytest.approx(3, abs=0.3)
    assert calibration.about["ece_after"] < 0.03 < 0.08 < calibration.about["ece_before"]
    assert calibration.risks["0.4"]["bound"] <= 0.4 and calibration.about["products"] == 1000
    assert "accept from p(available) >=" in summary(calibration)
    assert calibrate(*overconfident(), risks=(0.4,)) == calibration


def test_data_that_cannot_calibrate_are_refused():
    logits, labels, products = overconfident(scenes=40)
    with pytest.raises(DataError, match=r"one product.*product_id"):
        calibrate(logits, labels, np.full(40, ""))
    with pytest.raises(DataError, match="needs both"):
        calibrate(logits, np.zeros(40, int), products)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_reviewer(path, *small_networks(), {"temperature": "1.5", "threshold": "0.6", "created_with": "a test"})
    return path.read_bytes()


@pytest.fixture
def weights(original, tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(original)
    return path


def test_risks_are_stored_and_everything_else_is_kept(weights, tmp_path):
    other = tmp_path / "other" / "w.safetensors"
    risks = {"0.05": {"refused": "too few"}, "0.1": GOOD}
    change_metadata(weights, other, {"risks": risks, "temperature": "2"})
    before, after = read_metadata(weights), read_metadata(other)
    assert after == before | {"risks": json.dumps(risks), "temperature": "2"} and "risks" not in before
    assert all(torch.equal(value, load_file(other)[key]) for key, value in load_file(weights).items())
    change_metadata(other, other, {"temperature": "3"})
    reviewer = load_reviewer(other)
    assert reviewer.risks == {0.05: {"refused": "too few"}, 0.1: GOOD} and reviewer.temperature == 3
    assert [file.name for file in other.parent.iterdir()] == ["w.safetensors"]


BROKEN = [
    "[]",
    "{",
    '{"0.05": 3}',
    '{"5": {"refused": "x"}}',
    '{"nan": {"refused": "x"}}',
    '{"x": {"refused": "x"}}',
    '{"0.05": {}}',
    '{"0.05": {"refused": 1}}',
]
BROKEN += [
    json.dumps({"0.05": {**GOOD, **fault}})
    for fault in (
        {"threshold": float("nan")},
        {"threshold": 0},
        {"threshold": "0.9"},
        {"accepted": 0},
        {"bad": 60},
        {"bound": 0.06},
        {"bound": True},
        {"confidence": 1.5},
    )
]


@pytest.mark.parametrize("text", BROKEN)
def test_malformed_risks_are_refused(weights, text):
    change_metadata(weights, weights, {"risks": text})
    with pytest.raises(WeightsError, match=r'"w.safetensors" has "risks".*rfnet calibrate'):
        load_reviewer(weights)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["0.05", "threshold", "refused", "x"]), inner, max_size=3)
        ),
    )
)
def test_any_json_is_read_or_refused(value):
    with contextlib.suppress(ValueError):
        parse_risks(json.dumps(value))


def test_what_is_accepted_by_threshold_or_by_risk():
    networks = small_networks()
    reviewer = Reviewer(
        *networks, {"threshold": "0.6", "risks": json.dumps({"0.05": {"refused": "too few."}, "0.1": GOOD})}
    )
    assert [
        reviewer.threshold_for(*given)
        for given in ((), ("threshold", 0.2), ("threshold", 0.0), ("10 % risk",), ("10 % risk", 0.2))
    ] == [0.6, 0.2, 0.0, 0.9, 0.9]
    with pytest.raises(ReviewError, match=r"could not be certified to accept at 5 % risk \(too few\).*rfnet calibrate"):
        reviewer.threshold_for("5 % risk", 0.2)
    with pytest.raises(
        ReviewError,
        match=r"never certified to accept at 10 % risk: run `rfnet calibrate WEIGHTS --data DIR --risk 0.1`",
    ):
        Reviewer(*networks).threshold_for("10 % risk")
    with pytest.raises(ReviewError, match="threshold, 5 % risk, 10 % risk"):
        reviewer.threshold_for("3 % risk")
    assert next(iter(ACCEPT)) == "threshold"


def test_the_plain_threshold_loses_no_more_available_pictures_than_it_may():
    p, good = np.array([0.95, 0.8, 0.61, 0.3, 0.9]), np.array([True, True, True, True, False])
    assert [most_that_lose(share, p, good) for share in (0, 0.25, 0.5, 0.99, 1)] == [0.3, 0.61, 0.8, 0.95, 0.99]
    assert most_that_lose(0, np.array([0.001]), np.array([True])) == 0.01  # nothing lower can be chosen


@pytest.mark.slow(reason="four commands over whole splits")
def test_the_commands_from_weights_to_certificate_to_report(weights, tmp_path, capsys):
    data = write_split(tmp_path / "test", 20)
    out = tmp_path / "calibrated.safetensors"
    assert main(["calibrate", str(weights), "--data", str(data), "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    metadata = read_metadata(out)
    assert json.loads(metadata["risks"]) == printed["risks"] and set(printed["risks"]) == {"0.05", "0.1"}
    assert (
        float(metadata["temperature"]) == pytest.approx(printed["temperature"], rel=1e-5)
        and metadata["created_with"] == "a test"
    )
    assert all("refused" in entry for entry in printed["risks"].values())  # seven products can't certify anything

    assert all("about" not in entry for entry in printed["risks"].values())
    scores = json.loads(metadata["scores"])  # these weights did not say how good they are, and RFFT asks
    assert (
        0 < scores["n"] < 20
        and 0 <= scores["ap"]["value"] <= 1
        and check_reviewer(metadata, "calibrated", 0) == scores["ap"]["value"]
    )
    assert "scores" not in read_metadata(weights) and scores["split"] == "the certifying half"

    kept = tmp_path / "kept.safetensors"
    change_metadata(out, out, {"temperature": "2.5"})
    again = ["calibrate", str(out), "--data", str(data), "--out", str(kept)]
    assert main([*again, "--keep-temperature", "--lose", "1", "--about", "mugs", "--json"]) == 0
    assert read_metadata(kept)["scores"] == metadata["scores"] and read_metadata(kept)["threshold"] == "0.99"
    assert read_metadata(out)["threshold"] == metadata["threshold"]
    assert (
        float(read_metadata(kept)["temperature"]) == 2.5 != float(metadata["temperature"])
        and json.loads(capsys.readouterr().out)["risks"]["0.05"]["about"] == "mugs"
    )

    change_metadata(out, out, {"risks": {"0.05": GOOD | {"threshold": 1e-6}, "0.1": {"refused": "too few"}}})
    assert main(["evaluate", str(out), "--data", str(data), "--out", str(tmp_path / "report"), "--json"]) == 0
    printed, written = (
        json.loads(capsys.readouterr().out),
        json.loads((tmp_path / "report" / "report.json").read_text()),
    )
    assert (
        printed["risks"]["0.05"]["accepted"] == 20
        and printed["risks"]["0.05"]["bad"]["value"] == 0.8
        and "refused" in printed["risks"]["0.1"]
    )
    assert {key: written[key] for key in printed} == printed and len(written["precision_recall"]["available"]) == 101
    for name in ("reliability.png", "confusion.png", "precision_recall.png"):
        assert (tmp_path / "report" / name).read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow(reason="reviews a split")
def test_calibrating_on_the_training_data_is_refused(weights, tmp_path, capsys):
    data = write_split(tmp_path / "train", 20)
    change_metadata(weights, weights, {"data_fingerprint": read_shards(data).fingerprint})
    before = weights.read_bytes()
    assert main(["calibrate", str(weights), "--data", str(data)]) == 1
    assert "trained on" in capsys.readouterr().err and weights.read_bytes() == before
