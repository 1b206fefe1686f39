"""RFRemedies: what the sampler may change after a rejected draw."""

import json
from dataclasses import dataclass, field
from typing import Any

from comfy_api.latest import io

from ..cyclic.remedies import REMEDIES, Policy, Remedy
from .checked import checked
from .inputs import shown
from .remedy_changes import impossible
from .types import CATEGORY, ModelPatch
from .types import Remedies as RemediesSocket


@dataclass(frozen=True)
class Remedies:
    """What a graph allows.

    words: {name of a remedy: encoded conditioning}; changes: as a report lists them, to begin there; tuned: a
    CONTROL_NET to draw with after a rejection, or None; tuned_patch: a MODEL_PATCH, or None.
    """

    allowed: tuple
    words: dict
    changes: list = field(default_factory=list)
    tuned: Any = None
    tuned_patch: Any = None

    def policy(self, draw) -> tuple[Policy, dict]:
        """A new Policy for one product, and why some remedies can't be used on this draw: {name: reason}.

        Raises ValueError where the tuned ControlNet is of another family.
        """
        asked = {*self.allowed, *(change["remedy"] for change in self.changes)}
        left_out = impossible(draw, asked, self.words, self.tuned, self.tuned_patch)
        for change in self.changes:
            if why := left_out.get(change["remedy"]):
                raise ValueError(
                    f"begin_at asks for {change['remedy']}, which this graph does not offer ({why}): draw the attempt"
                    " again in the graph that the report came from."
                )
        possible = tuple(name for name in self.allowed if name not in left_out)
        return Policy(possible).begin_at(self.changes), left_out


@checked(
    checks={"begin_at": lambda text: changes_of(text)},
    advanced=("begin_at", *(remedy.name for remedy in REMEDIES)),
    aliases=("retry", "auto fix", "fix bad pictures"),
)
class RFRemedies(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RFRemedies",
            display_name="RF Remedies",
            category=CATEGORY,
            description=(
                "Lets RF Cyclic Sampler change something after a rejected picture, in small and bounded steps,"
                " instead of only drawing again."
            ),
            inputs=[
                io.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="The model's CLIP. It encodes the words below. Without it no words are added.",
                ),
                *remedy_inputs([remedy for remedy in REMEDIES if not remedy.late]),
                io.String.Input(
                    "begin_at",
                    default="",
                    tooltip=(
                        "To draw an attempt of a report again, paste its list of remedies here and give the sampler its"
                        " seed and one attempt. Leave it empty otherwise."
                    ),
                ),
                # each by itself: one that is added at the end moves no input of a saved graph
                *[each for remedy in REMEDIES if remedy.late for each in remedy_inputs([remedy])],
                io.ControlNet.Input(
                    "tuned_control_net",
                    optional=True,
                    tooltip=(
                        "The graph's ControlNet with what RFFT has learned: from RF Load ControlNet. After a rejected"
                        " picture it takes the place of the one that holds the product's outline."
                    ),
                ),
                ModelPatch.Input(
                    "tuned_model_patch",
                    optional=True,
                    tooltip=(
                        "The same for Z-Image, whose ControlNet is a model patch: model_patch of RF Load ControlNet."
                    ),
                ),
            ],
            outputs=[RemediesSocket.Output("remedies", display_name="remedies", tooltip="For RF Cyclic Sampler.")],
        )

    @classmethod
    def execute(cls, begin_at, clip=None, tuned_control_net=None, tuned_model_patch=None, **values) -> io.NodeOutput:
        encoded = {}
        for remedy in REMEDIES:
            text = values.get(words_input(remedy), "").strip()
            if text and clip is not None:
                encoded[remedy.name] = clip.encode_from_tokens_scheduled(clip.tokenize(text))
        allowed = tuple(remedy.name for remedy in REMEDIES if values.get(remedy.name))
        return io.NodeOutput(Remedies(allowed, encoded, changes_of(begin_at), tuned_control_net, tuned_model_patch))


def remedy_inputs(remedies: list[Remedy]) -> list:
    """The inputs of these remedies: all words first, then a switch for each."""
    words = [
        io.String.Input(
            words_input(remedy),
            default=remedy.words,
            multiline=True,
            optional=remedy.late,
            tooltip=remedy.words_tooltip,
        )
        for remedy in remedies
        if remedy.words
    ]
    switches = [
        io.Boolean.Input(remedy.name, default=remedy.on, optional=remedy.late, tooltip=remedy.tooltip)
        for remedy in remedies
    ]
    return [*words, *switches]


def words_input(remedy: Remedy) -> str:
    return f"{remedy.name}_words"


def changes_of(begin_at: str) -> list:
    """The remedies of one attempt in a report, none where the text is empty.

    Raises ValueError on what is no such list.
    """
    try:
        changes = json.loads(begin_at) if begin_at.strip() else []
        Policy().begin_at(changes)
    except (ValueError, RecursionError, AttributeError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else shown(str(error), 160)
        raise ValueError(
            f'begin_at is no list of remedies ({reason}): paste the value of "remedies" of one attempt in a report, or'
            " leave it empty."
        ) from error
    return changes
