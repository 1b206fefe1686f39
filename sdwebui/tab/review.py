"""Review: the pictures of a folder against one product, with verdicts, heat maps, a table and a report."""

from __future__ import annotations

import gradio as gr
from modules.call_queue import queue_lock
from modules.ui_common import create_refresh_button

from ...rfnet.risks import ACCEPT, doubt
from .. import folders, reviewers, reviewing
from ..plan import STORE
from ..product import product_of
from ..settings import DEFAULTS, MARKS, POSITIONS, Refused, Settings
from . import events
from .label import progress_of

TITLE = "Review"
COLUMNS = ["picture", "verdict", "probability available"]
MOST = 500  # pictures at once
ID = "reliable_ads_review"


def build(_) -> None:
    found = gr.State(None)  # (reviewing.Placed, [Reviewed]) of the last review, for the other buttons
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            inputs = [*what_rows(), *how_rows()]
            with gr.Row():
                start = gr.Button("Review", variant="primary", elem_id=f"{ID}_start")
                stop = gr.Button("Stop", elem_id=f"{ID}_stop")
        with gr.Column(scale=3, min_width=320):
            status = gr.Textbox(label="Result", interactive=False, lines=1, max_lines=6, elem_id=f"{ID}_status")
            gallery = gr.Gallery(
                label="Pictures, each followed by its heat map",
                show_label=False,
                columns=4,
                object_fit="contain",
                height=560,
                elem_id=f"{ID}_gallery",
            )
            then = keep_rows()
    with gr.Accordion("Table", open=False):
        table = gr.Dataframe(headers=COLUMNS, datatype=["str", "str", "number"], interactive=False, wrap=True)
    with gr.Accordion("Report (JSON)", open=False):
        report = gr.JSON(label="Report")
    outputs = [status, gallery, table, report, found]
    reviewing_now = events.on(start.click, review, inputs, outputs, lambda why: (why, [], [], [], None))
    stop.click(None, None, None, cancels=[reviewing_now])
    copy_name, copy_button, dataset, add_button = then
    events.on(copy_button.click, copy, [found, copy_name], [status], str)
    events.on(add_button.click, add, [found, dataset], [status], str)


def what_rows() -> list:
    """The pictures and the product that is in them."""
    folder = gr.Textbox(
        label="Folder of pictures",
        value="outputs/txt2img-images",
        placeholder="outputs/txt2img-images/2026-01-31",
        info="Below the web UI's own folder. Sub-folders are not looked into.",
        elem_id=f"{ID}_folder",
    )
    most = gr.Slider(label="At most, newest first", minimum=1, maximum=MOST, step=1, value=50, elem_id=f"{ID}_most")
    with gr.Row():
        product = gr.Image(
            label="Product, a cut-out with transparency",
            type="pil",
            image_mode="RGBA",
            height=200,
            elem_id=f"{ID}_product",
        )
        mask = gr.Image(
            label="Mask, where it has none", type="pil", image_mode="RGBA", height=200, elem_id=f"{ID}_mask"
        )
    caption = gr.Textbox(
        label="Caption", placeholder="what it is, such as: a red leather handbag", elem_id=f"{ID}_caption"
    )
    return [folder, most, product, mask, caption]


def how_rows() -> list:
    """Where the product lies in the pictures, and what decides."""
    with gr.Row():
        scale = gr.Slider(
            label="Scale", minimum=0.05, maximum=1, step=0.01, value=DEFAULTS.image_scale, elem_id=f"{ID}_scale"
        )
        position = gr.Radio(
            label="Position",
            choices=list(POSITIONS),
            value=DEFAULTS.position,
            info="As the pictures were made with.",
            elem_id=f"{ID}_position",
        )
    with gr.Row():
        names = list(reviewers.paths())
        reviewer = gr.Dropdown(label="Reviewer", choices=names, value=names[-1], elem_id=f"{ID}_reviewer")
        create_refresh_button(
            reviewer, lambda: None, lambda: {"choices": list(reviewers.paths())}, f"{ID}_reviewer_refresh"
        )
    with gr.Accordion("Advanced", open=False):
        marks = gr.Radio(label="White in the mask is", choices=list(MARKS), value=MARKS[0], elem_id=f"{ID}_mask_marks")
        accept = gr.Radio(label="Accept by", choices=list(ACCEPT), value="threshold", elem_id=f"{ID}_accept")
        threshold = gr.Slider(
            label="Threshold (0: the reviewer's own)",
            minimum=0,
            maximum=1,
            step=0.01,
            value=0,
            elem_id=f"{ID}_threshold",
        )
        heat = gr.Checkbox(label="Heat maps of what is wrong", value=True, elem_id=f"{ID}_heat")
    return [scale, position, reviewer, marks, accept, threshold, heat]


