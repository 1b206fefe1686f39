"""One of the project's command lines in a process of its own: python sdwebui/command.py rfft train CONFIG

Run by process.py. It is interrupted, as by Ctrl-C, when its standard input ends: when it is told to stop, and also when
the web UI is gone, however that ended.
"""

import _thread
import importlib
import importlib.util
import os
import signal
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STOPPED = 130  # the exit status of what is interrupted
NAMES = {"rfnet": "rfnet.cli", "rfft": "rfft.cli"}


def load_package() -> None:
    """Makes this repository importable as `reliable_ads`, as scripts/reliable_ads.py does."""
    sys.path[:] = [
        path for path in sys.path if Path(path or ".").resolve() != ROOT / "sdwebui"
    ]  # host.py, early.py ...
    spec = importlib.util.spec_from_file_location(
        "reliable_ads", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    sys.modules["reliable_ads"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["reliable_ads"])


def stop_with(descriptor: int) -> None:
    """Interrupts this process once what this file descriptor reads from ends."""

    def wait() -> None:
        while os.read(descriptor, 1):
            pass
        _thread.interrupt_main()

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a web UI in the background leaves interrupts ignored
    threading.Thread(target=wait, daemon=True).start()


def main(name: str, *arguments: str) -> int:
    stop_with(sys.stdin.fileno())
    try:
        load_package()
        more = {}
        if name == "rfft":
            more = {"families": importlib.import_module("reliable_ads.pocket.tuning").FAMILY}
        return importlib.import_module(f"reliable_ads.{NAMES[name]}").main(list(arguments), **more)
    except KeyboardInterrupt:  # before it began
        return STOPPED


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
