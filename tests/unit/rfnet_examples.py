"""Small real things for the tests of rfnet: cut-outs, scenes, untrained reviewers.

Nothing here stands in for real code.
"""

import numpy as np
import torch
from PIL import Image

from reliable_ads.rfnet.architectures import RFNetConfig
from reliable_ads.rfnet.data.labelling import LabelFolder
from reliable_ads.rfnet.data.shards import write_shard
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.maps import MapNet
from reliable_ads.rfnet.model import RFNet
from reliable_ads.rfnet.product import Product

SMALL = RFNetConfig(
    image_size=64, map_size=32, width=32, heads=4, fusion_layers=1, text_width=32, text_layers=1, text_heads=2
)


def bottle_rgba(width=40, height=60) -> np.ndarray:
    """A blue box with a red cap on a transparent ground, uint8 RGBA."""
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[height // 4 : -4, 8:-8] = (30, 60, 200, 255)
    rgba[4 : height // 4, width // 3 : -width // 3] = (200, 30, 40, 255)
    return rgba


def bottle(caption="a blue bottle") -> Product:
    return Product.from_arrays(bottle_rgba(), caption=caption)


def small_networks(seed=0, config=SMALL):
    torch.manual_seed(seed)
    return RFNet(config).eval(), MapNet().eval()


def scene(number: int, label: str, product_id: str) -> dict:
    """One scene as write_shard takes it: a box on a floor, its label visible as a coloured corner."""
    random = np.random.default_rng(number)
    image = np.full((128, 128, 3), random.integers(60, 200, 3), np.uint8)
    image[80:] = random.integers(60, 200, 3)
    image[:24, :24] = (
        [(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)][LABELS.index(label)]
        if label in LABELS
        else 0
    )
    product = np.zeros((128, 128, 4), np.uint8)
    product[50:90, 40:80] = (*random.integers(0, 255, 3), 255)
    image[50:90, 40:80] = product[50:90, 40:80, :3]
    depth = np.zeros((128, 128), np.uint8)
    depth[80:] = np.linspace(60, 250, 48)[:, None]
    return {
        "id": f"s{number}",
        "image": Image.fromarray(image),
        "product": Image.fromarray(product),
        "depth": Image.fromarray(depth),
        "caption": "a box",
        "prompt": "a box on a floor",
        "label": label,
        "cause": "",
        "product_id": product_id,
        "room_id": "r0",
    }


def write_split(folder, count=20, start=0):
    folder.mkdir(parents=True, exist_ok=True)
    scenes = [scene(start + i, LABELS[i % 5], f"p{i % 7}") for i in range(count)]
    write_shard(folder / "shard-0.zip", scenes)
    return folder


COLOURS = dict(zip(LABELS, ("white", "red", "lime", "blue", "black")))


def labelled(folder, count=96) -> LabelFolder:
    """Pictures whose colour shows their label, of a dozen products."""
    labels, product = LabelFolder(folder), Image.fromarray(bottle_rgba(64, 64), "RGBA")
    for number in range(count):
        label = LABELS[0 if number // 12 % 2 else 1 + number // 24 % 4]
        picture = Image.new("RGB", product.size, COLOURS[label])
        picture.putpixel((0, 0), (number, 0, 0))
        labels.add(picture, product, f"p{number % 12}", "a box")
        labels.label((labels.read().items.keys() - labels.read().labels.keys()).pop(), label)
    return labels
