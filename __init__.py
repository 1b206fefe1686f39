"""Reliable Ads: RFNet + RFFT. The pack's face to ComfyUI, and nothing else.

Importing this package costs nothing: torch, timm and ComfyUI are imported only when ComfyUI asks for the nodes, or when
`reliable_ads.rfnet` (the reviewer as a plain PyTorch library) is imported by name.
"""

import logging
import sys
from importlib.util import find_spec

__version__ = "0.1.0"

OLDEST_COMFYUI, NEWEST_COMFYUI = "0.3.75", "0.33.0"  # what all tests ran on
# ComfyUI's own modules; any other that is missing is a package that the pack needs.
COMFYUI = ("comfy", "comfy_api", "comfy_execution", "comfy_extras", "folder_paths", "latent_preview", "server")

WEB_DIRECTORY = "./web"  # help pages, web/docs/<node id>/<language>.md


async def comfy_entrypoint():
    """What ComfyUI calls to get the nodes (V3 API).

    Raises ImportError with a sentence, which ComfyUI writes into its log.
    """
    try:
        from .nodes import ReliableAds

        extension = ReliableAds()
        for node in await extension.get_node_list():
            node.define_schema()
    except Exception as error:  # a newer ComfyUI may lack whatever is used so far
        raise ImportError(why_not(error)) from error
    return extension


def why_not(error: Exception) -> str:
    """Why the nodes can't be imported, and what to do."""
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing and missing not in COMFYUI:
        command = "`python -m pip install -r requirements.txt`"
        return f"Reliable Ads needs the package {missing}: run {command} in the pack's folder, with ComfyUI's Python."
    try:
        from comfyui_version import __version__ as found
    except ImportError:
        found = "of unknown version"
    return (
        f"Reliable Ads does not fit this ComfyUI {found}; it was tested with {OLDEST_COMFYUI} to {NEWEST_COMFYUI}. "
        f"Update both, or report this: {type(error).__name__}: {str(error)[:150]}"
    )


# An older ComfyUI would pass over this pack without saying why.
if "folder_paths" in sys.modules and (find_spec("comfy_api") is None or find_spec("comfy_api.latest") is None):
    logging.error(why_not(ImportError("comfy_api.latest is missing")))
