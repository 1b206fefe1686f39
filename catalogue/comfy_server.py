"""One ComfyUI server, asked over HTTP to draw a graph; whatever is wrong with it is a ServerError."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from contextlib import suppress

from .worker import MEMORY, OTHER, EngineError

SHORT = 30  # seconds that an answer may take which needs no drawing
POLLS = (0.1, 0.2, 0.5, 1.0)  # seconds between two looks at the history


class ServerError(RuntimeError):
    """A server that doesn't answer, or not as ComfyUI does."""


class ComfyServer:
    """address: "host:port"; patience: seconds that one job may take."""

    def __init__(self, address: str, patience: float = 600):
        self.address, self.patience = address, patience
        self.client = uuid.uuid4().hex

    def ask(self, path: str, body: bytes | None = None, kind: str = "application/json") -> bytes:
        """GET, or POST with a body. Raises ServerError."""
        request = urllib.request.Request(f"http://{self.address}{path}", body, {"Content-Type": kind} if body else {})
        try:
            with urllib.request.urlopen(request, timeout=SHORT) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            said = error.read(2000).decode("utf-8", "replace")
            if error.code == 400:
                raise ServerError(f"{self.address} refuses the graph: {refusal(said)}") from None
            raise ServerError(f"{self.address} answers {error.code} to {path.partition('?')[0]}") from None
        except (OSError, http.client.HTTPException) as error:  # timeouts and refused connections, too
            reason = getattr(error, "reason", error)
            raise ServerError(f"{self.address} doesn't answer ({reason})") from None

    def json(self, path: str, body: dict | None = None) -> dict:
        content = self.ask(path, None if body is None else json.dumps(body).encode())
        try:
            found = json.loads(content or b"{}")
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ServerError(f"{self.address} answers {path} with something that is no ComfyUI's")
        return found

    def upload(self, name: str, content: bytes) -> str:
        """Puts a PNG among the server's inputs, in the place of one of the same name; returns the name to use."""
        edge = uuid.uuid4().hex

        def field(what: str, value: bytes) -> bytes:
            return f"--{edge}\r\nContent-Disposition: form-data; {what}\r\n\r\n".encode() + value + b"\r\n"

        body = field(f'name="image"; filename="{name}"', content)
        body += (
            field('name="subfolder"', b"catalogue") + field('name="overwrite"', b"true") + f"--{edge}--\r\n".encode()
        )
        answer = json.loads(self.ask("/upload/image", body, f"multipart/form-data; boundary={edge}"))
        return "/".join(filter(None, (answer.get("subfolder"), answer["name"])))

    def outputs(self, graph: dict) -> dict:
        """{node: what it shows} of a graph, run to its end. Raises ServerError, EngineError."""
        prompt = self.json("/prompt", {"prompt": graph, "client_id": self.client}).get("prompt_id")
        if not prompt:
            raise ServerError(f"{self.address} takes the graph and gives it no number")
        began, looks = time.monotonic(), 0
        while time.monotonic() - began < self.patience:
            entry = self.json(f"/history/{prompt}").get(prompt)
            if entry:
                return self._ended(entry)
            time.sleep(POLLS[min(looks // 10, len(POLLS) - 1)])
            looks += 1
        with suppress(ServerError):
            self.json("/queue", {"delete": [prompt]})
            self.json("/interrupt", {"prompt_id": prompt})
        raise ServerError(f"{self.address} did not draw it in {self.patience:g} seconds")

    def view(self, picture: dict) -> bytes:
        """The file behind an entry of what a node shows."""
        return self.ask("/view?" + urllib.parse.urlencode(picture))

    def _ended(self, entry: dict) -> dict:
        status = entry.get("status") or {}
        if status.get("status_str") == "error":
            told = [about for kind, about in status.get("messages", ()) if kind.startswith("execution_")]
            said = str(
                next((each["exception_message"] for each in told if "exception_message" in each), "it was stopped")
            )
            kind = MEMORY if "out of memory" in said.lower() or "allocation on device" in said.lower() else OTHER
            raise EngineError(f"{self.address}: {' '.join(said.split())[:200]}", kind)
        return entry.get("outputs") or {}


def refusal(text: str) -> str:
    """What a server's refusal of a graph says first."""
    try:
        about = json.loads(text)
        for node in (about.get("node_errors") or {}).values():
            fault = node["errors"][0]
            return f"{node['class_type']}: {fault['message']} ({fault['details']})"[:200]
        return str(about["error"]["message"])[:200]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return " ".join(text.split())[:200]