def keep_rows() -> list:
    """What becomes of the reviewed pictures."""
    with gr.Row():
        name = gr.Textbox(
            label="Copy the accepted ones into outputs/", value="accepted", scale=2, elem_id=f"{ID}_copy_name"
        )
        copying = gr.Button("Copy", scale=1, min_width=120, elem_id=f"{ID}_copy")
    with gr.Row():
        dataset = gr.Textbox(
            label="Add all to a dataset, to label them", value="my_labels", scale=2, elem_id=f"{ID}_dataset"
        )
        adding = gr.Button("Add", scale=1, min_width=120, elem_id=f"{ID}_add")
    return [name, copying, dataset, adding]


def review(folder, most, product, mask, caption, scale, position, reviewer_name, marks, accept, threshold, heat):
    """Gives (status, gallery, table, report, found) after each picture, the gallery at the end."""
    asked = Settings.from_args(
        [
            {
                "product": product,
                "mask": mask,
                "mask_marks": marks,
                "caption": caption,
                "image_scale": scale,
                "position": position,
                "accept": accept,
                "threshold": threshold,
            }
        ]
    )
    if product is None:
        raise Refused("There is no product: drop in the cut-out that the pictures were painted around.")
    paths = reviewing.pictures_in(folders.folder_in_reach(folder, "pictures"), max(1, min(MOST, int(most))))
    placed = reviewing.Placed(product_of(asked, STORE), asked.image_scale, asked.position)
    same = gr.update()
    yield f"Loading {reviewer_name} ...", [], [], [], None
    reviewer = reviewers.load(reviewer_name)
    least = reviewer.threshold_for(asked.accept, asked.threshold)
    doubted = doubt(reviewer.reviewer.certificate(asked.accept))  # pictures don't say what painted them
    done = []
    for path in paths:
        yield f"{len(done)} of {len(paths)} pictures reviewed.", same, same, same, same
        with queue_lock:  # a Generate that is under way has the device first
            done.append(reviewing.review(path, placed, reviewer, least, bool(heat), doubted))
    yield summary(done, least, doubted), gallery_of(done), table_of(done), reviewing.report(done), (placed, done)


def gallery_of(done: list) -> list:
    """[(picture, what is written below it)], each picture before its heat map."""
    shown = []
    for each in done:
        name = reviewing.as_text(each.path.name)
        shown += [(each.shown, f"{each.words} · {name}")] if each.shown else []
        shown += [(each.heat, f"heat of its likeliest defect · {name}")] if each.heat else []
    return shown


def table_of(done: list) -> list:
    return [
        [reviewing.as_text(each.path.name), each.words, each.row.get("probabilities", {}).get("available")]
        for each in done
    ]


def summary(done: list, threshold: float, doubted: str = "") -> str:
    failed = [each for each in done if "error" in each.row]
    accepted = sum(each.row.get("accepted", False) for each in done)
    lines = [f"{accepted} of {len(done) - len(failed)} accepted, from available >= {threshold:g}."]
    lines += filter(None, [doubted])
    return "\n".join([*lines, *(f"Left out: {each.row['error']}" for each in failed)])


def copy(found, name: str) -> str:
    _, done = reviewed(found)
    folder = folders.output_folder(name)
    accepted = [each for each in done if each.row.get("accepted")]
    for each in accepted:
        reviewing.copy_into(folder, each.path)
    return f"{len(accepted)} accepted pictures are in {folder}." if accepted else "No picture is accepted."


def add(found, name: str) -> str:
    from ...rfnet.data.labelling import LabelFolder

    placed, done = reviewed(found)
    labels = LabelFolder(folders.dataset_folder(name))
    usable = [each for each in done if "error" not in each.row]
    added = sum(reviewing.add_to(labels, each, placed, prompt_of(each.path)) for each in usable)
    known = f", {len(usable) - added} were there already" if added < len(usable) else ""
    return f"{added} pictures added to {name}{known}. {progress_of(labels.read())}"


def reviewed(found) -> tuple:
    if not found:
        raise Refused("Nothing is reviewed yet: press Review first.")
    return found


def prompt_of(path) -> str:
    """The prompt in a picture's infotext, "" where it has none."""
    from modules import images, infotext_utils
    from PIL import Image

    try:
        with Image.open(path) as picture:
            text, _ = images.read_info_from_image(picture)
        return infotext_utils.parse_generation_parameters(text or "").get("Prompt", "")
    except Exception:  # whatever another program wrote there
        return ""
