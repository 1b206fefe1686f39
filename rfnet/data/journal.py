"""What a journal of labels says: pictures that wait, what was said of them, and the form of its lines.

A line is a picture that came (Item), what second opinions said of it, a label, or a label taken back. For each picture
its last label holds, whoever gave it.
"""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone

from ..common_sizes import LARGEST_CM, SMALLEST_CM
from ..files import same_name
from ..labels import LABELS
from ..structured import convert, parse_json
from .answers import Answer, Answers

# Labels from which an adaptation is worth while: all together, and of each kind.
ENOUGH = 200
EACH = 5
KEY = re.compile(r"[0-9a-f]{16}")
SECOND_LOOK = 5  # of a named labeller's pictures every so manieth is one that another labelled before
LONGEST_NAME = 40  # characters of a labeller's name
LONGEST = 1 << 16  # bytes of a line


@dataclass(frozen=True)
class Item:
    """A picture to label.

    key, product: names of its PNG and its product's; product_id: the same for all pictures of a product; verdict: what
    a reviewer said, {"label", "probability"}, or None; size_cm: the product's largest side, 0 where nobody said.
    """

    key: str
    product: str
    product_id: str
    caption: str
    prompt: str
    verdict: dict | None = None
    size_cm: float = 0.0


@dataclass
class Contents:
    """What a folder holds.

    items: {key: Item}; labels: {key: label} of those that have one, in the order in which they got it; said: {(key,
    labeller's name): label}, the last one of each labeller, in the same order. The name is "" where none was given.
    answers: {key: {opinion: Answer}}.
    """

    items: dict = field(default_factory=dict)
    labels: dict = field(default_factory=dict)
    said: dict = field(default_factory=dict)
    answers: dict = field(default_factory=dict)

    def say(self, key: str, label: str | None, by: str = "") -> None:
        """A labeller's label of a picture, or with None that it is taken back: what others said before then holds."""
        self.said.pop((key, by), None)
        self.labels.pop(key, None)
        if label is not None:
            self.said[key, by] = label
        elif others := [said for (other, _), said in self.said.items() if other == key]:
            label = others[-1]
        if label is not None:
            self.labels[key] = label

    @property
    def waiting(self) -> list:
        """Keys of the pictures without a label in the order of their keys, which is as good as shuffled: pictures of
        one batch don't follow one another.
        """
        return sorted(self.items.keys() - self.labels.keys())

    def next(self, after: str = "", at: str = "", by: str = "", plan=()) -> Item | None:
        """The picture to show: the one `at` this key while it waits; else the first of `plan` that waits; else the one
        that comes after the key `after` or `at`, round and round. None where none waits.

        by: for this labeller, who is also shown what only others have labelled: every SECOND_LOOK-th picture, and once
        nothing else waits.
        """
        waiting, by = self.waiting, same_name(by)
        if by:
            mine = [key for key, name in self.said if name == by]
            others = sorted(self.labels.keys() - set(mine))
            if others and (not waiting or len(mine) % SECOND_LOOK == SECOND_LOOK - 1 or at in others):
                waiting, plan = others, ()
        if not waiting:
            return None
        left = set(waiting)
        if at not in left and (planned := next((key for key in plan if key in left and key != after), None)):
            return self.items[planned]
        return self.items[next((key for key in waiting if key > after and key >= at), waiting[0])]

    def shown(self, plan, count: int, by: str) -> list:
        """Keys of the next `count` pictures to show to this labeller: those of the plan, among them, as `next` has it,
        some that only others have labelled.
        """
        shown = Contents(self.items, dict(self.labels), dict(self.said))
        keys: list = []
        while len(keys) < count and (item := shown.next(by=by, plan=plan)) and item.key not in keys:
            keys.append(item.key)
            shown.say(item.key, LABELS[0], by)  # whatever it will be
        return keys

    @property
    def last(self) -> str | None:
        """Key of the picture that was labelled last."""
        return next(reversed(self.labels), None)

    def last_of(self, by: str) -> str | None:
        """Key of the picture that this labeller labelled last."""
        return next((key for key, name in reversed(self.said) if name == same_name(by)), None)

    @property
    def counts(self) -> dict:
        """{label: number of pictures}, every label named."""
        given = list(self.labels.values())
        return {name: given.count(name) for name in LABELS}

    def __str__(self) -> str:
        few = [f"{EACH - count} of {name}" for name, count in self.counts.items() if count < EACH]
        missing = [f"{ENOUGH - len(self.labels)} more labels"] * (len(self.labels) < ENOUGH) + [
            f"at least {', '.join(few)}"
        ] * bool(few)
        needs = (
            f"For a useful adaptation it lacks {', among them '.join(missing)}."
            if missing
            else "That is enough for an adaptation."
        )
        return f"{len(self.labels)} of {len(self.items)} pictures are labelled, {len(self.waiting)} wait. {needs}"

    def rows(self) -> list:
        """The table: one dict per labelled picture with the columns that sources.read_table knows."""
        labelled = ((self.items[key], label) for key, label in sorted(self.labels.items()))
        return [
            {
                "image": f"pictures/{item.key}.png",
                "product": f"products/{item.product}.png",
                "label": label,
                "caption": item.caption,
                "prompt": item.prompt,
                "product_id": item.product_id,
                **({"size_cm": item.size_cm} if item.size_cm else {}),
            }
            for item, label in labelled
        ]


def line_of(record: dict) -> bytes:
    return ("\n" + json.dumps({"time": datetime.now(timezone.utc).isoformat(timespec="seconds"), **record})).encode()


def is_name(name) -> bool:
    """Whether this can name a labeller: a short text of one line."""
    return isinstance(name, str) and name.isprintable() and name == name.strip() and 0 < len(name) <= LONGEST_NAME


@dataclass(frozen=True)
class Answered:
    key: str
    answers: dict[str, Answer]


def record_of(line: bytes):
    """An Item, an Answered, or (key, label or None, labeller's name); None for a line that is none of them."""
    try:
        record = parse_json(line, "a line", nan=True) if len(line) <= LONGEST else {}
        key = record["key"]
        if not KEY.fullmatch(key):
            return None
        if "label" in record:
            by = record.get("by", "")
            usable = record["label"] in (None, *LABELS) and (by == "" or is_name(by))
            return (key, record["label"], same_name(by)) if usable else None
        if "answers" in record:
            return Answered(key, convert(record["answers"], Answers, "it"))
        texts = [record[name] for name in ("product", "product_id", "caption", "prompt")]
        if not all(isinstance(text, str) for text in texts) or not KEY.fullmatch(texts[0]):
            return None
        product, product_id, caption, prompt = texts
        verdict, size_cm = known_verdict(record.get("verdict")), known_size(record.get("size_cm"))
        return Item(key, product, product_id, caption, prompt, verdict, size_cm)
    except (ValueError, KeyError, TypeError, RecursionError):  # cut short, or another's
        return None


def known_size(size_cm) -> float:
    return float(size_cm) if isinstance(size_cm, int | float) and SMALLEST_CM <= size_cm <= LARGEST_CM else 0.0


def known_verdict(verdict) -> dict | None:
    if (
        not isinstance(verdict, dict)
        or verdict.get("label") not in LABELS
        or not 0 <= verdict.get("probability", -1) <= 1
    ):
        return None
    return {"label": verdict["label"], "probability": float(verdict["probability"])}


def plain_text(text) -> str:
    """One line that can be written as UTF-8."""
    return " ".join(str(text).encode("utf-8", "replace").decode("utf-8").split())
