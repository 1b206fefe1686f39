"""Pictures of a box that stands or floats, and a dataset of them."""

import numpy as np
import torch
from PIL import Image

from reliable_ads.rfnet.data.labelling import LabelFolder
from reliable_ads.rfnet.finished import cut_out
from reliable_ads.rfnet.opinions.protocol import OpinionError, about
from reliable_ads.rfnet.product import Canvas, Product, place


def boxed(side=64) -> Canvas:
    """A blue box in the middle of a square canvas."""
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[5:-5, 8:-8] = (40, 60, 200, 255)
    return place(Product.from_arrays(rgba, caption="a box"), side, side, image_scale=0.5)


def on_table(canvas: Canvas, shadow: bool, ground=0.8) -> tuple[torch.Tensor, torch.Tensor]:
    """(picture (1, 3, H, W), inverse depth (1, 1, H, W)): a box on a table with a contact shadow, or floating in front
    of a far wall.
    """
    left, _, right, bottom = canvas.box
    picture = torch.full((1, 3, canvas.height, canvas.width), float(ground))
    depth = torch.full((1, 1, canvas.height, canvas.width), 0.5)
    if shadow:
        picture[..., bottom : bottom + 6, left:right] *= 0.2
        depth[..., bottom - 2 :, :] = 0.6
    depth[..., canvas.alpha > 0.5] = 0.6
    return canvas.paste(picture), depth


def shadows(folder, count=40, products=5) -> LabelFolder:
    """Labelled pictures: available where the box has a shadow, space_mismatch where it has none."""
    labels, canvas = LabelFolder(folder), boxed()
    product = cut_out(canvas)
    for number in range(count):
        stands = number // products % 2 == 0
        picture = on_table(canvas, stands, ground=0.5 + 0.4 * number / count)[0][0]
        labels.add(Image.fromarray((picture.permute(1, 2, 0) * 255).byte().numpy()), product, f"p{number % products}")
        key = (labels.read().items.keys() - labels.read().labels.keys()).pop()
        labels.label(key, "available" if stands else "space_mismatch")
    return labels


class Said:
    """An opinion that always says the same of space_mismatch; NaN: it doesn't know; None: it can't be had."""

    name, cost = "said", "nothing"

    def __init__(self, value, model="", proof=False, name="said"):
        self.value, self.model, self.proof, self.name = value, model, proof, name

    def evidence(self, canvas, images, depth=None):
        assert depth is not None and len(depth) == len(images)
        if self.value is None:
            raise OpinionError("its server does not answer.")
        return about("space_mismatch", torch.full((len(images),), float(self.value)))
