"""A vision-language model behind an OpenAI-compatible server that the user has named in a file.

Nothing leaves the machine unless that file says so: a server elsewhere needs "allow_remote", and https. Redirects and
proxies are not followed. What is sent: the placed product, the picture, the caption and a question; no path, no name.
"""

import base64
import io
import ipaddress
import json
import time
from codecs import BOM_UTF8
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from socket import socket
from threading import Timer
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import torch
from msgspec import Meta

from ..files import is_safe_name, quoted
from ..structured import StructureError, from_json, parse_json, shortened
from ..textfiles import TextError, read_text
from .protocol import OpinionError
from .questions import asked_all, log_odds, plain_word

LARGEST = 1 << 20  # bytes of an answer, or of a file that names a server
TOKENS = 8  # of an answer: enough for a word, too few for prose
PAUSE = 60.0  # seconds for which a server that failed twice in a row is left alone
EXAMPLE = '{"url": "http://127.0.0.1:8000/v1", "model": "NAME"}'


class ServerFile(msgspec.Struct, forbid_unknown_fields=True):
    """What a file says of a server.

    url: up to /v1; model: as the server calls it; key_file: the name of a file beside this one that holds the key;
    allow_remote: pictures may leave this machine; timeout: seconds for an answer.
    """

    url: Annotated[str, Meta(min_length=1, max_length=500)]
    model: Annotated[str, Meta(min_length=1, max_length=200)]
    key_file: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    allow_remote: bool = False
    timeout: Annotated[float, Meta(ge=0.1, le=600)] = 30.0


class Server:
    """Evidence for every defect from a server's answers. Raises OpinionError for a file that names none."""

    name, proof = "server", False
    cost = "four requests, as long as the server takes"

    def __init__(self, file):
        self.settings = read_server(file)
        self.model = self.settings.model
        self.key = _key(Path(file), self.settings.key_file)
        self.failures, self.silent_until = 0, 0.0

    @property
    def silent(self) -> bool:
        """Whether it failed twice in a row and is left alone."""
        return time.monotonic() < self.silent_until

    def evidence(self, canvas, images: torch.Tensor, depth: torch.Tensor | None = None) -> torch.Tensor:
        """As protocol.Opinion."""
        if self.silent:
            raise OpinionError("its server failed twice in a row and is left alone for a minute.")
        try:
            found = asked_all(self._ask, canvas, images, data_url)
        except OpinionError:
            self.failures += 1
            self.silent_until = time.monotonic() + PAUSE if self.failures > 1 else 0.0
            raise
        self.failures = 0
        return found

    def _ask(self, product: str, picture: str, text: str) -> float:
        """Log-odds of yes; product and picture as data URLs."""
        content = [{"type": "image_url", "image_url": {"url": each}} for each in (product, picture)]
        request = {
            "model": self.settings.model,
            "messages": [{"role": "user", "content": [*content, {"type": "text", "text": text}]}],
            "max_tokens": TOKENS,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": 20,
        }
        return understood(post(self.settings, self.key, "/chat/completions", request))


def read_server(file) -> ServerFile:
    """The settings in a .json file. Raises OpinionError."""
    name = quoted(Path(file).name)
    try:
        settings = from_json(read_text(file, LARGEST), ServerFile, name)
        parts = urlsplit(settings.url)
        _ = parts.port  # which raises on a wrong one
    except (TextError, StructureError, OSError) as error:
        raise OpinionError(f"{str(error).rstrip('.')}: a server's file looks like {EXAMPLE}.") from error
    except ValueError as error:  # of urlsplit
        raise OpinionError(f"{name}: url is {quoted(settings.url)}: write it like {EXAMPLE}.") from error
    plain = settings.url.isascii() and settings.url.isprintable() and " " not in settings.url
    if (
        not plain
        or parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.query
        or parts.fragment
        or parts.username
    ):
        raise OpinionError(f"{name}: url is {quoted(settings.url)}: write it like {EXAMPLE}.")
    if parts.hostname in ("0.0.0.0", "::"):
        raise OpinionError(
            f"{name}: {parts.hostname} is what a server listens on, no address to ask: write 127.0.0.1 where it runs on"
            " this machine."
        )
    if not is_loopback(parts.hostname):
        if not settings.allow_remote:
            raise OpinionError(
                f"{name} names the server {quoted(parts.hostname)}, which is not this machine, and product and picture"
                ' would be sent there: set "allow_remote" to true in the file if they may.'
            )
        if parts.scheme != "https":
            raise OpinionError(f"{name} names a server elsewhere by http, which others can read: use https.")
    return settings


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _key(file: Path, name: str | None) -> str:
    """The key in a file of this name beside the server's; "" for none. Raises OpinionError, which never holds it."""
    if name is None:
        return ""
    if not is_safe_name(name):
        raise OpinionError(f"{quoted(file.name)}: key_file is {quoted(name)}: give the name of a file beside this one.")
    try:
        key = read_text(file.with_name(name), LARGEST).strip()
    except (TextError, OSError) as error:
        raise OpinionError(f"the key file {str(error).rstrip('.')}.") from None
    if not key or len(key) > 1000 or not key.isascii() or not key.isprintable():
        raise OpinionError(f"the key file {quoted(name)} holds no key: one line of plain letters.")
    return key


