"""Try it: the small models that ship, put among the web UI's checkpoints, and a first picture with them."""

from __future__ import annotations

import gradio as gr
from modules import paths, processing, scripts, sd_models, shared
from modules.call_queue import queue_lock

from .. import host, pocket_files
from . import events

TITLE = "Try it"
ID = "reliable_ads_demo"
FORGE = (
    "Forge and reForge know checkpoints by their shapes, and don't know the small demo models: use a checkpoint of your"
    " own in the accordion Reliable Ads of txt2img, or try them in Automatic1111 or ComfyUI."
)


def build(_) -> None:
    if host.FORGE:
        gr.Markdown(FORGE)
        return
    gr.Markdown("A first picture without a model of your own. The small models draw without ControlNet.")
    start = gr.Button("Try it with the small demo models", variant="primary", elem_id=f"{ID}_start")
    status = gr.Textbox(label="Result", interactive=False, lines=1, max_lines=12, elem_id=f"{ID}_status")
    gallery = gr.Gallery(label="Pictures", show_label=False, columns=4, object_fit="contain", elem_id=f"{ID}_gallery")
    events.on(start.click, draw, [], [status, gallery], lambda why: (why, []))


def install_demo(models_path) -> str:
    """Puts the small demo models among the web UI's checkpoints -> what to do with them. Raises ValueError, OSError."""
    if host.FORGE:
        raise ValueError(FORGE)
    checkpoint = pocket_files.install(models_path)
    sd_models.list_models()
    drawn = pocket_files.DRAW
    return (
        f"The small models are in {checkpoint.parent}. In txt2img: checkpoint {checkpoint.stem}, sampler"
        f" {drawn['sampler_name']}, schedule type {drawn['scheduler']}, {drawn['steps']} steps, CFG scale"
        f" {drawn['cfg_scale']:g}, {drawn['width']}x{drawn['height']} pixels, and in Reliable Ads no ControlNet."
    )


def draw():
    """The demo product through txt2img and the accordion's script, as Generate does it."""
    yield "The models load ...", []
    said = install_demo(paths.models_path)
    yield f"{said}\nDrawing ...", []
    runner = scripts.scripts_txt2img
    script = next(each for each in runner.alwayson_scripts if each.title() == "Reliable Ads")
    arguments = [0, *(getattr(component, "value", None) for component in runner.inputs[1:])]
    arguments[script.args_from] = {**pocket_files.SETTINGS, "product": pocket_files.product()}
    p = processing.StableDiffusionProcessingTxt2Img(
        **pocket_files.DRAW,
        outpath_samples=shared.opts.outdir_samples or shared.opts.outdir_txt2img_samples,
        outpath_grids=shared.opts.outdir_grids or shared.opts.outdir_txt2img_grids,
        override_settings={"sd_model_checkpoint": pocket_files.NAME},
        override_settings_restore_afterwards=True,
    )
    p.is_api = True  # or p would take seed and sampler of these arguments
    p.scripts, p.script_args = runner, arguments
    with queue_lock:
        shared.state.begin(job="reliable-ads-demo")
        try:
            drawn = processing.process_images(p)
        finally:
            p.close()
            shared.state.end()
    yield f"{drawn.comments.strip()}\n{said}", drawn.images
