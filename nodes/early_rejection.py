"""Profiles of early rejection on disk: models/rfnet/*.gates.json, and those that ship; which of them speaks of a model
and a reviewer.
"""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import folder_paths
import torch

from ..rfnet.files import is_safe_name
from .inputs import few, quoted, shown

AUTO = "auto"
OFF = "off"
ENDING = ".gates.json"
SAMPLES = 24  # tensors of a module that its fingerprint looks at


def fingerprint_of(model) -> str:
    """The fingerprint of a ModelPatcher's network with its LoRAs, whether or not ComfyUI has just written them, or
    another graph's, into the weights.
    """
    original = {key.removeprefix("diffusion_model."): kept.weight for key, kept in model.backup.items()}
    plain = fingerprint(model.model.diffusion_model, original)
    if not model.patches:
        return plain
    digest = hashlib.sha256(plain.encode())
    for key in sorted(model.patches):
        for strength, patch, of_model, *_ in model.patches[key]:
            digest.update(f"{key} {strength} {of_model}".encode())
            for part in getattr(patch, "weights", patch[1] if isinstance(patch, tuple) else ()):
                if torch.is_tensor(part):
                    digest.update(part.flatten()[:64].detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def fingerprint(module: torch.nn.Module, original: dict | None = None) -> str:
    """16 hex digits that name a network's weights: all names and shapes, and the first values of some tensors as
    bfloat16, so that a copy in bfloat16 keeps its name. original: {name: weight} of those that aren't as they were
    loaded.
    """
    state = module.state_dict() | (original or {})
    names = sorted(state)
    digest = hashlib.sha256("\n".join(f"{name} {tuple(state[name].shape)}" for name in names).encode())
    for name in names[:: max(1, len(names) // SAMPLES)]:
        digest.update(state[name].flatten()[:64].detach().float().bfloat16().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def profiles() -> dict:
    """{name: path} of the profiles there are; the user's own come before those that ship."""
    paths = {}
    for folder in folder_paths.get_folder_paths("rfnet"):
        for path in sorted(Path(folder).glob("*" + ENDING)):
            paths.setdefault(path.name.removesuffix(ENDING), path)
    return paths


def read_profile(path: Path):
    """Raises cyclic.early_rejection.ProfileError."""
    from ..cyclic.early_rejection import Profile

    return Profile.read(path)


@dataclass(frozen=True)
class Early:
    """Where draws may be stopped early.

    thresholds: cyclic.early_rejection.EarlyThreshold; preview: the cyclic.preview.Preview that makes previews, None for
    the VAE; source: a profile's name, or why there is none.
    """

    source: str
    thresholds: tuple = ()
    preview: Any = None


def named(name: str) -> None:
    """Raises FileNotFoundError where a graph asks for a profile that isn't there."""
    names = profiles()
    if name not in (AUTO, OFF, *names):
        choices = few(names) if names else "none"
        raise FileNotFoundError(
            f"there is no profile {shown(str(name))}{ENDING} in models/rfnet: make it with RF Profile Early"
            f" Rejection, or choose another (found: {choices})"
        )


def choose(name: str, model, reviewer, settings: dict) -> Early:
    """What an input "auto", "off" or the name of a profile stands for.

    "auto" takes the profile of this very model and reviewer, if there is one whose settings are close to these; a
    profile that is named is refused with a sentence where it speaks of others. Raises FileNotFoundError,
    cyclic.early_rejection.ProfileError.
    """
    from ..cyclic.early_rejection import ProfileError
    from ..cyclic.preview import Preview

    if name == OFF:
        return Early("off")
    paths = profiles()
    named(name)
    candidates = [*paths] if name == AUTO else [name]
    about = (fingerprint_of(model), fingerprint(reviewer.reviewer), settings) if candidates else ()
    for candidate in candidates:
        try:
            profile = read_profile(paths[candidate])
        except ProfileError as error:
            if name != AUTO:
                raise
            logging.warning("RF Cyclic Sampler: %s", error)
            continue
        reason = profile.why_not(*about)
        if reason is None and not profile.about:
            reason = "it has too few accepted draws yet"
        if reason is None:
            return Early(candidate, profile.thresholds, Preview(profile.preview) if profile.preview else None)
        if name != AUTO:
            raise ProfileError(
                f"the profile {name} does not fit this graph: {reason}. Profile this graph, or set early_rejection to"
                " auto or off."
            )
    return Early("off: no profile fits this model, reviewer and settings (RF Profile Early Rejection makes one)")


def own_path(name: str) -> Path:
    """Where a profile of this name is written: models/rfnet. Raises ValueError on a name that isn't a plain one."""
    if name in (AUTO, OFF) or not is_safe_name(name):
        raise ValueError(f'{quoted(name)} can\'t name a profile: use letters, digits, "-" and "_", without folders.')
    return Path(folder_paths.get_folder_paths("rfnet")[0]) / f"{name}{ENDING}"
