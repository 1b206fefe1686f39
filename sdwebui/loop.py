"""The loop of cyclic around the host: attempt 1 is what Generate drew, the next ones are draws of the host's own."""

from __future__ import annotations

import copy
import functools
import time
from dataclasses import dataclass, field

import torch
from modules import errors, processing, shared
from PIL import Image

from ..cyclic import loop
from ..cyclic.attempts import RecurrentRun
from ..cyclic.preview_check import PreviewChecks, StoppedEarly
from ..rfnet.sheets import to_image, to_planes
from . import controlnet, early
from .changes import PromptChange
from .plan import Plan, Scene, masks
from .settings import TITLES, begin_at
from .words import plain

CHANGED = {"do_not_save_samples", "do_not_save_grid", "init_images", "denoising_strength", "script_args"}  # of p


@dataclass
class Drawn:
    """A picture of the host, with the product's own pixels; ended: "skipped" or "interrupted" by the user, or None."""

    picture: Image.Image
    ended: str | None = None


@dataclass
class Draw:
    """What our hooks know of one run of the host: as p.reliable_ads.

    inner: it is an attempt of our own, after the first; check: what sees it after each step, made for each batch where
    it is None; failed: why it must not go on.
    """

    plan: Plan
    scene: Scene
    inner: bool = False
    check: object = None
    checks: list = field(default_factory=list)  # cyclic's PreviewChecks, one for each batch
    stopped: StoppedEarly | None = None
    ended: str | None = None
    drawn: list[Drawn] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    ended_at: float = 0.0
    failed: str = ""
    noise: torch.Tensor | None = None

    def prepare(self, p) -> None:
        """What the host draws from: our ControlNet unit, and img2img's picture. Before it begins."""
        p.reliable_ads = self
        p.do_not_save_samples = p.do_not_save_grid = True  # results.py saves what was accepted
        if hasattr(p, "init_images"):
            p.init_images = [to_image(self.scene.start)]
            p.denoising_strength = 1.0 if self.scene.backdrop is None else p.denoising_strength

    def leave(self, p) -> None:
        """Puts p back as it was before, for scripts that draw with it again, such as Loopback; and the host holds each
        p until Python looks for garbage, which in Forge may be 30 runs later.
        """
        for name in filter(functools.partial(hasattr, p), CHANGED):
            setattr(p, name, getattr(self.plan.template, name))
        p.reliable_ads = None

    def use_control(self, p, change: PromptChange) -> None:
        """Puts the product's outline into our unit of the host's ControlNet."""
        plan = self.plan
        if plan.slot is None:
            return
        arguments = list(p.script_args)
        weight = plan.settings.control_weight * change.strength
        arguments[plan.slot] = controlnet.unit(change.swapped_in or plan.control_net, self.scene.canvas.hint, weight)
        p.script_args = arguments

    def forget_unit(self, p) -> None:
        """Takes our unit out of the infotext that the host's ControlNet wrote: pasted, it would have no picture."""
        script = controlnet.script_of(p.scripts)
        if self.plan.slot is not None and script is not None:
            number = controlnet.number_of(script, p.script_args, self.plan.slot)
            p.extra_generation_params.pop(f"ControlNet {number}", None)

    def before_sampling(self, p, x: torch.Tensor, noise: torch.Tensor) -> None:
        """The product's latent and mask, and who sees the draw after each step; also before hires fix's second pass.

        noise: of variance 1, as large as x.
        """
        self.noise = noise
        if self.plan.slot is not None:
            controlnet.check_applied(controlnet.script_of(p.scripts), p.script_args, self.plan.slot)
        self.forget_unit(p)  # with a refiner it is only written now
        second = bool(getattr(p, "is_hr_pass", False))
        canvas = self.scene.final if second else self.scene.canvas
        self.plan.find_profile(p)
        p.mask, p.nmask = masks(canvas, x)
        denoiser = p.sampler.model_wrap_cfg
        if not second:
            latent = self.scene.encoded().expand(len(x), -1, -1, -1).to(x)
            p.init_latent = denoiser.init_latent = latent  # img2img's, and txt2img's
            self.stopped = self.ended = None
            early.watch(early.Watch(self._check(len(x)), canvas, self.plan.early.preview, denoiser))
        elif self.stopped:  # there is no way to leave the second pass out, but after its first evaluation it ends
            early.watch(early.Watch(self._again, canvas, None, denoiser))

    def hold(self, blend) -> None:
        """Gives the product's latent the noise of the step where the host puts it into what the step begins with: DDIM,
        PLMS and UniPC, in Automatic1111 and reForge. Clean, it would leave a coloured rim. blend: a MaskBlendArgs.
        """
        if getattr(blend.denoiser, "mask_before_denoising", False):
            kept = blend.denoiser.alphas.to(blend.sigma.device)[blend.sigma.int()].view(-1, 1, 1, 1)
            noisy = kept.sqrt() * blend.init_latent + (1 - kept).sqrt() * self.noise.to(blend.current_latent)
            blend.blended_latent = blend.current_latent * blend.nmask + noisy.to(blend.current_latent) * blend.mask

    def _check(self, count: int):
        """What is called after each step: step, steps, previews(rows)."""

        def check(step, steps, previews):
            try:
                checks(step, steps, previews)
            except StoppedEarly as stop:
                self.stopped = stop
                raise

        if self.check is None:
            checks = PreviewChecks(self.plan_review(), self.plan.early.thresholds, count)
            self.checks.append(checks)
        else:
            checks = self.check
        return check

    def _again(self, *_):
        raise self.stopped

    def plan_review(self):
        """Judges previews of the size that is sampled. Holds no draw: it is held by one."""
        plan, canvas = self.plan, self.scene.canvas
        return lambda picture: plan.reviewer.preview_row(picture, canvas, plan.threshold)

    def after_sampling(self, p, ps) -> None:
        """Notes how it ended; what was stopped early needs no VAE."""
        early.watch(None)
        denoiser = getattr(p.sampler, "model_wrap_cfg", None)  # hires fix has let go of it, and has decoded
        if getattr(denoiser, "mask_before_denoising", False) and not (
            hasattr(p, "init_images") or isinstance(ps.samples, processing.DecodedSamples)
        ):
            ps.samples = denoiser.init_latent * p.mask + ps.samples * p.nmask  # as other samplers end, and img2img
        state = shared.state
        self.ended = "interrupted" if state.interrupted else "skipped" if state.skipped else None
        if self.stopped is not None:
            final = self.scene.final
            picture = torch.nn.functional.interpolate(self.stopped.image[None].float(), (final.height, final.width))
            ps.samples = processing.DecodedSamples(list((picture * 2 - 1).expand(len(ps.samples), -1, -1, -1)))

    def paste(self, picture: Image.Image) -> Image.Image:
        """The picture with the product's own pixels, which is kept for the loop."""
        canvas = self.scene.final
        if picture.size != (canvas.width, canvas.height):
            raise ValueError(
                f"another extension made the picture {picture.width}x{picture.height}, the product was placed on"
                f" {canvas.width}x{canvas.height}: let it resize after Reliable Ads, or turn one of them off."
            )
        pasted = to_image(canvas.paste(to_planes(picture)[None])[0])
        pasted.info.update(picture.info)
        self.drawn.append(Drawn(pasted, self.ended))
        self.ended_at = time.monotonic()
        return pasted


