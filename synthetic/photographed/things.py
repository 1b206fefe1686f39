"""What the stand-in shows: products and props that no other composer shows, cut out of the same emoji package.

Kinds, not pictures, belong to a split: every look of a test kind is a product that training never shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..composed.cutouts import Cutout, crop, recolour
from ..products import seed_of

LOOKS = 3  # products of one kind: as drawn, and in two other colours

# emoji code -> (caption, true largest side in metres)
SIZED = {
    "1f3a4": ("microphone", 0.25),
    "1f3ae": ("game controller", 0.16),
    "1f3b7": ("saxophone", 0.7),
    "1f4bb": ("laptop computer", 0.34),
    "1f4f1": ("smartphone", 0.15),
    "1f4f9": ("camcorder", 0.2),
    "1f4fd-fe0f": ("film projector", 0.4),
    "1f4de": ("telephone receiver", 0.22),
    "1f50b": ("battery", 0.05),
    "1f50d": ("magnifying glass", 0.2),
    "1f52b": ("water pistol", 0.22),
    "1f579-fe0f": ("joystick", 0.18),
    "1f5b1-fe0f": ("computer mouse", 0.11),
    "1f5d1-fe0f": ("wastebasket", 0.35),
    "1f6ce-fe0f": ("desk bell", 0.1),
    "1f6d2": ("shopping trolley", 1.0),
    "1f6f7": ("sled", 1.0),
    "1f6fa": ("auto rickshaw", 2.6),
    "1f6fb": ("pickup truck", 5.2),
    "1f3cd-fe0f": ("motorcycle", 2.1),
    "1f69c": ("tractor", 4.0),
    "1f9bd": ("wheelchair", 1.0),
    "1f9f9": ("broom", 1.3),
    "1f9fb": ("roll of toilet paper", 0.12),
    "1f9fd": ("sponge", 0.12),
    "1f9ea": ("test tube", 0.15),
    "1fa80": ("yo-yo", 0.06),
    "1fa95": ("banjo", 0.9),
    "1fa9a": ("hand saw", 0.55),
    "1fa9b": ("screwdriver", 0.2),
    "1fa9c": ("ladder", 2.5),
    "1faa0": ("plunger", 0.5),
    "1f93f": ("diving mask", 0.25),
    "1f97d": ("goggles", 0.18),
    "1f453": ("pair of glasses", 0.14),
    "1f576-fe0f": ("pair of sunglasses", 0.14),
    "1f452": ("sun hat", 0.35),
    "1f393": ("graduation cap", 0.3),
    "1f454": ("necktie", 0.5),
    "1f9e4": ("pair of gloves", 0.25),
    "1f9e6": ("pair of socks", 0.3),
    "1fa73": ("pair of shorts", 0.45),
    "1f97c": ("lab coat", 1.0),
    "1f9ba": ("safety vest", 0.65),
    "1f45a": ("blouse", 0.6),
    "1f48d": ("ring", 0.025),
    "1f3d3": ("table tennis bat", 0.26),
    "1f3cf": ("cricket bat", 0.85),
    "1f3f9": ("bow with an arrow", 1.2),
    "1f94c": ("curling stone", 0.28),
    "1f94f": ("frisbee", 0.27),
    "1f3c9": ("rugby ball", 0.28),
    "1f94e": ("softball", 0.1),
    "1f375": ("tea bowl", 0.11),
    "1f37a": ("beer mug", 0.17),
    "1f378": ("cocktail glass", 0.18),
    "1f95b": ("glass of milk", 0.14),
    "1f961": ("takeaway box", 0.13),
    "1f4fc": ("video cassette", 0.19),
    "1f399-fe0f": ("studio microphone", 0.3),
    "1f527": ("wrench", 0.25),
    "1f529": ("nut and bolt", 0.06),
    "1f512": ("padlock", 0.08),
    "1f5c4-fe0f": ("filing cabinet", 1.3),
    "1f4ee": ("postbox", 1.4),
    "1f6e2-fe0f": ("oil drum", 0.9),
    "26f1-fe0f": ("beach umbrella", 2.0),
    "1f6df": ("ring buoy", 0.75),
    "1f6de": ("car wheel", 0.65),
    "1f9f1": ("brick", 0.22),
    "1f944": ("spoon", 0.18),
    "1f4df": ("pager", 0.07),
    "1f4e0": ("fax machine", 0.4),
    "1f9f7": ("safety pin", 0.04),
    "2702-fe0f": ("pair of scissors", 0.18),
}
# things that come in all sizes: never the subject of a wrong one
VAGUE = {
    "1f56f-fe0f": ("candle", 0.2),
    "1f570-fe0f": ("mantel clock", 0.3),
    "1f6cd-fe0f": ("pair of shopping bags", 0.45),
    "1f9ee": ("abacus", 0.3),
    "1fa86": ("nesting doll", 0.15),
    "1faa9": ("mirror ball", 0.3),
    "1f382": ("birthday cake", 0.28),
    "1f3a8": ("painter's palette", 0.35),
    "1f3ee": ("paper lantern", 0.4),
    "1f3fa": ("amphora", 0.6),
    "26b1-fe0f": ("urn", 0.3),
    "2696-fe0f": ("pair of scales", 0.4),
    "1fad5": ("fondue pot", 0.25),
    "1f372": ("cooking pot", 0.3),
}
KINDS = {**SIZED, **VAGUE}

# name -> (emoji code, true height in metres, where: "table", "floor" in any place, "street" outdoors)
PROPS = {
    "pear": ("1f350", 0.1, "table"),
    "peach": ("1f351", 0.075, "table"),
    "tomato": ("1f345", 0.065, "table"),
    "aubergine": ("1f346", 0.18, "table"),
    "avocado": ("1f951", 0.11, "table"),
    "coconut": ("1f965", 0.12, "table"),
    "melon": ("1f348", 0.18, "table"),
    "croissant": ("1f950", 0.08, "table"),
    "cookie": ("1f36a", 0.07, "table"),
    "loaf": ("1f35e", 0.13, "table"),
    "hamburger": ("1f354", 0.09, "table"),
    "mango": ("1f96d", 0.1, "table"),
    "onion": ("1f9c5", 0.08, "table"),
    "garlic": ("1f9c4", 0.055, "table"),
    "potato": ("1f954", 0.075, "table"),
    "broccoli": ("1f966", 0.15, "table"),
    "bell pepper": ("1fad1", 0.1, "table"),
    "chestnut": ("1f330", 0.03, "table"),
    "coin": ("1fa99", 0.025, "table"),
    "billiard ball": ("1f3b1", 0.057, "table"),
    "chick": ("1f424", 0.09, "table"),
    "rabbit": ("1f407", 0.25, "floor"),
    "poodle": ("1f429", 0.5, "floor"),
    "rooster": ("1f413", 0.5, "floor"),
    "person": ("1f9cd", 1.7, "floor"),
    "walker": ("1f6b6", 1.7, "floor"),
    "goat": ("1f410", 0.85, "street"),
    "sheep": ("1f411", 0.85, "street"),
    "pig": ("1f416", 0.75, "street"),
    "cow": ("1f404", 1.45, "street"),
    "taxi": ("1f695", 1.55, "street"),
    "ambulance": ("1f691", 2.4, "street"),
    "bus": ("1f68c", 3.0, "street"),
}


@dataclass(frozen=True)
class Prop:
    """A thing of known size: rgba (H, W, 4) float32 straight alpha; metres: its true height."""

    name: str
    metres: float
    rgba: np.ndarray


def split_of(code: str) -> str:
    """Where a kind belongs, by a stable hash: about 60 % train, 15 % val, 25 % test."""
    home = seed_of("photographed", code) % 20
    return "train" if home < 12 else "val" if home < 15 else "test"


def kinds_of(split: str) -> list[str]:
    return [code for code in KINDS if split_of(code) == split]


def draw_product(code: str, look: int, assets) -> Cutout:
    """One product: a kind in one of its LOOKS. Its pixels are the picture's own, with nothing drawn onto them."""
    caption, metres = KINDS[code]
    rgba = assets.cutout(code).astype(np.float32) / 255
    if look:
        rgba = np.dstack([recolour(rgba[..., :3], np.random.default_rng([look, seed_of(code)])), rgba[..., 3]])
    article = "an" if caption[0] in "aeiou" else "a"
    return Cutout(
        f"{split_of(code)}-photographed-{code}-{look}",
        "photographed",
        f"{article} {caption}",
        metres,
        code in VAGUE,
        True,
        crop(np.ascontiguousarray(rgba, np.float32)),
    )


def draw_prop(name: str, assets) -> Prop:
    code, metres, _ = PROPS[name]
    return Prop(name, metres, crop(assets.cutout(code).astype(np.float32) / 255))
