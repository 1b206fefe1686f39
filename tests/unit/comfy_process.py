"""ComfyUI's own code as the judge of ours: it runs in a process of its own, since these tests must not need it."""

import subprocess
import sys

PREPARE = """
import sys
from reliable_ads.devtools.run_comfy import comfyui_folder
sys.path.insert(0, str(comfyui_folder()))
import utils.install_util
from comfy.cli_args import args
args.cpu = True
"""


def in_comfyui(script: str, *arguments) -> str:
    """What a script prints that finds ComfyUI's modules and its own arguments from sys.argv[1] on."""
    done = subprocess.run(
        [sys.executable, "-c", PREPARE + script, *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
