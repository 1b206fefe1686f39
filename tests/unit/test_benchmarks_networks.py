"""Table 1's scores: thresholds that no network gains from, and the same numbers as `rfnet evaluate` gives."""

import numpy as np
import pytest
import torch

from reliable_ads.benchmarks import networks
from reliable_ads.rfnet.training.evaluate import score

from .network_examples import judged, logits_for, split
from .rfnet_examples import write_split


def test_a_network_that_accepts_everything_gains_nothing_by_it():
    scenes = split()
    modest, generous = logits_for(scenes, 1.0), logits_for(scenes, 1.0, shift=9.0)
    for logits in (modest, generous):
        threshold = networks.even_threshold(logits, scenes.labels)
        assert (logits.softmax(1)[:, 0] >= threshold - 1e-7).sum() == (scenes.labels == 0).sum()
    assert (generous.softmax(1)[:, 0] >= 0.5).float().mean() > 0.95
    at_its_own = score(generous, scenes, threshold=networks.even_threshold(generous, scenes.labels), resamples=0)
    assert at_its_own["recall"]["value"] < 0.9


def test_gaps_are_differences_of_what_evaluate_reports():
    scenes = split()
    one, other = judged(scenes, logits_for(scenes, 2.0)), judged(scenes, logits_for(scenes, 0.7, seed=2))
    found = networks.gaps(scenes, one, other)
    reports = [score(part.logits, scenes, threshold=part.threshold, resamples=0) for part in one + other]
    for kind in networks.KINDS:
        assert found[kind]["value"] == pytest.approx(reports[0][kind]["value"] - reports[1][kind]["value"], abs=1e-6)
        assert found[kind]["low"] > 0
    assert all(gap["value"] == 0 for gap in networks.gaps(scenes, one, one).values())


def test_several_trainings_of_one_network_count_with_their_mean():
    scenes = split()
    trainings = judged(scenes, *(logits_for(scenes, 1.0, seed=seed) for seed in range(3)))
    alone = [networks.scores(scenes, [training])["ap"] for training in trainings]
    together = networks.scores(scenes, trainings)["ap"]
    assert together["value"] == pytest.approx(np.mean([score["value"] for score in alone]))


def test_an_interval_knows_how_far_trainings_differ():
    scenes = split()
    alike, apart = (
        judged(scenes, *(logits_for(scenes, sure, seed=seed) for seed, sure in enumerate(each)))
        for each in ((1.0, 1.0, 1.0), (0.4, 1.0, 1.6))
    )
    widths = [
        found["high"] - found["low"] for found in (networks.scores(scenes, each)["ap"] for each in (alike, apart))
    ]
    assert widths[1] > 1.5 * widths[0]


def test_verdicts_in_the_work_folder_are_not_made_again(tmp_path):
    scenes = split()
    (made,) = judged(scenes, logits_for(scenes, 1.0))
    made.write(tmp_path / "whole-1.verdicts.safetensors")
    training = networks.Training(data=tmp_path / "nowhere", work=tmp_path, passes=1)
    found = training("whole", {}, 1, scenes)
    assert torch.equal(found.logits, made.logits) and found.threshold == made.threshold
    with pytest.raises(ValueError, match="nowhere"):  # of other scenes: it would have to train
        training("whole", {"precision": "no"}, 1, split(300))


def test_trainings_on_other_scenes_or_of_another_length_are_kept_apart(tmp_path):
    for name, count in (("few", 8), ("many", 16)):
        write_split(tmp_path / name / "train", count)
    trainings = [
        networks.Training(tmp_path / name, tmp_path, **length)
        for name in ("few", "many")
        for length in ({"passes": 10}, {"passes": 20}, {"minutes": 10})
    ]
    folders = {training.below("table1").work for training in trainings}
    assert len(folders) == 6 and {folder.parent for folder in folders} == {tmp_path / "table1"}
    assert networks.Training(tmp_path / "few", tmp_path, passes=10).below("table1").work in folders
