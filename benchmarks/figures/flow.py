"""Figures of `python -m benchmarks.flow`."""

from .definition import Definition

SMALL = "small random SD 3.5, Flux.1, Qwen-Image and Z-Image"

NAMES = {"sd35": "SD 3.5 large", "flux": "Flux.1 dev", "qwen_image": "Qwen-Image", "z_image": "Z-Image"}


def memory() -> list[Definition]:
    """Of each family and size: all of it, and the step alone."""
    found = []
    for name, title in NAMES.items():
        for size in (512, 1024):
            asked = f"RFFT, estimated: {title}, {size} px, one picture, bf16, recomputed activations"
            column = f"{size} px"
            found += [
                Definition(f"memory_{name}_{size}_gib", asked, "GiB", shown={"memory": (title, f"{column}, all")}),
                Definition(
                    f"memory_{name}_{size}_step_gib",
                    f"{asked}: the step alone",
                    "GiB",
                    shown={"memory": (title, f"{column}, a step")},
                ),
            ]
    return found


FAMILIES = {"v": "predicts v", "flow": "turned into flow matching"}


def pocket() -> list[Definition]:
    """Of the pocket family as it ships, and as it matches flows."""
    found = []
    for name, family in FAMILIES.items():
        title = (
            f"RFFT on the pocket family that {'' if name == 'v' else 'was '}{family}, consistent condition, beta 0.05"
        )
        targets = {"rate_gain": "> 0", "diversity": ">= 0.9"} if name == "flow" else {}
        for key, words, unit in (
            ("rate_before", "accepted by RFNet before", "share"),
            ("rate_gain", "more accepted by RFNet", "points"),
            ("second_gain", "more accepted by the second reviewer", "points"),
            ("diversity", "diversity across seeds left, of before", "share"),
        ):
            shown = {"flow_pocket": (f"the one that {'' if name == 'v' else 'was '}{family}", words)}
            found.append(Definition(f"{key}_{name}", f"{title}: {words}", unit, targets.get(key, ""), shown=shown))
    return found


FIGURES = [
    Definition(
        "schedule_error",
        "Flow matching: largest difference of a whole drawing from one at diffusers' noise levels, in float64",
        target="<= 1e-06",
    ),
    Definition(
        "gradient_error",
        f"Flow matching: largest error of the objective's gradient against central differences, of its length; {SMALL}",
    ),
    Definition(
        "adapter_only_gradient",
        f"Flow matching: families whose gradient lies in the adapter and nowhere else; {SMALL}",
        "share",
        ">= 1",
    ),
    *memory(),
    *pocket(),
]
