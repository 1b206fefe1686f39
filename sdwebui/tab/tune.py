"""Tune: a ControlNet learns from the reviewer, in a process of its own (`rfft train`), with live curves."""

from __future__ import annotations

import sys
from pathlib import Path

import gradio as gr
from PIL import Image

from ...rfft.losses import LOSSES, titles
from .. import folders, host, model_files, reviewers
from ..settings import Refused
from . import events
from .running import Running, buttons, number

TITLE = "Tune"
ID = "reliable_ads_tune"
running = Running("The training", "everything is saved, press Tune again to go on from there")
PROMPTS = "{caption} on a wooden table, a kitchen, soft daylight"
ABOUT = (
    "Draws your products, lets the reviewer judge them, and tunes a ControlNet so that it accepts more pictures."
    " The result is a small adapter in models/ControlNet; the ControlNet itself stays as it is. Forge and reForge list"
    " the adapter; for Automatic1111 merge it in the section Merge. A GPU with 12 GB or more is advised: unload the web"
    " UI's own model first, in Settings, Actions."
)
VERSIONS = {"diffusers": "==0.31.0"}  # without its dependencies it fits what Automatic1111 pins
_picture: Path | None = None  # of the training that was started last


def build(opened) -> None:
    gr.Markdown(ABOUT)
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            inputs = [*model_rows(), *data_rows(), *training_rows()]
            start, cancel, refresh = buttons("Tune", ID)
        with gr.Column(scale=3, min_width=320):
            status = gr.Textbox(label="State", interactive=False, lines=1, max_lines=4, elem_id=f"{ID}_status")
            picture = gr.Image(
                label="Curves, and pictures of the start and of now",
                show_label=False,
                type="pil",
                interactive=False,
                height=480,
                elem_id=f"{ID}_picture",
            )
            log = gr.Textbox(label="What it says", interactive=False, lines=6, max_lines=12, elem_id=f"{ID}_log")
    seen = gr.State(0.0)  # the time of the picture that this page shows
    outputs = [status, log, cancel, refresh, picture, seen]
    events.on(start.click, begin, inputs, outputs, refusal)
    events.on(cancel.click, stop, [], outputs, refusal)
    events.on(refresh.click, look, [seen], outputs, refusal, show_progress="hidden")
    lists = inputs[:3]
    events.on(opened.select, choices, lists, [*lists, *outputs], lambda why: (gr.update(),) * 3 + refusal(why))


def model_rows() -> list:
    checkpoint = gr.Dropdown(
        label="Checkpoint",
        choices=[],  # read when the section is opened, not at the start
        info="SD 1.5 or SDXL (.safetensors). pocket_sd ships, to try it in minutes.",
        elem_id=f"{ID}_checkpoint",
    )
    controlnet = gr.Dropdown(
        label="ControlNet",
        choices=[],
        info="A canny one of the same kind.",
        elem_id=f"{ID}_controlnet",
    )
    reviewer = gr.Dropdown(
        label="Reviewer",
        choices=list(reviewers.paths()),
        value=reviewers.SHIPPED.name,
        info="It teaches its mistakes, too: take one that was adapted to pictures like yours.",
        elem_id=f"{ID}_reviewer",
    )
    return [checkpoint, controlnet, reviewer]


def data_rows() -> list:
    products = gr.Textbox(
        label="Folder of products",
        placeholder="my_products",
        value=str(folders.EXAMPLES),
        info="Cut-outs with transparency, below the web UI's own folder; the more the better. Four examples ship.",
        elem_id=f"{ID}_products",
    )
    prompts = gr.Textbox(
        label="Prompts, one a line",
        lines=3,
        placeholder=PROMPTS,
        info="As you will use them. {caption} stands for a product's caption: its .txt, or its file's name.",
        elem_id=f"{ID}_prompts",
    )
    name = gr.Textbox(
        label="Name of the result",
        value="my_reliable_canny",
        info="A file in models/ControlNet. The same name goes on where it stopped.",
        elem_id=f"{ID}_name",
    )
    return [products, prompts, name]


