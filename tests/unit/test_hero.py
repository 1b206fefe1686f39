"""The README's first picture: which run is shown, and that every attempt is marked as it was judged."""

import numpy as np
import pytest
import torch

from reliable_ads.cyclic.loop import Attempt, RecurrentRun
from reliable_ads.devtools.hero import ATTEMPTS, GREEN, RED, jobs_of, panel, picture, worth
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.synthetic.product_files import write_products

from .rfnet_examples import bottle_rgba


def row(label: str, p: float = 0.8) -> dict:
    rest = (1 - p) / (len(LABELS) - 1)
    return {
        "label": label,
        "probabilities": {name: p if name == label else rest for name in LABELS},
        "accepted": label == "available",
    }


def attempt(index: int, label: str) -> Attempt:
    return Attempt(index, index, torch.full((3, 128, 128), 0.5), row(label), 1.0)


REJECTED = [row(label) for label in ("space_mismatch", "space_mismatch", "size_mismatch", "indistinctiveness")]


@pytest.mark.parametrize(
    "rows",
    [
        [*REJECTED, row("space_mismatch")],
        [*REJECTED[:3], row("available"), row("available")],
        [*REJECTED[:2], row("available")],
        [*REJECTED[:3], row("space_mismatch"), row("available")],  # two reasons
    ],
)
def test_only_four_rejections_and_an_acceptance_are_shown(rows):
    assert worth(rows) == 0


def test_different_reasons_and_sure_verdicts_are_worth_more():
    one = worth([*REJECTED, row("available")])
    four = [row(label) for label in LABELS[1:]]
    assert 0 < one < worth([*four, row("available")]) and one < worth([*REJECTED, row("available", 0.95)])


def test_the_rejected_are_struck_out_in_red_and_the_accepted_is_framed_in_green():
    def near(drawn, colour):
        return (np.abs(np.asarray(drawn, int) - colour).max(-1) < 40).mean()

    rejected, accepted = panel(attempt(0, "size_mismatch")), panel(attempt(4, "available"))
    assert near(rejected, RED) > 0.03 > near(rejected, GREEN) and near(accepted, GREEN) > 0.02 > near(accepted, RED)
    board = picture(
        RecurrentRun([*(attempt(index, "size_mismatch") for index in range(4)), attempt(4, "available")], accepted=True)
    )
    assert board.width > ATTEMPTS * rejected.width and board.height > rejected.height


def test_every_product_of_the_archive_has_its_own_prompt_and_seed(tmp_path):
    rgba = bottle_rgba().astype(np.float32) / 255
    write_products(tmp_path / "p.zip", [(name, "bottle", f"a {name}", 0.3, rgba) for name in ("one", "two")])
    one, two = jobs_of(tmp_path / "p.zip")
    assert (one.product_id, two.product_id, one.product.caption) == ("one", "two", "a one")
    assert one.prompt.startswith("photo, on ") and one.seed != two.seed
    assert jobs_of(tmp_path / "p.zip")[1].seed == two.seed
