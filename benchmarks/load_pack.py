"""Prints the seconds that a running ComfyUI takes to load a custom node pack: `python benchmarks/load_pack.py
PACK_FOLDER`.
"""

import asyncio
import contextlib
import sys
import time

from reliable_ads.devtools.run_comfy import comfyui_folder

pack = sys.argv[1]
del sys.argv[1:]
sys.path[0] = str(comfyui_folder())  # what `python main.py` would have put there, instead of this folder

import comfy.options  # noqa: E402  (needs the path above)
import utils.install_util  # noqa: E402, F401  (after that path, and before another module takes the name utils)

comfy.options.enable_args_parsing()
sys.argv.append("--cpu")


async def seconds() -> float:
    """As the server starts: PromptServer, ComfyUI's own nodes and extra nodes, and then the pack."""
    import server

    import nodes

    server.PromptServer(asyncio.get_running_loop())
    await nodes.init_extra_nodes(init_custom_nodes=False, init_api_nodes=False)
    began = time.perf_counter()
    if not await nodes.load_custom_node(pack, module_parent="custom_nodes"):
        raise SystemExit(f"ComfyUI could not load {pack}")
    return time.perf_counter() - began


with contextlib.redirect_stdout(sys.stderr):
    took = asyncio.run(seconds())
print(took)
