"""What remedies change of a draw in ComfyUI: words and ControlNets of its conditioning, cfg, the product's place.

`DrawChange` has a method for each kind of change. It says there, too, which graphs can't be changed so.
"""

from functools import lru_cache

import torch

from ..cyclic.remedies import REMEDIES, Change, Impossible, Placement, Policy, apply
from . import families, hints, model_patches
from .families import all_controls, architecture_of_control, family
from .hints import shows
from .model_patches import patches_of
from .types import channels_last

UNGUIDED = "cfg is 1: the graph draws without guidance"


class DrawChange(Change):
    """Collects changes of a draw; `made()` gives the changed draw.

    words: {name of a remedy: encoded conditioning}; tuned: a CONTROL_NET, or None; tuned_patch: a MODEL_PATCH, or None.
    """

    def __init__(self, draw, words: dict, tuned=None, tuned_patch=None):
        self.draw = draw
        self.words = words
        self.tuned = tuned
        self.tuned_patch = tuned_patch
        self.added: list[tuple] = []  # (which conditioning, the words)
        self.guidance = self.told = self.strength = 1.0
        self.placement = Placement()
        self.swapped_in = self.patched_in = None

    def add_words(self, name: str, to: str = "positive") -> None:
        prompt = self.draw.conditions.get(to)
        if not prompt:
            raise Impossible(f"there is no {to} prompt")
        if to == "negative" and self.draw.settings(0)["cfg"] == 1:
            raise Impossible(UNGUIDED)
        if name not in self.words:
            raise Impossible("RF Remedies has no CLIP or no words for it")
        words = self.words[name]
        if any(text is not None and text.shape[-1] != words[0][0].shape[-1] for text, _ in prompt):
            raise Impossible("the CLIP of RF Remedies is of another model family than the graph's prompts")
        self.added.append((to, words))

    def scale_guidance(self, factor: float) -> None:
        conditions = self.draw.conditions
        settings = self.draw.settings(0)
        unguided = settings["cfg"] == 1 or not conditions.get("negative")
        if unguided and "guidance" in settings:  # a distilled model is told how much
            self.told *= factor
            return
        if not conditions.get("negative"):  # more guidance would only make the model's prediction larger
            raise Impossible("there is no negative prompt")
        if conditions.keys() - {"positive", "negative"}:
            raise Impossible("the guider guides in a way of its own")
        if unguided:
            raise Impossible(UNGUIDED)
        self.guidance *= factor

    def scale_control(self, factor: float) -> None:
        if not all_controls(self.draw) and not patches_of(self.draw.patcher):
            raise Impossible("no ControlNet is applied")
        self.strength *= factor

    def place(self, dilation: float = 0.0, down: float = 0.0, scale: float = 1.0) -> None:
        draw = self.draw
        if not has_mask_of(draw.latent, draw.canvas):
            raise Impossible("the latent's noise mask is not RF Product's inpaint mask")
        if any("concat_latent_image" in values for conds in draw.conditions.values() for _, values in conds):
            raise Impossible("an inpainting model's own conditioning holds the product where it is")
        if (down, scale) != (0, 1):
            if any("reference_latents" in values for conds in draw.conditions.values() for _, values in conds):
                raise Impossible("a reference picture holds the product where it is")
            if draw.canvas.placing.get("position") != "centre":
                raise Impossible("the product stays where its picture has it: position is not centre")
            own = [shows(control, draw.canvas) for control in all_controls(draw)]
            own += [model_patches.shows(patch, draw.canvas) for patch in patches_of(draw.patcher)]
            if not all(own):
                raise Impossible("a ControlNet's hint is not RF Product's")
        self.placement.place(dilation, down, scale)

    def use_tuned(self) -> None:
        patches = [patch for patch in patches_of(self.draw.patcher) if model_patches.shows(patch, self.draw.canvas)]
        if self.tuned_patch is not None and patches:
            if not all(model_patches.fits(self.tuned_patch, patch) for patch in patches):
                raise Impossible("the graph's model patch is of another kind than the tuned one")
            self.patched_in = self.tuned_patch
            return
        if self.tuned is None:
            raise Impossible("RF Remedies has no tuned ControlNet")
        holding = [control for control in all_controls(self.draw) if shows(control, self.draw.canvas)]
        if not holding:
            raise Impossible("no ControlNet of the graph has RF Product's hint")
        if any(kind_of(control) != kind_of(self.tuned) for control in holding):
            raise Impossible("the graph's ControlNet is of another kind than the tuned one")
        if len({id(getattr(control, "control_model", control)) for control in holding}) > 1:
            raise Impossible("several ControlNets have RF Product's hint")
        check_family(self.tuned, holding[0])
        self.swapped_in = self.tuned

    def made(self):
        """The draw with all that was asked for."""
        draw = self.draw
        canvas = self.draw.canvas
        latent = self.draw.latent
        moved = self.placement.of(canvas)
        if moved is not canvas:
            latent = {**latent, "noise_mask": moved.inpaint_mask[None, None]}
            if not torch.equal(moved.rgb, canvas.rgb):
                latent["samples"] = draw.vae.encode(channels_last(moved.shown[None]))
        conditions = edited(draw.conditions, self.strength, canvas, moved, self.swapped_in)
        for name, words in self.added:
            conditions[name] = joined(conditions[name], words)
        if self.told != 1:
            conditions = {name: told(conds, self.told) for name, conds in conditions.items()}
        made = draw.changed(conditions, self.guidance, canvas=moved, latent=latent)
        if patches_of(draw.patcher) and (self.strength != 1 or moved is not canvas or self.patched_in is not None):
            patcher = model_patches.changed(draw.patcher, self.strength, canvas, moved, self.patched_in)
            return made.with_patcher(patcher)
        return made


