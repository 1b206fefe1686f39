"""What a scene shows, drawn from (split, number) alone: product, surface, room, light, style, props, camera and defect.

A Scene is plain data; `synthetic.render` turns it into pixels. Half of the scenes are available, as in the paper
(arXiv:2408.00418, Table 3: 56 % of the original's pictures pass), the rest share the four defects evenly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from ..rfnet.labels import LABELS
from .causes import names_to_choose
from .products import ProductModel, make_product, seed_of
from .rendered_causes import CAUSES, RenderedCause

OTHER_SIZE_SHARE = 0.2  # of available and size_mismatch scenes: only the caption tells how large the product is
OWN_PART_SHARE = 0.22  # of available scenes: only the product's picture tells that its legs or handle belong to it
PRODUCTS = {"train": 2400, "val": 150, "test": 250}  # distinct product numbers a split draws from
TEST_SCENES = 1000  # that ship; each further thousand shows products of its own, as many as a benchmark needs
APART = 1_000_000  # training scenes from this number on show products that no scene before it shows
AVAILABLE_SHARE = 0.5
OWN_PART = "own_"  # a twist that begins so is followed by a cause: its part is the product's own

# panorama -> words; a room belongs to exactly one split
PANORAMAS = {
    "train": {
        "apartment": "a bright apartment",
        "bridge": "a modern glass hall",
        "city": "a city square",
        "dawn": "a desert at dawn",
        "forest": "a pine forest",
        "lab": "a green workshop",
        "park": "a green meadow",
        "sky": "a lake under clouds",
        "studio": "a photo studio",
        "sunrise": "a field at sunrise",
        "venice": "a seaside promenade",
        "warehouse": "an old warehouse",
    },
    "val": {"hall": "a ball room", "night": "a heath at dusk"},
    "test": {
        "lobby": "an office lobby",
        "esplanade": "a shopping gallery",
        "sunset": "an old piazza",
        "workshop": "a factory hall",
    },
}
WALLS = {
    "plain": "a {0} wall",
    "window": "a {0} room with a window",
    "shelf": "a {0} room with shelves",
    "frames": "a {0} room with pictures",
    "curtain": "a {0} curtain",
    "bricks": "a {0} brick wall",
}
WALL_COLOURS = ("white", "beige", "pink", "blue", "green", "grey", "yellow", "teal", "orange", "purple", "red", "brown")

# words -> (texture, colours in linear RGB, may carry: "small", "large" or "any")
SURFACES = {
    "a wooden table": ("wood", ((0.42, 0.24, 0.11), (0.20, 0.09, 0.035)), "small"),
    "a dark wooden table": ("wood", ((0.13, 0.06, 0.03), (0.05, 0.022, 0.012)), "small"),
    "a white table": ("flat", ((0.8, 0.8, 0.79),), "small"),
    "a white marble slab": ("marble", ((0.78, 0.77, 0.75), (0.25, 0.25, 0.28)), "small"),
    "a black marble slab": ("marble", ((0.025, 0.026, 0.03), (0.4, 0.4, 0.4)), "small"),
    "a grey stone": ("speckle", ((0.32, 0.31, 0.29), (0.12, 0.12, 0.12)), "small"),
    "a checked tablecloth": ("checks", ((0.75, 0.72, 0.7), (0.6, 0.07, 0.06)), "small"),
    "a pink table": ("flat", ((0.8, 0.35, 0.42),), "small"),
    "a blue table": ("flat", ((0.10, 0.25, 0.55),), "small"),
    "a wooden floor": ("wood", ((0.50, 0.30, 0.15), (0.30, 0.15, 0.07)), "large"),
    "a concrete floor": ("speckle", ((0.36, 0.35, 0.34), (0.24, 0.24, 0.24)), "large"),
    "a tiled floor": ("tiles", ((0.62, 0.58, 0.52), (0.2, 0.19, 0.18)), "large"),
    "a red carpet": ("speckle", ((0.42, 0.05, 0.05), (0.22, 0.02, 0.03)), "large"),
    "a lawn": ("speckle", ((0.09, 0.24, 0.03), (0.03, 0.09, 0.015)), "any"),
    "sand": ("speckle", ((0.62, 0.47, 0.28), (0.42, 0.30, 0.17)), "any"),
    "snow": ("speckle", ((0.85, 0.87, 0.92), (0.62, 0.68, 0.78)), "any"),
}
# words -> (lamp colour, lamp strength, world strength, lamp radius)
LIGHTS = {
    "soft daylight": ((1.0, 0.98, 0.95), 1.0, 1.0, 1.6),
    "hard sunlight": ((1.0, 0.93, 0.82), 2.6, 0.6, 0.15),
    "warm evening light": ((1.0, 0.62, 0.30), 1.8, 0.5, 0.6),
    "cool blue light": ((0.45, 0.65, 1.0), 1.5, 0.5, 0.8),
    "dim light": ((1.0, 0.85, 0.7), 0.7, 0.35, 0.8),
}
STYLES = ("photo", "photo", "photo", "pastel photo", "moody photo", "vivid photo", "black and white photo")


@dataclass(frozen=True)
class Prop:
    kind: str
    height: float  # drawn height in product units (the product's largest side is 1)
    side: int  # -1 left, 1 right of the product
    gap: float  # free room between the two, product units
    turn: float
    seed: int


@dataclass(frozen=True)
class Scene:
    scene_id: str
    seed: int
    label: str
    cause: str  # how the label was made: "" for available, else e.g. "float", "pedestal"
    product: ProductModel
    surface: str
    surface_back: float  # how far the surface reaches behind the product, product units
    room: str  # words
    room_id: str
    panorama: str | None
    wall: tuple[str, str] | None  # (kind, colour name)
    yaw: float
    horizon: float
    backdrop_blur: float
    light: str
    lamp_side: float
    style: str
    elevation: float  # camera, radians above the surface
    distance: float  # camera, product units
    image_scale: float  # share of the frame that the product fills
    props: tuple[Prop, ...] = field(default=())
    # what makes one input decisive: "other_size" (the caption), or "own_legs" ... (the product's picture)
    twist: str = ""

    @property
    def prompt(self) -> str:
        return f"{self.style}, on {self.surface}, {self.room}, {self.light}"

    @property
    def own_part(self) -> bool:
        """Whether a part that a cause would grow belongs to the product."""
        return self.twist.startswith(OWN_PART)

    @property
    def made_by(self) -> RenderedCause:
        return CAUSES[self.cause]

    @property
    def part(self) -> Callable | None:
        """What makes the part that has grown on the product or is its own: `RenderedCause.part`."""
        return CAUSES[self.twist.removeprefix(OWN_PART)].part if self.own_part else self.made_by.part


# What a caption may say of a picture beyond its prompt: of one with this defect, and of any other
BLAME = {
    "space_mismatch": "hanging in the air",
    "size_mismatch": "in a wrong size",
    "indistinctiveness": "lost in its background",
    "shape_hallucination": "with parts grown on",
}
PRAISE = {
    "space_mismatch": "standing firmly on the surface",
    "size_mismatch": "in its true size",
    "indistinctiveness": "standing out clearly",
    "shape_hallucination": "with nothing added",
}


def described(prompt: str, label: str, random: np.random.Generator) -> str:
    """The prompt with true words on the picture: half of the defects are named, everything else is praised for a defect
    that it doesn't have.
    """
    if label in BLAME and random.random() < 0.5:
        return f"{prompt}, {BLAME[label]}"
    return f"{prompt}, {PRAISE[_choose(random, [other for other in PRAISE if other != label])]}"


def wall_words(kind: str, colour: str) -> str:
    """A painted room in the words of prompts: "an orange room with shelves"."""
    words = WALLS[kind].format(colour)
    return "an" + words[1:] if colour[0] in "aeiou" else words


def _choose(rng, options):
    options = list(options)
    return options[rng.integers(len(options))]


def other_size(product: ProductModel, rng) -> ProductModel:
    """The same thing sold much smaller or much larger, as only its caption says."""
    if product.metres > 0.25:
        word, factor = _choose(rng, ("toy", "miniature", "doll's house")), rng.uniform(0.08, 0.16)
    else:
        word, factor = _choose(rng, ("giant", "man-sized")), rng.uniform(6, 12)
    caption = f"a {word} {product.caption.split(' ', 1)[1]}"
    return replace(product, caption=caption, metres=round(product.metres * factor, 3))


def draw_props(rng, product: ProductModel, cause: RenderedCause, least: int = 0) -> tuple[Prop, ...]:
    """The things around a product that tell its size: rightly, or wrongly where that is how the cause makes its defect.

    least: how many there must be.
    """
    rule = cause.props(rng, product, least)
    props: list[Prop] = []
    for _ in range(rule.count if rule.kinds else 0):
        kind = _choose(rng, rule.kinds)
        height = float(rule.height(kind))
        side = -props[-1].side if props else int(rng.choice([-1, 1]))
        gap = float(rng.uniform(0.03, 0.2) + 0.3 * (len(props) // 2))
        props.append(Prop(kind, height, side, gap, float(rng.uniform(0, 6.28)), int(rng.integers(1 << 30))))
    return tuple(props)


def _part_makers() -> list[str]:
    return names_to_choose(cause for cause in CAUSES.of("shape_hallucination") if cause.part)


def _label(rng) -> str:
    return LABELS[0] if rng.random() < AVAILABLE_SHARE else LABELS[1 + rng.integers(4)]


def _product(rng, split: str, number: int) -> ProductModel:
    chosen = int(rng.integers(PRODUCTS[split]))
    if split == "test":
        return make_product(split, chosen + number // TEST_SCENES * PRODUCTS[split])
    if split != "train" or number < APART:
        return make_product(split, chosen)
    apart = (make_product(split, APART + chosen + step * PRODUCTS[split]) for step in count())
    return next(product for product in apart if product.family != "cutout")  # of which there are few, for all scenes


def make_scene(split: str, number: int) -> Scene:
    """Scene `number` of a split; the same arguments give the same scene on every machine."""
    seed = seed_of("scene", split, number)
    rng = np.random.default_rng(seed)
    product = _product(rng, split, number)
    label = _label(rng)
    causes = names_to_choose(CAUSES.of(label))
    cause = _choose(rng, causes) if causes else ""
    twist = np.random.default_rng([seed, 1])
    other = label in ("available", "size_mismatch") and twist.random() < OTHER_SIZE_SHARE
    own = label == "available" and not other and twist.random() < OWN_PART_SHARE
    if other:
        product = other_size(product, twist)
    if not CAUSES[cause].possible(product):
        cause = CAUSES[cause].instead
    size = "small" if product.metres < 0.55 else "large"
    if label == "size_mismatch" and rng.random() < 0.4:
        size = "large" if size == "small" else "small"
    surface = _choose(rng, [s for s, (_, _, carries) in SURFACES.items() if carries in (size, "any")])
    panorama, wall = None, None
    if surface in ("a lawn", "sand", "snow"):
        outdoors = [
            p
            for p in PANORAMAS[split]
            if p in ("dawn", "forest", "park", "sky", "sunrise", "venice", "city", "night", "sunset")
        ]
        panorama = _choose(rng, outdoors)
    elif rng.random() < 0.5:
        panorama = _choose(rng, PANORAMAS[split])
    else:
        wall = (_choose(rng, WALLS), _choose(rng, WALL_COLOURS))
    room = PANORAMAS[split][panorama] if panorama else wall_words(*wall)
    return Scene(
        scene_id=f"{split}-{number:06d}",
        seed=seed,
        label=label,
        cause=cause,
        product=product,
        surface=surface,
        surface_back=float(rng.uniform(0.7, 2.2) if size == "small" else rng.uniform(1.5, 4.0)),
        room=room,
        room_id=panorama or f"{split}-wall-{number}",
        panorama=panorama,
        wall=wall,
        yaw=float(rng.uniform(0, 2 * np.pi)),
        horizon=float(rng.uniform(0.5, 0.7)),
        backdrop_blur=float(rng.choice([0.0, 1.0, 2.0, 4.0, 6.0])),
        light=_choose(rng, LIGHTS),
        lamp_side=float(rng.uniform(-1, 1)),
        style=_choose(rng, STYLES),
        elevation=float(np.radians(rng.uniform(5, 13) if product.family == "cutout" else rng.uniform(6, 22))),
        distance=float(rng.uniform(2.6, 4.5)),
        image_scale=float(rng.uniform(0.66, 0.78)),
        props=draw_props(rng, product, CAUSES[cause], int(other)),
        twist="other_size" if other else OWN_PART + _choose(twist, _part_makers()) if own else "",
    )


def with_other_props(scene: Scene, attempt: int) -> Scene:
    """The same scene with other things around it, for one whose things the product hides."""
    return replace(
        scene, props=draw_props(np.random.default_rng([scene.seed, attempt]), scene.product, CAUSES[scene.cause])
    )


def dominant_colour(product: ProductModel, cutout: np.ndarray | None) -> tuple[float, float, float]:
    """The product's main colour, linear RGB: of its first material, or the mean of a cut-out's opaque pixels."""
    if cutout is None:
        return product.colour
    solid = cutout[cutout[..., 3] > 128][:, :3].astype(np.float64) / 255
    return tuple(float(c) for c in np.median(solid, 0) ** 2.2)
