"""The engine that draws nothing: it judges finished pictures, each with its product, as `rfnet review` does."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass

import torch
from PIL import Image

from ..rfnet.finished import canvas_of, on_canvas
from ..rfnet.painters import painter_of
from ..rfnet.pictures import picture_in
from ..rfnet.product import Product
from ..rfnet.risks import doubt, doubting
from ..rfnet.weights import load_reviewer, read_metadata
from .rows import Job
from .settings import Verdict, print_of, versions_of
from .storage import whole_copy
from .worker import Produced


@dataclass(frozen=True)
class ReviewSpec:
    """image_scale: that products were placed with, None as `rfnet review` has it; painter: the files that painted."""

    verdict: Verdict
    image_scale: float | None = None
    painter: tuple = ()
    device: str = "auto"

    def check(self) -> list[str]:
        self.verdict.check()
        read_metadata(self.verdict.reviewer)
        load_reviewer(self.verdict.reviewer).threshold_for(self.verdict.accept, self.verdict.threshold)
        if self.painter:
            painter_of(*self.painter)
        return []

    def settings(self) -> dict:
        return {"engine": "review", "image_scale": self.image_scale, **self.verdict.settings()}

    def versions(self) -> dict:
        return {**versions_of("torch"), "reviewer": print_of(self.verdict.reviewer)}

    def weights(self) -> int:
        return self.verdict.weights()

    def open(self) -> ReviewEngine:
        return ReviewEngine(self)


class ReviewEngine:
    at_once = 1

    def __init__(self, spec: ReviewSpec):
        self.image_scale = spec.image_scale
        device = ("cuda" if torch.cuda.is_available() else "cpu") if spec.device == "auto" else spec.device
        self.reviewer = spec.verdict.advised(load_reviewer(spec.verdict.reviewer).to(device), device)
        self.threshold = self.reviewer.threshold_for(spec.verdict.accept, spec.verdict.threshold)
        painter = painter_of(*spec.painter) if spec.painter else None
        self.certificate = self.reviewer.certificate(spec.verdict.accept, painter)

    def produce(self, job: Job, product: io.BytesIO) -> Produced:
        began = time.monotonic()
        picture = picture_in(whole_copy(job.image), named(job.image))
        rgba = picture_in(product, named(job.picture))
        cut_out = Product.from_arrays(rgba, caption=job.caption, size_cm=job.size_cm)
        canvas = canvas_of(cut_out, picture.shape[1], picture.shape[0], self.image_scale)
        review = self.reviewer.review(on_canvas(picture, canvas), canvas, self.threshold)
        row = doubting(review.rows()[0], doubt(self.certificate))
        seconds = round(time.monotonic() - began, 3)
        attempt = {"attempt": 1, "seed": 0, **row, "dropped": False, "steps": 0, "remedies": [], "seconds": seconds}
        report = {
            "accepted": row["accepted"],
            "attempts": [attempt],
            "returned": 1,
            "usable": [1] if row["accepted"] else [],
            "steps": 0,
            "ended_by": "reviewed",
            "seconds": seconds,
            **({"certificate": self.certificate} if self.certificate else {}),
        }
        return Produced([Image.fromarray((picture[..., :3] * 255 + 0.5).astype("uint8"))], report, keeps=False)


def named(location: str) -> str:
    """As messages call it."""
    return f'"{location.replace(chr(92), "/").rpartition("/")[2]}"'
