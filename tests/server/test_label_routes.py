"""The routes of RF Label against what browsers can be made to send, and what no browser sends: raw bytes to a real
server.
"""

import json
import socket
import time

import pytest
from PIL import Image

from reliable_ads.devtools.comfy import ComfyServer
from reliable_ads.rfnet.data.labelling import JOURNAL, LabelFolder

LABEL = b'{"key": "%s", "label": "available"}'


def fill(folder: LabelFolder) -> str:
    """A dataset of one picture; its key."""
    folder.add(Image.new("RGB", (8, 8), (9, 90, 200)), Image.new("RGBA", (8, 8), (1, 2, 3, 255)), "product")
    return next(iter(folder.read().items))


@pytest.fixture
def dataset(base, request) -> tuple:
    """(name, folder, key) of a dataset of one picture."""
    name = "raw_" + "".join(sign if sign.isalnum() else "_" for sign in request.node.name)[:40]
    folder = LabelFolder(base / "output" / "labels" / name)
    return name, folder, fill(folder)


def send(
    server, path: str, head: dict | list, body: bytes = b"", method: str = "GET", patience: float = 30
) -> tuple[int, dict, bytes]:
    """(status, headers, body) of the answer to exactly these bytes.

    head: header lines, Host among them; a list may name one twice.
    """
    lines = [f"{name}: {value}" for name, value in (head.items() if isinstance(head, dict) else head)]
    request = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "Connection: close", "", ""]).encode() + body
    with socket.create_connection(("127.0.0.1", server.port), timeout=patience) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    first, _, rest = answer.partition(b"\r\n\r\n")
    status, *lines = first.decode("latin-1").split("\r\n")
    return (
        int(status.split()[1]),
        {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)},
        rest,
    )


def asks(server, dataset, head) -> int:
    """The status of a label that is sent with these headers."""
    name, _, key = dataset
    body = LABEL % key.encode()
    lines = [
        *(head.items() if isinstance(head, dict) else head),
        ("Content-Type", "application/json"),
        ("Content-Length", len(body)),
    ]
    return send(server, f"/reliable_ads/labels/{name}/label", lines, body, "POST")[0]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:{port}",
        "localhost:{port}",
        "LOCALHOST:{port}",
        "192.168.1.20:{port}",
        "[::1]:{port}",
        "10.0.0.7",
        "{machine}:{port}",
        "{machine}.local:{port}",
    ],
)
def test_the_users_own_page_is_answered(server, dataset, host):
    host = host.format(port=server.port, machine=socket.gethostname())
    assert asks(server, dataset, {"Host": host}) == 200
    if "LOCAL" not in host:  # core compares them, too, and some of its versions by their letters
        assert asks(server, dataset, {"Host": host, "Origin": f"http://{host}"}) == 200
    assert dataset[1].read().labels


