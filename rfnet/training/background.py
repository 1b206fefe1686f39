"""Learning in the background of a server: one thread for all datasets, which no click waits for."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..data.journal import Contents
from ..data.labelling import LabelFolder
from .rounds import ROUND, Learned, Learner

KEPT = 3  # datasets whose features stay in memory


@dataclass
class Study:
    """What is known of one dataset by one reviewer. passed: pictures that were skipped, in that order; wanted: what it
    should have learned from; error: a sentence, where it could not.
    """

    folder: LabelFolder
    weights: Path
    learner: Learner | None = None
    learned: Learned = field(default_factory=Learned)
    passed: dict = field(default_factory=dict)
    wanted: tuple = ()
    busy: bool = False
    error: str = ""

    def summary(self) -> dict:
        """Learned.summary with "busy" and "error"."""
        return {**self.learned.summary(), "busy": self.busy, "error": self.error}

    def __str__(self) -> str:
        """A few sentences."""
        if self.error:
            return f"Nothing is learned: {self.error}"
        left = f" It has {self.learned.unread} more pictures to look at." * bool(self.learned.unread)
        return f"{self.learned}{left}"


class Background:
    """`study = background.study(folder, weights, contents)` says at once what is known, and has the rest learned.

    tell(study): called in the thread whenever more is known.
    """

    def __init__(self, tell: Callable[[Study], None] = lambda study: None):
        self.tell = tell
        self.studies: OrderedDict[tuple, Study] = OrderedDict()
        self.waiting: list[Study] = []
        self.lock = threading.Lock()
        self.thread: threading.Thread | None = None

    def study(self, folder: LabelFolder, weights, contents: Contents, passed: str = "") -> Study:
        """contents: what the folder holds now; passed: key of a picture that was just skipped. Raises OSError where the
        weights are not there.
        """
        about = Path(weights).stat()
        name = (str(folder.folder), str(weights), about.st_mtime_ns, about.st_size)
        full = len(contents.labels) // ROUND * ROUND
        wanted = tuple(list(contents.labels.items())[:full]), frozenset(contents.items)
        with self.lock:
            study = self.studies.setdefault(name, Study(folder, Path(weights)))
            self.studies.move_to_end(name)
            while len(self.studies) > KEPT:
                self.studies.popitem(last=False)
            if passed in contents.items:
                study.passed.pop(passed, None)
                study.passed[passed] = True
            if wanted != study.wanted:
                study.wanted = wanted
                study.busy = True
                if study not in self.waiting:
                    self.waiting.append(study)
                if self.thread is None:
                    self.thread = threading.Thread(target=self._work, name="reliable-ads-learning", daemon=True)
                    self.thread.start()
        return study

    def _work(self) -> None:
        while True:
            with self.lock:
                if not self.waiting:
                    self.thread = None
                    return
                study = self.waiting.pop(0)
            try:
                study.learner = study.learner or Learner(study.folder, study.weights)
                for learned in study.learner.learn(study.passed):
                    study.learned = learned
                    study.busy = learned.unread > 0 or study in self.waiting
                    study.error = ""
                    self.tell(study)
            except Exception as error:  # labelling goes on in any case
                study.error = str(error).strip() or type(error).__name__
                study.busy = False
                logging.warning("Reliable Ads: nothing was learned from %s: %s", study.folder.folder, study.error)
                self.tell(study)


def sequence(study: Study, contents: Contents) -> list[str]:
    """Keys of all pictures that wait: those that teach most, those that were not looked at yet, those that were
    skipped.
    """
    waiting = contents.waiting
    left = set(waiting)
    passed = list(study.passed)
    planned = [key for key in study.learned.plan if key in left and key not in passed]
    first = {*planned, *passed}
    return [*planned, *(key for key in waiting if key not in first), *(key for key in passed if key in left)]
