"""A real ComfyUI server as a context manager: own base directory, free loopback port, log in a file."""

import json
import os
import shutil
import sys
import urllib.request
from pathlib import Path

from .server import Server

ROOT = Path(__file__).resolve().parent.parent
PACK = "reliable-ads"


class ComfyServer(Server):
    """`with ComfyServer(base, log) as server:` — serving at `server.address` with this pack in its custom_nodes.

    base: ComfyUI's base directory (models, input, output, custom_nodes), made when missing; a pack of this name that is
    there already stays. log: the file its words go to. arguments: further arguments for ComfyUI. variables: further
    environment variables. Raises ServerFailed with the end of the log.
    """

    name = "ComfyUI"

    def __init__(
        self,
        base: Path,
        log: Path,
        arguments: tuple[str, ...] = (),
        port: int | None = None,
        patience: float = 300,
        variables: dict[str, str] | None = None,
    ):
        super().__init__(log, port, patience)
        self.base, self.arguments = Path(base).resolve(), tuple(arguments)
        self.variables = dict(variables or {})

    def prepare(self) -> None:
        for folder in ("custom_nodes", "input", "models", "output", "user"):
            (self.base / folder).mkdir(parents=True, exist_ok=True)
        link(ROOT, self.base / "custom_nodes" / PACK)

    @property
    def surroundings(self) -> dict:
        """One thread on the CPU: with torch's default, a busy neighbour makes sampling up to 27 times slower."""
        return {"env": {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONUTF8": "1", **self.variables}, "cwd": self.base}

    def command(self) -> list[str]:
        return [
            sys.executable,
            str(Path(__file__).with_name("run_comfy.py")),
            *("--listen", "127.0.0.1", "--port", str(self.port), "--disable-auto-launch"),
            *(
                "--base-directory",
                str(self.base),
                "--database-url",
                f"sqlite:///{(self.base / 'user' / 'comfyui.db').as_posix()}",
            ),
            *(() if has_accelerator() else ("--cpu",)),
            *self.arguments,
        ]

    def serves(self) -> bool:
        with urllib.request.urlopen(f"http://{self.address}/system_stats", timeout=2) as answer:
            json.load(answer)
        return True


def has_accelerator() -> bool:
    """True where ComfyUI finds a device without being told: Apple silicon, or an NVIDIA driver."""
    return sys.platform == "darwin" or shutil.which("nvidia-smi") is not None


def link(source: Path, target: Path) -> None:
    """Makes `target` a link to the folder `source`; on Windows a junction, which needs no privilege."""
    if target.exists():
        return
    if os.name == "nt":
        import _winapi

        _winapi.CreateJunction(str(source), str(target))
    else:
        target.symlink_to(source, target_is_directory=True)
