"""Preview checks in a web UI: its callback after each evaluation of the network, and the end of a draw that failed.

The callback knows no picture: `watch` says which draw it belongs to. One draws at a time.
"""

from __future__ import annotations

import torch
from modules import script_callbacks, sd_samplers_common

from ..cyclic.preview_check import StoppedEarly, finished_step
from . import host
from .randomness import apart

_watched: Watch | None = None


class Watch:
    """A draw of the host, seen after each step.

    checks: cyclic.preview_check.PreviewChecks of its pictures; canvas: of its size; preview: what makes previews, None
    for the VAE; denoiser: the host's, which knows how many steps and evaluations there are.
    """

    def __init__(self, checks, canvas, preview, denoiser):
        self.checks = checks
        self.canvas = canvas
        self.preview = preview
        self.denoiser = denoiser
        self.seen = 0

    def evaluated(self, denoised: torch.Tensor) -> None:
        """denoised: predicted clean latents, a row for each picture first."""
        self.seen += 1
        if step := finished_step(self.seen, self.denoiser.steps, self.denoiser.total_steps):
            self.checks(step, self.denoiser.steps, lambda rows: self.pictures(denoised[rows]))

    def pictures(self, latents: torch.Tensor) -> torch.Tensor:
        """What they become, with the product's own pixels."""
        if self.preview is None:
            return self.canvas.paste(host.decode(latents))
        clean = host.unscaled(latents.float())
        return self.canvas.paste(self.preview(clean, self.canvas.height, self.canvas.width)).cpu()


def watch(draw: Watch | None) -> None:
    """Whose evaluations come from now on; None: nobody's."""
    global _watched
    _watched = draw


def after_evaluation(params) -> None:
    """The host's on_cfg_after_cfg. It swallows exceptions; InterruptedException is none, and ends this draw alone."""
    if _watched is None:
        return
    try:
        with apart():
            _watched.evaluated(params.x)
    except StoppedEarly as stop:
        stop.with_traceback(None)  # its draw keeps it, and would be held by it
        raise sd_samplers_common.InterruptedException from None


def register() -> None:
    script_callbacks.on_cfg_after_cfg(after_evaluation)
