"""The reviewer that learns while somebody labels with RF Label: which one, and what it knows by now."""

import functools

import folder_paths
from comfy_api.latest import io
from server import PromptServer

from ..rfnet.data.journal import LONGEST_NAME, Contents, is_name
from ..rfnet.data.labelling import LabelFolder
from .folders import path_of
from .inputs import quoted

NOBODY = "off"  # no reviewer learns, and the order is shuffled
SHIPPED = "rfnet_compact.safetensors"
EVENT = "reliable_ads.learned"


def learning_inputs() -> list:
    """RF Label's inputs that speak of it."""
    return [
        io.Combo.Input(
            "learner",
            options=[NOBODY, *folder_paths.get_filename_list("rfnet")],
            default=SHIPPED,
            optional=True,
            tooltip=(
                "The reviewer that learns after every ten labels and chooses what you see next: what it is unsure of."
                " Its file stays as it is; RF Adapt Reviewer makes a new one. off: shuffled order, for labels that"
                " shall measure a reviewer."
            ),
        ),
        io.String.Input(
            "labeller",
            default="",
            optional=True,
            tooltip=(
                "Your name, where several label one dataset. Every fifth picture is then one that another has labelled"
                " before, and the box says how far you agree."
            ),
        ),
    ]


@functools.cache
def background():
    from ..rfnet.training.background import Background  # not before somebody labels: it loads torch's optimisers

    return Background(tell)


def tell(study) -> None:
    """Tells all pages what was learned."""
    PromptServer.instance.send_sync(EVENT, {"dataset": study.folder.folder.name, **study.summary()})


def study_of(folder: LabelFolder, learner: str, contents: Contents, passed: str = ""):
    """What this reviewer knows of a dataset, a background.Study; None where nobody learns, or nothing is there to
    learn from. passed: key of a picture that was skipped.

    Raises ValueError for a name that is no reviewer's.
    """
    if learner in ("", NOBODY) or not contents.items:
        return None
    try:
        weights = path_of("rfnet", learner)
    except FileNotFoundError as error:
        raise ValueError(str(error)) from None
    return background().study(folder, weights, contents, passed)


def check_labeller(name: str) -> None:
    if name.strip() and not is_name(name.strip()):
        raise ValueError(f"{quoted(name)} can't name a labeller: give up to {LONGEST_NAME} characters of one line.")
