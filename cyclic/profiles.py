"""Profiles of early rejection on disk, *.gates.json, and which of them speaks of a model and a reviewer."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..rfnet.files import is_safe_name, quoted

if TYPE_CHECKING:  # ComfyUI imports this at its start, and should not wait for what reads a profile
    from .early_rejection import EarlyThreshold
    from .preview import Preview

AUTO = "auto"
OFF = "off"
ENDING = ".gates.json"
SAMPLES = 24  # tensors of a module that its fingerprint looks at


def fingerprint(module: torch.nn.Module, original: dict | None = None) -> str:
    """16 hex digits that name a network's weights: all names and shapes, and the first values of some tensors as
    bfloat16, so that a copy in bfloat16 keeps its name. original: {name: weight} of those that aren't as they were
    loaded.
    """
    return fingerprint_of_state(module.state_dict() | (original or {}))


def fingerprint_of_state(state: dict) -> str:
    """The same of {name: weight}, for a network whose layers have other names than ComfyUI's."""
    names = sorted(state)
    digest = hashlib.sha256("\n".join(f"{name} {tuple(state[name].shape)}" for name in names).encode())
    for name in names[:: max(1, len(names) // SAMPLES)]:
        digest.update(state[name].flatten()[:64].detach().float().bfloat16().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def profiles_in(folders: Iterable) -> dict[str, Path]:
    """{name: path} of the profiles in these folders; of two with one name, the first folder's."""
    paths: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(Path(folder).glob("*" + ENDING)):
            paths.setdefault(path.name.removesuffix(ENDING), path)
    return paths


def own_path(folder, name: str) -> Path:
    """Where a profile of this name is written. Raises ValueError on a name that isn't a plain one."""
    if name in (AUTO, OFF) or not is_safe_name(name):
        raise ValueError(f'{quoted(name)} can\'t name a profile: use letters, digits, "-" and "_", without folders.')
    return Path(folder) / f"{name}{ENDING}"


@dataclass(frozen=True)
class Early:
    """Where draws may be stopped early.

    preview: what makes previews, None for the VAE; source: a profile's name, or why there is none.
    """

    source: str
    thresholds: tuple[EarlyThreshold, ...] = ()
    preview: Preview | None = None


def check_name(name: str, paths: dict) -> None:
    """Raises FileNotFoundError where a profile is asked for that isn't there."""
    if name not in (AUTO, OFF, *paths):
        choices = ", ".join(sorted(paths)[:8]) or "none"
        raise FileNotFoundError(
            f"there is no profile {quoted(f'{name}{ENDING}')} in models/rfnet: make it with RF Profile Early"
            f" Rejection, or choose another (found: {choices})"
        )


def choose(name: str, paths: dict, model: Callable[[], str], reviewer: torch.nn.Module, settings: dict) -> Early:
    """What "auto", "off" or the name of a profile stands for.

    "auto" takes the profile of this very model and reviewer, if there is one whose settings are close to these; a
    profile that is named is refused with a sentence where it speaks of others. paths: of profiles_in; model(): the
    fingerprint of the network that paints. Raises FileNotFoundError, ProfileError.
    """
    from .early_rejection import Profile, ProfileError
    from .preview import Preview

    if name == OFF:
        return Early("off")
    check_name(name, paths)
    candidates = [*paths] if name == AUTO else [name]
    about = (model(), fingerprint(reviewer), settings) if candidates else ()
    for candidate in candidates:
        try:
            profile = Profile.read(paths[candidate])
        except ProfileError as error:
            if name != AUTO:
                raise
            logging.warning("early rejection: %s", error)
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
