"""Adapt: a reviewer learns from a labelled dataset, in a process of its own (`rfnet adapt`)."""

from __future__ import annotations

import gradio as gr

from ...rfnet.data.journal import ENOUGH
from ...rfnet.data.labelling import NAME
from ...rfnet.files import quoted
from ...rfnet.training.methods import METHODS
from .. import folders, host, reviewers
from ..settings import Refused
from . import events
from .running import Running, buttons, number

TITLE = "Adapt"
ID = "reliable_ads_adapt"
MIXED = host.EXTENSION / "pocket" / "training" / "drawn_split"  # in the repository, not in a release
running = Running("The adaptation", "nothing was written")


def build(opened) -> None:
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            dataset = gr.Dropdown(
                label="Dataset",
                choices=folders.datasets(),
                info=f"Labelled pictures of the section Label: 20 at least, {ENOUGH} recommended.",
                elem_id=f"{ID}_dataset",
            )
            names = list(reviewers.paths())
            weights = gr.Dropdown(
                label="Reviewer to start from",
                choices=names,
                value=reviewers.SHIPPED.name,
                info="Take the shipped one each time: an adapted one has seen some of your labels.",
                elem_id=f"{ID}_weights",
            )
            name = gr.Textbox(
                label="Name of the new reviewer",
                value="my_reviewer",
                info="A file in models/rfnet. It is kept only if it is no worse on labels that it never saw.",
                elem_id=f"{ID}_name",
            )
            more = more_rows()
            start, cancel, refresh = buttons("Adapt", ID)
        with gr.Column(scale=3, min_width=320):
            status = gr.Textbox(label="State", interactive=False, lines=1, max_lines=4, elem_id=f"{ID}_status")
            log = gr.Textbox(label="What it says", interactive=False, lines=10, max_lines=14, elem_id=f"{ID}_log")
    outputs = [status, log, cancel, refresh]
    inputs = [dataset, weights, name, *more]
    events.on(start.click, begin, inputs, outputs, running.shown)
    events.on(cancel.click, lambda: running.shown(running.cancel()), [], outputs, running.shown)
    events.on(refresh.click, running.shown, [], outputs, running.shown, show_progress="hidden")
    events.on(
        opened.select,
        choices,
        [dataset],
        [dataset, weights, *outputs],
        lambda why: (gr.update(),) * 2 + running.shown(why),
    )


def more_rows() -> list:
    with gr.Accordion("Advanced", open=False):
        with gr.Row():
            epochs = gr.Slider(
                label="Epochs",
                minimum=1,
                maximum=100,
                step=1,
                value=4,
                info="How often training a network goes through the labels.",
                elem_id=f"{ID}_epochs",
            )
            rate = gr.Number(
                label="Learning rate",
                value=2e-4,
                info="Lower it when it got worse.",
                elem_id=f"{ID}_rate",
            )
        with gr.Row():
            seed = gr.Number(label="Seed", value=0, precision=0, elem_id=f"{ID}_seed")
            method = gr.Dropdown(
                label="Method",
                choices=list(METHODS),
                value="auto",
                info="auto takes what does best on pictures that it did not learn from; head takes seconds.",
                elem_id=f"{ID}_method",
            )
            mix = gr.Checkbox(
                label="Mix in the shipped labelled pictures",
                value=MIXED.is_dir(),
                visible=MIXED.is_dir(),
                info="It then forgets less.",
                elem_id=f"{ID}_mix",
            )
    return [epochs, rate, seed, mix, method]


def choices(dataset) -> tuple:
    """What there is by now."""
    names = folders.datasets()
    return (
        gr.update(choices=names, value=folders.still(dataset, names)),
        gr.update(choices=list(reviewers.paths())),
        *running.shown(),
    )


def begin(dataset, weights, name, epochs, rate, seed, mix, method="auto") -> tuple:
    from ...rfnet.data.labelling import LabelFolder
    from ...rfnet.labels import label_id
    from ...rfnet.training.folds import check_labels

    running.check_free()
    name = str(name or "").strip()
    if not NAME.fullmatch(name):
        raise Refused(f"{quoted(name, 60)} can't name a reviewer: use letters, digits, - and _, without ending.")
    found = reviewers.paths()
    if f"{name}.safetensors" in found:
        raise Refused(f"There is a reviewer {name}.safetensors already: choose another name.")
    if weights not in found:
        raise Refused(f"There is no reviewer {quoted(weights, 60)} in models/rfnet: choose another.")
    if not dataset:
        raise Refused("No dataset is chosen: label some pictures in the section Label first.")
    folder = folders.dataset_folder(dataset)
    check_labels(
        [label_id(label) for label in LabelFolder(folder).read().labels.values()], ENOUGH
    )  # says what is missing before anything starts
    arguments = ["rfnet", "adapt", folder, "--weights", found[weights], "--out", host.RFNET / f"{name}.safetensors"]
    arguments += ["--epochs", number("the number of epochs", epochs, int)]
    arguments += ["--lr", number("the learning rate", rate, float), "--seed", number("the seed", seed, int)]
    arguments += ["--method", method if method in METHODS else "auto", "--report", folder / f"report_{name}"]
    if mix and MIXED.is_dir():
        arguments += ["--mix-train", MIXED / "train", "--mix-val", MIXED / "val"]
    host.free_memory()
    running.start(arguments, folder / "adapt.log", host.on_cpu())
    return running.shown()
