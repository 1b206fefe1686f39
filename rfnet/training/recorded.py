"""Second opinions that can't be asked here, such as a model that ComfyUI runs: what they said there, as RF Label kept
it beside the pictures.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..data.errors import DataError
from ..data.labelling import JOURNAL, LabelFolder
from ..data.samples import Samples
from ..opinions.protocol import DEFECTS, dont_know
from .fuse import Evidence


@dataclass
class Recorded:
    """answers: {picture's key: {opinion: answers.Answer}}; models: {opinion: the model whose answers count}, since a
    layer holds for one: the one that was asked most often.
    """

    answers: dict[str, dict]
    models: dict[str, str]

    @classmethod
    def read(cls, data, names: list[str]) -> "Recorded":
        """What these opinions said of the pictures of a dataset of RF Label. Raises DataError where one said none."""
        if not names:
            return cls({}, {})
        if not (Path(data) / JOURNAL).is_file():
            raise DataError(f'"{data}" is no dataset of RF Label, which alone keeps answers: leave --recorded out.')
        answers = LabelFolder(data).read().answers
        models = {}
        for name in names:
            asked = Counter(said[name].model for said in answers.values() if name in said)
            if not asked:
                known = ", ".join(sorted({each for said in answers.values() for each in said})) or "none"
                raise DataError(
                    f"no answer of {name} is kept beside the pictures (kept: {known}): connect RF Opinions to RF Review"
                    " or the sampler, and its report to RF Label."
                )
            models[name] = asked.most_common(1)[0][0]
        return cls(answers, models)

    def beside(self, evidence: Evidence, samples: Samples) -> Evidence:
        """The evidence with these answers in it; a picture without one of that model's is one that it doesn't know."""
        assert evidence.samples is not None  # as fuse.collect gives it
        keys = [Path(samples.files["image"].name(row)).stem for row in evidence.samples]
        columns = {name: self._column(name, keys) for name in self.models}
        notes = [
            f"{name}: {missing} of {len(keys)} pictures have no answer of {self.models[name] or 'it'}."
            for name in columns
            if (missing := sum(not self._knows(name, key) for key in keys))
        ]
        return replace(
            evidence,
            opinions={**evidence.opinions, **columns},
            models={**evidence.models, **self.models},
            notes=[*notes, *evidence.notes],
        )

    def _column(self, name: str, keys: list[str]) -> torch.Tensor:
        """(N, 4)."""
        values = dont_know(len(keys))
        for row, key in enumerate(keys):
            if self._knows(name, key):
                said = self.answers[key][name].evidence
                values[row] = torch.tensor([said.get(defect, torch.nan) for defect in DEFECTS])
        return values

    def _knows(self, name: str, key: str) -> bool:
        answer = self.answers.get(key, {}).get(name)
        return answer is not None and answer.model == self.models[name]
