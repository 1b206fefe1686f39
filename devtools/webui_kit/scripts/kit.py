"""For tests: a web UI with this extension loads the thin ControlNet, and draws with a latent mask that a request gives.

Knows nothing of Reliable Ads, which its draws are compared with.
"""

import gc
import sys

import torch
from modules import script_callbacks, scripts, sd_samplers_common, shared


def thin(*_):
    """sd-webui-controlnet builds networks of Stable Diffusion 1.5's widths, which it has in a dict of its own."""
    guess = sys.modules.get("scripts.controlnet_model_guess")
    if guess is not None:
        guess.controlnet_default_config["channel_mult"] = [1, 1, 1, 1]


class Kit(scripts.Script):
    """args[0]: {"picture": what the latent is held to, (3, H, W) in [0, 1], "mask": (h, w), 1 = paint}."""

    def title(self):
        return "Kit"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        import gradio as gr

        return [gr.JSON(value=None, visible=False)]

    def process_before_every_sampling(self, p, given=None, *args, **kwargs):
        if not isinstance(given, dict):
            return
        x = kwargs["x"]
        p.nmask = torch.tensor(given["mask"]).to(x).expand(x.shape[1], -1, -1)
        p.mask = 1 - p.nmask
        latent = encoded(given["picture"]).expand(len(x), -1, -1, -1).to(x)
        p.init_latent = p.sampler.model_wrap_cfg.init_latent = latent  # img2img's, and txt2img's


def encoded(picture):
    with torch.random.fork_rng():
        torch.manual_seed(0)  # as Reliable Ads: the VAE adds noise
        return sd_samplers_common.images_tensor_to_samples(
            torch.tensor([picture]).to(shared.device), 0, shared.sd_model
        )


def tell(_, app):
    """Routes for tests: the names of all modules that are loaded; those of all objects of a module that are in memory,
    garbage, too, as far as Python has not collected it yet.
    """
    app.add_api_route("/kit/modules", lambda: sorted(sys.modules), methods=["GET"])
    app.add_api_route("/kit/objects", objects, methods=["GET"])


def objects(module: str) -> list[str]:
    return [type(each).__name__ for each in gc.get_objects() if type(each).__module__ == module]


script_callbacks.on_app_started(tell)
script_callbacks.on_app_started(thin)  # when all extensions' scripts have been loaded
