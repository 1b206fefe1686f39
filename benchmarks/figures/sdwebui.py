"""Figures of `python -m benchmarks.sdwebui`, for each web UI: a1111, forge, reforge."""

from .definition import Definition

HOSTS = {"a1111": "Automatic1111", "forge": "Forge", "reforge": "reForge"}

FIRST = {  # figures that were taken again, and why
    "a1111": [
        Definition(
            "start_ms_first_a1111",
            "Automatic1111: what the extension adds to the start, beside other work",
            "ms",
            "<= 300",
        ),
    ],
    "forge": [
        Definition(
            "inner_difference_first_forge",
            "Forge: an attempt against a plain draw without its ControlNet, by a fault of this benchmark, largest",
            "levels",
            "0",
        ),
        Definition(
            "memory_growth_first_forge",
            "Forge: memory, generation 50 against generation 5, when runs stayed until Python looked for garbage: more",
            "share",
            "<= 0.02",
        ),
    ],
}


def of(key: str, name: str) -> list[Definition]:
    """The figures of one web UI."""
    return [
        Definition(
            f"inner_difference_{key}", f"{name}: an attempt against a plain draw with its seed, largest", "levels", "0"
        ),
        Definition(
            f"overhead_{key}",
            f"{name}: the loop that accepts at once, against plain Generate: more time (interval: all pairs)",
            "share",
            "<= 0.03",
        ),
        Definition(f"skip_steps_{key}", f"{name}: steps that begin after Skip was pressed, at most", "steps", "<= 1"),
        Definition(
            f"interrupt_steps_{key}", f"{name}: steps that begin after Interrupt was pressed, at most", "steps", "<= 1"
        ),
        Definition(
            f"memory_growth_{key}", f"{name}: memory, generation 50 against generation 5: more", "share", "<= 0.02"
        ),
        Definition(
            f"memory_growth_plain_{key}",
            f"{name}: memory, generation 50 against generation 5, plain Generate of as many pictures: more",
            "share",
        ),
        *FIRST.get(key, []),
        Definition(f"start_ms_{key}", f"{name}: what the extension adds to the start", "ms", "<= 300"),
        Definition(f"comfyui_difference_{key}", f"{name}: painted pixels against ComfyUI's, mean", "levels of 255"),
        Definition(
            f"comfyui_product_{key}", f"{name}: the product's pixels against ComfyUI's, largest", "levels of 255"
        ),
    ]


FIGURES = [definition for key, name in HOSTS.items() for definition in of(key, name)]
