"""The loop around any Draw: its inputs and outputs, which both cyclic samplers show, and what they do with them."""

import json
import logging
from dataclasses import replace

import comfy.model_management
import torch
from comfy_api.latest import io, ui
from comfy_execution.graph import ExecutionBlocker

from ..cyclic.profiles import AUTO, OFF
from ..rfnet.risks import doubt
from . import early_rejection as profiles
from . import product_folder
from .painters import painter_of
from .remedy_changes import Answered
from .sampling import Draw, picked, reviewing
from .screen import Screen
from .strip import Strip
from .types import (
    THRESHOLD_TOOLTIP,
    Job,
    Remedies,
    accept_input,
    channels_last,
    opinions_input,
    stop_if_cancelled,
    to_picture,
)

# inputs that few change
SELDOM = ("on_exhausted", "threshold", "accept", "early_rejection", "usable", "seconds", "step_budget", "parallel")
CHECKS = {"early_rejection": profiles.named}


def loop_inputs() -> list:
    return [*verdict_inputs(), *budget_inputs(), *linked_inputs()]


def verdict_inputs() -> list:
    """How many attempts, and what is accepted."""
    return [
        io.Int.Input(
            "attempts",
            default=5,
            min=1,
            max=1000,
            tooltip=("Pictures drawn at most. If one in two is accepted, five attempts suffice 97 times out of 100."),
        ),
        io.Combo.Input(
            "on_exhausted",
            options=["best", "last", "stop", "error"],
            default="best",
            tooltip=(
                "What comes out when no attempt is accepted. best: the likeliest one. last: the last one. stop: the"
                " nodes behind image, latent and seed do not run. error: the run ends with a message."
            ),
        ),
        io.Float.Input("threshold", default=0.0, min=0.0, max=1.0, step=0.01, tooltip=THRESHOLD_TOOLTIP),
        accept_input(),
    ]


def budget_inputs() -> list:
    """What attempts may cost. Optional, as all that came after the first release."""
    return [
        io.Combo.Input(
            "early_rejection",
            options=[AUTO, OFF, *profiles.paths()],
            default=AUTO,
            optional=True,
            tooltip=(
                "Stops draws that will probably fail, long before their last step. auto: where RF Profile Early"
                " Rejection has measured this model and reviewer. off: every draw goes to its end."
            ),
        ),
        io.Int.Input(
            "usable",
            default=1,
            min=1,
            max=1000,
            optional=True,
            tooltip="How many accepted pictures to draw. They come out as one batch; attempts still ends it.",
        ),
        io.Float.Input(
            "seconds",
            default=0.0,
            min=0.0,
            max=86400.0,
            step=1.0,
            optional=True,
            tooltip="No new attempt begins after so many seconds. 0: no limit.",
        ),
        io.Int.Input(
            "step_budget",
            default=0,
            min=0,
            max=1000000,
            optional=True,
            tooltip="No new attempt begins once so many sampling steps are spent over all attempts. 0: no limit.",
        ),
        io.Int.Input(
            "parallel",
            default=1,
            min=1,
            max=64,
            optional=True,
            tooltip=(
                "Attempts drawn at once. Start with 1; 2 to 4 keep a big GPU busy. Where memory runs out it goes on one"
                " at a time. Samplers that add noise of their own (ancestral, SDE, ddim around a mask) draw other"
                " pictures then."
            ),
        ),
    ]


def linked_inputs() -> list:
    """What other nodes of this pack give."""
    return [
        Remedies.Input(
            "remedies",
            optional=True,
            tooltip=(
                "From RF Remedies: changes the next draw by what was wrong with this one. Without it the sampler only"
                " draws again."
            ),
        ),
        Job.Input(
            "job",
            optional=True,
            tooltip=(
                "From RF Product Folder: pictures and report go into its gallery. In a list, error goes on with the"
                " next product, and the gallery shows what was drawn."
            ),
        ),
        opinions_input(),
    ]


def loop_outputs() -> list:
    return [
        io.Image.Output(
            "images",
            display_name="image",
            tooltip=(
                "The accepted pictures: one, unless usable asks for more. If none was accepted, what on_exhausted says."
            ),
        ),
        io.Latent.Output(
            "latent", display_name="latent", tooltip="Their latents, equal to the stock sampler's for the same seeds."
        ),
        io.Boolean.Output(
            "accepted", display_name="accepted", tooltip=("True if as many were accepted as usable asks for.")
        ),
        io.Int.Output("attempts_made", display_name="attempts", tooltip="How many pictures were drawn."),
        io.Int.Output("result_seed", display_name="seed", tooltip="Seed of the first picture that comes out."),
        io.String.Output(
            "report",
            display_name="report",
            tooltip="Every attempt with seed, label, probabilities, steps and seconds, as JSON.",
        ),
        io.Image.Output(
            "all_attempts",
            display_name="all attempts",
            tooltip="Every picture that was drawn, in order; of a draw that was stopped early, the last preview.",
        ),
    ]


