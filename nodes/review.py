"""RFLoadReviewer and RFReview: the reviewer inside ComfyUI's memory manager, and its verdict on a batch."""

import json

import comfy.model_management
import comfy.model_patcher
import folder_paths
import torch
from comfy_api.latest import io
from comfy_execution.graph import ExecutionBlocker

from .edge import CATEGORY, THRESHOLD_TOOLTIP, Product, Reviewer, channels_first, from_pictures, stop_if_cancelled
from .folders import path_of, state_of


class LoadedReviewer:
    """A reviewer whose weights ComfyUI moves to the device when it is asked, and away when room is needed."""

    def __init__(self, path: str):
        from ..rfnet.weights import load_reviewer

        self.reviewer = load_reviewer(path)
        self.patcher = comfy.model_patcher.ModelPatcher(
            self.reviewer, load_device=comfy.model_management.get_torch_device(), offload_device=comfy.model_management.unet_offload_device()
        )

    def review(self, images: torch.Tensor, canvas, threshold: float):
        """Reviews (B, 3, H, W) in [0, 1]; a threshold of 0 takes the reviewer's own. Returns an rfnet.reviewer.Review."""
        comfy.model_management.load_models_gpu([self.patcher])
        return self.reviewer.review(images.to(self.patcher.load_device), canvas, threshold or None)


class RFLoadReviewer(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RFLoadReviewer",
            display_name="RF Load Reviewer",
            category=CATEGORY,
            description="Loads an RFNet reviewer: the one that ships with the pack, or one of your own from models/rfnet.",
            inputs=[
                io.Combo.Input(
                    "reviewer_name",
                    options=folder_paths.get_filename_list("rfnet"),
                    tooltip="A reviewer's weights (.safetensors) from models/rfnet, or rfnet_compact.safetensors, which ships with the pack.",
                )
            ],
            outputs=[Reviewer.Output("reviewer", display_name="reviewer", tooltip="For the cyclic sampler and the review.")],
        )

    @classmethod
    def fingerprint_inputs(cls, reviewer_name):
        return state_of("rfnet", reviewer_name)

    @classmethod
    def execute(cls, reviewer_name) -> io.NodeOutput:
        return io.NodeOutput(LoadedReviewer(path_of("rfnet", reviewer_name)))


class RFReview(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RFReview",
            display_name="RF Review",
            category=CATEGORY,
            description="Sorts a batch of pictures into those fit to publish and those that are not, and says why.",
            inputs=[
                io.Image.Input("images", tooltip="Pictures painted around the product, of the canvas's size."),
                Reviewer.Input("reviewer", tooltip="From RF Load Reviewer."),
                Product.Input("product", tooltip="From the RF Product node that these pictures were made with."),
                io.Float.Input("threshold", default=0.0, min=0.0, max=1.0, step=0.01, tooltip=THRESHOLD_TOOLTIP),
            ],
            outputs=[
                io.Image.Output("accepted", display_name="accepted images", tooltip="Fit to publish. When there is none, the nodes behind this output do not run."),
                io.Image.Output("rejected", display_name="rejected images", tooltip="Not fit. When there is none, the nodes behind this output do not run."),
                io.String.Output("report", display_name="report", tooltip="One entry per picture as JSON: label, probabilities, accepted."),
                io.Image.Output("annotated", display_name="annotated preview", tooltip="All pictures with a green or red frame and the verdict."),
            ],
        )

    @classmethod
    def execute(cls, images, reviewer, product, threshold) -> io.NodeOutput:
        from ..rfnet.reviewer import annotate

        stop_if_cancelled()
        pictures = channels_first(images)
        review = reviewer.review(pictures, product, threshold)
        accepted = review.accepted.cpu().bool()
        report = json.dumps(review.rows(), ensure_ascii=False, indent=2)
        return io.NodeOutput(some(images[accepted]), some(images[~accepted]), report, from_pictures(annotate(pictures, review)))


def some(images: torch.Tensor):
    """The images, or what tells ComfyUI to leave out the branch behind: most nodes fail on an empty batch."""
    return images if len(images) else ExecutionBlocker(None)
