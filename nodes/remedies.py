"""RFRemedies: what the sampler may change after a rejected draw; and how a draw is changed."""

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from comfy_api.latest import io

from ..cyclic.remedies import REMEDIES, Policy, replaced
from .checked import checked
from .inputs import shown
from .types import CATEGORY, channels_last
from .types import Remedies as RemediesSocket

NO_WORDS = "RF Remedies has no CLIP or no words for it"
NO_NEGATIVE = "there is no negative prompt"
NO_GUIDANCE = "cfg is 1: the graph draws without guidance"
OWN_GUIDANCE = "the guider guides in a way of its own"
OTHER_WORDS = "the CLIP of RF Remedies is of another model family than the graph's prompts"
NO_TUNED = "RF Remedies has no tuned ControlNet"
NO_PLACE = "no ControlNet of the graph has RF Product's hint"
OPTIONAL = ("avoid", "tuned")  # came later: last and optional, so that graphs saved before still run
OFF = (
    "position",
    "scale",
)  # did not help where they were measured, and move the product away from where RF Product put it
NOT_OURS = "the latent's noise mask is not RF Product's inpaint mask"


@dataclass(frozen=True)
class Remedies:
    """What a graph allows.

    words: {"contrast", "surface", "avoid": encoded conditioning}; changes: as a report lists them, to begin there;
    tuned: a CONTROL_NET to draw with after a rejection, or None.
    """

    allowed: tuple
    words: dict
    changes: list = field(default_factory=list)
    tuned: Any = None

    def policy(self, draw) -> tuple[Policy, dict]:
        """A new Policy for one product, and why some remedies can't be used on this draw: {name: reason}.

        Raises ValueError where the tuned ControlNet is of another family.
        """
        left_out = impossible(draw, self.words, self.tuned)
        asked = {*self.allowed, *(change["remedy"] for change in self.changes)}
        if "tuned" in asked - left_out.keys():
            check_family(self.tuned, draw)
        for change in self.changes:
            if why := left_out.get(change["remedy"]):
                raise ValueError(
                    f"begin_at asks for {change['remedy']}, which this graph does not offer ({why}): draw the attempt"
                    " again in the graph that the report came from."
                )
        return Policy(tuple(name for name in self.allowed if name not in left_out)).begin_at(self.changes), {
            name: why for name, why in left_out.items() if name in self.allowed
        }


@checked(
    checks={"begin_at": lambda text: changes_of(text)},
    advanced=("begin_at", *(remedy.name for remedy in REMEDIES)),
    aliases=("retry", "auto fix", "fix bad pictures"),
)
class RFRemedies(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RFRemedies",
            display_name="RF Remedies",
            category=CATEGORY,
            description=(
                "Lets RF Cyclic Sampler answer a rejected picture by its defect, with small and bounded changes,"
                " instead of only drawing again."
            ),
            inputs=[
                io.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="The model's CLIP, which encodes the words below once. Without it no words are added.",
                ),
                io.String.Input(
                    "contrast_words",
                    default="plain contrasting background, product in focus",
                    multiline=True,
                    tooltip="Added to the prompt when the product is lost in its background.",
                ),
                io.String.Input(
                    "surface_words",
                    default="standing firmly on a solid surface, contact shadow",
                    multiline=True,
                    tooltip="Added to the prompt when the product floats or stands on nothing.",
                ),
                *(switch(remedy) for remedy in REMEDIES if remedy.name not in OPTIONAL),
                io.String.Input(
                    "begin_at",
                    default="",
                    tooltip=(
                        "To draw an attempt of a report again: paste its list of remedies here and give the sampler its"
                        " seed and one attempt."
                    ),
                ),
                io.String.Input(
                    "avoid_words",
                    default="floating, wrong size, cluttered background, extra parts",
                    multiline=True,
                    optional=True,
                    tooltip=(
                        "Added to the negative prompt after any rejected picture. Use words that your model knows for"
                        " what goes wrong."
                    ),
                ),
                *(switch(remedy, optional=True) for remedy in REMEDIES if remedy.name in OPTIONAL),
                io.ControlNet.Input(
                    "tuned_control_net",
                    optional=True,
                    tooltip=(
                        "The same kind of ControlNet as the graph's, with what RFFT has learned: from RF Load"
                        " ControlNet. After a rejected picture it takes the place of the one that holds the product's"
                        " outline."
                    ),
                ),
            ],
            outputs=[RemediesSocket.Output("remedies", display_name="remedies", tooltip="For RF Cyclic Sampler.")],
        )

    @classmethod
    def execute(
        cls, contrast_words, surface_words, begin_at, clip=None, avoid_words="", tuned_control_net=None, **switches
    ) -> io.NodeOutput:
        given = {"contrast": contrast_words.strip(), "surface": surface_words.strip(), "avoid": avoid_words.strip()}
        words = {
            name: clip.encode_from_tokens_scheduled(clip.tokenize(text))
            for name, text in given.items()
            if text and clip is not None
        }
        return io.NodeOutput(
            Remedies(tuple(name for name, on in switches.items() if on), words, changes_of(begin_at), tuned_control_net)
        )


