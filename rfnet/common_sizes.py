"""How large common things are, by the words of a caption: for pictures whose product's true size nobody gave.

From general knowledge, with a range for each; what comes in all sizes is left out. The words are English.
"""

import math
import re
from typing import NamedTuple

from .pictures import PictureError

SMALLEST_CM, LARGEST_CM = 0.1, 10_000.0  # of a product's largest side

# name: the largest side in centimetres, of small ones and of large ones
COMMON = {
    # in a bag or a pocket
    "ring": (2, 3), "earring": (1, 5), "necklace": (15, 30), "bracelet": (6, 9), "watch": (4, 8), "wristwatch": (4, 8),
    "key": (5, 8), "coin": (2, 3), "wallet": (9, 20), "purse": (10, 22), "handbag": (25, 40), "backpack": (40, 55),
    "suitcase": (50, 80), "briefcase": (38, 46), "umbrella": (60, 100), "folding umbrella": (24, 32),
    "glasses": (13, 15), "sunglasses": (13, 15), "goggles": (16, 20), "lipstick": (7, 9), "comb": (12, 20),
    "perfume": (7, 15), "perfume bottle": (7, 15), "razor": (12, 16), "toothbrush": (16, 20), "soap": (7, 10),
    "lotion": (14, 22), "shampoo": (16, 25), "nail polish": (6, 9), "hairbrush": (18, 26), "hair dryer": (20, 28),
    # clothes
    "shoe": (24, 32), "sneaker": (26, 32), "trainer": (26, 32), "boot": (26, 40), "sandal": (22, 29),
    "heel": (20, 26), "high heeled shoe": (20, 26), "slipper": (24, 30), "sock": (20, 45), "glove": (18, 28),
    "boxing glove": (28, 34), "hat": (25, 38), "cap": (20, 28), "helmet": (25, 33), "crown": (16, 24),
    "tie": (40, 150), "necktie": (40, 150), "shirt": (65, 80), "t shirt": (60, 78), "blouse": (55, 72),
    "dress": (85, 140), "jeans": (95, 112), "trousers": (95, 112), "shorts": (35, 60), "coat": (80, 125),
    "jacket": (60, 80), "vest": (55, 72), "skate": (28, 35), "ice skate": (28, 35), "roller skate": (28, 35),
    # on a table
    "mug": (9, 13), "cup": (8, 13), "teacup": (8, 13), "tea bowl": (9, 14), "coffee cup": (8, 13),
    "glass": (9, 20), "tumbler": (8, 15), "wine glass": (18, 25), "cocktail glass": (14, 20), "beer mug": (14, 20),
    "bottle": (20, 34), "wine bottle": (29, 34), "champagne bottle": (30, 35), "baby bottle": (13, 20),
    "water bottle": (18, 30), "thermos": (22, 33), "can": (9, 14), "tin": (8, 13), "jar": (9, 20),
    "plate": (20, 30), "bowl": (12, 25), "spoon": (13, 22), "fork": (17, 21), "knife": (18, 33), "teapot": (16, 26),
    "kettle": (20, 30), "coffee maker": (28, 42), "toaster": (25, 40), "blender": (35, 45), "pan": (35, 50),
    "frying pan": (38, 50), "salt shaker": (7, 13), "pepper mill": (12, 25), "honey": (9, 15),
    "chocolate bar": (12, 18), "juice": (11, 24), "milk": (11, 24), "takeaway box": (11, 20), "cupcake": (6, 9),
    "doughnut": (7, 10), "cookie": (5, 9), "hamburger": (8, 12), "apple": (7, 9), "orange": (7, 9), "egg": (5, 7),
    "lemon": (6, 9), "banana": (16, 21), "book": (18, 30), "notebook": (15, 30), "pen": (13, 15), "pencil": (14, 19),
    "scissors": (14, 24), "stapler": (12, 17), "safety pin": (3, 5), "battery": (4, 6), "candle": (6, 25),
    "light bulb": (9, 14), "lamp": (30, 60), "floor lamp": (140, 180), "clock": (10, 35), "alarm clock": (8, 16),
    "vase": (18, 40), "toilet paper": (10, 13), "sponge": (9, 14), "desk bell": (7, 11), "yo yo": (5, 7),
    "test tube": (10, 18), "compass": (5, 10), "magnifying glass": (15, 25), "thread": (4, 8), "yarn": (8, 15),
    # devices
    "phone": (13, 17), "smartphone": (13, 17), "tablet": (20, 29), "laptop": (30, 38), "laptop computer": (30, 38),
    "computer": (40, 60), "monitor": (45, 80), "keyboard": (30, 45), "mouse": (9, 12), "computer mouse": (9, 12),
    "headphones": (17, 22), "camera": (11, 16), "camcorder": (11, 22), "television": (70, 140), "tv": (70, 140),
    "radio": (16, 35), "telephone": (18, 25), "telephone receiver": (20, 24), "game controller": (14, 17),
    "joystick": (14, 25), "microphone": (15, 28), "printer": (38, 50), "fax machine": (30, 42), "pager": (6, 9),
    "video cassette": (18, 20), "film projector": (30, 50), "microscope": (32, 45), "telescope": (70, 130),
    "drone": (20, 40), "watch strap": (12, 26), "speaker": (15, 40), "vacuum cleaner": (90, 120),
    # tools
    "hammer": (28, 36), "screwdriver": (15, 28), "wrench": (15, 30), "spanner": (15, 30), "saw": (40, 60),
    "hand saw": (40, 60), "axe": (40, 85), "drill": (20, 30), "torch": (12, 25), "flashlight": (12, 25),
    "toolbox": (33, 52), "padlock": (5, 9), "ladder": (180, 400), "bucket": (26, 35), "broom": (115, 145),
    "plunger": (40, 60), "fire extinguisher": (35, 60), "brick": (20, 25), "wastebasket": (25, 42), "basket": (30, 55),
    "nut and bolt": (4, 9), "tape measure": (7, 10), "shovel": (95, 130), "oil drum": (85, 92),
    # play, sport and music
    "soccer ball": (21, 23), "football": (21, 29), "american football": (27, 29), "rugby ball": (27, 30),
    "basketball": (23, 25), "volleyball": (20, 22), "baseball": (7, 8), "softball": (9, 12), "tennis ball": (6, 7),
    "tennis racket": (66, 71), "badminton racket": (64, 69), "table tennis bat": (24, 28), "cricket bat": (80, 97),
    "skateboard": (70, 85), "frisbee": (21, 28), "curling stone": (27, 30), "bow": (100, 175), "sled": (80, 125),
    "kick scooter": (70, 110), "diving mask": (15, 22), "teddy bear": (20, 45), "guitar": (90, 105),
    "violin": (55, 62), "banjo": (80, 100), "trumpet": (45, 55), "saxophone": (55, 80), "accordion": (35, 50),
    "drum": (30, 60), "water pistol": (15, 35), "graduation cap": (24, 32), "trophy": (20, 50),
    # furniture and what stands on the floor
    "chair": (80, 110), "stool": (45, 80), "armchair": (80, 105), "sofa": (160, 240), "couch": (160, 240),
    "bed": (195, 215), "desk": (110, 160), "table": (80, 180), "bookshelf": (100, 200), "wardrobe": (170, 220),
    "mirror": (40, 150), "filing cabinet": (70, 135), "bathtub": (150, 180), "toilet": (65, 80),
    "washing machine": (83, 88), "fridge": (140, 200), "refrigerator": (140, 200), "oven": (60, 90),
    "shopping trolley": (90, 110), "shopping cart": (90, 110), "wheelchair": (90, 110), "postbox": (100, 170),
    "parasol": (200, 300), "beach umbrella": (170, 240), "ring buoy": (60, 76), "tent": (150, 350),
    # on the road
    "wheel": (60, 72), "tyre": (60, 72), "bicycle": (165, 185), "bike": (165, 185), "motorcycle": (195, 230),
    "motor scooter": (170, 195), "scooter": (70, 195), "car": (380, 480), "pickup truck": (500, 590), "van": (450, 600),
    "auto rickshaw": (255, 300), "tractor": (330, 500), "bus": (900, 1300),
}  # fmt: skip
# what is of another size than the thing that it is named after
NOT_ITS_SIZE = re.compile(
    r"\b(toy|model|miniature|mini|tiny|giant|huge|oversized|doll|dollhouse|figurine|keychain|keyring|charm|sticker"
    r"|pendant|ornament|poster|print|painting|set|pack|stack|pile)s?\b"
)
APART = re.compile(r"\b(?:with|of|on|in|for|from|by|without|beside|at)\b|[,;:.()]")
LONGEST = max(len(name.split()) for name in COMMON)


