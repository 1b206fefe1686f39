"""RFAdaptReviewer: a reviewer learns from the labels that RF Label collected, and is kept only if it is no worse on
pictures that it did not learn from.
"""

import json
from pathlib import Path

import comfy.model_management
import comfy.utils
import folder_paths
import torch
from comfy_api.latest import io, ui
from server import PromptServer

from ..rfnet.data.labelling import NAME
from ..rfnet.training.methods import METHODS
from .checked import checked
from .folders import PACK
from .inputs import quoted
from .label import dataset_folder
from .review import LoadedReviewer
from .types import CATEGORY, Reviewer, stop_if_cancelled

DRAWN = (
    PACK / "pocket" / "training" / "drawn_split"
)  # labelled pictures of the pocket family; in the repository, not in a release


@checked(
    checks={"dataset": dataset_folder, "result_name": lambda name: check_name(name)},
    advanced=("epochs", "learning_rate", "seed", "mix_in", "keep_worse"),
    aliases=("train reviewer", "fine-tune reviewer", "learn from labels"),
)
class RFAdaptReviewer(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RFAdaptReviewer",
            display_name="RF Adapt Reviewer",
            category=CATEGORY,
            description=(
                "Lets a reviewer learn from your own labels, in the way that cross-validation likes best, and measures"
                " it before and after on pictures that it did not learn from. A worse one is thrown away."
            ),
            inputs=adapting_inputs(),
            outputs=[
                Reviewer.Output(
                    "adapted",
                    display_name="reviewer",
                    tooltip="The adapted reviewer, or the old one if that is better.",
                ),
                io.Boolean.Output(
                    "kept", display_name="kept", tooltip="Whether the adapted one is no worse, and was written."
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="Why, with all scores before and after and their 95 % intervals, as JSON.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, dataset=None, **inputs):
        """New labels are a reason to train again.

        Where another node gives the dataset's name, those of any dataset are.
        """
        name = dataset if isinstance(dataset, str) and NAME.fullmatch(dataset) else "*"
        journals = (Path(folder_paths.get_output_directory()) / "labels").glob(f"{name}/journal.jsonl")
        return str(sorted((path.parent.name, path.stat().st_size) for path in journals))

    @classmethod
    def execute(
        cls,
        reviewer,
        dataset,
        result_name,
        epochs,
        learning_rate,
        seed,
        mix_in=True,
        method="auto",
        keep_worse=False,
    ) -> io.NodeOutput:
        from ..rfnet.data.errors import DataError
        from ..rfnet.data.labelling import LabelFolder
        from ..rfnet.training.adapt import adapt

        out = own_path(result_name)
        if not reviewer.own_maps:
            raise DataError(
                "this reviewer uses a depth or saliency model of yours: adapt it with `rfnet maps` and `rfnet train`"
                " (docs/reviewer.md), or load it with its built-in maps."
            )
        mixed = {name: str(DRAWN / name) for name in ("train", "val") if mix_in and (DRAWN / name).is_dir()}
        comfy.model_management.unload_all_models()  # training needs the room
        # ComfyUI runs nodes in inference mode, where nothing can be trained; and other nodes' random numbers are not
        # training's to change.
        with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng():
            folder = dataset_folder(dataset)
            page = folder / f"report_{result_name}"
            progress = shown_on(cls.hidden.unique_id)
            adapted = adapt(
                reviewer.path,
                LabelFolder(folder),
                out,
                epochs,
                learning_rate,
                seed,
                mixed,
                progress,
                comfy.model_management.cpu_mode(),
                method,
                keep_worse,
                progress.tell,
                page,
            )
        report = json.dumps(adapted.report, ensure_ascii=False, indent=2)
        said = f"{adapted.report['reason']}\n{page / 'index.html'}"
        return io.NodeOutput(
            LoadedReviewer(str(adapted.path)) if adapted.path else reviewer,
            adapted.path is not None,
            report,
            ui={**ui.PreviewText(said).as_dict(), "report": [report]},
        )


def adapting_inputs() -> list:
    return [
        Reviewer.Input(
            "reviewer",
            tooltip=(
                "What to start from, with its own maps. Start from the shipped one each time, not from an"
                " adapted one: that has seen some of your labels."
            ),
        ),
        io.String.Input(
            "dataset",
            default="my_labels",
            tooltip=(
                "The dataset of RF Label: its name, or connect its output. At least 20 labels, 200 are recommended."
            ),
        ),
        io.String.Input(
            "result_name",
            default="my_reviewer",
            tooltip=("The new file's name in models/rfnet, without ending. An existing file is never overwritten."),
        ),
        *learning_inputs(),
    ]


def learning_inputs() -> list:
    return [
        io.Int.Input(
            "epochs",
            default=4,
            min=1,
            max=100,
            tooltip="How often training a network goes through the labels. A head needs no epochs. Start with 4.",
        ),
        io.Float.Input(
            "learning_rate",
            default=2e-4,
            min=1e-6,
            max=1e-2,
            step=1e-5,
            round=1e-6,
            tooltip="How large the steps are. Start with 0.0002; lower it when the report says that it got worse.",
        ),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=2**31 - 1,
            tooltip=(
                "Decides the order of the pictures and how they are varied. It does not change how the dataset is"
                " divided."
            ),
        ),
        io.Boolean.Input(
            "mix_in",
            default=True,
            optional=True,
            tooltip=(
                "Mixes in the labelled pictures of the repository (pocket/training/drawn_split), if they are there. The"
                " reviewer then forgets less, and sees labels that are missing in yours."
            ),
        ),
        io.Combo.Input(
            "method",
            options=list(METHODS),
            default="auto",
            optional=True,
            tooltip=(
                "auto: what cross-validation likes best. head: fits a head on the reviewer's features, in seconds."
                " low_rank: small changes of all weights. full: trains the whole network on."
            ),
        ),
        io.Boolean.Input(
            "keep_worse",
            default=False,
            optional=True,
            tooltip="Write the adapted reviewer even if the old one is better.",
        ),
    ]


def shown_on(node_id: str):
    """What shows an adaptation on its node, and notices a cancel before each pass of a network."""
    from ..rfnet.training.adapt import Progress

    bar = comfy.utils.ProgressBar(1, node_id=node_id)

    def say(text: str, done: int, steps: int) -> None:
        if steps:
            bar.update_absolute(done, steps)
        PromptServer.instance.send_progress_text(text, node_id, PromptServer.instance.client_id)

    return Progress(say, stop_if_cancelled)


def check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise ValueError(
            f'{quoted(name)} can\'t name a reviewer: use letters, digits, "-" and "_", without folders and ending.'
        )


def own_path(name: str) -> Path:
    """Where a new reviewer is written: models/rfnet.

    Raises ValueError on a name that isn't plain, FileExistsError on one that is taken.
    """
    check_name(name)
    file = f"{name}.safetensors"
    if folder_paths.get_full_path("rfnet", file):
        raise FileExistsError(
            f"there is a reviewer {file} already: choose another result_name, or take this one with RF Load Reviewer."
        )
    return Path(folder_paths.get_folder_paths("rfnet")[0]) / file