def changes_of(begin_at: str) -> list:
    """The remedies of one attempt in a report, none where the text is empty.

    Raises ValueError on what is no such list.
    """
    try:
        changes = json.loads(begin_at) if begin_at.strip() else []
        Policy().begin_at(changes)
    except (ValueError, RecursionError, AttributeError) as error:
        found = "it is nested too deeply" if isinstance(error, RecursionError) else shown(str(error), 160)
        raise ValueError(
            f'begin_at is no list of remedies ({found}): paste the value of "remedies" of one attempt in a report, or'
            " leave it empty."
        ) from error
    return changes


def switch(remedy, optional: bool = False) -> io.Boolean.Input:
    tooltip = (
        f"Answers {remedy.label}: {remedy.about}. From {remedy.neutral:g} to {remedy.bound:g}, {abs(remedy.step):g} at"
        " a time."
    )
    return io.Boolean.Input(remedy.name, default=remedy.name not in OFF, optional=optional, tooltip=tooltip)


def impossible(draw, words: dict, tuned) -> dict:
    """{remedy: why it can't be used on this draw}."""
    canvas, latent = draw.canvas, draw.latent
    reasons = {name: NO_WORDS for name in ("contrast", "surface", "avoid") if name not in words}
    for name, conds in (("contrast", "positive"), ("surface", "positive"), ("avoid", "negative")):
        if name in words and any(
            text is not None and text.shape[-1] != words[name][0][0].shape[-1]
            for text, _ in draw.conditions.get(conds, ())
        ):
            reasons[name] = OTHER_WORDS
    if not draw.conditions.get("negative"):
        reasons |= dict.fromkeys(
            ("avoid", "guidance"), NO_NEGATIVE
        )  # without one, more guidance would only make the model's prediction larger
    elif draw.conditions.keys() - {"positive", "negative"}:
        reasons["guidance"] = OWN_GUIDANCE
    elif draw.settings(0)["cfg"] == 1:
        reasons["guidance"] = NO_GUIDANCE
    controls = [control for name in draw.conditions for control in controls_of(draw.conditions[name])]
    if not controls:
        reasons["control"] = "no ControlNet is applied"
    holding = [control for control in controls if shows(control, canvas)]
    if tuned is None:
        reasons["tuned"] = NO_TUNED
    elif not holding:
        reasons["tuned"] = NO_PLACE
    elif any(type(control) is not type(tuned) for control in holding):
        reasons["tuned"] = "the graph's ControlNet is of another kind than the tuned one"
    elif len({id(getattr(control, "control_model", control)) for control in holding}) > 1:
        reasons["tuned"] = "several ControlNets have RF Product's hint"
    mask = latent.get("noise_mask")
    if (
        mask is None
        or mask.shape[-2:] != canvas.inpaint_mask.shape
        or mask.numel() != canvas.inpaint_mask.numel()
        or not torch.equal(mask.reshape(canvas.inpaint_mask.shape).cpu(), canvas.inpaint_mask)
    ):
        reasons |= dict.fromkeys(("dilation", "position", "scale"), NOT_OURS)
    elif any("concat_latent_image" in values for conds in draw.conditions.values() for _, values in conds):
        reasons |= dict.fromkeys(
            ("dilation", "position", "scale"), "an inpainting model's own conditioning holds the product where it is"
        )
    elif canvas.placing.get("position") != "centre":
        reasons |= dict.fromkeys(
            ("position", "scale"), "the product stays where its picture has it: position is not centre"
        )
    elif not all(shows(control, canvas) for control in controls):
        reasons |= dict.fromkeys(("position", "scale"), "a ControlNet's hint is not RF Product's")
    return reasons


