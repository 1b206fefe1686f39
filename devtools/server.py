"""A server as a process of its own, as a context manager: free loopback port, log in a file, stopped at the end."""

from __future__ import annotations

import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path


class ServerFailed(RuntimeError):
    """The server did not start, or died; the text holds the end of its log."""


class Server(ABC):
    """`with Server(...) as server:` — serving at `server.address`.

    name: in sentences; log: the file its words go to; patience: seconds until it must serve. Raises ServerFailed with
    the end of the log.
    """

    name = "the server"
    pause = 0.1  # seconds between two looks whether it serves

    def __init__(self, log: Path, port: int | None, patience: float):
        self.log, self.patience = Path(log), patience
        self.port = port or free_port()
        self.process: subprocess.Popen | None = None

    @abstractmethod
    def prepare(self) -> None:
        """Makes the folders that it needs."""

    @abstractmethod
    def command(self) -> list[str]:
        """What is run."""

    @property
    @abstractmethod
    def surroundings(self) -> dict:
        """Where it is run: {"env", "cwd"}."""

    @abstractmethod
    def serves(self) -> bool:
        """Whether it answers. May raise OSError or ValueError where it doesn't."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self):
        self.prepare()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=subprocess.STDOUT, **self.surroundings)
        try:
            self.wait_until_serving()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def wait_until_serving(self) -> None:
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServerFailed(
                    f"{self.name} stopped while starting (exit code {self.process.returncode}):\n{self.last_words()}"
                )
            try:
                if self.serves():
                    return
            except (OSError, ValueError):
                pass
            time.sleep(self.pause)
        raise ServerFailed(f"{self.name} was not serving after {self.patience:.0f} s:\n{self.last_words()}")

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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
