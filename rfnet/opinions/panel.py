"""A reviewer with second opinions beside it: asks all of them, joins them, and says which one decided."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from ..fusion import Fusion
from ..labels import RFNET
from ..reviewer import Review, Reviewer, ReviewError
from ..risks import ACCEPT
from .opening import check_twice
from .protocol import DEFECTS, PROVEN, SURE, AnyOpinion, OpinionError

UNFITTED = "The second opinions are shown and decide nothing: `rfnet fuse` fits how much each counts, on your labels."
REFIT = "The second opinions were fitted before this reviewer was adapted: fit them again with `rfnet fuse`."


class Panel:
    """`Panel(reviewer, opinions).review(images, canvas)` reviews as the Reviewer does, with second opinions.

    An opinion decides as far as the weights' metadata say (fusion.Fusion); without that it is only shown. A proof
    (protocol.PROVEN) rejects in any case. check(): called before each opinion is asked; what it raises, such as a
    cancel, passes through.
    """

    def __init__(self, reviewer: Reviewer, opinions: Sequence[AnyOpinion], check=lambda: None):
        self.reviewer, self.opinions, self.check = reviewer, list(opinions), check
        check_twice([opinion.name for opinion in opinions])
        self.fusion, self.notes = self._fitted(reviewer.fusion)

    @property
    def threshold(self) -> float:
        return self.fusion.threshold if self.fusion else self.reviewer.threshold

    def threshold_for(self, accept: str = "threshold", threshold: float | None = None) -> float:
        """As Reviewer.threshold_for; a certified risk speaks of RFNet alone, so with opinions that decide there is
        none.
        """
        if ACCEPT.get(accept) is not None and self.fusion:
            raise ReviewError(
                f"accept is {accept}, which is certified for the reviewer alone: leave the second opinions out, or set"
                " accept to threshold."
            )
        given = self.threshold if threshold is None else threshold
        return self.reviewer.threshold_for(accept, given)

    def certificate(self, accept: str, painter=None) -> dict | None:
        return self.reviewer.certificate(accept, painter)

    def review(self, images: torch.Tensor, canvas, threshold: float | None = None, depth=None, saliency=None) -> Review:
        """As Reviewer.review. Each row also says "decided_by", what each opinion said, in log-odds, which "models" were
        asked, and under "said" in words, {name: text}, where one has some.
        """
        threshold = self.threshold if threshold is None else threshold
        review = self.reviewer.review(images, canvas, threshold, depth, saliency)
        evidence, left_out = self.ask(canvas, images, review)
        said = {
            opinion.name: opinion.said(canvas, review)
            for opinion in self.opinions
            if hasattr(opinion, "said") and opinion.name in evidence
        }
        return self.joined(review, evidence, threshold, [*self.notes, *left_out], said)

    def ask(self, canvas, images: torch.Tensor, review: Review) -> tuple[dict, list[str]]:
        """({name: evidence (B, 4)}, a sentence for each opinion that could not be had); review: the reviewer's."""
        evidence, left_out = {}, []
        for opinion in self.opinions:
            self.check()
            try:
                if hasattr(opinion, "evidence_in"):
                    evidence[opinion.name] = opinion.evidence_in(canvas, review)
                else:
                    evidence[opinion.name] = opinion.evidence(canvas, images, review.depth)
            except OpinionError as error:
                left_out.append(f"The opinion {opinion.name} was left out: {error}")
        return evidence, left_out

    def joined(self, review: Review, evidence: dict, threshold: float, notes: list, said: dict) -> Review:
        """A review with these opinions in it; said: {name: B texts}."""
        log_p = review.probabilities.clamp(min=1e-9).log()
        pulls = self.fusion.pulls(evidence) if self.fusion else {}
        for name, proven in self._proofs(evidence).items():
            pulls[name] = torch.maximum(pulls.get(name, torch.zeros_like(proven)), proven)
        alone = self._logits(log_p, {}).softmax(1)
        fused = self._logits(log_p, pulls).softmax(1)
        here = torch.ones(len(review), dtype=torch.bool) if review.missing is None else ~review.missing
        proven = torch.stack([pull.amax(1) > 0 for pull in self._proofs(evidence).values()] or [~here & here]).any(0)
        accepted = (fused[:, 0] >= threshold) & here & ~proven
        deciders = decided_by(alone, fused, alone[:, 0] >= threshold, (fused[:, 0] >= threshold) & ~proven, pulls)
        models = {
            opinion.name: opinion.model for opinion in self.opinions if opinion.name in evidence and opinion.model
        }
        rows = [
            {"decided_by": decider, "opinions": {name: shown(values[row]) for name, values in evidence.items()}}
            | ({"models": models} if models else {})
            for row, decider in enumerate(deciders)
        ]
        for row, each in enumerate(rows):
            if words := {name: texts[row] for name, texts in said.items() if texts[row]}:
                each["said"] = words
        return replace(
            review,
            probabilities=fused,
            accepted=accepted,
            label_ids=fused.argmax(1),
            notes=[*review.notes, *notes],
            opinions=rows,
        )

    def _logits(self, log_p: torch.Tensor, pulls: dict) -> torch.Tensor:
        if self.fusion:
            return self.fusion.logits(log_p, pulls)
        return log_p + torch.cat([torch.zeros(len(log_p), 1), sum(pulls.values(), torch.zeros(len(log_p), 4))], 1)

    def _proofs(self, evidence: dict) -> dict:
        """{name: (B, 4) log-odds, zero where nothing is proven} of the opinions that are proofs."""
        return {
            opinion.name: torch.where(evidence[opinion.name] >= PROVEN, SURE, 0.0)
            for opinion in self.opinions
            if opinion.proof and opinion.name in evidence
        }

    def _fitted(self, fusion: Fusion | None) -> tuple[Fusion | None, list[str]]:
        """(the layer as far as it was fitted with these opinions, sentences on what it lacks)."""
        if fusion is None:
            return None, [UNFITTED] if any(not opinion.proof for opinion in self.opinions) else []
        same, notes = {}, [REFIT] if fusion.refit else []
        given = {opinion.name: opinion for opinion in self.opinions}
        for name, fitted in fusion.opinions.items():
            if name not in given:
                notes.append(f"The opinions were fitted with {name}, too, which is not asked now.")
            elif fitted.model != given[name].model:
                notes.append(
                    f"The opinion {name} was fitted with {fitted.model or 'no model'} and is asked of"
                    f" {given[name].model or 'no model'}: it is shown and decides nothing; fit it with `rfnet fuse`."
                )
            else:
                same[name] = fitted
        unknown = sorted(given.keys() - fusion.opinions.keys())
        if unknown := [name for name in unknown if not given[name].proof]:
            notes.append(f"{', '.join(unknown)} was not fitted: it is shown and decides nothing.")
        kept = Fusion(
            rfnet=fusion.rfnet, bias=fusion.bias, opinions=same, threshold=fusion.threshold, about=fusion.about
        )
        return kept if same else None, notes


def decided_by(alone, fused, accepted_alone, accepted, pulls: dict) -> list[str]:
    """Who decided each of B verdicts: RFNet where the verdict is the same without opinions; else the opinion that
    pulled most towards it. alone, fused (B, 5) probabilities; accepted (B,) bool; pulls {name: (B, 4)}.
    """
    deciders = []
    for row in range(len(fused)):
        label, kept = int(fused[row].argmax()), bool(accepted[row])
        same = kept == bool(accepted_alone[row]) and (kept or label == int(alone[row].argmax()))
        if same or not pulls:
            deciders.append(RFNET)
            continue
        # towards acceptance: the opinion that most lowers the likeliest defect; else the one that most raises it
        defect = int((alone if kept else fused)[row, 1:].argmax())
        sign = -1 if kept else 1
        deciders.append(max(pulls, key=lambda name: sign * float(pulls[name][row, defect])))
    return deciders


def shown(values: torch.Tensor) -> dict:
    """Evidence (4,) as {defect: log-odds} of those that are known."""
    return {defect: round(value, 3) for defect, value in zip(DEFECTS, values.tolist()) if value == value}
