"""The loop around any Draw: its inputs and outputs, which both cyclic samplers show, and what the user sees while it
runs.
"""

import json
import logging
from dataclasses import replace

import comfy.model_management
import comfy.utils
import torch
from comfy_api.latest import io, ui
from comfy_execution.graph import ExecutionBlocker
from server import PromptServer

from . import early_rejection as gates
from . import product_folder
from .remedy_changes import Answered
from .sampling import Draw, reviewing
from .strip import Strip
from .types import THRESHOLD_TOOLTIP, Entry, Remedies, accept_input, channels_last, stop_if_cancelled, to_picture

SELDOM = (
    "on_exhausted",
    "threshold",
    "accept",
    "early_rejection",
    "usable",
    "seconds",
    "step_budget",
    "parallel",
)  # changed by few
CHECKS = {"early_rejection": gates.named}


def loop_inputs() -> list:
    return [
        io.Int.Input(
            "attempts",
            default=5,
            min=1,
            max=1000,
            tooltip=(
                "Pictures drawn at most. If one in two is fit to publish, five attempts suffice 97 times out of 100."
            ),
        ),
        io.Combo.Input(
            "on_exhausted",
            options=["best", "last", "stop", "error"],
            default="best",
            tooltip=(
                "When no attempt is accepted: best gives the one most likely fit, last the last one, stop leaves out"
                " the nodes behind image, latent and seed, error ends the run with a message."
            ),
        ),
        io.Float.Input("threshold", default=0.0, min=0.0, max=1.0, step=0.01, tooltip=THRESHOLD_TOOLTIP),
        accept_input(),
        io.Combo.Input(
            "early_rejection",
            options=[gates.AUTO, gates.OFF, *gates.profiles()],
            default=gates.AUTO,
            optional=True,
            tooltip=(
                "Gives up draws that will almost surely fail, long before their last step. auto: where RF Profile has"
                " measured this model and reviewer; off: every draw goes to its end."
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
                "Attempts drawn at once, to keep a GPU busy; those that are given up early cost nothing more. Where"
                " memory runs out it goes on one at a time. Samplers that add noise of their own (ancestral, SDE, ddim"
                " around a mask) draw other pictures then."
            ),
        ),
        Remedies.Input(
            "remedies",
            optional=True,
            tooltip="From RF Remedies: answers a rejected picture by its defect instead of only drawing again.",
        ),
        Entry.Input(
            "entry",
            optional=True,
            tooltip=(
                "From RF Product Folder: pictures and report go into its album. In a list, error goes on with the next"
                " product, too; the album shows what was drawn."
            ),
        ),
    ]


def loop_outputs() -> list:
    return [
        io.Image.Output(
            "images",
            display_name="image",
            tooltip="The accepted pictures, one unless usable says more, or what on_exhausted says.",
        ),
        io.Latent.Output(
            "latent", display_name="latent", tooltip="Their latents, equal to the stock sampler's for the same seeds."
        ),
        io.Boolean.Output("accepted", display_name="accepted", tooltip="Whether as many were accepted as usable says."),
        io.Int.Output("attempts_made", display_name="attempts", tooltip="How many pictures were drawn."),
        io.Int.Output("result_seed", display_name="seed", tooltip="Seed of the first picture that is given back."),
        io.String.Output(
            "report",
            display_name="report",
            tooltip="Every attempt with seed, label, probabilities, steps and seconds, as JSON.",
        ),
        io.Image.Output(
            "all_attempts",
            display_name="all attempts",
            tooltip="Every picture that was drawn, in order; of those that were given up, what they were becoming.",
        ),
    ]


def draw_until_accepted(
    draw: Draw,
    screen: "Screen",
    reviewer,
    seed,
    attempts,
    on_exhausted,
    threshold,
    accept="threshold",
    early_rejection=gates.AUTO,
    usable=1,
    seconds=0.0,
    step_budget=0,
    parallel=1,
    remedies=None,
    entry=None,
) -> io.NodeOutput:
    """loop_inputs' values → the outputs of loop_outputs."""
    from ..cyclic.loop import NoneAccepted, run
    from ..cyclic.remedies import Policy

    draw.check()
    threshold = reviewer.threshold_for(accept, threshold)
    settings = draw.settings(threshold)
    early = gates.choose(early_rejection, draw.patcher, reviewer, settings)
    draw = replace(draw, preview=early.preview)
    policy, left_out = remedies.policy(draw) if remedies else (Policy(()), {})
    painter = Painter(Answered(draw, policy, remedies), reviewer, threshold)
    limits = {"usable": usable, "seconds": seconds or None, "steps": step_budget or None, "parallel": parallel}
    try:
        ran = run(
            painter.one,
            painter.review,
            seed,
            attempts,
            on_exhausted,
            screen.show,
            gates=early.gates,
            together=painter.several,
            remedies=policy,
            **limits,
        )
    except NoneAccepted as failure:
        if entry is None:
            raise
        ran = failure.run  # one product must not end the list

    report = {
        **ran.report(),
        "settings": {**settings, "accept": accept},
        **({"certificate": certificate} if (certificate := reviewer.reviewer.certificate(accept)) else {}),
        "limits": limits,
        "early_rejection": {"profile": early.source, "gates": [gate.at(settings["steps"]) for gate in early.gates]},
        "remedies": {"allowed": list(policy.allowed), "left_out": left_out},
    }
    if "certificate" in report and any(
        change["remedy"] == "tuned" for attempt in ran.results for change in attempt.remedies
    ):
        screen.notes.append(
            "the certificate speaks of pictures by the graph's own ControlNet, and the tuned one painted"
        )
    if screen.notes:
        report["notes"] = screen.notes
    if entry is not None:
        product_folder.keep(entry, report, [to_picture(attempt.image) for attempt in ran.attempts])
    return outputs(ran, json.dumps(report, ensure_ascii=False, indent=2), draw.latent, screen.strip)


