"""An engine that sleeps instead of drawing: the real loop, files and manifest around a picture that costs a known time.

For figures about what surrounds the drawing (benchmarks/fleet.py), and for tests of what must survive a kill.
"""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import asdict, dataclass

import torch
from PIL import Image

from reliable_ads.catalogue.rows import Job
from reliable_ads.catalogue.worker import Produced
from reliable_ads.cyclic.loop import run
from reliable_ads.rfnet.labels import LABELS


@dataclass(frozen=True)
class SleepingSpec:
    """seconds: of one attempt; rate: the share of attempts that are accepted; side: pixels; reads: whether the product
    picture must be one; fails: ids whose attempt raises.
    """

    seconds: float = 0.0
    rate: float = 0.6
    side: int = 64
    reads: bool = True
    at_once: int = 1
    fails: tuple[str, ...] = ()

    def check(self) -> list[str]:
        return []

    def settings(self) -> dict:
        return {"engine": "sleeping", **asdict(self), "fails": list(self.fails)}

    def versions(self) -> dict:
        return {"engine": "sleeping"}

    def weights(self) -> int:
        return 0

    def open(self) -> SleepingEngine:
        return SleepingEngine(self)


class SleepingEngine:
    def __init__(self, spec: SleepingSpec):
        self.spec, self.at_once = spec, spec.at_once

    def produce(self, job: Job, product: io.BytesIO) -> Produced:
        if job.id in self.spec.fails:
            raise RuntimeError(f"{job.id} can't be drawn: it was asked to fail.")
        if self.spec.reads:
            Image.open(product).verify()
        result = run(self._draw, self._review, job.seed, attempts=5)
        colours = [tuple(int(255 * value) for value in attempt.image[:, 0, 0]) for attempt in result.attempts]
        pictures = [Image.new("RGB", (self.spec.side, self.spec.side), colour) for colour in colours]
        return Produced(pictures, result.report())

    def _draw(self, index: int, seed: int, check) -> tuple[torch.Tensor, None]:
        time.sleep(self.spec.seconds)
        check(1, 1, lambda: None)
        digest = hashlib.sha256(str(seed).encode()).digest()
        return torch.tensor([value / 255 for value in digest[:3]]).view(3, 1, 1), None

    def _review(self, image: torch.Tensor) -> dict:
        value = float(image[0, 0, 0])
        label = LABELS[0] if value < self.spec.rate else LABELS[1 + int(image[1, 0, 0] * 3.99)]
        probabilities = {name: 0.8 if name == label else 0.05 for name in LABELS}
        return {"label": label, "probabilities": probabilities, "accepted": label == LABELS[0]}
