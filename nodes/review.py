"""RFLoadReviewer and RFReview: the reviewer inside ComfyUI's memory manager, and its verdict on a batch."""

import json
from copy import copy

import comfy.model_management
import comfy.model_patcher
import folder_paths
import torch
from comfy_api.latest import io
from comfy_execution.graph import ExecutionBlocker

from ..rfnet.risks import doubt
from .checked import checked
from .folders import BUILT_IN, depth_models, model_path, path_of, saliency_models, state_of
from .strip import reviewed
from .types import (
    CATEGORY,
    THRESHOLD_TOOLTIP,
    Product,
    Reviewer,
    accept_input,
    channels_first,
    from_pictures,
    one_channel,
    opinions_input,
    stop_if_cancelled,
    to_picture,
)


class LoadedReviewer:
    """A reviewer whose weights ComfyUI moves to the device when it is asked, and away when room is needed.

    alone: the same without second opinions.
    """

    def __init__(self, path: str, depth=None, saliency=None):
        from ..rfnet.weights import load_reviewer

        self.path = path
        self.reviewer = load_reviewer(path, depth=depth, saliency=saliency)
        self.own_maps = not (depth or saliency) and set(self.reviewer.trained_maps.values()) == {
            self.reviewer.maps.name
        }
        self.patcher = comfy.model_patcher.ModelPatcher(
            self.reviewer,
            load_device=comfy.model_management.get_torch_device(),
            offload_device=comfy.model_management.unet_offload_device(),
        )
        self.alone, self.judge = self, self.reviewer

    def with_opinions(self, opinions: list | None) -> "LoadedReviewer":
        """This reviewer with second opinions beside it; itself without any."""
        from ..rfnet.opinions.panel import Panel

        if not opinions:
            return self
        advised = copy(self)
        advised.judge = Panel(self.reviewer, opinions, stop_if_cancelled)
        return advised

    def threshold_for(self, accept: str, threshold: float) -> float:
        """The least p(available) to accept, from the node's two inputs; a threshold of 0 takes the reviewer's own.

        Raises ReviewError.
        """
        return self.judge.threshold_for(accept, threshold or None)

    def review(self, images: torch.Tensor, canvas, threshold: float, depth=None, saliency=None):
        """Reviews (B, 3, H, W) in [0, 1]; a threshold of 0 takes the reviewer's own; depth, saliency (B, 1, H, W) or
        None for its own. Returns an rfnet.reviewer.Review.
        """
        self._load()
        return self.judge.review(
            images, canvas, threshold or None, depth, saliency
        )  # which takes them to the device a few at a time

    def explain(self, images: torch.Tensor, canvas, review):
        """Why these reviewed images (B, 3, H, W) got their verdicts. Returns an rfnet.explain.Explanation."""
        from ..rfnet.explain import explain

        self._load()
        return explain(self.reviewer, images, canvas, review=review)

    def _load(self) -> None:
        comfy.model_management.load_models_gpu(
            [self.patcher], force_full_load=True
        )  # in part it could not run: parameters that are no layer's would stay behind


