"""Which backbones may be asked for by name.

A name stands in weights files and configs, which come from anywhere: it leads to no hub, to no folder, and to nothing
that doesn't fit in the memory of a usual computer.
"""

import re

from .architectures import OPEN_CLIP, ArchitectureError
from .structured import shortened

SIZED = "(?:tiny|little|small|medium|mediumd|base|wee|pwee)"
FAMILIES = (  # of timm, up to about 150 million weights
    "(?:tf_)?(?:efficientnet|mixnet|mobilenetv3)_(?!l2)",
    "(?:tf_)?efficientnetv2_(?!xl)",
    "fbnet",
    "mnasnet",
    "lcnet",
    "tinynet",
    "ghostnet",
    "mobilenetv[1-4]",
    "mobileone",
    "mobilevit",
    "(?:wide_|eca|se|ska?)?resnet(?:\\d|aa|rs(?:50|101|152|200))",
    "resnetv2_(?!.*x[234])",
    "(?:wide_|se|ska?)?resnext(?:\\d|aa)(?!.*_32x(?:16|32|48)d)",
    "res2ne[tx]t?\\d",
    "resnest\\d",
    "cspresne[tx]t?\\d",
    "cspdarknet\\d",
    "darknet\\d",
    "convnext(?:v2)?_(?:atto|femto|pico|nano|tiny|small|base)",
    "regnet[a-z]_(?:0\\d\\d|120|160|320)",
    "hrnet_w\\d",
    "densenet\\d",
    "dla\\d",
    "dpn\\d",
    "inception",
    "xception",
    "vgg\\d",
    "rexnet",
    "repvgg",
    "hardcorenas",
    "edgenext",
    "fastvit",
    "efficientvit_(?!l)",
    "efficientformer",
    "tiny_vit",
    "levit",
    f"vit_{SIZED}",
    f"deit3?_{SIZED}",
    f"(?:swin|swinv2|swinv2_cr|beit|beitv2|eva02|maxvit|xcit|convit|volo)_{SIZED}",
    f"(?:mvitv2|hiera|nest|gcvit|twins_svt|twins_pcpvt)_{SIZED}",
    "coatnet_(?:nano|[0-2])",
    "poolformer",
    "caformer",
    "convformer",
    "pvt_v2_b\\d",
    "cait_(?:xx|x)?s\\d",
    "test_",
)
TIMM = re.compile(f"(?:{'|'.join(FAMILIES)})[a-z0-9_]*(?:\\.[a-z0-9_]+)?")
CLIP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
LONGEST = 80  # characters
MOST = 500_000_000  # weights of an open_clip tower


def check_timm(name: str) -> None:
    """Raises ArchitectureError unless this is a network that timm holds itself, of a family above."""
    import timm

    if not (len(name) <= LONGEST and TIMM.fullmatch(name) and timm.is_model(name.partition(".")[0])):
        raise ArchitectureError(
            f"timm {timm.__version__} can't build the backbone {shortened(name)} (it is none of the networks that RFNet"
            " takes): choose one such as resnet50 or tf_efficientnet_lite0."
        )


def check_open_clip(open_clip, name: str) -> None:
    """Raises ArchitectureError unless this is one of open_clip's own models. name: without the prefix."""
    if not (len(name) <= LONGEST and CLIP.fullmatch(name) and name in open_clip.list_models()):
        raise ArchitectureError(
            f"open_clip knows no {shortened(name)}: choose a name that open_clip.list_models() gives, such as ViT-B-32."
        )


def check_size(name: str, described: dict) -> None:
    """Raises ArchitectureError for an open_clip model with more weights than fit in the memory of a usual computer.

    described: its config.
    """
    for part in ("vision_cfg", "text_cfg"):
        layers, width = (described[part].get(key, 12) for key in ("layers", "width"))
        if isinstance(layers, int) and 12 * layers * width**2 > MOST:
            raise ArchitectureError(
                f"{shortened(OPEN_CLIP + name)} has more than {MOST // 10**6} million weights in its {part}: choose a"
                " smaller model, such as ViT-B-32."
            )
