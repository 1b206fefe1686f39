"""What the user sees while a cyclic sampler runs."""

import comfy.utils
from server import PromptServer

from .strip import Strip
from .types import to_picture


class Screen:
    """What the user sees while it runs: one bar over all attempts, the latest preview, the latest verdict in words, the
    strip of all verdicts.
    """

    def __init__(self, node_id: str, attempts: int, job=None, pictures: int = 1):
        """job: the product_folder.ListedJob whose product this is; the bar is then over its whole list.

        pictures: of the batch; each has so many attempts.
        """
        self.node_id = node_id
        self.attempts = attempts
        self.pictures = pictures
        self.steps = 1  # of an attempt; the first step tells
        self.notes: list[str] = []
        self.before = job.number - 1 if job else 0  # products that are done
        self.products = job.count if job else 1
        self.head = f"{job.text} · " if job else ""
        self.bar = comfy.utils.ProgressBar(attempts, node_id=node_id)
        self.strip = Strip(node_id, attempts, job.title if job else "", pictures)
        self.begin(1)

    def begin(self, picture: int) -> None:
        """The loop of a picture of the batch begins, which counts from 1."""
        self.picture = picture
        self.drawn = 0
        self.strip.begin(picture)
        self.say(f"attempt 1/{self.attempts} · sampling")

    def certify(self, certificate: dict | None) -> None:
        """The strip says whether a certificate (of Reviewer.certificate) holds for what is painted here."""
        if certificate:
            self.strip.about["certified"] = certificate["certified_for_this_painter"]

    @property
    def picture_text(self) -> str:
        return f"picture {self.picture} of {self.pictures}: " if self.pictures > 1 else ""

    def step(self, step: int, steps: int, preview) -> None:
        self.steps = steps
        self.move(self.drawn * steps + step, preview)

    def move(self, steps: int, preview) -> None:
        """steps: how many are done of this picture's."""
        most = self.attempts * self.steps
        before = self.before * self.pictures + self.picture - 1
        self.bar.update_absolute(before * most + min(steps, most), self.products * self.pictures * most, preview)

    def show(self, event) -> None:
        """One event of the loop; only verdicts are news, what comes before them is seen on the bar."""
        from ..cyclic.loop import OneAtATime, Reviewed

        if isinstance(event, OneAtATime):
            self.notes += [event.reason] if event.reason not in self.notes else []
            self.say(event.reason)
        if isinstance(event, Reviewed):
            self.drawn += 1
            picture = to_picture(event.attempt.image)
            self.move(self.drawn * self.steps, ("JPEG", picture, 512))
            self.strip.add(event.attempt, picture)
            self.say(event.text)

    def say(self, text: str) -> None:
        picture = f"picture {self.picture}/{self.pictures} · " if self.pictures > 1 else ""
        server = PromptServer.instance
        server.send_progress_text(self.head + picture + text, self.node_id, server.client_id)
