"""What benchmarks/sizes.py asks and reads: captions that turn a label over, and probes that find what is there."""

import numpy as np
import pytest
import torch

from reliable_ads.benchmarks import figures, sizes
from reliable_ads.rfnet.sizes import SizeReader
from reliable_ads.synthetic.photographed.things import SIZED

METRES = {sizes.article(caption): metres for caption, metres in SIZED.values()}


@pytest.mark.parametrize("label, shown", [("size_mismatch", 0.6), ("available", 0.1)])
def test_turned_captions_name_a_thing_of_the_size_shown_where_it_was_wrong_and_of_another_where_it_was_right(
    label, shown
):
    row = {"label": label, "shown_metres": shown, "caption": "a ring"}
    for seed in range(20):
        captions = sizes.captions_of(row, np.random.default_rng(seed))
        off = METRES[captions["turned_caption"]] / shown
        assert 0.7 < off < 1.4 if label == "size_mismatch" else not 0.25 < off < 4
        assert captions["no_caption"] == "" and captions["other_caption"] not in ("", "a ring")


def test_a_probe_finds_what_is_linear_in_the_features_and_nothing_where_nothing_is():
    rng = np.random.default_rng(0)
    features, other = rng.normal(size=(400, 12)) * 5 + 2, rng.normal(size=(400, 12))
    wanted = features[:, 3] - 0.5 * features[:, 7] + 1
    assert np.corrcoef(sizes.Probe.fit(features[:300], wanted[:300]).predict(features[300:]), wanted[300:])[0, 1] > 0.99
    blind = sizes.Probe.fit(other[:300], wanted[:300]).predict(other[300:])
    assert abs(np.corrcoef(blind, wanted[300:])[0, 1]) < 0.4


def test_every_ablation_has_a_title():
    for name in sizes.ABLATIONS:
        assert figures.find("sizes", f"ap_{name}").title != f"ap_{name}"


def test_the_opinion_tells_wrong_sizes_where_the_true_one_is_known_and_says_nothing_elsewhere():
    reader = SizeReader(weight=[1.0], bias=0.0, sigma=0.3)
    features = torch.tensor([[0.2], [2.0], [2.0]]).log()
    given = sizes.evidence_of(reader, features, ["a thingummy"] * 3, [20.0, 20.0, 200.0])
    assert given[0] < 0 < given[1] and given[2] < 0
    assert (sizes.evidence_of(reader, features, ["a thingummy"] * 3, [0.0] * 3) == 0).all()
    usual = sizes.evidence_of(reader, features, ["a ring", "a broom", "a thingummy"], [0.0] * 3)
    assert usual[0] > 0 and usual[1] != 0 and usual[2] == 0


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("known", ["given", "usual"])
def test_the_opinion_has_titles(split, known):
    for name in (f"{split}_ap_size_opinion_{known}", f"{split}_change_size_opinion_{known}", f"{split}_known_usual"):
        assert figures.find("sizes", name).title != name
