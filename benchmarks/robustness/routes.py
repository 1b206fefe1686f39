"""Bad requests to the routes behind RF Label's buttons. server.py sends them."""

from __future__ import annotations

import base64
import json

from .inputs import Bad, Bench, maker
from .weights import BRACKETS, DIGITS

ROUTE = "/reliable_ads/labels/"


def request(method: str, path: str, body: bytes | None = None, *names: str, **headers) -> Bad:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    encoded = None if body is None else base64.b64encode(body).decode()
    return Bad("request", {"method": method, "path": path, "headers": headers, "body": encoded}, names)


@maker("nodes")
def requests_with_odd_bodies(bench: Bench) -> Bad:
    key = "0123456789abcdef"
    body = bench.pick(
        (
            b"",
            b"{",
            b"[]",
            b"null",
            b"7",
            BRACKETS.encode()[:4000],
            BRACKETS.encode(),
            DIGITS.encode()[:4000],
            b'{"key": 7, "label": "available"}',
            json.dumps({"key": key, "label": "x" * 900}).encode(),
            json.dumps({"key": "../../x", "label": "available"}).encode(),
            json.dumps({"key": key, "label": "available", "blind": 7}).encode(),
            json.dumps({"key": key, "label": ["available"]}).encode(),
            b"\xff\xfe" + '{"key": 1}'.encode("utf-16-le"),
            json.dumps({"key": key, "label": "available"}).encode(),
            b'{"key": NaN, "label": "available"}',
            b"\x00" * 500,
            b'{"key": {"a": 1}, "label": "available"}',
            b'{"label": "available"}',
        )
    )
    path = ROUTE + "good/" + bench.pick(("label", "label", "undo"))
    return request(
        "POST",
        path,
        body,
        "label",
        "key",
        "json",
        "blind",
        "bytes",
        "body",
        "object",
        Content_Type="application/json",
    )


@maker("nodes")
def requests_with_odd_paths(bench: Bench) -> Bad:
    path = bench.pick(
        (
            "../x",
            "%2e%2e",
            "..%2f..%2fetc",
            "good?after=7",
            "good?at=../x",
            "good/pictures/../../x.png",
            "good/pictures/0123456789abcdef.png",
            "good/products/x.png",
            "good/other/0123456789abcdef.png",
            "%00",
            "x" * 3000,
            "a%0ab",
            "good%5c..",
            "%ff",
            "gone/pictures/%2e%2e%2fx.png",
            "CON",
            "%F0%9F%98%80",
        )
    )
    return request("GET", ROUTE + path, None, "dataset", "after", "picture", "name", "http 4", "letters")


@maker("nodes")
def requests_from_elsewhere(bench: Bench) -> Bad:
    headers = bench.pick(
        (
            {"Origin": "http://evil.example"},
            {"Origin": "https://{address}"},
            {"Origin": "http://{address}:99999"},
            {"Origin": "http://127.0.0.1:abc"},
            {"Origin": "null"},
            {"Host": "evil.example"},
            {"Host": "evil.example", "Origin": "http://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Origin": "http://[::1"},
            {"Origin": "file://"},
            {"Host": "evil.example", "Sec-Fetch-Site": "same-origin"},
            {"Origin": "\u00ff"},
            {"Host": "127.0.0.1:abc"},
            {"Host": ""},
            {"Origin": "http://127.0.0.1@evil.example"},
        )
    )
    post = bench.random.random() < 0.5
    bad = request(
        "POST" if post else "GET",
        ROUTE + ("good/label" if post else "good"),
        b'{"key": "0123456789abcdef", "label": "available"}' if post else None,
        "site",
        "http 4",
        "host",
        "origin",
        "address",
        **({"Content_Type": "application/json"} if post else {}),
    )
    bad.arguments["headers"].update(headers)
    return bad


@maker("nodes")
def requests_with_other_methods(bench: Bench) -> Bad:
    method = bench.pick(("PUT", "DELETE", "PATCH", "OPTIONS", "POST", "GET"))
    path = {"POST": ROUTE + "good", "GET": ROUTE + "good/label"}.get(
        method,
        ROUTE + bench.pick(("good", "good/label", "good/undo")),
    )
    content = bench.pick(("text/plain", "multipart/form-data", "application/xml", ""))
    return request(method, path, b"{}", "read with get", "http 4", "json", "site", Content_Type=content)
