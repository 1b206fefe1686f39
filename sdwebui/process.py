"""A command line in a process of its own, which the tab starts, watches and stops. Knows no web UI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COMMAND = Path(__file__).with_name("command.py")
STOPPED = 130  # the exit status of a command that was interrupted, and has saved what it had
TAIL = 1 << 14  # bytes of the log that are read
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "PYTHONIOENCODING": "utf-8",
    "PYTHONUNBUFFERED": "1",
    "PYTHONWARNINGS": "ignore::FutureWarning,ignore::DeprecationWarning",  # of other packages, to each other
    "TQDM_DISABLE": "1",  # a log shows no bars
}


class Process:
    """`Process(["rfft", "train", "config.toml"], log)`. Whatever it prints goes into the file `log`.

    cpu: stay off the accelerator that is there. Raises OSError.
    """

    def __init__(self, arguments: list, log: Path, cpu: bool = False):
        self.log = Path(log)
        self.told = 0
        self.log.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **ENVIRONMENT}
        if cpu:
            environment |= {"ACCELERATE_USE_CPU": "true"}
        with open(self.log, "wb") as output:
            self.child = subprocess.Popen(
                [sys.executable, str(COMMAND), *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.log.parent,
                env=environment,
            )

    @property
    def running(self) -> bool:
        return self.child.poll() is None

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self.child.poll()

    def stop(self) -> str:
        """Lets it save what it has and end, or, asked again, ends it at once. What was done, in words."""
        if not self.running:
            return "Nothing runs."
        self.told += 1
        if self.told > 1:
            self.child.kill()
            self.child.wait()
            return "Ended at once. What was saved before is kept."
        self.child.stdin.close()
        return "Stopping: it ends once the pass that it computes is over, and keeps what it has."

    def lines(self, most: int = 8) -> list[str]:
        """The last lines that it printed; of a bar only what it shows by now."""
        return last_lines(self.log, most)


def last_lines(log: Path, most: int = 8) -> list[str]:
    try:
        with open(log, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    shown = (line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n"))
    return [line for line in shown if line][-most:]
