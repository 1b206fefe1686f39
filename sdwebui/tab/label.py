"""Label: one picture of a dataset after the other, and five buttons that say what is wrong with it.

The same datasets as RF Label in ComfyUI, kept by rfnet.data.labelling: each press is on the disk before the next
picture is shown. A reviewer learns meanwhile (rfnet.training.background) and says which picture is next.
javascript/reliable_ads.js presses the buttons for the keys 1 to 5, U and S.
"""

from __future__ import annotations

import functools
import io

import gradio as gr
from PIL import Image

from ...rfnet.agreement import agreements
from ...rfnet.data.journal import EACH, ENOUGH, KEY, LONGEST_NAME, Contents, Item, is_name
from ...rfnet.data.labelling import LabelFolder
from ...rfnet.files import quoted
from ...rfnet.labels import LABELS, MEANING, PLAIN
from .. import folders, reviewers
from ..settings import Refused
from . import events

TITLE = "Label"
ID = "reliable_ads_label"
NOBODY = "off"  # no reviewer learns, and the order is shuffled
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
    learner, labeller = learning_row()
    progress = gr.Textbox(label="Progress", interactive=False, lines=2, max_lines=6, elem_id=f"{ID}_progress")
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

    inputs, outputs = [dataset, key, blind, learner, labeller], [progress, picture, product, about, key]

    def listen(listener, work) -> None:
        events.on(listener, work, inputs, outputs, refusal, show_progress="hidden")

    events.on(
        opened.select, choose, [dataset], [dataset, progress, learner], lambda why: (gr.update(), why, gr.update())
    )
    for listener in (dataset.change, blind.change, learner.change, labeller.blur):
        listen(listener, current)
    for button, name in zip(buttons, LABELS):
        listen(button.click, labelling(name))
    listen(undo_button.click, undo)
    listen(skip_button.click, skip)


def learning_row() -> tuple:
    """Who learns, and who labels."""
    with gr.Row():
        learner = gr.Dropdown(
            label="Learner",
            choices=[NOBODY, *reviewers.paths()],
            value=reviewers.SHIPPED.name,
            info="The reviewer that learns after every ten labels and shows next what it is unsure of; off: shuffled.",
            scale=2,
            elem_id=f"{ID}_learner",
        )
        labeller = gr.Textbox(
            label="Labeller",
            info="Your name, where several label one dataset.",
            scale=1,
            elem_id=f"{ID}_labeller",
        )
    return learner, labeller


def meanings() -> str:
    lines = [f"{number} {PLAIN[name]}: {MEANING[name]}" for number, name in enumerate(LABELS, 1)]
    return "\n".join([*lines, KEYS])


def refusal(sentence: str) -> tuple:
    """The picture stays where a press could not be kept."""
    return sentence, gr.update(), gr.update(), gr.update(), gr.update()


def choose(dataset: str) -> tuple:
    """The datasets and reviewers that there are by now; one dataset is shown."""
    names = folders.datasets()
    chosen = folders.still(dataset, names)
    learners = gr.update(choices=[NOBODY, *reviewers.paths()])
    return gr.update(choices=names, value=chosen), gr.update() if chosen else EMPTY, learners


def current(dataset: str, key: str, blind: bool, learner: str, labeller: str) -> tuple:
    """The picture that is shown, while it still waits; else the next one."""
    desk = Desk(dataset, blind, learner, labeller)
    return desk.next(at=valid(key))


def labelling(name: str):
    """What the button of a label does."""

    def label(dataset: str, key: str, blind: bool, learner: str, labeller: str) -> tuple:
        desk = Desk(dataset, blind, learner, labeller)
        key = valid(key)
        if key not in desk.contents.items:
            raise Refused("No picture is shown: choose a dataset with pictures that wait.")
        if not desk.has_said(key):  # a second press, or another page, was about this picture, too
            desk.contents = desk.folder.label(key, name, bool(blind), desk.labeller)
        return desk.next(after=key)

    return label


