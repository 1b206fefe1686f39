"""Profiles of early rejection in ComfyUI: where they lie, and the fingerprint of a model with its LoRAs."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import folder_paths
import torch

from ..cyclic import profiles
from ..cyclic.profiles import fingerprint


def fingerprint_of(model, named: Callable = fingerprint) -> str:
    """The fingerprint of a ModelPatcher's network with its LoRAs, whether or not ComfyUI has just written them, or
    another graph's, into the weights, and with the schedule that a node like ModelSamplingFlux gave it.

    named: what makes it of a network and its weights as they were loaded.
    """
    original = {key.removeprefix("diffusion_model."): kept.weight for key, kept in model.backup.items()}
    plain = named(model.model.diffusion_model, original)
    sampling = model.object_patches.get("model_sampling")
    if not model.patches and sampling is None:
        return plain
    digest = hashlib.sha256(plain.encode())
    for key in sorted(model.patches):
        for strength, patch, of_model, *_ in model.patches[key]:
            digest.update(f"{key} {strength} {of_model}".encode())
            for part in getattr(patch, "weights", patch[1] if isinstance(patch, tuple) else ()):
                if torch.is_tensor(part):
                    digest.update(part.flatten()[:64].detach().float().cpu().numpy().tobytes())
    if sampling is not None:
        digest.update(" ".join(kind.__name__ for kind in type(sampling).__bases__).encode())
        digest.update(sampling.sigmas.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def paths() -> dict:
    """{name: path} of the profiles there are; the user's own come before those that ship."""
    return profiles.profiles_in(folder_paths.get_folder_paths("rfnet"))


def named(name: str) -> None:
    """Raises FileNotFoundError where a graph asks for a profile that isn't there."""
    profiles.check_name(name, paths())


def choose(name: str, model, reviewer, settings: dict) -> profiles.Early:
    """cyclic.profiles.choose for a ModelPatcher and a nodes.review.LoadedReviewer."""
    return profiles.choose(name, paths(), lambda: fingerprint_of(model), reviewer.reviewer, settings)


def own_path(name: str) -> Path:
    """Where a profile of this name is written: models/rfnet. Raises ValueError on a name that isn't a plain one."""
    return profiles.own_path(folder_paths.get_folder_paths("rfnet")[0], name)
