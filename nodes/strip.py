"""The strip of verdicts in a node: a thumbnail of each picture, whether it was accepted, and why.

web/js/verdicts.js shows it.
"""

import base64
import io
import logging
import secrets
from pathlib import Path

import folder_paths
from server import PromptServer

from ..rfnet.labels import RFNET, shown_label

EVENT = "reliable_ads.verdicts"
KEY = "reliable_ads"  # of a node's ui
SIDE = 160  # pixels of a thumbnail on its longer side


class Strip:
    """The strip of one run of the cyclic sampler: grows in the page as attempts are reviewed."""

    def __init__(self, node_id: str, most: int, product: str = "", pictures: int = 1):
        """most: attempts at most, for each of the batch's pictures; product: its name, where several follow each other
        in one node.

        about["certified"], once a certified risk decides: whether it holds for this painter; None where it is unknown.
        """
        self.node_id = node_id
        self.about: dict = {"most": most, "product": product, "pictures": pictures}
        self.rows: list[dict] = []
        self.thumbnails: list[bytes] = []

    def begin(self, picture: int) -> None:
        """The loop of a picture begins, which counts from 1. The first empties what the node showed before."""
        self.picture = picture
        self._send()

    def add(self, attempt, picture) -> None:
        """attempt: a cyclic.attempts.Attempt; picture: its Pillow picture."""
        row = verdict(len(self.rows) + 1, attempt.review)
        self.rows.append({**row, "seed": str(attempt.seed), "dropped": attempt.stopped_early, "of": self.picture})
        self.thumbnails.append(jpeg(picture))
        self._send(
            {**self.rows[-1], "picture": "data:image/jpeg;base64," + base64.b64encode(self.thumbnails[-1]).decode()}
        )

    def ui(self, results: list) -> dict:
        """The whole strip for a node's ui, which pages get that see the run later, or again from the cache.

        results: the attempts given back.
        """
        rows = [{**row, "picture": file} for row, file in zip(self.rows, saved(self.thumbnails))]
        return {KEY: [{**self.about, "rows": rows, "results": [attempt.index + 1 for attempt in results]}]}

    def _send(self, *rows: dict) -> None:
        server = PromptServer.instance
        server.send_sync(
            EVENT, {"node": self.node_id, **self.about, "drawing": self.picture, "rows": rows}, server.client_id
        )


def reviewed(rows: list, pictures: list, heats: list, defects: list, about: dict) -> dict:
    """The strip of reviewed pictures for a node's ui.

    rows: of Review.rows(); pictures, heats: each one's Pillow picture, without and with heat; defects: what the heat
    speaks for; about: {"certified"} as in Strip.about, or nothing.
    """
    verdicts = [verdict(number, row) for number, row in enumerate(rows, 1)]
    files = saved([jpeg(picture) for picture in [*pictures, *heats]])
    shown = zip(verdicts, files, files[len(rows) :], defects)
    return {
        KEY: [
            {
                **about,
                "rows": [
                    {**row, "picture": picture, "heat": heat, "defect": defect} for row, picture, heat, defect in shown
                ],
            }
        ]
    }


def verdict(number: int, row: dict) -> dict:
    """What a strip says of a row of Review.rows(); number counts from 1.

    A picture with nothing to review has no label. "decided": the second opinion that decided, where one did.
    """
    label = "missing" if row.get("missing") else shown_label(row)
    decided = row.get("decided_by", RFNET)
    return {
        "number": number,
        "label": label,
        "probability": row["probabilities"].get(label),
        "accepted": row["accepted"],
        **({"decided": decided} if decided != RFNET else {}),
        **({"unfamiliar": True} if row.get("unfamiliar") else {}),
    }


def jpeg(picture) -> bytes:
    """A Pillow picture as a thumbnail's file."""
    file = io.BytesIO()
    small = picture.copy()
    small.thumbnail((SIDE, SIDE))
    small.save(file, "JPEG", quality=85)
    return file.getvalue()


def saved(thumbnails: list) -> list:
    """Where ComfyUI's page finds the thumbnails: for each {"filename", "subfolder", "type"}; None where the disk took
    none, which must not end a run.
    """
    folder = Path(folder_paths.get_temp_directory())
    name = secrets.token_hex(6)
    places = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(thumbnails, 1):
            file = f"reliable_ads_{name}_{number}.jpg"
            (folder / file).write_bytes(content)
            places.append({"filename": file, "subfolder": "", "type": "temp"})
    except OSError as error:
        logging.warning("Reliable Ads: the strip of verdicts lacks pictures (%s); the outputs are complete", error)
    return [*places, *[None] * (len(thumbnails) - len(places))]
