"""Learning while somebody labels: after every ten labels an added head is fitted on features that were computed once,
and says which pictures to label next.

    learner = Learner(LabelFolder("output/labels/my_labels"), "rfnet_compact.safetensors")
    for learned in learner.learn():  # again after each round; what is known already costs nothing
        print(learned)

Nothing but the features is stored: the labels' order is in the journal, so all rounds are fitted again in a second or
two, whatever stopped the last process, and a label that was taken back was never learned.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from ..active import PLANNED, order
from ..data.errors import DataError
from ..data.journal import Contents
from ..data.labelling import LabelFolder
from ..data.waiting import samples_of
from ..files import sha256_of
from ..head import AddedHead
from ..labels import LABELS
from ..weights import DEFAULT_WEIGHTS, load_networks
from .head import Features, cached_features, fit_head

ROUND = 10  # labels after which the reviewer learns
READ_AT_ONCE = 8  # pictures between two looks at whether to stop
CACHE = "features.safetensors"  # beside the labels
RECENT = 20  # labels that the agreement speaks of
GAIN = 0.05  # of agreement, which the estimate of further labels asks for
FARTHEST = 300  # labels; what needs more hardly helps


@dataclass(frozen=True)
class Round:
    """Up to ten labels, each predicted before it was learned. learned: labels before them; n: how many they are;
    agreed: of these, what the reviewer predicted that had learned so far; before: what it predicted as it was at first.
    """

    learned: int
    n: int
    agreed: int
    before: int


@dataclass(frozen=True)
class Learned:
    """rounds: all so far, the last one perhaps not full; plan: keys of the waiting pictures to label next, best first;
    likely: {key: (label, probability)} of these; unread: pictures that were not looked at yet; damaged: how many can't
    be read; full: how many labels were learned.
    """

    rounds: tuple[Round, ...] = ()
    plan: tuple[str, ...] = ()
    likely: dict = field(default_factory=dict)
    unread: int = 0
    damaged: int = 0
    full: int = 0

    @property
    def recent(self) -> tuple[int, int, int]:
        """(n, agreed, before) of the last RECENT labels or a few more, whole rounds."""
        chosen: list[Round] = []
        for one in reversed(self.rounds):
            if sum(each.n for each in chosen) < RECENT:
                chosen.append(one)
        return sum(one.n for one in chosen), sum(one.agreed for one in chosen), sum(one.before for one in chosen)

    @property
    def more(self) -> int | None:
        """How many labels more would raise the agreement by GAIN; None where that can't be said, or hardly can be."""
        return labels_for_gain(self.rounds)

    def summary(self) -> dict:
        """All of it but the plan, JSON-able."""
        n, agreed, before = self.recent
        return {
            "learned": self.full,
            "rounds": [[one.learned, one.n, one.agreed, one.before] for one in self.rounds],
            "recent": {"n": n, "agreed": agreed, "before": before},
            "more": self.more,
            "enough_to_say": len(self.rounds) >= 3,
            "unread": self.unread,
            "damaged": self.damaged,
        }

    def __str__(self) -> str:
        """A few sentences."""
        n, agreed, before = self.recent
        if not n:
            return "Nothing is labelled yet."
        text = f"Before it learned them, the reviewer agreed with {agreed} of the last {n} labels"
        text += f" (as it was at first: {before})." if self.full else "."
        if len(self.rounds) >= 3:
            more = self.more
            text += (
                f" About {more} more labels would raise that by {100 * GAIN:.0f} points."
                if more
                else " More labels of such pictures hardly help: label other products, or adapt the reviewer."
            )
        return text


def replay(features: Features, labels: np.ndarray, heads: dict | None = None) -> tuple[list[Round], AddedHead | None]:
    """(the rounds of N labels in the order in which they were given, the head that has learned all full ones; None
    where there is none).

    features: of the labelled pictures; labels (N,) label ids. heads: heads by the labels that they learned, from
    earlier calls on the same pictures; filled.
    """
    heads = {} if heads is None else heads
    rounds = []
    head: AddedHead | None = None
    at_first = features.logits.argmax(1).numpy()
    for start in range(0, len(labels), ROUND):
        rows = np.arange(start, min(start + ROUND, len(labels)))
        predicted = features.select(rows).judged(head).argmax(1).numpy()
        agreed, before = (int((some == labels[rows]).sum()) for some in (predicted, at_first[rows]))
        rounds.append(Round(start, len(rows), agreed, before))
        if len(rows) == ROUND:
            seen = _name(features, labels, start + ROUND)
            if seen not in heads:
                heads[seen] = fit_head(features.select(np.arange(start + ROUND)), labels[: start + ROUND])
            head = heads[seen]
    return rounds, head


def choose(features: Features, labels, products, count: int) -> list[int]:
    """Positions of `count` of N pictures in the order in which a Learner asks for them when each then gets its label:
    labelling, simulated. features: logits calibrated; labels (N,) label ids; products: N ids.
    """
    labels = np.asarray(labels)
    chosen: list[int] = []
    head: AddedHead | None = None
    while len(chosen) < min(count, len(labels)):
        left = np.setdiff1d(np.arange(len(labels)), chosen)
        waiting, known = features.select(left), features.select(np.array(chosen, int))
        probabilities = waiting.judged(head).softmax(1).numpy()
        names = [products[row] for row in left]
        wanted = min(ROUND, count - len(chosen))
        rows = order(probabilities, waiting.features.numpy(), names, known.features.numpy(), wanted)
        chosen += left[rows].tolist()
        head = fit_head(features.select(np.array(chosen)), labels[chosen])
    return chosen