@pytest.mark.parametrize(
    "head",
    [
        {"Host": "evil.example:{port}", "Origin": "http://evil.example:{port}"},
        {"Host": "evil.example:{port}", "Origin": "http://evil.example:{port}", "Sec-Fetch-Site": "same-origin"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example:{port}"},
        {"Host": "127.0.0.1:{port}@evil.example"},
        {"Host": "127.0.0.1:999999"},
        {"Host": ""},
        [("Host", "127.0.0.1:{port}"), ("Host", "evil.example")],
        {"Host": "127.0.0.1:{port}", "Origin": "https://127.0.0.1:{port}"},
        {"Host": "127.0.0.1:{port}", "Origin": "http://127.0.0.1:1"},
        {"Host": "192.168.1.20:{port}", "Origin": "http://evil.example"},
        {"Host": "192.168.1.20:{port}", "Origin": "https://192.168.1.20:{port}"},
        {"Host": "192.168.1.20:{port}", "Origin": "http://192.168.1.20:99999999"},
        {"Host": "192.168.1.20:{port}", "Origin": "http://192.168.1.20:abc"},
        {"Host": "192.168.1.20:{port}", "Origin": "http://[::1"},
        {"Host": "192.168.1.20:{port}", "Origin": "null"},
        {"Host": "192.168.1.20:{port}", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Host": "192.168.1.20:{port}", "Sec-Fetch-Site": "cross-site"},
        {"Host": "192.168.1.20:{port}", "Sec-Fetch-Site": "same-site"},
        [("Host", "192.168.1.20:{port}"), ("Origin", "http://192.168.1.20:{port}"), ("Origin", "http://evil.example")],
    ],
    ids=str,
)
def test_other_sites_are_refused_and_write_nothing(server, dataset, head):
    lines = [
        (name, value.format(port=server.port)) for name, value in (head.items() if isinstance(head, dict) else head)
    ]
    assert asks(server, dataset, lines) in (400, 403)  # 400: what is no HTTP at all
    name, folder, key = dataset
    assert not folder.read().labels
    assert send(server, f"/api/reliable_ads/labels/{name}", lines)[0] in (400, 403)
    status, _, content = send(server, f"/reliable_ads/labels/{name}/pictures/{key}.png", lines)
    assert status in (400, 403) and b"PNG" not in content


def test_an_odd_port_in_origin_is_refused_by_us_with_a_sentence(server, dataset):
    status, _, content = send(
        server, f"/reliable_ads/labels/{dataset[0]}", {"Host": "192.168.1.20", "Origin": "http://192.168.1.20:0x50"}
    )
    assert status == 403 and (not content or "another site" in json.loads(content)["error"])


def test_pictures_come_as_pictures_and_nothing_else(server, dataset):
    name, folder, key = dataset
    path = folder.folder / "pictures" / f"{key}.png"
    path.write_bytes(b"<html><script>alert(1)</script>")
    status, head, content = send(
        server, f"/reliable_ads/labels/{name}/pictures/{key}.png", {"Host": f"127.0.0.1:{server.port}"}
    )
    assert status == 200 and content == path.read_bytes()
    assert head["content-type"] == "image/png" and head["x-content-type-options"] == "nosniff"
    assert send(server, f"/reliable_ads/labels/{name}", {"Host": "127.0.0.1"})[1]["x-content-type-options"] == "nosniff"


def test_links_in_the_dataset_are_not_followed(server, dataset, tmp_path):
    name, folder, key = dataset
    secret, home = tmp_path / "secret.png", {"Host": "127.0.0.1"}
    secret.write_bytes(b"secret")
    picture = folder.folder / "pictures" / f"{key}.png"
    picture.unlink()
    picture.symlink_to(secret)
    assert send(server, f"/reliable_ads/labels/{name}/pictures/{key}.png", home)[0] == 404
    picture.unlink()

    (folder.folder / "pictures").rmdir()
    (tmp_path / f"{key}.png").write_bytes(b"secret")
    (folder.folder / "pictures").symlink_to(tmp_path)
    status, _, content = send(server, f"/reliable_ads/labels/{name}/pictures/{key}.png", home)
    assert status == 400 and b"symbolic link" in content
    (folder.folder / "pictures").unlink()

    journal = folder.folder / JOURNAL
    elsewhere = tmp_path / "elsewhere"
    journal.replace(elsewhere)
    journal.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    assert asks(server, dataset, home) == 400 and elsewhere.read_bytes() == before


def test_a_body_that_comes_slowly_or_never_is_given_up(server, dataset):
    name, folder, _key = dataset
    began = time.monotonic()
    head = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": 100}
    assert send(server, f"/reliable_ads/labels/{name}/label", head, b"{", "POST")[0] == 408
    assert time.monotonic() - began < 25 and not folder.read().labels
    large = {**head, "Content-Length": 10**12}
    assert send(server, f"/reliable_ads/labels/{name}/label", large, b"{", "POST")[0] == 413


def test_the_owner_may_name_the_address_of_a_proxy(tmp_path):
    folder = LabelFolder(tmp_path / "output" / "labels" / "my_labels")
    dataset = "my_labels", folder, fill(folder)
    arguments = (
        "--cpu",
        "--enable-cors-header",
        "https://ads.example.com",
        "--disable-all-custom-nodes",
        "--whitelist-custom-nodes",
        "reliable-ads",
    )
    with ComfyServer(tmp_path, tmp_path / "server.log", arguments) as server:
        for head in (
            {"Host": "ads.example.com", "Origin": "http://ads.example.com"},
            {"Host": "evil.example", "Origin": "https://evil.example"},
            {"Host": "evil.example", "Origin": "https://ads.example.com"},
        ):
            status = asks(server, dataset, head)
            assert status == (200 if head["Host"] == "ads.example.com" else 403)
        assert asks(server, dataset, {"Host": "ads.example.com", "Origin": "https://ads.example.com"}) == 200
        assert asks(server, dataset, {"Host": f"127.0.0.1:{server.port}", "Origin": "https://ads.example.com"}) == 200