def impossible(draw, asked, words: dict, tuned, tuned_patch=None) -> dict:
    """{remedy: why it can't be used on this draw} of those asked for, by trying the first step of each.

    Raises ValueError where the tuned ControlNet is asked for and is of another family than the graph's.
    """
    reasons = {}
    for remedy in REMEDIES:
        if remedy.name in asked:
            try:
                remedy.change(DrawChange(draw, words, tuned, tuned_patch), remedy.next(remedy.neutral))
            except Impossible as why:
                reasons[remedy.name] = str(why)
    return reasons


class Answered:
    """A draw with a policy's present values in it; each set of values is prepared once.

    given: the graph's nodes.remedies.Remedies, or None.
    """

    def __init__(self, draw, policy: Policy, given=None):
        self.draw = draw
        self.policy = policy
        self.given = (given.words, given.tuned, given.tuned_patch) if given else ({}, None, None)
        self.prepared = lru_cache(maxsize=4)(self._prepare)

    def now(self):
        return self.prepared(tuple(sorted((change["remedy"], change["after"]) for change in self.policy.changes)))

    def _prepare(self, values: tuple):
        if not values:
            return self.draw
        change = DrawChange(self.draw, *self.given)
        apply(dict(values), change)
        return change.made()


def has_mask_of(latent: dict, canvas) -> bool:
    """Whether the latent's noise mask is the canvas's inpaint mask."""
    mask = latent.get("noise_mask")
    own = canvas.inpaint_mask
    if mask is None or mask.shape[-2:] != own.shape or mask.numel() != own.numel():
        return False
    return torch.equal(mask.reshape(own.shape).cpu(), own)


def kind_of(control) -> tuple:
    """ComfyUI's class of a ControlNet, and whether it takes a mask: one can take another's place only where both are
    the same.
    """
    return type(control), getattr(control, "concat_mask", False)


def check_family(tuned, control) -> None:
    """Raises ValueError, before anything is drawn, where the tuned ControlNet was made for another kind of model than
    the one whose place it takes: SDXL's for SD 1.5, say.
    """
    own, other = family(control), family(tuned)
    if own and other and own != other:
        own, other = families.words(own), families.words(other)
    else:
        own, other = architecture_of_control(control), architecture_of_control(tuned)
    if own and other and own != other:
        raise ValueError(
            f"RF Remedies: the tuned ControlNet is of another model family ({other}) than the graph's own ({own}):"
            " connect one of the same family, or none."
        )


def edited(conditions: dict, strength: float, canvas, moved, tuned) -> dict:
    """The conditioning with its ControlNets' strength times this.

    Those that show the canvas get the hint of the `moved` one, and where there is a `tuned` one, it takes their place.
    """
    # of all conditions together: ComfyUI computes the prompt and the negative one at once only where they share a
    # ControlNet
    copies = {}

    def copied(control):
        if control is None:
            return None
        if id(control) not in copies:
            new = copies[id(control)] = (
                in_place_of(control, tuned) if tuned is not None and shows(control, canvas) else control.copy()
            )
            new.strength = control.strength * strength
            if moved is not canvas and shows(control, canvas):
                hint = hints.moved(control, canvas, moved)
                new.cond_hint_original, new.extra_concat_orig = hint.picture, hint.further
            new.set_previous_controlnet(copied(control.previous_controlnet))
        return copies[id(control)]

    def with_copies(values):
        return {**values, "control": copied(values["control"])} if values.get("control") is not None else values

    return {name: [[text, with_copies(values)] for text, values in conds] for name, conds in conditions.items()}


def in_place_of(control, tuned):
    """A copy of `tuned` that is applied as `control` is."""
    new = tuned.copy().set_cond_hint(
        control.cond_hint_original,
        control.strength,
        control.timestep_percent_range,
        control.vae,
        control.extra_concat_orig,
    )
    new.extra_args = {**new.extra_args, **control.extra_args}
    new.extra_hooks = control.extra_hooks
    return new


def joined(conds: list, words: list) -> list:
    """The conditioning with the words' tokens behind its own, as stock Conditioning (Concat) does it, and what models
    keep beside the tokens: HiDream a second encoder's, others a mask of those that count.
    """
    text, values = words[0]
    longer = []
    for own, given in conds:
        new = dict(given)
        if "conditioning_llama3" in given and "conditioning_llama3" in values:
            new["conditioning_llama3"] = torch.cat([given["conditioning_llama3"], values["conditioning_llama3"]], 2)
        masks = token_mask(own, given), token_mask(text, values)
        if any(not mask.all() for mask in masks):
            new["attention_mask"] = torch.cat(masks, 1)
        longer.append([torch.cat([own, text.to(own)], 1), new])
    return longer


def token_mask(text: torch.Tensor, values: dict) -> torch.Tensor:
    """(1, T): which of a prompt's tokens count; all, where it doesn't say so of each."""
    mask = values.get("attention_mask")
    tokens = text.shape[1]
    return torch.ones(1, tokens) if mask is None or mask.numel() != tokens else mask.reshape(1, tokens).cpu()


def told(conds: list, factor: float) -> list:
    """The conditioning with the guidance that it tells a distilled model times this."""
    return [
        [text, {**values, "guidance": values["guidance"] * factor} if values.get("guidance") is not None else values]
        for text, values in conds
    ]
