"""The section "Reliable Ads" of the web UI's settings: what the accordion begins with, and what it shows."""

from __future__ import annotations

import gradio as gr
from modules import script_callbacks, shared

from . import controlnet, reviewers
from .settings import AUTO, DEFAULTS, NONE

SECTION = ("reliable_ads", "Reliable Ads")
SHEET = "reliable_ads_sheet"
BEGINS_WITH = {  # setting of the accordion: key of the option
    name: f"reliable_ads_{name}" for name in ("attempts", "reviewer_name", "control_net_name", "keep_rejected")
}


def default(name: str):
    """What the accordion begins with; the API's defaults stay what they are."""
    return shared.opts.data.get(BEGINS_WITH.get(name), getattr(DEFAULTS, name))


def shows_sheet() -> bool:
    return bool(shared.opts.data.get(SHEET, True))


def add_section() -> None:
    def option(key: str, value, label: str, *more) -> shared.OptionInfo:
        info = shared.OptionInfo(value, label, *more, section=SECTION)
        shared.opts.add_option(key, info)
        return info

    option(SHEET, True, "Show a sheet of all attempts, with heat maps, after the pictures")
    option(reviewers.DEVICE, AUTO, "The reviewer computes on", gr.Radio, {"choices": [AUTO, "cpu"]}).info(
        "cpu leaves the graphics card's memory to the checkpoint"
    )
    begins = {
        "attempts": ("Attempts at first", gr.Slider, {"minimum": 1, "maximum": 50, "step": 1}),
        "reviewer_name": ("Reviewer at first", gr.Dropdown, lambda: {"choices": list(reviewers.paths())}),
        "control_net_name": (
            "ControlNet at first",
            gr.Dropdown,
            lambda: {"choices": [AUTO, NONE, *controlnet.files()]},
        ),
        "keep_rejected": ("Keep rejected pictures at first", gr.Checkbox),
    }
    for name, about in begins.items():
        option(BEGINS_WITH[name], getattr(DEFAULTS, name), *about).needs_reload_ui()


def register() -> None:
    script_callbacks.on_ui_settings(add_section)