def undo(dataset: str, key: str, blind: bool, learner: str, labeller: str) -> tuple:
    """Takes the labeller's last label back, and shows its picture again."""
    desk = Desk(dataset, blind, learner, labeller)
    last = desk.contents.last_of(desk.labeller)
    if last is None:
        raise Refused(
            "There is no label of yours to take back." if desk.labeller else "There is no label to take back."
        )
    desk.contents = desk.folder.label(last, None, by=desk.labeller)
    return desk.show(desk.contents.items[last])


def skip(dataset: str, key: str, blind: bool, learner: str, labeller: str) -> tuple:
    desk = Desk(dataset, blind, learner, labeller, passed=valid(key))
    return desk.next(after=valid(key))


@functools.cache
def background():
    from ...rfnet.training.background import Background

    return Background()


class Desk:
    """One press: the dataset as it is now, who labels it, and who learns from it. Raises Refused."""

    def __init__(self, dataset: str, blind: bool, learner: str, labeller: str, passed: str = ""):
        self.folder, self.contents = opened(dataset)
        self.blind, self.learner, self.passed = blind, learner, passed
        self.labeller = str(labeller or "").strip()
        if self.labeller and not is_name(self.labeller):
            raise Refused(f"The labeller's name is too long or no line: give up to {LONGEST_NAME} characters.")

    def has_said(self, key: str) -> bool:
        """Whether this labeller has labelled the picture, or without a name anybody."""
        return (key, self.labeller) in self.contents.said if self.labeller else key in self.contents.labels

    def study(self):
        """What the learner knows, a background.Study, the rest being learned meanwhile; None without a learner."""
        if self.learner in (None, "", NOBODY) or not self.contents.items:
            return None
        found = reviewers.paths()
        if self.learner not in found:
            raise Refused(f"There is no reviewer {quoted(self.learner, 60)} in models/rfnet: choose another learner.")
        return background().study(self.folder, found[self.learner], self.contents, self.passed)

    def next(self, after: str = "", at: str = "") -> tuple:
        """As show, the picture that comes next."""
        plan: list[str] = []
        if study := self.study():
            from ...rfnet.training.background import sequence

            plan = sequence(study, self.contents)
        return self.show(self.contents.next(after, at, self.labeller, plan))

    def show(self, item: Item | None) -> tuple:
        """(progress, picture, product, about, key)."""
        return shown(self.folder, self.contents, item, self.blind, self.lines())

    def lines(self) -> list[str]:
        """What the learner has learned, and how far labellers agree."""
        study = self.study()
        return [str(study)] * bool(study) + [str(one) for one in agreements(self.contents.said)[:1]]


def opened(dataset: str) -> tuple[LabelFolder, Contents]:
    if not dataset:
        raise Refused("No dataset is chosen: choose one, or review some pictures and press Add there.")
    folder = LabelFolder(folders.dataset_folder(dataset))
    return folder, folder.read()


def valid(key: str) -> str:
    return key if isinstance(key, str) and KEY.fullmatch(key) else ""


def shown(folder: LabelFolder, contents: Contents, item: Item | None, blind: bool, more: list[str]) -> tuple:
    """(progress, picture, product, about, key); more: lines below the progress."""
    below = "".join(f"\n{line}" for line in more)
    if item is None:
        return f"{progress_of(contents)} {EMPTY}{below}", None, None, "", ""
    lines = [line for line in (item.caption, item.prompt) if line]
    if item.verdict and not blind:
        lines.append(f"reviewer: {PLAIN[item.verdict['label']]} {item.verdict['probability']:.2f}")
    try:
        pictures = [read(folder, item.key, "pictures"), read(folder, item.product, "products")]
    except (OSError, ValueError, SyntaxError):
        return f"{progress_of(contents)} This picture can't be shown: skip it.", None, None, "\n".join(lines), ""
    return f"{progress_of(contents)}{below}", *pictures, "\n".join(lines), item.key


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
