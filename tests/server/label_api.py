"""One tab of RF Label as HTTP, and a dataset of pictures that wait."""

import json
import urllib.error
import urllib.request

from PIL import Image

from reliable_ads.rfnet.data.labelling import LabelFolder

from .ads import cut_out


class Api:
    """One tab: the routes of one dataset."""

    def __init__(self, server, dataset: str):
        self.server, self.dataset = server, dataset

    def send(self, path: str = "", body=None, method: str | None = None, **headers) -> tuple[int, dict | bytes]:
        """(status, answer); a body that is no bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {
            name.replace("_", "-"): value for name, value in {"Content_Type": "application/json", **headers}.items()
        }
        request = urllib.request.Request(
            f"http://{self.server.address}/api/reliable_ads/labels/{self.dataset}{path}", data, headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, found = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, found = error.code, error.read()
        return status, json.loads(found) if found[:1] == b"{" else found

    def state(self, query: str = "") -> dict:
        status, answer = self.send(query)
        assert status == 200, answer
        return answer

    def label(self, key: str, label: str) -> dict:
        status, answer = self.send("/label", {"key": key, "label": label, "blind": True})
        assert status == 200, answer
        return answer


def fill(folder: LabelFolder, many: int) -> list:
    """Pictures that wait, put there as the node does it; their keys."""
    product = cut_out().resize((64, 80))
    for number in range(many):
        folder.add(
            Image.new("RGB", product.size, (number % 256, number // 256, 3)),
            product,
            f"p{number % 5}",
            "a box",
            "on a table",
            {"label": "available", "probability": 0.5},
        )
    return folder.read().waiting
