"""What remedies change of a draw in ComfyUI: words and ControlNets of its conditioning, cfg, the product's place.

`DrawChange` has a method for each kind of change. It says there, too, which graphs can't be changed so.
"""

from functools import lru_cache

import torch

from ..cyclic.remedies import REMEDIES, Change, Impossible, Placement, Policy, apply
from . import families
from .families import all_controls, family
from .types import channels_last

UNGUIDED = "cfg is 1: the graph draws without guidance"


class DrawChange(Change):
    """Collects changes of a draw; `made()` gives the changed draw.

    words: {name of a remedy: encoded conditioning}; tuned: a CONTROL_NET, or None.
    """

    def __init__(self, draw, words: dict, tuned=None):
        self.draw = draw
        self.words = words
        self.tuned = tuned
        self.added: list[tuple] = []  # (which conditioning, the words)
        self.guidance = self.strength = 1.0
        self.placement = Placement()
        self.swapped_in = None

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
        if not conditions.get("negative"):  # more guidance would only make the model's prediction larger
            raise Impossible("there is no negative prompt")
        if conditions.keys() - {"positive", "negative"}:
            raise Impossible("the guider guides in a way of its own")
        if self.draw.settings(0)["cfg"] == 1:
            raise Impossible(UNGUIDED)
        self.guidance *= factor

    def scale_control(self, factor: float) -> None:
        if not all_controls(self.draw):
            raise Impossible("no ControlNet is applied")
        self.strength *= factor

    def place(self, dilation: float = 0.0, down: float = 0.0, scale: float = 1.0) -> None:
        draw = self.draw
        if not has_mask_of(draw.latent, draw.canvas):
            raise Impossible("the latent's noise mask is not RF Product's inpaint mask")
        if any("concat_latent_image" in values for conds in draw.conditions.values() for _, values in conds):
            raise Impossible("an inpainting model's own conditioning holds the product where it is")
        if (down, scale) != (0, 1):
            if draw.canvas.placing.get("position") != "centre":
                raise Impossible("the product stays where its picture has it: position is not centre")
            if not all(shows(control, draw.canvas) for control in all_controls(draw)):
                raise Impossible("a ControlNet's hint is not RF Product's")
        self.placement.place(dilation, down, scale)

    def use_tuned(self) -> None:
        if self.tuned is None:
            raise Impossible("RF Remedies has no tuned ControlNet")
        holding = [control for control in all_controls(self.draw) if shows(control, self.draw.canvas)]
        if not holding:
            raise Impossible("no ControlNet of the graph has RF Product's hint")
        if any(type(control) is not type(self.tuned) for control in holding):
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
        return draw.changed(conditions, self.guidance, canvas=moved, latent=latent)


def impossible(draw, asked, words: dict, tuned) -> dict:
    """{remedy: why it can't be used on this draw} of those asked for, by trying the first step of each.

    Raises ValueError where the tuned ControlNet is asked for and is of another family than the graph's.
    """
    reasons = {}
    for remedy in REMEDIES:
        if remedy.name in asked:
            try:
                remedy.change(DrawChange(draw, words, tuned), remedy.next(remedy.neutral))
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
        self.words, self.tuned = (given.words, given.tuned) if given else ({}, None)
        self.prepared = lru_cache(maxsize=4)(self._prepare)

    def now(self):
        return self.prepared(tuple(sorted((change["remedy"], change["after"]) for change in self.policy.changes)))

    def _prepare(self, values: tuple):
        if not values:
            return self.draw
        change = DrawChange(self.draw, self.words, self.tuned)
        apply(dict(values), change)
        return change.made()


def has_mask_of(latent: dict, canvas) -> bool:
    """Whether the latent's noise mask is the canvas's inpaint mask."""
    mask = latent.get("noise_mask")
    own = canvas.inpaint_mask
    if mask is None or mask.shape[-2:] != own.shape or mask.numel() != own.numel():
        return False
    return torch.equal(mask.reshape(own.shape).cpu(), own)


def shows(control, canvas) -> bool:
    """Whether a ControlNet's hint is the canvas's."""
    hint = control.cond_hint_original
    return hint is not None and hint.shape[-2:] == canvas.hint.shape[-2:] and torch.equal(hint[0].cpu(), canvas.hint)


def check_family(tuned, control) -> None:
    """Raises ValueError, before anything is drawn, where the tuned ControlNet was made for another kind of model than
    the one whose place it takes: SDXL's for SD 1.5, say.
    """
    own = family(control)
    other = family(tuned)
    if own and other and own != other:
        raise ValueError(
            f"RF Remedies: the tuned ControlNet is of another model family ({families.words(other)}) than the graph's"
            f" own ({families.words(own)}): connect one of the same family, or none."
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
                new.cond_hint_original = moved.hint[None]
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
    """The conditioning with the words' tokens behind its own, as stock Conditioning (Concat) does it."""
    return [[torch.cat([text, words[0][0].to(text)], 1), values] for text, values in conds]
