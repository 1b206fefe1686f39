"""Preview checks: what an engine calls after each step, so that a draw that will hardly pass is stopped early."""

from collections.abc import Callable, Sequence

import torch

from .early_rejection import EarlyThreshold


class StoppedEarly(Exception):
    """What a PreviewCheck raises where a draw falls below a threshold.

    An engine lets it pass through, as it lets a cancel. image, review: of the last preview.
    """

    def __init__(self, image: torch.Tensor, review: dict):
        super().__init__("stopped early")
        self.image = image
        self.review = review


class PreviewCheck:
    """What an engine calls after each step of a draw.

    It counts the steps, reviews a preview where a threshold says so, and raises StoppedEarly below it.
    """

    def __init__(self, review: Callable[[torch.Tensor], dict], thresholds: Sequence[EarlyThreshold] = ()):
        self.review = review
        self.thresholds = thresholds
        self.steps = 0
        self.results: list[dict] = []  # [{"step", "available"}]

    def __call__(self, step: int, steps: int, preview: Callable[[], torch.Tensor]) -> None:
        """step: how many of `steps` are done; preview() -> the predicted clean picture (3, H, W), asked for only where
        a threshold needs it: decoding it is what costs.
        """
        self.steps = step
        for threshold in self.thresholds:
            if threshold.step(steps) == step:
                image = preview()
                if not torch.isfinite(image).all():
                    return  # the finished picture will say so
                row = self.review(image)
                self.results.append({"step": step, "available": row["probabilities"]["available"]})
                if row["probabilities"]["available"] < threshold.threshold:
                    # a preview may look acceptable to the reviewer's own threshold; nobody gets it as a result
                    raise StoppedEarly(image, {**row, "accepted": False})


class PreviewChecks:
    """What an engine calls after each step of several draws at once: a PreviewCheck for each.

    Rows that were stopped are no longer `alive`: the engine may leave them out of its work. StoppedEarly comes only
    when none is left, since the engine draws all rows in one call.
    """

    def __init__(self, review: Callable[[torch.Tensor], dict], thresholds: Sequence[EarlyThreshold], count: int):
        self.rows = [PreviewCheck(review, thresholds) for _ in range(count)]
        self.thresholds = thresholds
        self.stopped: dict[int, StoppedEarly] = {}

    @property
    def alive(self) -> list[int]:
        return [row for row in range(len(self.rows)) if row not in self.stopped]

    def __call__(self, step: int, steps: int, previews: Callable[[list[int]], torch.Tensor]) -> None:
        """previews(rows) -> their predicted clean pictures (len(rows), 3, H, W), asked for once for all rows."""
        alive = self.alive
        due = any(threshold.step(steps) == step for threshold in self.thresholds)
        images = previews(alive) if due else [torch.empty(0)] * len(alive)  # without one, the step is only counted
        for row, image in zip(alive, images):
            try:
                self.rows[row](step, steps, made(image))
            except StoppedEarly as stop:
                self.stopped[row] = stop.with_traceback(None)  # which would hold this, and so itself
                if len(self.stopped) == len(self.rows):
                    raise


def made(image: torch.Tensor) -> Callable[[], torch.Tensor]:
    """A preview that is there already."""
    return lambda: image


def finished_step(seen: int, steps: int, evaluations: int) -> int:
    """The step that the evaluation number `seen` ends, both from 1; 0 where it ends none, as every other one of a
    sampler with two evaluations a step.
    """
    step, rest = divmod(seen * steps, max(evaluations, steps))
    return step if rest < steps and step <= steps else 0
