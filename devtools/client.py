"""Talks to a running ComfyUI as its web page does: HTTP for questions, a websocket for what happens meanwhile."""

import json
import struct
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Binary messages of ComfyUI's websocket (protocol.py): 4 bytes big-endian kind, then the payload.
PREVIEW, TEXT, PREVIEW_WITH_METADATA = 1, 3, 4
LAST = {"execution_success", "execution_error", "execution_interrupted"}
# Inputs that name a model file, and the folder below models/ that it belongs into.
MODEL_FOLDERS = {
    "ckpt_name": "checkpoints",
    "control_net_name": "controlnet",
    "lora_name": "loras",
    "vae_name": "vae",
    "unet_name": "diffusion_models",
    **dict.fromkeys(("clip_name", "clip_name1", "clip_name2"), "text_encoders"),
    "name": "model_patches",  # of ModelPatchLoader
    "reviewer_name": "rfnet",
    **dict.fromkeys(("adapter", "adapter_2", "adapter_3"), "controlnet"),
}


class GraphRefused(RuntimeError):
    """The server found the graph invalid; the text lists node, input and reason."""


@dataclass(frozen=True)
class Event:
    """One message about a running prompt. kind: ComfyUI's message type, or "progress_text", or "preview"."""

    kind: str
    data: dict = field(default_factory=dict)

    @property
    def node(self) -> str | None:
        return self.data.get("node")


class ComfyClient:
    """One connection to the server at `address` (host:port)."""

    def __init__(self, address: str, patience: float = 600):
        self.address, self.patience, self.id = address, patience, uuid.uuid4().hex
        self.prompt_id: str | None = None

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=60) as answer:
            return answer.read()

    def ask(self, path: str) -> dict:
        return json.loads(self.get(path))

    def post(self, path: str, body: bytes, content_type: str = "application/json") -> dict:
        request = urllib.request.Request(f"http://{self.address}{path}", body, {"Content-Type": content_type})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"{}")

    def upload(self, name: str, picture: bytes) -> str:
        """Puts a picture into the server's input folder, replacing one of the same name; returns the name to use."""
        edge = uuid.uuid4().hex
        head = (
            f'--{edge}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\nContent-Type:'
            " image/png\r\n\r\n"
        )
        tail = f'\r\n--{edge}\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\ntrue\r\n--{edge}--\r\n'
        return self.post(
            "/upload/image", head.encode() + picture + tail.encode(), f"multipart/form-data; boundary={edge}"
        )["name"]

    def view(self, picture: dict) -> bytes:
        """The file behind one entry of a node's `images`."""
        return self.get("/view?" + urllib.parse.urlencode(picture))

    def interrupt(self) -> None:
        self.post("/interrupt", json.dumps({"prompt_id": self.prompt_id}).encode())

    def history(self, prompt_id: str) -> dict:
        """Waits for the entry: it can come later than the success message."""
        for _ in range(100):
            entry = self.ask(f"/history/{prompt_id}").get(prompt_id)
            if entry:
                return entry
            time.sleep(0.05)
        raise TimeoutError(f"the server keeps no history of prompt {prompt_id}")

    def queue(self, graph: dict) -> str:
        """Queues a graph in API format; returns the prompt's id. Raises GraphRefused."""
        body = json.dumps({"prompt": graph, "client_id": self.id}).encode()
        try:
            return self.post("/prompt", body)["prompt_id"]
        except urllib.error.HTTPError as error:
            raise GraphRefused(reasons(json.loads(error.read()))) from None

    def run(self, graph: dict) -> Iterator[Event]:
        """Queues a graph and yields what happens, ending with execution_success, _error or _interrupted."""
        import websocket

        connection = websocket.create_connection(f"ws://{self.address}/ws?clientId={self.id}", timeout=self.patience)
        try:
            connection.send(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}))
            self.prompt_id = self.queue(graph)
            while True:
                event = parse(connection.recv())
                if event.data.get("prompt_id", self.prompt_id) != self.prompt_id:
                    continue
                yield event
                if event.kind in LAST:
                    return
        finally:
            connection.close()

    def outputs(self, graph: dict) -> dict[str, dict]:
        """Runs a graph to its end; returns what each output node shows. Raises RuntimeError with the node's error."""
        for event in self.run(graph):
            if event.kind == "execution_error":
                raise RuntimeError(event.data["exception_message"].strip())
        return self.history(self.prompt_id)["outputs"]


def parse(message: str | bytes) -> Event:
    if isinstance(message, str):
        body = json.loads(message)
        return Event(body["type"], body.get("data") or {})
    kind = struct.unpack(">I", message[:4])[0]
    if kind == TEXT:
        length = struct.unpack(">I", message[4:8])[0]
        return Event(
            "progress_text", {"node": message[8 : 8 + length].decode(), "text": message[8 + length :].decode()}
        )
    if kind == PREVIEW_WITH_METADATA:
        length = struct.unpack(">I", message[4:8])[0]
        about = json.loads(message[8 : 8 + length])
        return Event(
            "preview",
            {"node": about.get("node_id"), "prompt_id": about.get("prompt_id"), "image": message[8 + length :]},
        )
    if kind == PREVIEW:
        return Event("preview", {"image": message[8:]})
    return Event(f"binary {kind}")


def reasons(answer: dict) -> str:
    """The server's refusal in words: one line per fault."""
    lines = []
    for node, faults in (answer.get("node_errors") or {}).items():
        for fault in faults["errors"]:
            lines.append(
                f"{faults['class_type']} (node {node}):"
                f" {missing_model(fault) or fault['message'] + ': ' + fault['details']}"
            )
    return "\n".join(lines) or answer.get("error", {}).get("message", str(answer))


def missing_model(fault: dict) -> str | None:
    """A sentence with file and folder where the fault is a model that isn't there; ComfyUI names neither folder nor
    remedy. None for other faults.
    """
    about = fault.get("extra_info", {})
    folder = MODEL_FOLDERS.get(about.get("input_name"))
    if fault["type"] != "value_not_in_list" or folder is None:
        return None
    return f"there is no {about['received_value']} in models/{folder}: put it there, or choose another"


def write_atomically(path: Path, content: bytes) -> None:
    """Writes beside the file, then replaces it: a full disk leaves no half file. Raises OSError naming the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise OSError(
            f"could not write {path} ({error.strerror or error}): free some disk space or choose another folder with"
            " --out"
        ) from error