@checked(
    checks={
        "reviewer_name": lambda name: path_of("rfnet", name),
        "depth_model": lambda name: model_path(name, depth_models()),
        "saliency_model": lambda name: model_path(name, saliency_models()),
    },
    advanced=("depth_model", "saliency_model"),
    aliases=("quality check", "reward model", "RFNet"),
)
class RFLoadReviewer(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RFLoadReviewer",
            display_name="RF Load Reviewer",
            category=CATEGORY,
            description=(
                "Loads an RFNet reviewer: the one that ships with the pack, or one of your own from models/rfnet."
            ),
            inputs=[
                io.Combo.Input(
                    "reviewer_name",
                    options=folder_paths.get_filename_list("rfnet"),
                    tooltip=(
                        "A reviewer's weights (.safetensors) from models/rfnet, or rfnet_compact.safetensors, which"
                        " ships with the pack."
                    ),
                ),
                io.Combo.Input(
                    "depth_model",
                    options=[BUILT_IN, *depth_models()],
                    default=BUILT_IN,
                    optional=True,
                    tooltip=(
                        "What estimates depth: the reviewer's own, or a DPT or Depth-Anything folder below"
                        " models/depth, models/dpt or models/depthanything. Take the one that the reviewer was trained"
                        " with."
                    ),
                ),
                io.Combo.Input(
                    "saliency_model",
                    options=[BUILT_IN, *saliency_models()],
                    default=BUILT_IN,
                    optional=True,
                    tooltip=(
                        "What finds what stands out: the reviewer's own, or a U2-Net or BiRefNet .onnx file below"
                        " models/rembg, models/u2net or models/birefnet."
                    ),
                ),
            ],
            outputs=[
                Reviewer.Output("reviewer", display_name="reviewer", tooltip="For the cyclic sampler and the review.")
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, reviewer_name, depth_model=BUILT_IN, saliency_model=BUILT_IN):
        return f"{state_of('rfnet', reviewer_name)} {depth_model} {saliency_model}"

    @classmethod
    def execute(cls, reviewer_name, depth_model=BUILT_IN, saliency_model=BUILT_IN) -> io.NodeOutput:
        maps = {
            "depth": model_path(depth_model, depth_models()),
            "saliency": model_path(saliency_model, saliency_models()),
        }
        return io.NodeOutput(LoadedReviewer(path_of("rfnet", reviewer_name), **maps))


@checked(advanced=("accept",), aliases=("quality check", "score images", "filter images", "reject bad images"))
class RFReview(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RFReview",
            display_name="RF Review",
            category=CATEGORY,
            description="Sorts a batch of pictures into accepted and rejected ones, and says why.",
            inputs=[
                io.Image.Input("images", tooltip="Pictures painted around the product, of the canvas's size."),
                Reviewer.Input("reviewer", tooltip="From RF Load Reviewer."),
                Product.Input("product", tooltip="From the RF Product node that these pictures were made with."),
                io.Float.Input("threshold", default=0.0, min=0.0, max=1.0, step=0.01, tooltip=THRESHOLD_TOOLTIP),
                accept_input(),
                map_input("depth", "near is white, as DPT and Depth Anything nodes give it"),
                map_input("saliency", "what stands out is white, as U2-Net and BiRefNet nodes give it"),
                opinions_input(),
            ],
            outputs=[
                io.Image.Output(
                    "accepted",
                    display_name="accepted images",
                    tooltip="The accepted pictures. If there are none, the nodes behind this output do not run.",
                ),
                io.Image.Output(
                    "rejected",
                    display_name="rejected images",
                    tooltip="The rejected pictures. If there are none, the nodes behind this output do not run.",
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip=(
                        "Label, probabilities and verdict of each picture, as JSON. For a rejected one also the"
                        " evidence: which defect, where, and from which inputs."
                    ),
                ),
                io.Image.Output(
                    "annotated",
                    display_name="annotated preview",
                    tooltip="Each picture with its verdict. Green frame: accepted; red: rejected.",
                ),
                io.Image.Output(
                    "heat",
                    display_name="heat maps",
                    tooltip=(
                        "Each picture with a heat map of its likeliest defect. Green frame: accepted; red: rejected."
                    ),
                ),
            ],
            is_output_node=True,  # it shows its verdicts; ComfyUI shows a cached result again only in such nodes
        )

    @classmethod
    def execute(
        cls, images, reviewer, product, threshold, accept="threshold", depth=None, saliency=None, opinions=None
    ) -> io.NodeOutput:
        from ..rfnet.explain import annotate_heat, overlay, rows_with_evidence
        from ..rfnet.reviewer import annotate

        stop_if_cancelled()
        reviewer = reviewer.with_opinions(opinions)
        threshold = reviewer.threshold_for(accept, threshold)
        pictures = channels_first(images)
        review = reviewer.review(pictures, product, threshold, one_channel(depth), one_channel(saliency))
        certificate = reviewer.reviewer.certificate(accept)  # pictures don't say what painted them
        review.notes += filter(None, [doubt(certificate)])
        accepted = review.accepted.cpu().bool()
        explanation = reviewer.explain(pictures, product, review)
        report = json.dumps(rows_with_evidence(review, explanation), ensure_ascii=False, indent=2)
        previews = (
            from_pictures(frames)
            for frames in (annotate(pictures, review), annotate_heat(pictures, review, explanation))
        )
        heats = map(to_picture, overlay(pictures.clamp(0, 1), explanation.heat))
        defects = [row["label"] for row in explanation.rows()]
        certified = {"certified": certificate["certified_for_this_painter"]} if certificate else {}
        strip = reviewed(review.rows(), map(to_picture, pictures), heats, defects, certified)
        return io.NodeOutput(some(images[accepted]), some(images[~accepted]), report, *previews, ui=strip)


def map_input(kind: str, meaning: str) -> io.MultiType.Input:
    """An optional input for maps that another node made."""
    tooltip = (
        f"Optional {kind} maps of the pictures, one each or one for all: {meaning}. Without them the reviewer's own;"
        " use the kind that it was trained with."
    )
    return io.MultiType.Input(kind, types=[io.Image, io.Mask], optional=True, tooltip=tooltip)


def some(images: torch.Tensor):
    """The images, or what tells ComfyUI to leave out the branch behind: most nodes fail on an empty batch."""
    return images if len(images) else ExecutionBlocker(None)
