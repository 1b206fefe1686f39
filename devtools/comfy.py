"""A real ComfyUI server as a context manager: own base directory, free loopback port, log in a file."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACK = "reliable-ads"


class ServerFailed(RuntimeError):
    """The server did not start, or died; the text holds the end of its log."""


class ComfyServer:
    """`with ComfyServer(base, log) as server:` — serving at `server.address` with this pack in its custom_nodes.

    base: ComfyUI's base directory (models, input, output, custom_nodes), made when missing; a pack of this name that is
    there already stays. log: the file its words go to. arguments: further arguments for ComfyUI. variables: further
    environment variables. Raises ServerFailed with the end of the log.
    """

    def __init__(
        self,
        base: Path,
        log: Path,
        arguments: tuple[str, ...] = (),
        port: int | None = None,
        patience: float = 300,
        variables: dict[str, str] | None = None,
    ):
        self.base, self.log, self.arguments, self.patience = Path(base).resolve(), Path(log), tuple(arguments), patience
        self.variables = dict(variables or {})
        self.port = port or free_port()
        self.process: subprocess.Popen | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """One thread on the CPU: with torch's default, a busy neighbour makes sampling up to 27 times slower."""
        return {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONUTF8": "1", **self.variables}

    def __enter__(self) -> "ComfyServer":
        for folder in ("custom_nodes", "input", "models", "output", "user"):
            (self.base / folder).mkdir(parents=True, exist_ok=True)
        link(ROOT, self.base / "custom_nodes" / PACK)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=subprocess.STDOUT, env=self.environment, cwd=self.base
            )
        try:
            self.wait_until_serving()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.stop()

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

    def wait_until_serving(self) -> None:
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServerFailed(
                    f"ComfyUI stopped while starting (exit code {self.process.returncode}):\n{self.last_words()}"
                )
            try:
                with urllib.request.urlopen(f"http://{self.address}/system_stats", timeout=2) as answer:
                    json.load(answer)
                return
            except (urllib.error.URLError, OSError, ValueError):
                time.sleep(0.1)
        raise ServerFailed(f"ComfyUI was not serving after {self.patience:.0f} s:\n{self.last_words()}")

    def last_words(self, lines: int = 15) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
        return "\n".join([*text, f"(the whole log: {self.log})"])

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def has_accelerator() -> bool:
    """True where ComfyUI finds a device without being told: Apple silicon, or an NVIDIA driver."""
    return sys.platform == "darwin" or shutil.which("nvidia-smi") is not None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def link(source: Path, target: Path) -> None:
    """Makes `target` a link to the folder `source`; on Windows a junction, which needs no privilege."""
    if target.exists():
        return
    if os.name == "nt":
        import _winapi

        _winapi.CreateJunction(str(source), str(target))
    else:
        target.symlink_to(source, target_is_directory=True)
