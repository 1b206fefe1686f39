"""What the Chinese files for web UIs hold, and what needs no translation in them."""

from reliable_ads.devtools.comfy import ROOT
from reliable_ads.rfnet.structured import parse_json

FILES = [
    ROOT / "localizations" / f"{name}.json" for name in ("zh_CN", "zh-Hans (Stable)")
]  # the names of two wide-spread ones
# The web UI's own words, whose translation is its translators'; names; examples.
THEIRS = {
    "Checkpoint",
    "ControlNet",
    "Steps",
    "Seed",
    "Learning rate",
    "Cancel",
    "Refresh",
    "Merge",
}
KEPT = {
    "Reliable Ads",
    "Beta",
    "KL",
    "auto",
    "none",
    "cpu",
    "🔄",
    "my_products",
    "size = 768",
    "Product of a pasted picture",
}
CODES = ("outputs/", "{caption} on")


def entries() -> dict:
    return parse_json(FILES[0].read_text(encoding="utf-8"), "it")
