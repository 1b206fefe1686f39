"""The benchmark of measurements beside the reviewer: what helps is written and shows, and what says nothing doesn't."""

import numpy as np
import torch

from reliable_ads.benchmarks.advised import SPEAKS_OF, alone, changes, judged
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.opinions.protocol import DEFECTS
from reliable_ads.rfnet.training.fuse import Evidence


def evidence(seed: int, count: int, knows: bool) -> Evidence:
    """A reviewer that knows little, contact that knows what floats, or says the same of all, and a silent own_label."""
    random = np.random.default_rng(seed)
    labels = random.integers(5, size=count)
    log_p = torch.from_numpy(np.eye(5)[labels] + random.normal(0, 1.5, (count, 5))).float().log_softmax(1)
    opinions = {name: torch.full((count, len(DEFECTS)), torch.nan) for name in SPEAKS_OF}
    said = np.where(labels == LABELS.index("space_mismatch"), 2.0, -2.0) + random.normal(0, 0.5, count)
    opinions["contact"][:, DEFECTS.index("space_mismatch")] = torch.from_numpy(said).float() if knows else 1.0
    return Evidence(log_p, opinions, labels, [f"p{row % 30}" for row in range(count)])


def test_an_opinion_that_knows_is_written_and_helps():
    held = evidence(1, 120, knows=True)
    after, reports = judged(evidence(0, 140, knows=True), held, (0, 1))
    assert [report["written"] for report in reports] == [True, True]
    figures = changes(held, after, 50)
    assert figures["advised_change_space_mismatch"].low > 0.05
    told = alone(held, 50)
    assert told["contact_ap"].value > 0.95 and told["contact_known"].value == 1 and told["own_label_known"].value == 0


def test_one_that_says_the_same_of_all_changes_nothing():
    held = evidence(1, 120, knows=False)
    after, reports = judged(evidence(0, 140, knows=False), held, (0,))
    assert not reports[0]["written"]
    assert all(changes(held, after, 50)[f"advised_change_{label}"].value == 0 for label in LABELS)
