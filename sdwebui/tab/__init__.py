"""The tab "Reliable Ads": review pictures, label them, adapt a reviewer, tune a ControlNet, merge.

Each section is a file with `build()`, which makes its components and says what its buttons do. What they do lies in
rfnet and rfft; nothing large is imported before a button is pressed.
"""

from __future__ import annotations

import gradio as gr
from modules import errors, script_callbacks

TITLE = "Reliable Ads"
ID = "reliable_ads_tab"


def register() -> None:
    """Asks the host for a tab. A fault in it must not cost the accordion."""
    script_callbacks.on_ui_tabs(tabs)


def tabs() -> list:
    try:
        return [(page(), TITLE, ID)]
    except Exception:
        errors.report("Reliable Ads: its tab could not be made", exc_info=True)
        return []


def page() -> gr.Blocks:
    from . import adapt, demo, label, merge, review, tune

    with gr.Blocks(analytics_enabled=False) as blocks, gr.Tabs(elem_id=f"{ID}_sections"):
        for section in (review, label, adapt, tune, merge, demo):
            with gr.Tab(section.TITLE, elem_id=f"{ID}_{section.TITLE.lower().replace(' ', '_')}") as opened:
                section.build(opened)
    for component in blocks.blocks.values():
        component.do_not_save_to_config = True  # choices follow files, and stale ones would stay in ui-config.json
    return blocks