def data_url(picture) -> str:
    """A Pillow picture as it is sent: its pixels as PNG, nothing else."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def post(settings: ServerFile, key: str, path: str, request: dict) -> dict:
    """The server's answer, whole within settings.timeout seconds. Raises OpinionError, without key or pictures."""
    parts = urlsplit(settings.url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port or kind.default_port, timeout=settings.timeout)
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    late: list[bool] = []
    held: list[socket] = []

    def end() -> None:
        """A server that sends a byte now and then is cut off, too."""
        late.append(True)
        for sock in filter(None, (connection.sock, *held)):
            with suppress(OSError):  # it may be gone already
                sock.shutdown(2)

    timer = Timer(settings.timeout, end)
    timer.daemon = True
    timer.start()
    try:
        connection.request("POST", parts.path.rstrip("/") + path, json.dumps(request), headers)
        held.append(connection.sock)  # which the connection lets go of once the answer begins
        answer = connection.getresponse()
        content = answer.read(LARGEST + 1)
    except (OSError, HTTPException, ValueError) as error:
        if late or isinstance(error, TimeoutError):
            raise OpinionError(f"its server did not answer within {settings.timeout:g} seconds.") from None
        reason = shortened(str(error) or type(error).__name__, 100)[1:-1]
        raise OpinionError(f"its server can't be reached ({reason}): is it running?") from None
    finally:
        timer.cancel()
        connection.close()
    if late:
        raise OpinionError(f"its server did not answer within {settings.timeout:g} seconds.")
    if answer.status // 100 != 2:
        raise OpinionError(f"its server answered with status {answer.status} ({_said(content, key)}).")
    if len(content) > LARGEST:
        raise OpinionError(f"its server answered with more than {LARGEST >> 20} MiB.")
    if answer.length:  # bytes that were promised and did not come
        raise OpinionError("its server's answer was cut short.")
    try:
        found = parse_json(content.removeprefix(BOM_UTF8), "it", nan=True)
    except StructureError:
        found = None
    if not isinstance(found, dict):
        raise OpinionError(f"its server answered with something that is no JSON object ({_said(content, key)}).")
    return found


def understood(answer: dict) -> float:
    """Log-odds of yes in a chat completion: from the probabilities of its first word, else from the word itself.

    Raises OpinionError where it says neither.
    """
    try:
        choice = answer["choices"][0]
        text = choice["message"]["content"] or ""
        if not isinstance(text, str):
            raise TypeError
    except (KeyError, IndexError, TypeError):
        raise OpinionError("its server's answer is no chat completion.") from None
    try:
        first = choice["logprobs"]["content"][0]["top_logprobs"]
        odds = log_odds([(str(entry["token"]), float(entry["logprob"])) for entry in first])
        if odds == odds:
            return odds
    except (KeyError, IndexError, TypeError, ValueError):
        pass  # many servers give none
    return plain_word(text, "its server")


def _said(content: bytes, key: str) -> str:
    """The beginning of an answer, without the key, should the server repeat it."""
    text = content[:4000].decode("utf-8", "replace")
    text = text.replace(key, "***") if key else text
    return shortened(text.split("\n")[0], 80)[1:-1] or "nothing"
