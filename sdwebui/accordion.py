"""The accordion's components, in the order of Settings, and how infotext gets back into them."""

from __future__ import annotations

import gradio as gr
from modules.ui_common import create_refresh_button
from modules.ui_components import InputAccordion
from PIL import Image

from ..cyclic import profiles
from ..cyclic.remedies import names
from ..rfnet.common_sizes import LARGEST_CM
from ..rfnet.risks import ACCEPT
from . import controlnet, opinions, options, reviewers
from .plan import STORE
from .product import kept
from .settings import (
    AUTO,
    DEFAULTS,
    ENABLED,
    MARKS,
    NAMES,
    NONE,
    ON_EXHAUSTED,
    POSITIONS,
    PRODUCT,
    TITLES,
    checked_opinions,
    checked_remedies,
)

REMEDY_LABELS = {
    "contrast": "contrast words, if it hardly stands out",
    "guidance": "higher CFG scale",
    "control": "stronger ControlNet, if it grew parts",
    "dilation": "less paint under its edge, if it grew parts",
    "surface": "surface words, if it floats",
    "position": "lower place, if it floats",
    "scale": "smaller product, if its size is wrong",
    "avoid": "negative words",
    "tuned": "tuned ControlNet",
}
PICTURES = {
    "product": "Product, a cut-out with transparency",
    "mask": "Mask, where the product has no transparency",
}
INFOS = {  # where a choice isn't plain
    "image_scale": "At most this share of the picture's width and height.",
    "position": "centre: cropped, scaled and centred. keep: where its picture has it.",
    "on_exhausted": "best: the likeliest to be usable. stop: no picture.",
    "remedies": "A little further after each rejected picture, as far as each one goes.",
    "accept": "5 % risk: at most 5 % of what it accepts is unusable, by the painter that it is certified for.",
    "early_rejection": "auto: where a profile was measured for this checkpoint and reviewer.",
    "tuned_control_net_name": "Takes over after a rejected picture, with the remedy tuned ControlNet.",
    "begin_at": "To draw one of its attempts again.",
    "opinions": "What else looks at finished pictures. A server gets them sent.",
    "size_cm": "The product's largest side. Only the opinion size looks at it.",
}


def build(script, is_img2img: bool) -> tuple[list, list]:
    """(components in the order of Settings, [(component, its name in infotext, or what reads it)])."""

    def about(name: str, **more) -> dict:
        info = {"info": INFOS[name]} if name in INFOS else {}
        return {"value": options.default(name), "elem_id": script.elem_id(name), **info, **more}

    made = {}
    with InputAccordion(False, label=script.title(), elem_id=script.elem_id("enabled")) as made["enabled"]:
        product_rows(made, about, is_img2img)
        loop_rows(made, about)
        with gr.Accordion("Advanced", open=False):
            advanced_rows(made, about)
    for component in made.values():
        component.do_not_save_to_config = True  # choices follow files, and stale ones would stay in ui-config.json
    return [made[name] for name in NAMES], fields(made)


def files_row(made: dict, about, name: str, label: str, first: list) -> None:
    """A choice of ControlNets by file name, with a button that looks again."""

    def choices() -> dict:
        return {"choices": [*first, *controlnet.files()]}

    made[name] = gr.Dropdown(label=label, allow_custom_value=True, **choices(), **about(name))
    create_refresh_button(made[name], lambda: None, choices, f"refresh_{about(name)['elem_id']}")


def product_rows(made: dict, about, is_img2img: bool) -> None:
    with gr.Row():
        for name, label in PICTURES.items():
            elem_id = about(name)["elem_id"]
            made[name] = gr.Image(label=label, type="pil", image_mode="RGBA", elem_id=elem_id, height=220)
    made["product_name"] = gr.Textbox(label="Product of a pasted picture", visible=False, **about("product_name"))
    with gr.Row():
        made["caption"] = gr.Textbox(
            label="Caption", placeholder="what it is, such as: a red leather handbag", **about("caption")
        )
        made["mask_marks"] = gr.Radio(label="White in the mask is", choices=list(MARKS), **about("mask_marks"))
    made["use_init_image"] = gr.Checkbox(
        label="Use the img2img picture as the product", visible=is_img2img, **about("use_init_image")
    )
    with gr.Row():
        made["image_scale"] = gr.Slider(label="Scale", minimum=0.05, maximum=1.0, step=0.01, **about("image_scale"))
        made["position"] = gr.Radio(label="Position", choices=list(POSITIONS), **about("position"))


