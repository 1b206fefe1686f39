"""The layer that joins RFNet with second opinions: its file form, its fit, and what a panel makes of it."""

import json

import msgspec
import numpy as np
import pytest
import torch

from reliable_ads.rfnet.cli import main
from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.fusion import Fusion, Opinion, kept_fusion, parse_fusion
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.opinions.panel import REFIT, UNFITTED, Panel
from reliable_ads.rfnet.opinions.protocol import DEFECTS, OpinionError
from reliable_ads.rfnet.reviewer import Reviewer, ReviewError
from reliable_ads.rfnet.training import fuse as fitting
from reliable_ads.rfnet.training.fuse import Evidence, collect, cross_validated, fit, folds, fuse
from reliable_ads.rfnet.training.remember import remember
from reliable_ads.rfnet.weights import (
    WeightsError,
    change_metadata,
    load_memory,
    load_networks,
    read_metadata,
    save_reviewer,
)

from .opinion_examples import Said, boxed, on_table, shadows
from .rfnet_examples import small_networks


def layer(weight=2.0, model="", **changes) -> Fusion:
    """RFNet as it is, and one opinion on space_mismatch, "said"."""
    opinion = Opinion(model=model, weight=[weight, 0.0, 0.0, 0.0], centre=[0.0] * 4, spread=[1.0] * 4)
    return msgspec.structs.replace(Fusion(rfnet=1.0, bias=[0.0] * 4, opinions={"said": opinion}), **changes)


@pytest.fixture(scope="module", autouse=True)
def small_pictures():
    """Opinions are shown pictures of 64 pixels, as large as the examples are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "SIDE", 64)
        yield


@pytest.fixture(scope="module")
def networks():
    return small_networks()


@pytest.fixture
def reviewing(networks):
    """(opinions, fusion) -> the review of a picture that RFNet alone calls available."""

    def review(opinions, fusion=None, threshold=0.0001):
        reviewer = Reviewer(*networks, {"fusion": fusion.to_json()} if fusion else {})
        panel = Panel(reviewer, opinions)
        canvas = boxed()
        return panel.review(on_table(canvas, shadow=True)[0], canvas, threshold), reviewer, canvas

    return review


def test_a_layer_survives_its_file_and_refuses_nonsense():
    fusion = layer(about={"n": 50})
    assert parse_fusion(fusion.to_json()) == fusion and parse_fusion("") is None
    good = json.loads(fusion.to_json())
    for change in (
        {"rfnet": -1},
        {"bias": [0, 0, 0]},
        {"threshold": 0},
        {"opinions": {"said": {**good["opinions"]["said"], "weight": [-1, 0, 0, 0]}}},
        {"opinions": {"said": {**good["opinions"]["said"], "spread": [0, 1, 1, 1]}}},
        {"surprise": 1},
    ):
        with pytest.raises(ValueError):
            parse_fusion(json.dumps({**good, **change}))


def test_weights_with_a_broken_layer_are_refused_by_name(networks, tmp_path):
    path = tmp_path / "r.safetensors"
    save_reviewer(path, *networks, {"fusion": '{"rfnet": "much"}'})
    with pytest.raises(WeightsError, match=r'"r.safetensors" has "fusion" .* `rfnet fuse`'):
        read_metadata(path)


def test_without_evidence_a_plain_layer_changes_nothing():
    log_p = torch.randn(5, 5).log_softmax(1)
    unknown = {"said": torch.full((5, 4), torch.nan)}
    fusion = layer()
    torch.testing.assert_close(fusion.logits(log_p, fusion.pulls(unknown)).softmax(1), log_p.exp())


def test_an_unfitted_opinion_is_shown_and_decides_nothing(reviewing):
    review, reviewer, canvas = reviewing([Said(6)])
    alone = reviewer.review(on_table(canvas, shadow=True)[0], canvas, 0.0001)
    torch.testing.assert_close(review.probabilities, alone.probabilities)
    (row,) = review.rows()
    assert row["decided_by"] == "rfnet" and row["opinions"] == {"said": {"space_mismatch": 6.0}}
    assert UNFITTED in row["notes"] and "decided_by" not in alone.rows()[0]


def test_a_fitted_opinion_can_overturn_the_verdict_and_is_named(reviewing):
    (against,) = reviewing([Said(6)], layer(4.0), threshold=0.05)[0].rows()
    assert not against["accepted"] and against["label"] == "space_mismatch" and against["decided_by"] == "said"
    (silent,) = reviewing([Said(float("nan"))], layer(4.0), threshold=0.05)[0].rows()
    assert silent["decided_by"] == "rfnet" and silent["opinions"] == {"said": {}}


def test_an_opinion_that_fails_is_left_out_and_said_so(reviewing):
    review, *_ = reviewing([Said(None), Said(1, name="other")], layer(4.0))
    (row,) = review.rows()
    assert "The opinion said was left out: its server does not answer." in row["notes"]
    assert row["opinions"] == {"other": {"space_mismatch": 1.0}}


def test_a_proof_rejects_fitted_or_not(reviewing):
    for fusion in (None, layer()):
        (row,) = reviewing([Said(5, proof=True, name="proof")], fusion)[0].rows()
        assert not row["accepted"] and row["decided_by"] == "proof"
    (row,) = reviewing([Said(3, proof=True, name="proof")])[0].rows()
    assert row["accepted"] and "notes" not in row


def test_an_opinion_of_another_model_decides_nothing(reviewing):
    review, *_ = reviewing([Said(6, model="b")], layer(4.0, model="a"), threshold=0.05)
    assert review.accepted.all() and any("fitted with a and is asked of b" in note for note in review.notes)


def test_a_fusion_of_an_older_reviewer_is_kept_and_doubted(reviewing):
    carried = kept_fusion({"fusion": layer().to_json()})
    assert kept_fusion({}) == {} and REFIT in reviewing([Said(0)], parse_fusion(carried["fusion"]))[0].notes


def test_a_certified_risk_does_not_hold_with_opinions(networks):
    panel = Panel(Reviewer(*networks, {"fusion": layer().to_json()}), [Said(0)])
    with pytest.raises(ReviewError, match="certified for the reviewer alone"):
        panel.threshold_for("5 % risk")
    assert panel.threshold_for() == 0.5 and panel.threshold_for(threshold=0.3) == 0.3


def evidence(count=200, products=20, informative=True) -> Evidence:
    """RFNet knows little; one opinion knows space_mismatch, or only makes noise."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, count)
    log_p = torch.from_numpy(random.normal(0, 1, (count, 5)) + np.eye(5)[labels]).float().log_softmax(1)
    said = torch.full((count, 4), torch.nan)
    said[:, 0] = torch.from_numpy(random.normal(0, 1, count) + 4 * informative * (labels == 1)).float()
    said[::7] = torch.nan
    return Evidence(log_p, {"said": said}, labels, [f"p{number % products}" for number in range(count)])


