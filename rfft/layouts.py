"""Which family a ControlNet's file is of, by its keys."""

from __future__ import annotations

from collections.abc import Iterable

# {family: modules that its ControlNets have, and those of no family behind it in this list have}
LAYOUTS: dict[str, tuple[str, ...]] = {
    "Z-Image": ("control_all_x_embedder.2-1",),
    "SD 3.5": ("pos_embed_input.proj",),
    "Qwen-Image": ("controlnet_x_embedder", "img_in"),
    "Flux.1": ("controlnet_x_embedder", "x_embedder"),
}


def layout_of(modules: Iterable[str]) -> str:
    """The family that has these modules in its ControlNets, or ""; SD's are told apart elsewhere, by their widths."""
    modules = set(modules)
    return next((name for name, marks in LAYOUTS.items() if modules.issuperset(marks)), "")


def modules_in(keys: Iterable[str]) -> set[str]:
    """The modules that have weights in a file."""
    return {key.removesuffix(".weight") for key in keys if key.endswith(".weight")}