def draw_until_accepted(
    draw: Draw,
    screen: Screen,
    reviewer,
    seed,
    attempts,
    on_exhausted,
    threshold,
    accept="threshold",
    early_rejection=AUTO,
    usable=1,
    seconds=0.0,
    step_budget=0,
    parallel=1,
    remedies=None,
    job=None,
    opinions=None,
) -> io.NodeOutput:
    """loop_inputs' values → the outputs of loop_outputs."""
    from ..cyclic.loop import RecurrentRun
    from ..cyclic.remedies import Policy

    draw.check()
    reviewer = reviewer.with_opinions(opinions)
    threshold = reviewer.threshold_for(accept, threshold)
    settings = draw.settings(threshold)
    early = profiles.choose(early_rejection, draw.patcher, reviewer, settings)
    pictures = replace(draw, preview=early.preview).pictures
    policies = [remedies.policy(picture) if remedies else (Policy(()), {}) for picture in pictures]
    engines = [
        Engine(Answered(picture, policy, remedies), reviewer, threshold)
        for picture, (policy, _) in zip(pictures, policies)
    ]
    limits = {"usable": usable, "seconds": seconds or None, "steps": step_budget or None, "parallel": parallel}
    screen.certify(certificate_for(reviewer, accept, draw, remedies))
    asked = {"seed": seed, "attempts": attempts, "on_exhausted": on_exhausted, "thresholds": early.thresholds, **limits}
    ran = RecurrentRun.joined(list(each_picture(engines, screen, asked, goes_on=job is not None)))

    ran.certificate = certificate_for(reviewer, accept, draw, remedies, ran.results)
    screen.certify(ran.certificate)
    notes = [*screen.notes, *filter(None, [doubt(ran.certificate)])]
    report = {
        **ran.report(),
        "settings": {**settings, "accept": accept},
        "limits": limits,
        "early_rejection": {
            "profile": early.source,
            "gates": [threshold.at(settings["steps"]) for threshold in early.thresholds],
        },
        "remedies": {
            "allowed": list(dict.fromkeys(name for policy, _ in policies for name in policy.allowed)),
            "left_out": {name: why for _, left_out in policies for name, why in left_out.items()},
        },
        **({"notes": notes} if notes else {}),
    }
    if job is not None:
        product_folder.keep(job, report, [to_picture(attempt.image) for attempt in ran.attempts])
    return outputs(ran, json.dumps(report, ensure_ascii=False, indent=2), draw.latent, screen.strip)


def certificate_for(reviewer, accept: str, draw: Draw, remedies, attempts=()) -> dict | None:
    """What the threshold of an `accept` stands on, as Reviewer.certificate says it; None for a plain one.

    remedies: RF Remedies' or None; attempts: those that it has to hold for, of which a tuned ControlNet may have drawn
    some; without any, the graph's own networks.
    """
    from ..cyclic.remedies import by_other_network

    if reviewer.reviewer.certificate(accept) is None:
        return None
    swapped = {by_other_network(attempt.remedies) for attempt in attempts} or {False}
    painters = [painter_of(draw, remedies.tuned if other else None) for other in sorted(swapped)]
    certificates = [reviewer.reviewer.certificate(accept, painter) for painter in painters]
    return next(filter(doubt, certificates), certificates[0])


def each_picture(engines: list, screen: Screen, asked: dict, goes_on: bool):
    """The RecurrentRun of each picture of a batch, one after the other.

    asked: recurrent's arguments; goes_on: in a list of products, which a picture without a result must not end.
    Raises NoneAccepted, which names the picture.
    """
    from ..cyclic.loop import NoneAccepted, run

    for number, engine in enumerate(engines, 1):
        if number > 1:
            screen.begin(number)
        try:
            yield run(
                engine.one,
                engine.review,
                **asked,
                on_event=screen.show,
                together=engine.several,
                remedies=engine.answered.policy,
                review_preview=engine.review_preview,
            )
        except NoneAccepted as failure:
            if not goes_on:
                raise NoneAccepted(screen.picture_text + str(failure), failure.run) from failure
            yield failure.run


class Engine:
    """What recurrent asks for, with the remedies' present values in every draw."""

    def __init__(self, answered: Answered, reviewer, threshold: float):
        self.answered = answered
        self.reviewer = reviewer
        self.threshold = threshold

    def one(self, index: int, seed: int, check):
        stop_if_cancelled()
        return self.answered.now()(seed, check)

    def several(self, index: int, seeds: list, checks):
        from ..cyclic.loop import TooMany

        stop_if_cancelled()
        try:
            return self.answered.now().together(seeds, checks)
        except comfy.model_management.OOM_EXCEPTION:
            comfy.model_management.soft_empty_cache()
            raise TooMany(f"{len(seeds)} attempts at once don't fit into memory: going on one at a time") from None

    def review(self, image: torch.Tensor) -> dict:
        return reviewing(self.answered.now(), self.reviewer, self.threshold)(image)

    def review_preview(self, image: torch.Tensor) -> dict:
        """By RFNet alone, as early rejection was measured."""
        return reviewing(self.answered.now(), self.reviewer.alone, self.threshold)(image)


def outputs(ran, report: str, latent_image: dict, strip: Strip) -> io.NodeOutput:
    """A RecurrentRun as the node gives it back."""
    # a NaN picture is shown black
    pictures = channels_last(torch.stack([attempt.image.nan_to_num() for attempt in ran.attempts]))
    shown = {**shown_pictures(pictures), "report": [report], **strip.ui(ran.results)}
    if not ran.results:
        nothing = ExecutionBlocker(None)
        return io.NodeOutput(nothing, nothing, False, len(ran.attempts), nothing, report, pictures, ui=shown)
    image = channels_last(torch.stack([result.image for result in ran.results]))
    latent = picked(latent_image, [result.picture - 1 for result in ran.results])
    latent["samples"] = torch.cat([result.payload for result in ran.results])
    return io.NodeOutput(image, latent, ran.accepted, len(ran.attempts), ran.returned.seed, report, pictures, ui=shown)


def shown_pictures(pictures: torch.Tensor) -> dict:
    """All attempts in the node itself. They are a courtesy: a full disk must not cost the user the drawn pictures."""
    try:
        return ui.PreviewImage(pictures).as_dict()
    except OSError as error:
        logging.warning("RF Cyclic Sampler: the node can't show the attempts (%s); the outputs are complete", error)
        return {"images": [], "animated": (False,)}  # ComfyUI joins the runs of a list by the keys of the first