class HostLoop:
    """The loop of one picture of the batch.

    first: the Draw of Generate; number: which of its pictures, from 0. texts, canvases: infotext and canvas of each
    attempt, by its index.
    """

    def __init__(self, first: Draw, p, processed, number: int, count: int):
        self.plan = first.plan
        self.first = first
        self.p = p
        self.number = number
        self.count = count
        self.policy = self.plan.policy()
        self.scene = first.scene
        self.canvases = {0: first.scene.final}
        self.texts = {0: processed.infotexts[processed.index_of_first_image + number]}
        self.seen = ""

    def run(self) -> RecurrentRun:
        settings = self.plan.settings
        return loop.run(
            self.generate,
            self.review,
            int(self.p.all_seeds[self.number]),
            settings.attempts,
            settings.on_exhausted,
            self.show,
            thresholds=self.plan.early.thresholds,
            remedies=self.policy,
            stride=self.count,
            review_preview=self.review_preview,
        )

    def generate(self, index: int, seed: int, check):
        if index == 0:
            return self.begun(check)
        state = shared.state
        if state.interrupted or state.stopping_generation:
            raise loop.Interrupted()
        draw = self.drawn(index, seed, check)
        if draw.stopped:
            raise draw.stopped
        return answer(draw.drawn[0])

    def begun(self, check):
        """Attempt 1, which the host drew with the others of its batch."""
        drawn = self.first.drawn[self.number]
        batch, row = divmod(self.number, self.p.batch_size)
        checks = self.first.checks[batch] if batch < len(self.first.checks) else None
        if checks and row < len(checks.rows):
            check.steps, check.results = checks.rows[row].steps, checks.rows[row].results
            if len(checks.stopped) == len(checks.rows):
                raise checks.stopped[row]
        return answer(drawn)

    def drawn(self, index: int, seed: int, check) -> Draw:
        """One more draw of the host's. Raises Interrupted where it fails: what there is is kept."""
        change = self.plan.change.at(self.policy.values)
        self.scene = self.plan.scene.moved(change.placement)
        self.canvases[index] = self.scene.final
        draw = Draw(self.plan, self.scene, inner=True, check=one_row(check))
        p = self.copy_of_p(seed, change)
        draw.prepare(p)
        draw.use_control(p, change)
        try:
            processed = processing.process_images(p)
            self.texts[index] = processed.infotexts[processed.index_of_first_image]
            if draw.failed or not draw.drawn:
                raise RuntimeError(draw.failed or "the web UI gave no picture back")
        except Exception as error:
            errors.report(f"Reliable Ads: attempt {index + 1} failed", exc_info=True)
            self.plan.notes.append(f"attempt {index + 1} failed, and the run ended with it: {error}")
            raise loop.Interrupted() from error
        finally:
            early.watch(None)
            draw.leave(p)
        return draw

    def copy_of_p(self, seed: int, change: PromptChange):
        """What Generate was pressed with, for one picture with this seed and these changes."""
        outer, number = self.p, self.number
        p = copy.copy(self.plan.template)
        p.seed, p.subseed = seed, outer.all_subseeds[number]
        p.n_iter = p.batch_size = 1
        p.prompt = ", ".join([outer.all_prompts[number], *change.added["positive"]])
        p.negative_prompt = ", ".join(filter(None, [outer.all_negative_prompts[number], *change.added["negative"]]))
        p.styles = []  # they are in these prompts
        if getattr(p, "enable_hr", False):
            p.hr_prompt = outer.all_hr_prompts[number]
            p.hr_negative_prompt = outer.all_hr_negative_prompts[number]
        p.cfg_scale = p.cfg_scale * change.guidance
        p.extra_generation_params = dict(self.plan.template.extra_generation_params)
        if said := begin_at(self.policy.changes):
            p.extra_generation_params[TITLES["begin_at"]] = said
        p.override_settings = {}  # they are in force, since the outer draw is not over
        p.comments = {}
        return p

    def review(self, picture: torch.Tensor) -> dict:
        return self.plan.reviewer.row(picture, self.canvas_of(picture), self.plan.threshold)

    def review_preview(self, picture: torch.Tensor) -> dict:
        return self.plan.reviewer.preview_row(picture, self.canvas_of(picture), self.plan.threshold)

    def canvas_of(self, picture: torch.Tensor):
        """A finished picture's, or the smaller one of hires fix, which a preview has."""
        scene = self.scene
        return scene.final if picture.shape[-1] == scene.final.width else scene.canvas

    def show(self, event) -> None:
        """Progress in words: "attempt 2/5 · hardly stands out"."""
        picture = f"picture {self.number + 1}/{self.count} · " if self.count > 1 else ""
        if isinstance(event, loop.Started):
            before = f" · before: {self.seen}" if self.seen else ""
            shared.state.textinfo = f"{picture}attempt {event.index + 1}/{event.attempts}{before}"
        if isinstance(event, loop.Reviewed):
            self.seen = plain(event.attempt)
            shared.state.textinfo = f"{picture}attempt {event.attempt.index + 1}/{event.attempts} · {self.seen}"


def answer(drawn: Drawn):
    """What `generate` gives back of a picture of the host's. Raises Skipped, Interrupted."""
    picture = to_planes(drawn.picture)
    if drawn.ended == "skipped":
        raise loop.Skipped(picture)
    if drawn.ended == "interrupted":
        raise loop.Interrupted(picture)
    return picture, drawn.picture


def one_row(check):
    """A PreviewCheck as what sees a draw of one picture."""
    return lambda step, steps, previews: check(step, steps, lambda: previews([0])[0])
