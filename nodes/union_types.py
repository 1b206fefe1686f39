"""Union ControlNets: one file for several kinds of hints, which has to be told the kind of the one that it gets.

Each family numbers the kinds in its own way, and stock SetUnionControlNetType knows SDXL's numbers alone.
"""

NONE = "none"
SDXL = {  # xinsir's, as ComfyUI's UNION_CONTROLNET_TYPES numbers them; the first one had six, without tile and repaint
    "canny": 3,
    "depth": 1,
    "pose": 0,
    "soft edge": 2,
    "normal": 4,
    "segmentation": 5,
    "tile": 6,
    "repaint": 7,
}
FLUX = {  # InstantX's FLUX.1-dev-Controlnet-Union, from its model card
    "canny": 0,
    "tile": 1,
    "depth": 2,
    "blur": 3,
    "pose": 4,
    "gray": 5,
    "low quality": 6,
}
OPTIONS = [*dict.fromkeys([*SDXL, *FLUX]), NONE]


class UnionTypeError(ValueError):
    """A kind of hint that this union ControlNet doesn't know; one sentence that says which it knows."""


def choose(control, kind: str, file: str) -> None:
    """Tells a union CONTROL_NET which kind of hint it gets, as SetUnionControlNetType does; others stay as they are.

    Raises UnionTypeError.
    """
    numbers = numbers_of(getattr(control, "control_model", None))
    if not numbers:
        return
    if kind != NONE and kind not in numbers:
        raise UnionTypeError(
            f'the union ControlNet "{file}" knows no hint of the kind {kind}: set union_type to one of'
            f" {', '.join(numbers)}, or to {NONE}."
        )
    control.set_extra_arg("control_type", [] if kind == NONE else [numbers[kind]])


def numbers_of(network) -> dict:
    """{kind: number} of the hints that a union ControlNet knows; empty for every other network."""
    if count := getattr(network, "num_union_modes", 0):
        return {kind: number for kind, number in FLUX.items() if number < count}
    return {kind: number for kind, number in SDXL.items() if number < getattr(network, "num_control_type", 0)}