class Usual(NamedTuple):
    """name: in the table; log_metres: the middle of its range; spread: how far sizes lie from it, in log metres."""

    name: str
    log_metres: float
    spread: float


def check_size_cm(size_cm: float) -> None:
    """Raises PictureError for what is no size of a product; 0 stands for none given."""
    if not (size_cm == 0 or SMALLEST_CM <= size_cm <= LARGEST_CM):
        raise PictureError(
            f"size_cm is {size_cm:g}: give the product's largest side in centimetres, from {SMALLEST_CM:g} to"
            f" {LARGEST_CM:g}, or 0 where it isn't known."
        )


def usual_size(caption: str) -> Usual | None:
    """The size of what a caption names, such as "a red mug with a car on it"; None where the table doesn't know it.

    The thing is what the words before "with", "of" and the like end with, or else those behind.
    """
    text = caption.lower().replace("-", " ").replace("_", " ")
    if NOT_ITS_SIZE.search(text):
        return None
    for part in APART.split(text):
        if name := _thing(re.findall("[a-z]+", part)):
            low, high = (math.log(side / 100) for side in COMMON[name])
            return Usual(name, (low + high) / 2, (high - low) / 4)
    return None


def _thing(words: list[str]) -> str | None:
    """The longest name in the table that these words end with, in the singular or the plural."""
    for length in range(min(LONGEST, len(words)), 0, -1):
        name = " ".join(words[-length:])
        for form in (name, name.removesuffix("s"), name.removesuffix("es")):
            if form in COMMON:
                return form
    return None
