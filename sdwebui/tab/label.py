"""Label: one picture of a dataset after the other, and five buttons that say what is wrong with it.

The same datasets as RF Label in ComfyUI, kept by rfnet.data.labelling: each press is on the disk before the next
picture is shown. javascript/reliable_ads.js presses the buttons for the keys 1 to 5, U and S.
"""

from __future__ import annotations

import io

import gradio as gr
from PIL import Image

from ...rfnet.data.labelling import EACH, ENOUGH, KEY, Contents, Item, LabelFolder
from ...rfnet.labels import LABELS, MEANING, PLAIN
from .. import folders
from ..settings import Refused
from . import events

TITLE = "Label"
ID = "reliable_ads_label"
EMPTY = "Nothing waits: review some pictures and press Add there, or choose another dataset."
KEYS = "Keys: 1 to 5 label the picture, U takes the last label back, S skips. Nothing is lost when you close the page."


def build(opened) -> None:
    key = gr.Textbox(visible=False)  # of the picture that is shown: what a press is about
    with gr.Row():
        dataset = gr.Dropdown(
            label="Dataset",
            choices=folders.datasets(),
            info="A folder in outputs/labels. Review fills it with pictures.",
            scale=2,
            elem_id=f"{ID}_dataset",
        )
        blind = gr.Checkbox(
            label="Blind",
            value=True,
            info="Hides what the reviewer said, so that it doesn't sway you.",
            scale=1,
            elem_id=f"{ID}_blind",
        )
    progress = gr.Textbox(label="Progress", interactive=False, lines=1, max_lines=4, elem_id=f"{ID}_progress")
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            picture = gr.Image(label="Picture", type="pil", interactive=False, height=512, elem_id=f"{ID}_picture")
        with gr.Column(scale=1, min_width=200):
            product = gr.Image(label="Product", type="pil", interactive=False, height=240, elem_id=f"{ID}_product")
            about = gr.Textbox(label="About it", interactive=False, lines=3, max_lines=8, elem_id=f"{ID}_about")
    with gr.Row():
        buttons = [
            gr.Button(f"{number} · {PLAIN[name]}", elem_id=f"{ID}_{number}") for number, name in enumerate(LABELS, 1)
        ]
    with gr.Row():
        undo_button = gr.Button("U · undo", elem_id=f"{ID}_undo")
        skip_button = gr.Button("S · skip", elem_id=f"{ID}_skip")
    gr.Textbox(label="What they mean", value=meanings(), interactive=False, lines=len(LABELS) + 1, elem_id=f"{ID}_help")

    inputs, outputs = [dataset, key, blind], [progress, picture, product, about, key]

    def listen(listener, work) -> None:
        events.on(listener, work, inputs, outputs, refusal, show_progress="hidden")

    events.on(opened.select, choose, [dataset], [dataset, progress], lambda why: (gr.update(), why))
    for listener in (dataset.change, blind.change):
        listen(listener, current)
    for button, name in zip(buttons, LABELS):
        listen(button.click, labelling(name))
    listen(undo_button.click, undo)
    listen(skip_button.click, skip)


def meanings() -> str:
    lines = [f"{number} {PLAIN[name]}: {MEANING[name]}" for number, name in enumerate(LABELS, 1)]
    return "\n".join([*lines, KEYS])


def refusal(sentence: str) -> tuple:
    """The picture stays where a press could not be kept."""
    return sentence, gr.update(), gr.update(), gr.update(), gr.update()


def choose(dataset: str) -> tuple:
    """The datasets that there are by now; one of them is shown."""
    names = folders.datasets()
    chosen = folders.still(dataset, names)
    return gr.update(choices=names, value=chosen), gr.update() if chosen else EMPTY


def current(dataset: str, key: str, blind: bool) -> tuple:
    """The picture that is shown, while it still waits; else the next one."""
    folder, contents = opened(dataset)
    return shown(folder, contents, contents.next(at=valid(key)), blind)


def labelling(name: str):
    """What the button of a label does."""

    def label(dataset: str, key: str, blind: bool) -> tuple:
        folder, contents = opened(dataset)
        key = valid(key)
        if key not in contents.items:
            raise Refused("No picture is shown: choose a dataset with pictures that wait.")
        if key not in contents.labels:  # a second press, or another page, was about this picture, too
            contents = folder.label(key, name, bool(blind))
        return shown(folder, contents, contents.next(after=key), blind)

    return label


def undo(dataset: str, key: str, blind: bool) -> tuple:
    """Takes the last label back, and shows its picture again."""
    folder, contents = opened(dataset)
    last = contents.last
    if last is None:
        raise Refused("There is no label to take back.")
    contents = folder.label(last, None)
    return shown(folder, contents, contents.items[last], blind)


def skip(dataset: str, key: str, blind: bool) -> tuple:
    folder, contents = opened(dataset)
    return shown(folder, contents, contents.next(after=valid(key)), blind)


def opened(dataset: str) -> tuple[LabelFolder, Contents]:
    if not dataset:
        raise Refused("No dataset is chosen: choose one, or review some pictures and press Add there.")
    folder = LabelFolder(folders.dataset_folder(dataset))
    return folder, folder.read()


def valid(key: str) -> str:
    return key if isinstance(key, str) and KEY.fullmatch(key) else ""


def shown(folder: LabelFolder, contents: Contents, item: Item | None, blind: bool) -> tuple:
    """(progress, picture, product, about, key)."""
    if item is None:
        return f"{progress_of(contents)} {EMPTY}", None, None, "", ""
    lines = [line for line in (item.caption, item.prompt) if line]
    if item.verdict and not blind:
        lines.append(f"reviewer: {PLAIN[item.verdict['label']]} {item.verdict['probability']:.2f}")
    try:
        pictures = [read(folder, item.key, "pictures"), read(folder, item.product, "products")]
    except (OSError, ValueError, SyntaxError):
        return f"{progress_of(contents)} This picture can't be shown: skip it.", None, None, "\n".join(lines), ""
    return progress_of(contents), *pictures, "\n".join(lines), item.key


def read(folder: LabelFolder, key: str, kind: str) -> Image.Image:
    """Raises OSError where there is no such picture, or it is damaged."""
    content = folder.content(key, kind)
    if content is None:
        raise FileNotFoundError(key)
    picture = Image.open(io.BytesIO(content), formats=["PNG"])
    picture.load()
    return picture


def progress_of(contents: Contents) -> str:
    """ "12 labelled, 30 to go. For a useful adaptation: 188 more, at least 3 of them "wrong size"." """
    head = f"{len(contents.labels)} labelled, {len(contents.waiting)} to go."
    few = {PLAIN[name]: EACH - count for name, count in contents.counts.items() if count < EACH}
    more = max([ENOUGH - len(contents.labels), sum(few.values())])
    if more <= 0:
        return f"{head} That is enough for an adaptation."
    kinds = ", ".join(f"{count} {name}" for name, count in few.items())
    return f"{head} For a useful adaptation: {more} more{f', at least {kinds}' if kinds else ''}."