def loop_rows(made: dict, about) -> None:
    with gr.Row():
        made["attempts"] = gr.Slider(label="Attempts", minimum=1, maximum=50, step=1, **about("attempts"))
        made["on_exhausted"] = gr.Radio(
            label="When none passes, give", choices=list(ON_EXHAUSTED), **about("on_exhausted")
        )
    with gr.Row():
        files_row(made, about, "control_net_name", "ControlNet (auto: a canny one that fits)", [AUTO, NONE])
        made["keep_rejected"] = gr.Checkbox(label="Keep rejected pictures", **about("keep_rejected"))
    made["remedies"] = gr.CheckboxGroup(
        label="After a rejected picture, change",
        choices=[(REMEDY_LABELS.get(name, name), name) for name in names()],
        **about("remedies", value=list(DEFAULTS.remedies)),
    )


def advanced_rows(made: dict, about) -> None:
    with gr.Row():
        made["accept"] = gr.Radio(label="Accept by", choices=list(ACCEPT), **about("accept"))
        made["threshold"] = gr.Slider(
            label="Threshold (0: the reviewer's own)", minimum=0, maximum=1, step=0.01, **about("threshold")
        )
    with gr.Row():
        made["reviewer_name"] = gr.Dropdown(label="Reviewer", choices=list(reviewers.paths()), **about("reviewer_name"))
        found = profiles.profiles_in(reviewers.profile_folders())
        made["early_rejection"] = gr.Dropdown(
            label="Early rejection", choices=[AUTO, profiles.OFF, *found], **about("early_rejection")
        )
    with gr.Row():
        made["control_weight"] = gr.Slider(
            label="Control weight", minimum=0, maximum=2, step=0.05, **about("control_weight")
        )
        files_row(made, about, "tuned_control_net_name", "Tuned ControlNet", [NONE])
    for name in ("contrast", "surface", "avoid"):
        label = {"avoid": "Negative words"}.get(name, f"{name.capitalize()} words")
        made[f"{name}_words"] = gr.Textbox(label=label, **about(f"{name}_words"))
    made["begin_at"] = gr.Textbox(label="Begin at these remedies (a picture's RF begin at)", **about("begin_at"))
    with gr.Row():
        made["opinions"] = gr.Dropdown(
            label="Second opinions",
            multiselect=True,
            choices=opinions.choices(),
            **about("opinions", value=list(DEFAULTS.opinions)),
        )
        elem_id = f"refresh_{about('opinions')['elem_id']}"
        create_refresh_button(made["opinions"], lambda: None, lambda: {"choices": opinions.choices()}, elem_id)
        made["size_cm"] = gr.Number(label="Size in cm (0: not said)", minimum=0, maximum=LARGEST_CM, **about("size_cm"))


def fields(made: dict) -> list:
    """Infotext gets back into components: a picture without Reliable Ads turns it off."""
    readers = [
        (made["enabled"], lambda values: values.get(ENABLED) == "True"),
        (made["product"], product_again),
        (made["product_name"], PRODUCT),
    ]
    lists = {"remedies": remedies_again, "opinions": opinions_again, "size_cm": size_again}
    for name, title in TITLES.items():
        text = isinstance(getattr(DEFAULTS, name), str)
        readers.append((made[name], lists.get(name) or (text_again(title) if text else title)))
    return readers


def text_again(title: str):
    """What reads a text, which infotext leaves out where it is empty, and the host splits where it looks like 12x34."""

    def read(values: dict):
        sides = [values[side] for side in (f"{title}-1", f"{title}-2") if side in values]
        return values.get(title, "x".join(sides)) if ENABLED in values else None

    return read


def product_again(values: dict):
    """The product of a pasted picture, where it is still in the store."""
    try:
        return gr.update(value=Image.open(kept(values[PRODUCT], STORE))) if PRODUCT in values else None
    except ValueError:
        return None


def remedies_again(values: dict):
    title = TITLES["remedies"]
    return list(checked_remedies(values[title])) if title in values else None


def opinions_again(values: dict):
    """Those whose files are still there: infotext has none where there were none."""
    asked = checked_opinions(values.get(TITLES["opinions"], ""))
    return [name for name in asked if name in opinions.choices()] if ENABLED in values else None


def size_again(values: dict):
    """0 where infotext has none."""
    return float(values.get(TITLES["size_cm"], 0)) if ENABLED in values else None