def controls_of(conds: list) -> list:
    """The ControlNets of a conditioning, chained ones too."""
    found = []
    for _, values in conds:
        control = values.get("control")
        while control is not None:
            found.append(control)
            control = control.previous_controlnet
    return found


def shows(control, canvas) -> bool:
    hint = control.cond_hint_original
    return hint is not None and hint.shape[-2:] == canvas.hint.shape[-2:] and torch.equal(hint[0].cpu(), canvas.hint)


def check_family(tuned, draw) -> None:
    """Raises ValueError, before anything is drawn, where the tuned ControlNet was made for another kind of model than
    the one whose place it takes: SDXL's for SD 1.5, say.
    """
    for control in (
        control for conds in draw.conditions.values() for control in controls_of(conds) if shows(control, draw.canvas)
    ):
        given, there = family(tuned), family(control)
        if given and there and given != there:
            raise ValueError(
                "RF Remedies: the tuned ControlNet is of another model family than the graph's own (width and prompt"
                f" width {given}, not {there}): connect one of the same family, or none."
            )


def family(control) -> tuple | None:
    """(channels of the first layer, width of a prompt's token) of a ControlNet: (320, 768) for SD 1.5, (320, 2048) for
    SDXL; None where its weights don't tell.
    """
    network = getattr(control, "control_model", None)
    weights = dict(network.named_parameters()) if network is not None else {}
    prompts = next((weight.shape[1] for name, weight in weights.items() if name.endswith("attn2.to_k.weight")), None)
    return (
        (weights["input_blocks.0.0.weight"].shape[0], prompts)
        if prompts and "input_blocks.0.0.weight" in weights
        else None
    )


class Answered:
    """A draw with a policy's present values in it; each set of values is prepared once.

    given: the graph's Remedies, or None.
    """

    def __init__(self, draw, policy: Policy, given: Remedies | None):
        self.draw, self.policy = draw, policy
        self.words, self.tuned = (given.words, given.tuned) if given else ({}, None)
        self.prepared = lru_cache(maxsize=4)(self._prepare)

    def now(self):
        return self.prepared(tuple(sorted((change["remedy"], change["after"]) for change in self.policy.changes)))

    def _prepare(self, values: tuple):
        if not values:
            return self.draw
        values = {remedy.name: remedy.neutral for remedy in REMEDIES} | dict(values)
        canvas, latent = self.placed(values)
        tuned = self.tuned if values["tuned"] else None
        conditions = edited(self.draw.conditions, values["control"], self.draw.canvas, canvas, tuned)
        for name in ("contrast", "surface"):
            if values[name]:
                conditions["positive"] = joined(conditions["positive"], self.words[name])
        if values["avoid"]:
            conditions["negative"] = joined(conditions["negative"], self.words["avoid"])
        return self.draw.changed(conditions, values["guidance"], canvas=canvas, latent=latent)

    def placed(self, values: dict) -> tuple:
        """(canvas, latent) with the product moved, scaled and masked as the values say; those of the graph where they
        say nothing.
        """
        canvas, latent = self.draw.canvas, self.draw.latent
        moved = replaced(canvas, values)
        if moved is canvas:
            return canvas, latent
        latent = {**latent, "noise_mask": moved.inpaint_mask[None, None]}
        if not torch.equal(moved.rgb, canvas.rgb):
            latent["samples"] = self.draw.vae.encode(channels_last(moved.shown[None]))
        return moved, latent


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
    new.extra_args, new.extra_hooks = {**new.extra_args, **control.extra_args}, control.extra_hooks
    return new


def joined(conds: list, words: list) -> list:
    """The conditioning with the words' tokens behind its own, as stock Conditioning (Concat) does it."""
    return [[torch.cat([text, words[0][0].to(text)], 1), values] for text, values in conds]