def labels_for_gain(rounds) -> int | None:
    """How many labels more would raise the agreement by GAIN: from a line of its log odds over the logarithm of the
    number of labels, as learning curves look, with a prior that a tenfold number adds about one; None after less than
    three rounds, or where it takes more than FARTHEST.
    """
    if len(rounds) < 3:
        return None
    base, slope = (axis.ravel() for axis in np.meshgrid(np.linspace(-4, 4, 81), np.linspace(0, 2, 41)))
    prior = -((base / 2) ** 2) / 2 - ((slope - 0.4) / 0.4) ** 2 / 2
    agreed, n, learned = (np.array([getattr(one, name) for one in rounds]) for name in ("agreed", "n", "learned"))
    share = _agreement(base[:, None], slope[:, None], learned[None])
    posterior = prior + (agreed * np.log(share) + (n - agreed) * np.log1p(-share)).sum(1)
    weight = np.exp(posterior - posterior.max())
    weight /= weight.sum()
    now = int(learned[-1] + n[-1])
    expected = lambda count: float((weight * _agreement(base, slope, count)).sum())  # noqa: E731
    wanted = expected(now) + GAIN
    return next((more for more in range(ROUND, FARTHEST + 1, ROUND) if expected(now + more) >= wanted), None)


def _agreement(base, slope, learned):
    return 1 / (1 + np.exp(-(base + slope * np.log1p(learned / ROUND))))


class Learner:
    """Learns from one folder's labels with one reviewer's features. Not for several threads at once."""

    def __init__(self, folder: LabelFolder, weights=DEFAULT_WEIGHTS):
        """Raises weights.WeightsError, OSError."""
        self.folder = folder
        with NoRandomNumbers():
            self.rfnet, self.mapnet, metadata = load_networks(weights)
        self.temperature = float(metadata["temperature"])
        self.fingerprint = sha256_of(weights)
        self.seen: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}  # {key: (logits, features)}
        self.damaged: set[str] = set()  # keys of pictures that can't be read
        self.heads: dict = {}
        self.learned = Learned()

    def learn(self, passed=()) -> Iterator[Learned]:
        """What is known after each few pictures that were looked at; nothing where nothing is new. Labelled pictures
        are looked at first.

        passed: keys of pictures that the labeller can't decide on, which are not planned. Raises DataError, OSError.
        """
        while True:
            contents = self.folder.read()  # again: more may have been labelled meanwhile
            labelled, waiting = (
                [key for key in keys if key not in self.seen and key not in self.damaged]
                for keys in (contents.labels, contents.waiting)
            )
            if not labelled:
                self.learned = self._learned(contents, len(waiting), set(passed))
                yield self.learned
            if not labelled and not waiting:
                return
            self._read(contents, (labelled or waiting)[:READ_AT_ONCE])

    def _read(self, contents: Contents, keys: list[str]) -> None:
        """Looks at pictures, or takes what was stored of them."""
        samples = samples_of(self.folder.folder, [contents.items[key] for key in keys], self.rfnet.config.image_size)
        key_of = dict(zip(samples.ids.tolist(), keys))
        try:
            samples = samples.in_memory()
        except DataError:  # none of them can be read
            self.damaged.update(keys)
            return
        with NoRandomNumbers():
            found = cached_features(self.folder.folder / CACHE, self.fingerprint, self.rfnet, self.mapnet, samples)
        logits = found.judged(self.rfnet.added) / self.temperature
        for identity, row, features in zip(samples.ids.tolist(), logits, found.features):
            self.seen[key_of[identity]] = (row, features)
        self.damaged.update(key for key in keys if key not in self.seen)

    def _features(self, keys: list[str]) -> Features:
        rows = [self.seen[key] for key in keys]
        return Features(torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows]))

    def _learned(self, contents: Contents, unread: int, passed: set) -> Learned:
        labelled = [key for key in contents.labels if key in self.seen]
        waiting = [key for key in contents.waiting if key in self.seen and key not in passed]
        rounds: list[Round] = []
        head = None
        if labelled:
            labels = np.array([LABELS.index(contents.labels[key]) for key in labelled])
            rounds, head = replay(self._features(labelled), labels, self.heads)
        plan: list[str] = []
        likely = {}
        if waiting:
            features = self._features(waiting)
            probabilities = features.judged(head).softmax(1).numpy()
            known = self._features(labelled).features.numpy() if labelled else ()
            products = [contents.items[key].product_id for key in waiting]
            rows = order(probabilities, features.features.numpy(), products, known, PLANNED)
            plan = [waiting[row] for row in rows]
            likely = {
                waiting[row]: (LABELS[int(probabilities[row].argmax())], float(probabilities[row].max()))
                for row in rows
            }
        full = len(labelled) // ROUND * ROUND
        return Learned(tuple(rounds), tuple(plan), likely, unread, len(self.damaged), full)


class NoRandomNumbers(TorchFunctionMode):
    """Within it this thread draws none, so that what another thread draws from the same generator stays the same:
    networks that are about to be loaded need no initial values, and a loader without workers no seed.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.randn:
            return torch.zeros(*args, **kwargs)
        draws = getattr(function, "__name__", "").endswith(("normal_", "uniform_", "random_"))  # also torch.nn.init's
        return (args[0] if args else kwargs["tensor"]) if draws else function(*args, **kwargs)


def _name(features: Features, labels: np.ndarray, count: int) -> tuple:
    """What a head learned from: pictures by their features, and their labels."""
    return count, hash(features.features[:count].numpy().tobytes()), labels[:count].tobytes()
