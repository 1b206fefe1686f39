"""What Generate gives back: the pictures, their infotext with the verdict, a sheet of all attempts, a report."""

from __future__ import annotations

import json
from dataclasses import dataclass

import torch
from modules import images, shared
from PIL import Image

from ..cyclic.attempts import Attempt, RecurrentRun
from ..cyclic.remedies import by_other_network
from ..rfnet.labels import PLAIN
from ..rfnet.painters import Painter
from ..rfnet.product import Canvas
from ..rfnet.resize import resize
from ..rfnet.reviewer import annotate_row
from ..rfnet.risks import doubt
from ..rfnet.sheets import contact_sheet, to_image, to_planes
from . import controlnet, host, options
from .loop import Draw, HostLoop
from .painters import painter_of
from .plan import Plan
from .words import plain, verdict_text

REPORT = "RF report"  # in the API's answer, among extra_generation_params
SHEET_SIDE = 256  # pixels of a picture on the sheet, on its longer side


@dataclass
class Shown:
    """An attempt as the gallery shows it."""

    attempt: Attempt
    picture: Image.Image
    infotext: str
    canvas: Canvas  # that it was drawn on
    number: int  # of the picture in the batch that it is an attempt of


def finish(first: Draw, p, processed) -> None:
    """Draws on until pictures are accepted, and puts them into the host's `processed`."""
    plan = first.plan
    count = len(first.drawn)
    runs, shown = [], []
    for number in range(count):
        if number and shared.state.interrupted and not runs[-1].accepted:
            break
        looping = HostLoop(first, p, processed, number, count)
        run = looping.run()
        run.attempts[0].seconds += (first.ended_at - first.began) / count
        shown.append([seen(attempt, looping) for attempt in run.attempts])
        runs.append(run)
    results = [each for run, rows in zip(runs, shown) for each in rows if each.attempt in run.results]
    others = [each for rows in shown for each in rows if each not in results]
    certificate = certificate_of(plan, p, [each.attempt for each in results])
    plan.notes += filter(None, [doubt(certificate), *opinion_notes(runs)])
    kept = [*results, *(others if plan.settings.keep_rejected else [])]
    report = about(plan)
    if runs:
        run = RecurrentRun.joined(runs)
        run.certificate = certificate
        report = {**run.report(), **report}
    save(p, first, kept)
    fill(first, p, processed, kept, len(results))
    if options.shows_sheet() and not getattr(p, "is_api", False) and shown:
        processed.images.append(sheet([each for rows in shown for each in rows], plan))
        processed.infotexts.append(processed.infotexts[0] if processed.infotexts else "")
    processed.extra_generation_params = {**processed.extra_generation_params, REPORT: json_able(report)}
    processed.comments += "".join(f"{line}\n" for line in lines(runs, shown, plan))


def seen(attempt: Attempt, looping: HostLoop) -> Shown:
    """The attempt with its infotext, to which its verdict is added."""
    picture = attempt.payload if isinstance(attempt.payload, Image.Image) else to_image(attempt.image)
    doubtful = doubt(certificate_of(looping.plan, looping.p, [attempt])).partition(":")[0]
    text = looping.texts.get(attempt.index, "") + verdict_text(attempt, looping.plan.settings.attempts, doubtful)
    picture.info["parameters"] = text
    return Shown(attempt, picture, text, looping.canvases.get(attempt.index, looping.scene.final), looping.number)


def opinion_notes(runs: list[RecurrentRun]) -> list[str]:
    """What second opinions lacked, each sentence once."""
    reviews = [attempt.review for run in runs for attempt in run.attempts if "opinions" in attempt.review]
    return list(dict.fromkeys(note for review in reviews for note in review.get("notes", ())))


def certificate_of(plan: Plan, p, attempts: list[Attempt]) -> dict | None:
    """What the threshold stands on, as Reviewer.certificate says it, where a certified risk decides; it has to hold for
    all of these attempts, without any for the networks that were chosen.
    """
    reviewer, accept = plan.reviewer.reviewer, plan.settings.accept
    if reviewer.certificate(accept) is None:
        return None
    swapped = {by_other_network(attempt.remedies) for attempt in attempts} or {False}
    certificates = [reviewer.certificate(accept, painter(plan, p, other)) for other in sorted(swapped)]
    return next(filter(doubt, certificates), certificates[0])


def painter(plan: Plan, p, other: bool) -> Painter | None:
    """What paints; other: with the tuned ControlNet in the place of the one that was chosen."""
    name = plan.change.tuned if other else plan.control_net
    script = controlnet.script_of(p.scripts)
    if paints_with_more(plan, p, script):
        return None
    prompts = [*p.all_prompts, *p.all_negative_prompts, *(getattr(p, "all_hr_prompts", None) or ())]
    return painter_of(host.checkpoint_of(p), controlnet.models(script)[name] if name else None, prompts)


def paints_with_more(plan: Plan, p, script) -> bool:
    """Whether networks paint that no certificate can name: a refiner, or ControlNets of the user's own units."""
    refiner = getattr(p, "refiner_checkpoint", None)
    units = p.script_args[script.args_from : script.args_to] if script else ()
    return refiner not in (None, "", "None") or sum(map(controlnet.is_on, units)) > (plan.slot is not None)


