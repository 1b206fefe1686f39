"""Merge: an RFFT adapter folded into its ControlNet, as a file that every host can use (`rfft merge`)."""

from __future__ import annotations

import gradio as gr

from ...rfft.config import NAME
from ...rfnet.files import quoted
from .. import host, model_files
from ..settings import Refused
from . import events

TITLE = "Merge"
ID = "reliable_ads_merge"
ABOUT = (
    "Adds what the section Tune has learned to the ControlNet that it learned on: one full ControlNet file in"
    " models/ControlNet. Automatic1111 needs that; Forge and reForge can use the adapter itself."
)


def build(opened) -> None:
    gr.Markdown(ABOUT)
    with gr.Row():
        with gr.Column(min_width=320):
            adapter = gr.Dropdown(
                label="Adapter", choices=[], info="A file that Tune or `rfft train` wrote.", elem_id=f"{ID}_adapter"
            )
            base = gr.Dropdown(
                label="ControlNet",
                choices=[],
                info="The one that the adapter was trained on. It is chosen for you where it is here.",
                elem_id=f"{ID}_base",
            )
        with gr.Column(min_width=320):
            strength = gr.Slider(
                label="Strength",
                minimum=0.1,
                maximum=2,
                step=0.05,
                value=1,
                info="How much of what was learned is added. 1: all of it.",
                elem_id=f"{ID}_strength",
            )
            name = gr.Textbox(
                label="Name of the new ControlNet",
                value="my_reliable_canny_merged",
                info="A file in models/ControlNet. An existing one is never overwritten.",
                elem_id=f"{ID}_name",
            )
    start = gr.Button("Merge", variant="primary", elem_id=f"{ID}_start")
    status = gr.Textbox(label="Result", interactive=False, lines=2, max_lines=4, elem_id=f"{ID}_status")
    events.on(start.click, merge, [adapter, base, strength, name], [status], str)
    chosen = [adapter, base, status]
    unchanged = (gr.update(), gr.update())
    events.on(opened.select, choices, [adapter, base], chosen, lambda why: (*unchanged, why))
    events.on(adapter.change, suggest, [adapter], [base, status], lambda why: (gr.update(), why))


def choices(adapter, base) -> tuple:
    """What there is by now; the first adapter where none is chosen."""
    adapters = list(model_files.adapters())
    bases = gr.update(choices=list(model_files.controlnets()), value=base)
    if not adapters:
        return gr.update(choices=[]), bases, "There is no adapter in models/ControlNet: the section Tune makes one."
    return gr.update(choices=adapters, value=adapter or adapters[0]), bases, ""


def suggest(adapter) -> tuple:
    """The ControlNet that an adapter says it was trained on."""
    about = model_files.metadata_of(model_files.chosen(adapter, model_files.adapters(), "adapter"))
    wanted = about.get("base_name", "")
    bases = model_files.controlnets()
    found = next((name for name, path in bases.items() if path.name == wanted), None)
    said = "" if found else f"It was trained on {quoted(wanted, 80)}, which is not in models/ControlNet."
    return gr.update(choices=list(bases), value=found), said


def merge(adapter, base, strength, name) -> str:
    from ...rfft.merge import merge_files

    name = str(name or "").strip()
    if not NAME.fullmatch(name):
        raise Refused(f"{quoted(name, 60)} can't name a ControlNet: use letters, digits, - and _, without ending.")
    files = [
        model_files.chosen(base, model_files.controlnets(), "ControlNet"),
        [model_files.chosen(adapter, model_files.adapters(), "adapter")],
    ]
    out = host.CONTROLNETS / f"{name}.safetensors"
    merge_files(*files, out, [float(strength)])
    return f"{out.name} is in models/ControlNet: press the refresh button beside ControlNet's models to see it."