class Painter:
    """What recurrent asks for, with the remedies' present values in every draw."""

    def __init__(self, answered: Answered, reviewer, threshold: float):
        self.answered, self.reviewer, self.threshold = answered, reviewer, threshold

    def one(self, index: int, seed: int, look):
        stop_if_cancelled()
        return self.answered.now()(seed, look)

    def several(self, index: int, seeds: list, looks):
        from ..cyclic.loop import TooMany

        stop_if_cancelled()
        try:
            return self.answered.now().together(seeds, looks)
        except comfy.model_management.OOM_EXCEPTION:
            comfy.model_management.soft_empty_cache()
            raise TooMany(f"{len(seeds)} attempts at once don't fit into memory: going on one at a time") from None

    def review(self, image: torch.Tensor) -> dict:
        return reviewing(self.answered.now(), self.reviewer, self.threshold)(image)


def outputs(ran, report: str, latent_image: dict, strip: Strip) -> io.NodeOutput:
    """A RecurrentRun as the node gives it back."""
    pictures = channels_last(
        torch.stack([attempt.image.nan_to_num() for attempt in ran.attempts])
    )  # a NaN picture is shown black
    shown = {**shown_pictures(pictures), "report": [report], **strip.ui(ran.results)}
    if not ran.results:
        nothing = ExecutionBlocker(None)
        return io.NodeOutput(nothing, nothing, False, len(ran.attempts), nothing, report, pictures, ui=shown)
    image = channels_last(torch.stack([result.image for result in ran.results]))
    latent = {**latent_image, "samples": torch.cat([result.payload for result in ran.results])}
    return io.NodeOutput(image, latent, ran.accepted, len(ran.attempts), ran.returned.seed, report, pictures, ui=shown)


class Screen:
    """What the user sees while it runs: one bar over all attempts, the latest preview, the latest verdict in words, the
    strip of all verdicts.
    """

    def __init__(self, node_id: str, attempts: int, entry=None):
        """entry: the product_folder.Listed whose product this is; the bar is then over its whole list."""
        self.before, self.products, self.head = (
            (entry.number - 1, entry.count, f"{entry.text} · ") if entry else (0, 1, "")
        )
        self.node_id, self.attempts, self.drawn, self.steps, self.notes = node_id, attempts, 0, 1, []
        self.bar = comfy.utils.ProgressBar(attempts, node_id=node_id)
        self.strip = Strip(node_id, attempts, entry.title if entry else "")
        self.say("attempt 1/%d · sampling" % attempts)

    def step(self, step: int, steps: int, preview) -> None:
        self.steps = steps
        self.move(self.drawn * steps + step, preview)

    def move(self, steps: int, preview) -> None:
        """steps: how many are done of this product's."""
        most = self.attempts * self.steps
        self.bar.update_absolute(self.before * most + steps, self.products * most, preview)

    def show(self, event) -> None:
        """One event of the loop; only verdicts are news, what comes before them is seen on the bar."""
        from ..cyclic.loop import OneAtATime, Reviewed

        if isinstance(event, OneAtATime):
            self.notes.append(event.reason)
            self.say(event.reason)
        if isinstance(event, Reviewed):
            self.drawn += 1
            picture = to_picture(event.attempt.image)
            self.move(self.drawn * self.steps, ("JPEG", picture, 512))
            self.strip.add(event.attempt, picture)
            self.say(event.text)

    def say(self, text: str) -> None:
        PromptServer.instance.send_progress_text(self.head + text, self.node_id, PromptServer.instance.client_id)


def shown_pictures(pictures: torch.Tensor) -> dict:
    """All attempts in the node itself. They are a courtesy: a full disk must not cost the user the drawn pictures."""
    try:
        return ui.PreviewImage(pictures).as_dict()
    except OSError as error:
        logging.warning(
            "RF Cyclic Sampler: the attempts can't be shown in the node (%s); the outputs are complete", error
        )
        return {"images": [], "animated": (False,)}  # ComfyUI joins the runs of a list by the keys of the first
