"""What the drawn cut-outs show, family by family: each painter paints one thing on a `Sheet` and returns its caption.

painter(sheet, rng, a, b, c): the colours are display RGB (3,); a caption may name them by {0}, {1}, {2}.
"""

from . import boxed, soft, turned

# name -> (sheet's width for height 1, painter, true largest side in metres)
FAMILIES = {
    "bottle": (0.6, turned.bottle, (0.15, 0.3)),
    "wine": (0.45, turned.wine, (0.28, 0.33)),
    "tumbler": (1.0, turned.tumbler, (0.09, 0.12)),
    "jar": (1.4, turned.jar, (0.06, 0.12)),
    "can": (0.75, turned.can, (0.11, 0.17)),
    "tube": (0.55, turned.tube, (0.13, 0.19)),
    "mug": (1.35, turned.mug, (0.1, 0.13)),
    "vase": (0.9, turned.vase, (0.2, 0.4)),
    "candle": (1.0, turned.candle, (0.08, 0.14)),
    "thermos": (0.5, turned.thermos, (0.24, 0.32)),
    "lamp": (1.0, turned.lamp, (0.4, 0.55)),
    "kettle": (1.15, turned.kettle, (0.22, 0.28)),
    "perfume": (0.9, boxed.perfume, (0.09, 0.14)),
    "carton": (0.95, boxed.carton, (0.12, 0.35)),
    "book": (0.85, boxed.book, (0.2, 0.26)),
    "speaker": (0.95, boxed.speaker, (0.2, 0.4)),
    "appliance": (1.0, boxed.appliance, (0.83, 0.87)),
    "phone": (0.62, boxed.phone, (0.14, 0.16)),
    "handbag": (1.05, soft.handbag, (0.28, 0.4)),
    "backpack": (0.85, soft.backpack, (0.42, 0.5)),
    "sneaker": (1.7, soft.sneaker, (0.27, 0.31)),
    "cushion": (1.0, soft.cushion, (0.38, 0.5)),
    "plush": (0.9, soft.plush, (0.25, 0.45)),
    "armchair": (1.0, soft.armchair, (0.85, 1.0)),
    "sofa": (2.1, soft.sofa, (1.8, 2.3)),
    "chair": (0.62, soft.chair, (0.85, 1.0)),
    "watch": (0.62, boxed.watch, (0.2, 0.24)),
}