def test_what_helps_gets_weight_and_lowers_the_held_out_loss():
    result = fuse(evidence())
    report, fitted = result.report, result.fusion
    assert (
        report["loss"]["fused"] < report["loss"]["rfnet"] and report["loss_without"]["said"] > report["loss"]["fused"]
    )
    assert fitted.opinions["said"].weight[0] > 0.3 and fitted.opinions["said"].weight[1:] == [0, 0, 0]
    assert (
        report["after"]["defects"]["space_mismatch"]["value"] > report["before"]["defects"]["space_mismatch"]["value"]
    )
    assert report["after"]["ece"]["value"] < 0.1 and "The opinions help" in report["reason"]
    assert parse_fusion(fitted.to_json()) == fitted


def test_what_only_makes_noise_is_not_written():
    result = fuse(evidence(informative=False))
    assert result.fusion is None and "Nothing was written" in result.report["reason"]


def test_a_strong_penalty_leaves_the_reviewer_as_it_is():
    data = evidence()
    fusion = fit(data, 1e6)
    torch.testing.assert_close(
        fusion.logits(data.log_p, fusion.pulls(data.opinions)).softmax(1), data.log_p.exp(), atol=1e-3, rtol=0
    )


def test_no_product_is_fitted_on_and_foretold():
    data = evidence(60, products=7)
    parts = folds(data.products)
    assert sorted(np.concatenate(parts)) == list(range(60)) and len(parts) == 5
    for part in parts:
        rest = set(range(60)) - set(part.tolist())
        assert not {data.products[row] for row in part} & {data.products[row] for row in rest}
    assert cross_validated(data, 0.1, parts).sum(1).allclose(torch.ones(60))


@pytest.mark.parametrize(
    "data, said",
    [
        (evidence(20), "20 pictures are labelled"),
        (evidence(60, products=1), "all pictures show one product"),
    ],
)
def test_too_little_to_fit_on_is_said(data, said):
    with pytest.raises(DataError, match=said):
        fuse(data)


def test_labels_of_one_kind_are_too_little():
    data = evidence(60)
    data.labels[:] = 0
    with pytest.raises(DataError, match="0 pictures are labelled with a defect"):
        fuse(data)


CONTACT = ["--opinions", "contact"]


@pytest.fixture(scope="module")
def fused(networks, tmp_path_factory):
    """(folder with before.safetensors and fused.safetensors, RF Label's dataset that the second was fitted on)."""
    folder = tmp_path_factory.mktemp("fused")
    save_reviewer(folder / "before.safetensors", *networks)
    labels = shadows(folder / "labels")
    given = [
        str(folder / "before.safetensors"),
        "--data",
        str(labels.folder),
        "--out",
        str(folder / "fused.safetensors"),
    ]
    assert main(["fuse", *given, *CONTACT]) == 0
    return folder, labels


