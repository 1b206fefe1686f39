"""What a loop holds: nothing of a draw that is over."""

import gc
import weakref

import torch

from reliable_ads.cyclic.early_rejection import EarlyThreshold
from reliable_ads.cyclic.loop import run

from .loop_examples import drawing

STEPS = 10


def test_a_draw_that_was_stopped_is_let_go_of_at_once():
    class Latent:
        """What a draw works on, here to see when it goes."""

    def generate(index, seed, check):
        latent = begun()
        check(5, STEPS, lambda: torch.zeros(3, 8, 8))
        return latent

    def together(first, seeds, checks):
        latent = begun()
        for step in (2, 5):  # one is stopped at the first, the other at the second
            checks(step, STEPS, lambda rows: torch.stack([torch.full((3, 8, 8), float(row)) for row in rows]))
        return latent

    def begun():
        latent = Latent()
        latents.append(weakref.ref(latent))
        return latent

    latents = []
    review, thresholds = drawing([0.3, 0.1])[1], (EarlyThreshold(0.2, 0.2), EarlyThreshold(0.5, 0.4))
    gc.disable()
    try:
        for more in ({}, {"together": together, "parallel": 2}):
            run(generate, review, seed=0, attempts=2, on_exhausted="stop", thresholds=thresholds, **more)
    finally:
        gc.enable()
    assert [latent() for latent in latents] == [None] * 3
