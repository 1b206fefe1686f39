"""What remedies change of a draw in a web UI: prompts, CFG scale, the ControlNet's unit, the product's place."""

from __future__ import annotations

from ..cyclic.remedies import REMEDIES, Change, Impossible, Placement, apply


class PromptChange(Change):
    """Collects changes. words: {remedy: text}; tuned: the host's name of the tuned ControlNet, or None."""

    def __init__(self, words: dict, tuned: str | None, has_control: bool, position: str):
        self.words = words
        self.tuned = tuned
        self.has_control = has_control
        self.position = position
        self.guides = True
        self.added: dict[str, list[str]] = {"positive": [], "negative": []}
        self.guidance = self.strength = 1.0
        self.placement = Placement()
        self.swapped_in: str | None = None

    def begun(self) -> PromptChange:
        """The same, with nothing changed yet."""
        new = PromptChange(self.words, self.tuned, self.has_control, self.position)
        new.guides = self.guides
        return new

    def at(self, values: dict) -> PromptChange:
        """The changes that remedies at these values ask for."""
        change = self.begun()
        apply(values, change)
        return change

    def add_words(self, name: str, to: str = "positive") -> None:
        if name not in self.words:
            raise Impossible("there are no words for it")
        if to == "negative" and not self.guides:
            raise Impossible("CFG scale is 1: nothing is avoided")
        self.added[to].append(self.words[name])

    def scale_guidance(self, factor: float) -> None:
        if not self.guides:
            raise Impossible("CFG scale is 1: it draws without guidance")
        self.guidance *= factor

    def scale_control(self, factor: float) -> None:
        if not self.has_control:
            raise Impossible("no ControlNet is used")
        self.strength *= factor

    def place(self, dilation: float = 0.0, down: float = 0.0, scale: float = 1.0) -> None:
        if (down, scale) != (0, 1) and self.position != "centre":
            raise Impossible("the product stays where its picture has it: position is not centre")
        self.placement.place(dilation, down, scale)

    def use_tuned(self) -> None:
        if not self.has_control:
            raise Impossible("no ControlNet is used")
        if self.tuned is None:
            raise Impossible("no tuned ControlNet is chosen")
        self.swapped_in = self.tuned


def impossible(change: PromptChange, p, asked) -> dict[str, str]:
    """{remedy: why it can't be used here} of those asked for, by trying the first step of each."""
    change.guides = p.cfg_scale != 1
    reasons = {}
    for remedy in REMEDIES:
        if remedy.name in asked:
            try:
                remedy.change(change.begun(), remedy.next(remedy.neutral))
            except Impossible as why:
                reasons[remedy.name] = str(why)
    return reasons