def test_from_labels_to_verdicts_on_the_command_line(fused, capsys):
    folder, labels = fused
    weights, out = str(folder / "before.safetensors"), str(folder / "fused.safetensors")
    fusion = parse_fusion(read_metadata(out)["fusion"])
    assert fusion.opinions.keys() == {"contact"} and fusion.opinions["contact"].weight[0] > 0
    assert "The opinions help" in fusion.about["reason"] and fusion.about["n"] == 40

    row = labels.read().rows()[0]
    image, product = (str(labels.folder / row[name]) for name in ("image", "product"))
    asked = [*CONTACT, "own_label"]
    assert main(["review", image, "--product", product, "--weights", out, *asked, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["opinions"].keys() == {"contact", "own_label"} and said["opinions"]["contact"].keys() == {DEFECTS[0]}
    assert said["decided_by"] in ("rfnet", "contact") and set(said["probabilities"]) == set(LABELS)

    assert main(["review", image, "--product", product, "--weights", weights, *asked]) == 0
    assert UNFITTED in capsys.readouterr().out
    assert main(["review", image, "--product", product, "--weights", out, "--opinions", "guess"]) == 1
    assert "is no second opinion" in capsys.readouterr().err


def test_changing_other_metadata_keeps_the_layer(networks, tmp_path):
    path = tmp_path / "r.safetensors"
    save_reviewer(path, *networks, {"fusion": layer().to_json()})
    change_metadata(path, path, {"threshold": "0.4"})
    assert parse_fusion(read_metadata(path)["fusion"]) == layer()


def test_a_distilled_reviewer_says_by_itself_what_the_panel_said(fused, capsys):
    folder, labels = fused
    out, remembering = folder / "distilled.safetensors", folder / "remembering.safetensors"
    remember(folder / "fused.safetensors", [labels.folder / "labels.jsonl"], remembering, count=10)
    given = ["distill", str(remembering), "--data", str(labels.folder), *CONTACT, "--out", str(out)]
    assert main([*given, "--epochs", "5", "--lr", "0.003", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["divergence"]["after"] < 0.7 * report["divergence"]["before"] and report["held_out"] >= 8
    metadata = read_metadata(out)
    assert "fusion" not in metadata and float(metadata["threshold"]) == 0.5
    assert json.loads(metadata["distilled"])["n"] == 40 and not (folder / "distilled.safetensors.asked").exists()

    before, after = (load_memory(path, load_networks(path)[0].feature_width) for path in (remembering, out))
    assert after.shard == before.shard, "it remembers the same pictures"
    assert len(before.familiarity.means) == 1 and len(after.familiarity.means) == 2, "and knows what taught it, too"


def test_distilling_needs_fitted_opinions_and_all_of_them(fused, tmp_path, capsys):
    folder, labels = fused
    given = ["--data", str(labels.folder), "--out", str(tmp_path / "out.safetensors")]
    assert main(["distill", str(folder / "before.safetensors"), *given, *CONTACT]) == 1
    assert "holds no fitted opinions" in capsys.readouterr().err
    assert main(["distill", str(folder / "fused.safetensors"), *given, "--opinions", "own_label"]) == 1
    assert "fitted with contact, too" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


def test_a_run_that_was_stopped_asks_nothing_twice(networks, fused, tmp_path):
    samples = open_samples(fused[1].folder)
    asked = []

    class Once(Said):
        def evidence(self, canvas, images, depth=None):
            asked.append(len(asked))
            if len(asked) == 30:
                raise KeyboardInterrupt
            return super().evidence(canvas, images, depth)

    panel = Panel(Reviewer(*networks), [Once(1.0)])
    state = tmp_path / "out.asked"
    with pytest.raises(KeyboardInterrupt):
        collect(panel, samples, state=state)
    assert state.exists()
    evidence = collect(panel, samples, state=state)
    assert len(asked) == 30 + 40 - 29
    assert len(evidence.labels) == 40 and (evidence.opinions["said"][:, 0] == 1).all()

    backwards = collect(panel, samples.select(range(39, -1, -1)), state=state)
    assert len(asked) == 41 and torch.equal(backwards.log_p.flip(0), evidence.log_p), "in whatever order they come"
    others = Panel(Reviewer(networks[0], networks[1], {"temperature": "9"}), [Once(1.0)])
    with pytest.raises(DataError, match="answers of another reviewer"):
        collect(others, samples, state=state)


def test_a_server_that_falls_silent_stops_the_run_and_what_it_said_is_kept(networks, fused, tmp_path):
    samples, state = open_samples(fused[1].folder), tmp_path / "out.asked"

    class Falling(Said):
        silent, left = False, 10

        def evidence(self, canvas, images, depth=None):
            self.left -= 1
            if self.left < 0:
                self.silent = self.left < -1
                raise OpinionError("its server can't be reached (refused): is it running?")
            return super().evidence(canvas, images, depth)

    opinion = Falling(1.0)
    panel = Panel(Reviewer(*networks), [opinion])
    with pytest.raises(DataError, match=r"can't be reached .* twice in a row.*kept.* once said answers"):
        collect(panel, samples, state=state)
    opinion.left, opinion.silent = 100, False
    evidence = collect(panel, samples, state=state)
    assert opinion.left == 100 - 30 and (evidence.opinions["said"][:, 0] == 1).all()
