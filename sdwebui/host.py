"""What the hosts are asked for, where they differ: Automatic1111, Forge and reForge."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from modules import (
    devices,
    paths,
    processing,
    sd_models,
    sd_samplers,
    sd_samplers_common,
    sd_samplers_kdiffusion,
    shared,
)
from modules.call_queue import queue_lock

from .randomness import apart

FORGE = find_spec("modules_forge") is not None  # reForge, too
NAME = ("reForge" if find_spec("ldm_patched") else "Forge") if FORGE else "Automatic1111"
EXTENSION = Path(__file__).resolve().parent.parent
RFNET = Path(getattr(shared.cmd_opts, "reliable_ads_dir", None) or Path(paths.models_path) / "rfnet")  # preload.py
CONTROLNETS = Path(getattr(shared.cmd_opts, "controlnet_dir", None) or Path(paths.models_path) / "ControlNet")
LORAS = Path(getattr(shared.cmd_opts, "lora_dir", None) or Path(paths.models_path) / "Lora")


def unet() -> torch.nn.Module:
    """The network that paints, with ldm's names."""
    forge = getattr(shared.sd_model, "forge_objects", None)
    return forge.unet.model.diffusion_model if forge else shared.sd_model.model.diffusion_model


def checkpoint_of(p) -> Path | None:
    """The file of the checkpoint that p will be drawn with. The host may load it only after it has asked us."""
    asked = p.override_settings.get("sd_model_checkpoint") or shared.opts.sd_model_checkpoint
    info = sd_models.get_closet_checkpoint_match(asked) if asked else None
    return Path(info.filename) if info else None


def unscaled(latents: torch.Tensor) -> torch.Tensor:
    """Latents of the sampler as the VAE has them."""
    model = shared.sd_model
    forge = getattr(model, "forge_objects", None)
    if forge is None:
        return latents / model.scale_factor
    vae = getattr(forge.vae, "first_stage_model", None)
    return vae.process_out(latents) if hasattr(vae, "process_out") else forge.unet.model.process_latent_out(latents)


def decode(latents: torch.Tensor) -> torch.Tensor:
    """Latents of the sampler → pictures (N, 3, H, W) in [0, 1], on the CPU."""
    decoded = processing.decode_latent_batch(shared.sd_model, latents, target_device=devices.cpu)
    return ((torch.stack(list(decoded)).float() + 1) / 2).clamp(0, 1)


def encode(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures (N, 3, H, W) in [0, 1] → latents of the sampler.

    Takes its noise from a generator of its own: the host's draws must not depend on it.
    """
    with apart(seed=0):
        pictures = pictures.to(shared.device, dtype=devices.dtype_vae)
        return sd_samplers_common.images_tensor_to_samples(pictures, 0, shared.sd_model)


def sampling_settings(p, threshold: float) -> dict:
    """What a profile of early rejection holds for, in the names that ComfyUI has."""
    return {
        "steps": int(p.steps),
        "cfg": float(p.cfg_scale),
        "sampler_name": sampler_name(p.sampler_name),
        "scheduler": scheduler_name(p),
        "denoise": 1.0 if getattr(p, "denoising_strength", None) is None else float(p.denoising_strength),
        "threshold": threshold,
    }


def sampler_name(label: str) -> str:
    """ "DPM++ 2M" → "dpmpp_2m"."""
    for title, function, *_ in sd_samplers_kdiffusion.samplers_k_diffusion:
        if title == label:
            return getattr(function, "__name__", str(function)).removeprefix("sample_")
    return str(label).lower()


def scheduler_name(p) -> str:
    """The schedule's name; the sampler's own where the user left it to that."""
    from modules import sd_schedulers

    config = sd_samplers.find_sampler_config(p.sampler_name)
    chosen = sd_schedulers.schedulers_map.get(getattr(p, "scheduler", None))
    name = chosen.name if chosen else "automatic"
    if name == "automatic":
        name = (config.options.get("scheduler") if config else None) or "normal"
    return "normal" if name == "uniform" else name


def free_memory() -> None:
    """Takes the models off the device where the host brings them back by itself: in Forge and reForge.

    Automatic1111 would draw on with half of its model elsewhere.
    """
    if not FORGE:
        return
    with queue_lock:
        if find_spec("backend"):
            from backend import memory_management as memory
        else:
            from ldm_patched.modules import model_management as memory
        memory.unload_all_models()


def hand_on(error_type: type[Exception]) -> None:
    """Lets errors of this type through to reForge's page: its main thread prints what a draw raises, and the page would
    say that "'NoneType' object is not iterable".
    """
    if NAME != "reForge":
        return
    from modules_forge.main_thread import Task

    work = Task.work

    def handing_on(task) -> None:
        try:
            work(task)
        except error_type as error:
            task.result = raised_when_read(error)

    Task.work = handing_on


def raised_when_read(error: Exception):
    raise error
    yield  # a generator: the page makes a list of it


def on_cpu() -> bool:
    return devices.get_optimal_device().type == "cpu"
