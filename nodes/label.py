"""RFLabel: pictures go into a dataset on disk, and the buttons below the node (web/js/label.js) give each of them its
label, now or later.
"""

import json
from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..rfnet.data import labelling
from ..rfnet.data.answers import answers_in
from .checked import checked
from .learning import NOBODY, check_labeller, learning_inputs, study_of
from .types import CATEGORY, Product, channels_first, stop_if_cancelled, to_picture


@checked(
    checks={"dataset": lambda name: dataset_folder(name), "labeller": check_labeller},
    advanced=("blind", "learner", "labeller"),
    aliases=("annotate", "rate images", "label dataset", "quality check"),
)
class RFLabel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RFLabel",
            display_name="RF Label",
            category=CATEGORY,
            description=(
                "Keeps pictures in a dataset on disk and lets you say with five buttons what is wrong with each: what"
                " RF Adapt Reviewer and `rfnet train` learn from."
            ),
            inputs=[*label_inputs(), *learning_inputs()],
            outputs=[
                io.String.Output(
                    "dataset_name", display_name="dataset", tooltip="The dataset's name: connect to RF Adapt Reviewer."
                ),
                io.String.Output(
                    "summary",
                    display_name="summary",
                    tooltip=(
                        "What was added, how many are labelled, how many are missing, and where the table for `rfnet"
                        " train` lies."
                    ),
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, images, product, dataset, blind, prompt="", report="", learner=NOBODY, labeller=""
    ) -> io.NodeOutput:
        from ..cyclic.remedies import replaced
        from ..rfnet.finished import cut_out
        from ..rfnet.reviewer import check

        labels = labelling.LabelFolder(dataset_folder(dataset))
        pictures = channels_first(images)
        check(pictures, product)
        rows, notes = rows_in(report, len(pictures))
        added = known = 0
        for picture, row in zip(pictures, rows):
            stop_if_cancelled()
            if left_out(row):
                continue
            verdict = {"label": row["label"], "probability": row["probabilities"][row["label"]]} if row else None
            # where RF Remedies had moved it
            placed = replaced(product, {change["remedy"]: change["after"] for change in row.get("remedies", ())})
            is_new = labels.add(
                to_picture(picture),
                cut_out(placed),
                product.product.fingerprint,
                product.product.caption,
                prompt,
                verdict,
                answers=answers_in(row),
            )
            added += is_new
            known += not is_new
        contents = labels.read()
        study_of(labels, learner, contents)  # it looks at the new pictures while the graph goes on
        if contents.labels:
            labels.write_table()
        counted = [f"{added} pictures added to {dataset}"] + [f"{known} were there already"] * bool(known) + notes
        summary = f"{', '.join(counted)}.\n{contents}\nTable for rfnet train: {labels.table}"
        return io.NodeOutput(dataset, summary, ui={"dataset": [dataset]})


def label_inputs() -> list:
    return [
        io.Image.Input(
            "images",
            tooltip=(
                "Pictures painted around the product, of the canvas's size. Each is kept once, however often"
                " the graph runs."
            ),
        ),
        Product.Input("product", tooltip="From the RF Product node that these pictures were made with."),
        io.String.Input(
            "dataset",
            default="my_labels",
            tooltip=(
                "Folder below output/labels that keeps them. Letters, digits, - and _. Products may share a dataset."
            ),
        ),
        io.Boolean.Input(
            "blind",
            default=True,
            tooltip=(
                "Hides what the reviewer said, so that it doesn't sway you. Leave it on when a reviewer is measured or"
                " trained with these labels."
            ),
        ),
        io.String.Input(
            "prompt",
            default="",
            optional=True,
            tooltip="The scene's prompt, shown beside the picture and kept with it.",
        ),
        io.String.Input(
            "report",
            force_input=True,
            optional=True,
            tooltip=(
                "From RF Cyclic Sampler or RF Review: the reviewer's verdicts on these pictures, and what second"
                " opinions said. Attempts that were stopped early are then left out."
            ),
        ),
    ]


def dataset_folder(name: str) -> Path:
    """The dataset's folder below ComfyUI's output folder. Raises ValueError on what could lead elsewhere."""
    return labelling.dataset_folder(folder_paths.get_output_directory(), name)


def rows_in(report: str, count: int) -> tuple[list, list]:
    """([the row of each of count pictures, {} where nothing is known], [notes for the summary]) from a report of RF
    Review or of a cyclic sampler.
    """
    from ..cyclic.remedies import Policy

    if not report.strip():
        return [{}] * count, []
    try:
        rows = rows_of(json.loads(report), count)
        if rows is None:
            return [{}] * count, ["the report is of other pictures and was not used"]
        stopped = sum(left_out(row) for row in rows)
        for row in rows:  # another kind of report has none of this
            if not left_out(row):
                float(row["probabilities"][row["label"]])
                answers_in(row)
                Policy().begin_at(row.get("remedies", []))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return [{}] * count, ["the report is not from RF Review or RF Cyclic Sampler and was not used"]
    return rows, [f"{stopped} stopped early or broken were left out"] * bool(stopped)


def left_out(row: dict) -> bool:
    """Whether an attempt shows no finished picture."""
    return bool(row.get("dropped") or row.get("error"))


def rows_of(report, count: int):
    """The report's rows of these pictures: RF Review's, or the sampler's of all attempts or of what it gave back; None
    where the numbers don't fit.
    """
    if isinstance(report, list):
        return report if len(report) == count else None
    attempts = report["attempts"]
    returned = [number for number in [report["returned"]] if number]
    given_back = (report.get("results") or report["usable"] or returned)[:count]
    return next(
        (rows for rows in (attempts, [attempts[number - 1] for number in given_back]) if len(rows) == count), None
    )