def about(plan: Plan) -> dict:
    """What the report says besides the attempts."""
    steps = plan.template.steps
    return {
        "settings": {**plan.settings.infotext(), "control_net": plan.control_net, "threshold": plan.threshold},
        "early_rejection": {
            "profile": plan.early.source,
            "gates": [threshold.at(steps) for threshold in plan.early.thresholds],
        },
        "remedies": {"allowed": list(plan.allowed), "left_out": plan.left_out},
        **({"notes": plan.notes} if plan.notes else {}),
    }


def json_able(report: dict) -> dict:
    return json.loads(json.dumps(report, default=str))


def save(p, first: Draw, kept: list[Shown]) -> None:
    """Saves as the host saves, where the user lets it."""
    if not (shared.opts.samples_save and not first.plan.template.do_not_save_samples):
        return
    for each in kept:
        images.save_image(
            each.picture,
            p.outpath_samples,
            "",
            each.attempt.seed,
            p.all_prompts[each.number],
            shared.opts.samples_format,
            info=each.infotext,
            p=p,
        )


def fill(first: Draw, p, processed, kept: list[Shown], results: int) -> None:
    """The gallery: what is given back, then what was rejected; a grid before them where the host makes one."""
    processed.images = [each.picture for each in kept]
    processed.infotexts = [each.infotext for each in kept]
    processed.all_seeds = [each.attempt.seed for each in kept] or processed.all_seeds
    processed.all_prompts = [p.all_prompts[each.number] for each in kept] or processed.all_prompts
    processed.all_negative_prompts = [p.all_negative_prompts[each.number] for each in kept] or [""]
    processed.all_subseeds = [p.all_subseeds[each.number] for each in kept] or processed.all_subseeds
    processed.index_of_first_image = 0
    if kept:
        processed.seed = processed.all_seeds[0]
        processed.info = processed.infotexts[0]
    opts = shared.opts
    many = results > 1 or not opts.grid_only_if_multiple
    if opts.return_grid and many and results and not first.plan.template.do_not_save_grid:
        processed.images.insert(0, images.image_grid(processed.images[:results], p.batch_size))
        processed.infotexts.insert(0, processed.infotexts[0])
        processed.index_of_first_image = 1


def sheet(shown: list[Shown], plan: Plan) -> Image.Image:
    """Every attempt with its verdict, below it the heat of its likeliest defect; at most five side by side."""
    columns = min(len(shown), 5)
    tiles = []
    for begin in range(0, len(shown), columns):
        row = shown[begin : begin + columns]
        pictures = [to_planes(each.picture) for each in row]
        heats = [heat(picture, each, plan) for picture, each in zip(pictures, row)]
        above = [framed(picture, each, plain(each.attempt)) for picture, each in zip(pictures, row)]
        below = [framed(picture, each, words) for (picture, words), each in zip(heats, row)]
        empty = [blank(above[0])] * (columns - len(row))
        tiles += [*above, *empty, *below, *empty]
    return contact_sheet(tiles, columns, gap=8, margin=8)


def heat(picture: torch.Tensor, each: Shown, plan: Plan) -> tuple[torch.Tensor, str]:
    """(the picture (3, H, W) under the heat of its likeliest defect, that defect); itself where none was reviewed."""
    from ..rfnet.explain import overlay

    canvas = each.canvas
    if "error" in each.attempt.review or picture.shape[-2:] != (canvas.height, canvas.width):
        return picture, "not reviewed"
    _, explanation = plan.reviewer.explain(picture, canvas)
    defect = explanation.rows()[0]["label"]
    return overlay(picture[None], explanation.heat.to(picture))[0], f"heat: {PLAIN[defect]}"


def framed(picture: torch.Tensor, each: Shown, words: str) -> Image.Image:
    """A picture (3, H, W) of the sheet's size, in a green or red frame, with words below it."""
    scale = SHEET_SIDE / max(picture.shape)
    height, width = (round(side * scale) for side in picture.shape[-2:])
    resized = resize(picture[None], height, width)[0].clamp(0, 1)
    return annotate_row(resized, each.attempt.review, words)


def blank(like: Image.Image) -> Image.Image:
    return Image.new("RGB", like.size, "white")


def lines(runs: list[RecurrentRun], shown: list[list[Shown]], plan: Plan) -> list[str]:
    """What stands under the gallery."""
    said = []
    for number, (run, rows) in enumerate(zip(runs, shown), 1):
        head = f"Picture {number} · " if len(runs) > 1 else ""
        end = {"accepted": "Accepted", "interrupted": "Interrupted"}.get(run.ended_by, "No attempt was accepted")
        said.append(f"{head}{end} after {len(rows)} of {plan.settings.attempts} attempts.")
        said += [
            f"  attempt {each.attempt.index + 1}, seed {each.attempt.seed}: {plain(each.attempt)}" for each in rows
        ]
    return [*said, *plan.notes]
