"""Reliable Ads: RFNet + RFFT. The pack's face to ComfyUI, and nothing else.

Importing this package costs nothing: torch, timm and ComfyUI are imported only when ComfyUI asks for the nodes, or when
`reliable_ads.rfnet` (the reviewer as a plain PyTorch library) is imported by name.
"""

__version__ = "0.1.0"

WEB_DIRECTORY = "./web"  # help pages, web/docs/<node id>/<language>.md


async def comfy_entrypoint():
    """What ComfyUI calls to get the nodes (V3 API)."""
    from .nodes import ReliableAds

    return ReliableAds()
