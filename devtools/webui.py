"""A real Automatic1111, Forge or reForge as a context manager: own data folder, free loopback port, log in a file."""

import base64
import io
import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from .comfy import ROOT, link
from .server import Server

EXTENSION = "reliable-ads"
VARIABLES = {  # of the environment, each ROOT:PYTHON
    "Automatic1111": "RELIABLE_ADS_A1111",
    "Forge": "RELIABLE_ADS_FORGE",
    "reForge": "RELIABLE_ADS_REFORGE",
}
OFFLINE = {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "PYTHONUNBUFFERED": "1",  # its log says when it is ready
}
FLAGS = [
    "--skip-prepare-environment",
    "--skip-torch-cuda-test",
    "--skip-version-check",
    "--no-download-sd-model",
    "--do-not-download-clip",
    "--no-hashing",
    "--disable-console-progressbars",
    "--api",
    "--server-name",
    "127.0.0.1",
]
VENV_PYTHON = "venv/Scripts/python.exe" if os.name == "nt" else "venv/bin/python"
ON_CPU = {"Automatic1111": ["--use-cpu", "all", "--no-half"], "Forge": ["--always-cpu"], "reForge": ["--always-cpu"]}


class WebUIRefused(RuntimeError):
    """The web UI answered with an error; the text is its sentence."""


@dataclass(frozen=True)
class Host:
    """A web UI that is installed here: its folder, and the Python that has its packages."""

    root: Path
    python: Path

    @classmethod
    def named(cls, text: str) -> "Host":
        """Of "ROOT:PYTHON", or "ROOT", whose Python is that of its venv. Raises ValueError."""
        root, _, python = text.partition(os.pathsep)
        host = cls(Path(root).expanduser(), Path(python or Path(root) / VENV_PYTHON).expanduser())
        if not (host.root / "launch.py").is_file() or not host.python.is_file():
            raise ValueError(f"{text} names no web UI: give ROOT{os.pathsep}PYTHON, its folder and its Python's file.")
        return host

    @property
    def kind(self) -> str:
        if not (self.root / "modules_forge").is_dir():
            return "Automatic1111"
        return "reForge" if (self.root / "ldm_patched").is_dir() else "Forge"


class WebUI(Server):
    """`with WebUI(host, data, log) as web:` — serving at `web.address` with this repository among its extensions.

    data: its data folder (extensions, models, outputs), made when missing; checkpoint: what it draws with. log: the
    file its words go to. arguments: further arguments for it; page: whether it serves its page, too. Everything is
    computed on the CPU. Raises ServerFailed with the end of the log.
    """

    def __init__(
        self,
        host: Host,
        data: Path,
        log: Path,
        checkpoint: Path,
        arguments: tuple[str, ...] = (),
        page: bool = False,
        port: int | None = None,
        patience: float = 300,
    ):
        super().__init__(log, port, patience)
        self.host, self.data = host, Path(data).resolve()
        self.checkpoint, self.arguments, self.page = checkpoint, tuple(arguments), page

    @property
    def name(self) -> str:
        return self.host.kind

    def prepare(self) -> None:
        for folder in ("extensions", "models/ControlNet", "models/rfnet"):
            (self.data / folder).mkdir(parents=True, exist_ok=True)
        link(ROOT, self.data / "extensions" / EXTENSION)
        settings = self.data / "config.json"
        if not settings.exists():  # reForge would look for a network that makes previews
            settings.write_text('{"live_previews_enable": false, "show_progress_type": "Approx cheap"}')

    @property
    def surroundings(self) -> dict:
        return {"env": {**os.environ, **OFFLINE}, "cwd": self.host.root}

    def command(self) -> list[str]:
        kind = self.host.kind
        allowed = [f"--gradio-allowed-path={path}" for path in (self.host.root, self.data)]
        return [
            str(self.host.python),
            "launch.py",
            *FLAGS,
            *ON_CPU[kind],
            *(["--skip-google-blockly", *allowed] if kind == "Forge" else []),  # or its page serves no script
            *("--data-dir", str(self.data), "--port", str(self.port), "--ckpt", str(self.checkpoint)),
            *([] if self.page else ["--nowebui"]),
            *self.arguments,
        ]

    def serves(self) -> bool:
        """Once it says so, and the routes of extensions are there. Automatic1111 does not start at all where it is
        asked something between its page and its API.
        """
        if b"Startup time:" not in self.log.read_bytes():
            return False
        try:
            self.ask("/sdapi/v1/sd-models", patience=2)
            if (self.data / "extensions" / "sd-webui-controlnet").exists() or self.host.kind != "Automatic1111":
                self.ask("/controlnet/model_list", patience=2)
        except WebUIRefused:
            return False
        return True

    def ask(self, path: str, body: dict | None = None, patience: float = 300):
        """What it answers: JSON to GET, or to POST of a body. Raises WebUIRefused, OSError."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.address}{path}", data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=patience) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            try:
                said = json.loads(text)
                text = said.get("errors") or said.get("message") or said.get("detail") or text
            except (ValueError, AttributeError):
                pass
            raise WebUIRefused(f"{error.code}: {text}") from None

    def draw(self, tab: str = "txt2img", **request) -> "Answer":
        """Presses Generate, so to speak. Raises WebUIRefused."""
        answer = self.ask(f"/sdapi/v1/{tab}", request)
        pictures = [Image.open(io.BytesIO(base64.b64decode(each))) for each in answer["images"]]
        return Answer(pictures, json.loads(answer["info"]))


@dataclass(frozen=True)
class Answer:
    """What the API gave back: pictures, and the web UI's own account of them."""

    pictures: list
    info: dict

    @property
    def report(self) -> dict:
        """Reliable Ads' report of the run."""
        return self.info["extra_generation_params"]["RF report"]

    @property
    def infotexts(self) -> list[str]:
        return self.info["infotexts"]