def training_rows() -> list:
    steps = gr.Slider(
        label="Steps",
        minimum=1,
        maximum=2000,
        step=1,
        value=100,
        info="To go on later, press Tune again with more.",
        elem_id=f"{ID}_steps",
    )
    with gr.Accordion("Advanced", open=False):
        with gr.Row():
            rate = gr.Number(
                label="Learning rate",
                value=1e-4,
                info="Lower it when pictures get worse.",
                min_width=100,
                elem_id=f"{ID}_rate",
            )
            beta = gr.Number(
                label="Beta", value=0.05, info="How much the loss counts.", min_width=100, elem_id=f"{ID}_beta"
            )
            seed = gr.Number(label="Seed", value=0, precision=0, min_width=100, elem_id=f"{ID}_seed")
        loss = gr.Radio(
            label="Loss",
            choices=list(titles()),
            value=LOSSES["cc"].title,
            info="What keeps the pictures from getting alike.",
            elem_id=f"{ID}_loss",
        )
        advanced = gr.Textbox(
            label="Further settings (TOML)",
            lines=2,
            placeholder="size = 768",
            info="One a line; docs/rfft.md explains them.",
            elem_id=f"{ID}_advanced",
        )
    return [steps, rate, beta, seed, loss, advanced]


def refusal(why: str) -> tuple:
    return *running.shown(why), gr.update(), gr.update()


def choices(*chosen) -> tuple:
    """What there is by now; the first of it where nothing is chosen."""
    found = (model_files.checkpoints(), model_files.controlnets(), reviewers.paths())
    updates = [
        gr.update(choices=list(names), value=name or next(iter(names), None)) for names, name in zip(found, chosen)
    ]
    return *updates, *look()


def begin(checkpoint, controlnet, reviewer, products, prompts, name, steps, rate, beta, seed, loss, advanced) -> tuple:
    global _picture
    from ...rfft.interactive import missing_packages

    if missing := missing_packages():
        wanted = " ".join(f"{name}{VERSIONS.get(name, '')}" for name in missing)
        raise Refused(
            f"Training needs {', '.join(missing)}: run `{sys.executable} -m pip install --no-deps {wanted}`, and"
            " restart the web UI."
        )
    running.check_free()
    prepared = prepared_of(
        checkpoint,
        controlnet,
        reviewer,
        products,
        prompts,
        advanced,
        {
            "name": str(name or "").strip(),
            "steps": number("the number of steps", steps, int),
            "lr": number("the learning rate", rate, float),
            "beta": number("beta", beta, float),
            "seed": number("the seed", seed, int),
            "loss": titles().get(loss, str(loss)),
        },
    )
    host.free_memory()
    running.start(prepared.arguments, prepared.log, host.on_cpu())
    _picture = prepared.picture
    status, *shown = look()
    return "\n".join([status, *prepared.notes]), *shown


def prepared_of(checkpoint, controlnet, reviewer, products, prompts, advanced, settings: dict):
    """Raises Refused and the libraries' errors, each a sentence."""
    from .. import tuning

    file = model_files.chosen(checkpoint, model_files.checkpoints(), "checkpoint")
    asked = tuning.Asked(
        checkpoint=file,
        controlnet=model_files.chosen(controlnet, model_files.controlnets(), "ControlNet"),
        reviewer=model_files.chosen(reviewer, reviewers.paths(), "reviewer"),
        products=folders.folder_in_reach(str(products or ""), "products"),
        prompts=str(prompts or ""),
        folder=host.CONTROLNETS,
        settings=settings,
        advanced=str(advanced or ""),
        loras=host.LORAS,
        pocket=model_files.is_pocket(file),
        cpu=host.on_cpu(),
    )
    return tuning.prepare(asked, folders.OUTPUT / "tuning")


def stop() -> tuple:
    return refusal(running.cancel())


def look(seen: float = 0.0) -> tuple:
    """What the page shows; the picture only where it is newer than the one that is there, which has the time `seen`."""
    picture, time = None, 0.0
    try:
        time = _picture.stat().st_mtime if _picture else 0.0
        if time != seen:
            with Image.open(_picture) as newest:
                picture = newest.convert("RGB")
    except OSError:  # nothing is drawn yet
        pass
    return *running.shown(), gr.update() if time == seen else picture, time
