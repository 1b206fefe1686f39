"""RFProductFolder: a folder of products as one queue entry.

What is behind it runs once per product and prompt, and a gallery on disk keeps what comes of it.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import comfy.model_management
import folder_paths
import numpy as np
import torch
from comfy_api.latest import io, ui
from comfy_execution.graph import ExecutionBlocker
from PIL import Image
from server import PromptServer

from ..cyclic.gallery import Gallery, Job
from ..cyclic.gallery import jobs as jobs_of
from ..rfnet.cut_outs import read_folder
from ..rfnet.files import is_safe_name
from ..rfnet.pictures import PictureError, open_picture
from .checked import checked
from .inputs import quoted
from .roots import folder_in_reach
from .types import CATEGORY, stop_if_cancelled
from .types import Job as JobSocket

LARGEST = 768  # pixels of a product on its longer side: what RF Product puts on a canvas of 1024
JOB_OUTPUT = 5


@dataclass(frozen=True)
class ListedJob:
    """What travels on an RF_JOB socket: a job of a gallery, as number of count in its list; those done before this
    run are counted.
    """

    gallery: Gallery
    job: Job
    number: int
    count: int

    @property
    def text(self) -> str:
        """A line for a progress bar begins so: "product 3/40"."""
        return f"product {self.number}/{self.count}"

    @property
    def title(self) -> str:
        """What a page calls it: "a red mug (3/40)"."""
        return f"{self.job.caption or self.job.file} ({self.number}/{self.count})"


def keep(listed: ListedJob, run_report: dict, pictures: list) -> None:
    """Keeps a run of the cyclic sampler in its gallery.

    run_report: RecurrentRun.report(), further keys are kept; pictures: a Pillow picture of each attempt, in order.
    Raises OSError with folder and remedy: what was kept before is safe, and the list goes on with this job.
    """
    listed.gallery.keep(listed.job, pictures, run_report)


@checked(
    checks={
        "folder": lambda name: product_folder(name),
        "prompts": lambda prompts: prompts_of(prompts),
        "gallery": lambda name: gallery_folder(name),
    },
    advanced=("at_most",),
    aliases=("product list", "catalogue", "batch of products", "folder of images", "product ad"),
    in_between=True,
)
class RFProductFolder(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RFProductFolder",
            display_name="RF Product Folder",
            category=CATEGORY,
            description=(
                "A folder of products with a list of prompts in one queue entry. Pictures, verdicts and costs go into"
                " a gallery with a page to look at; a stopped run goes on where it was."
            ),
            inputs=list_inputs(),
            outputs=job_outputs(),
            hidden=[io.Hidden.unique_id, io.Hidden.prompt],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs):
        return time.time()  # what is to do lies on disk

    @classmethod
    def execute(cls, folder, prompts, gallery, seed, at_most=0) -> io.NodeOutput:
        opened = Gallery(gallery_folder(gallery))
        texts = prompts_of(prompts)
        files = read_folder(product_folder(folder))
        wanted, broken = jobs_of(files.items, texts, seed)
        broken = {**files.broken, **broken}
        ready, broken = load([job for job in wanted if not opened.done(job)], at_most, broken)
        wanted = [job for job in wanted if job.file not in broken or opened.done(job)]
        if not wanted:
            raise PictureError(
                "none of the product pictures can be used: "
                + " ".join(f'"{file}": {reason}' for file, reason in broken.items())
            )
        opened.begin(wanted, broken)

        done = len(wanted) - len(opened.to_do)
        listed = [ListedJob(opened, job, done + number, len(wanted)) for number, (job, _, _) in enumerate(ready, 1)]
        summary = summary_of(
            opened, len(wanted), len(ready), connected(cls.hidden.prompt, cls.hidden.unique_id), files.left_out
        )
        PromptServer.instance.send_progress_text(summary, cls.hidden.unique_id, PromptServer.instance.client_id)
        shown = ui.PreviewText(summary).as_dict()
        if (
            not ready
        ):  # ComfyUI ends with "list index out of range" behind an empty list, and quietly behind a blocked one
            return io.NodeOutput(*[[ExecutionBlocker(None)]] * 6, summary, ui=shown)
        drawn = [job for job, _, _ in ready]
        return io.NodeOutput(
            [image for _, image, _ in ready],
            [mask for _, _, mask in ready],
            [job.caption for job in drawn],
            [job.prompt for job in drawn],
            [job.seed for job in drawn],
            listed,
            summary,
            ui=shown,
        )


def list_inputs() -> list:
    return [
        io.String.Input(
            "folder",
            default="",
            tooltip=(
                "Folder of product cut-outs with transparency (PNG, WebP, TIFF, AVIF, GIF), below ComfyUI's input,"
                " output or models folder, or one that reliable_ads_folders.txt lists. A caption stands in a .txt of"
                " the same name, or is the file's name."
            ),
        ),
        io.String.Input(
            "prompts",
            default="",
            multiline=True,
            tooltip=(
                "One prompt per line. Every product is drawn with every prompt; {caption} stands for the product's"
                " caption."
            ),
        ),
        io.String.Input(
            "gallery",
            default="my_products",
            tooltip=(
                "Folder below ComfyUI's output folder that takes pictures and index.html. What it has already is not"
                " drawn again: use another gallery for other models or settings, or delete a picture to have it drawn"
                " again."
            ),
        ),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=2**64 - 1,
            control_after_generate=True,
            tooltip=(
                "Each product and prompt gets a seed of its own from this one, whatever else is in the folder."
                " The page names it."
            ),
        ),
        io.Int.Input(
            "at_most",
            default=0,
            min=0,
            max=1000000,
            optional=True,
            tooltip=(
                "Draw no more than so many in this run; queue again to go on. 0: all, or as many as fit into memory."
            ),
        ),
    ]


def job_outputs() -> list:
    return [
        io.Image.Output(
            "image",
            display_name="image",
            is_output_list=True,
            tooltip="The product pictures, one after the other: connect to RF Product.",
        ),
        io.Mask.Output(
            "mask",
            display_name="mask",
            is_output_list=True,
            tooltip=(
                "White where they are transparent, as Load Image gives it: connect to RF Product, mask_marks"
                " background."
            ),
        ),
        io.String.Output(
            "caption", display_name="caption", is_output_list=True, tooltip="Connect to RF Product's caption."
        ),
        io.String.Output(
            "prompt",
            display_name="prompt",
            is_output_list=True,
            tooltip="Connect to the text of CLIP Text Encode.",
        ),
        io.Int.Output(
            "job_seed",
            display_name="seed",
            is_output_list=True,
            tooltip="Connect to RF Cyclic Sampler's seed.",
        ),
        JobSocket.Output(
            "job",
            display_name="job",
            is_output_list=True,
            tooltip="Connect to RF Cyclic Sampler, which then keeps its pictures in the gallery.",
        ),
        io.String.Output(
            "summary",
            display_name="summary",
            tooltip="What is to do, what is done, where the page lies, and which files can't be used.",
        ),
    ]


def product_folder(name: str, node: str = "RF Product Folder") -> Path:
    """The folder that the user means: a name below ComfyUI's input folder, or the path of one that may be read
    (roots.py). Raises ValueError.
    """
    return folder_in_reach(name, node)


def prompts_of(text: str) -> list[str]:
    """The prompts, one a line. Raises ValueError where there is none."""
    prompts = [line.strip() for line in text.splitlines() if line.strip()]
    if not prompts:
        raise ValueError(
            'RF Product Folder has no prompt: write one per line into "prompts", such as: {caption} on a wooden table,'
            " soft daylight"
        )
    return prompts


def gallery_folder(name: str) -> Path:
    """The gallery's folder below ComfyUI's output folder. Raises ValueError on a name that could lead elsewhere."""
    if not is_safe_name(name):
        raise ValueError(f'{quoted(name)} can\'t name a gallery: use letters, digits, "-" and "_", without folders.')
    return Path(folder_paths.get_output_directory()) / name


def load(pending: list, at_most: int, broken: dict) -> tuple[list, dict]:
    """([(job, IMAGE (1, H, W, 3), MASK (1, H, W) with 1 = transparent)], {file: reason} with those that can't be used
    added).

    ComfyUI finishes a node for the whole list before the next one begins, so that all products are in memory at once:
    this stops at at_most, or at half the free memory. Prompts of one product share its tensors.
    """
    ready = []
    broken = dict(broken)
    tensors = {}
    memory = comfy.model_management.get_free_memory(torch.device("cpu")) / 2
    for job in pending:
        if ready and (len(ready) == at_most or memory < 0):
            break
        if job.file in broken:
            continue
        if job.path not in tensors:
            stop_if_cancelled()
            try:
                tensors = {job.path: read_product(job.path)}  # jobs come product by product
            except PictureError as error:
                broken[job.file] = str(error).replace(
                    f'"{job.path.name}"', "it", 1
                )  # lists name the file before the reason
                continue
        ready.append((job, *tensors[job.path]))
        memory -= footprint(tensors[job.path][1])
    return ready, broken


def footprint(mask: torch.Tensor) -> int:
    """About how many bytes a job takes until the run ends: the picture here and in RF Product, four floats a pixel
    each, and what the nodes behind make of it.
    """
    return 32 * mask.numel() + 40 * 2**20


def read_product(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """A product file as IMAGE and MASK, scaled down where the product itself is larger than LARGEST.

    Raises PictureError on what RF Product would refuse.
    """
    from ..rfnet.product import Product

    rgba = Product.from_arrays(shrunk(open_picture(path))).rgba
    return torch.from_numpy(rgba[..., :3].copy())[None], 1 - torch.from_numpy(rgba[..., 3].copy())[None]


def shrunk(rgba: np.ndarray) -> np.ndarray:
    """(H, W, 4) in [0, 1], the product at most LARGEST on its longer side, with whatever is around it."""
    picture = Image.fromarray((rgba * 255 + 0.5).astype(np.uint8), "RGBA")
    left, top, right, bottom = picture.getchannel("A").getbbox() or (0, 0, 1, 1)
    scale = LARGEST / max(right - left, bottom - top)
    if scale >= 1:
        return rgba
    size = [max(1, round(side * scale)) for side in picture.size]
    return (
        np.asarray(picture.resize(size, Image.Resampling.LANCZOS), np.float32) / 255
    )  # Pillow premultiplies alpha while it resizes RGBA


def connected(prompt: dict | None, node_id: str) -> bool:
    """Whether something takes the job output; without it nothing would be kept."""
    links = (value for node in (prompt or {}).values() for value in node["inputs"].values() if isinstance(value, list))
    return any(link == [node_id, JOB_OUTPUT] for link in links)


def summary_of(gallery: Gallery, count: int, now: int, keeping: bool, left_out: str = "") -> str:
    """The run in a few lines for the user. left_out: what of the folder is no product picture."""
    left = len(gallery.to_do) - now
    lines = [f"{count - len(gallery.to_do)} of {count} are in the gallery, {now} to draw in this run."]
    if not now:
        lines = [
            f"All {count} are in the gallery, nothing is left to draw: add products or prompts, choose another gallery,"
            " or delete a picture to have it drawn again."
        ]
    if left:
        lines.append(f"{left} more are left for later runs: queue again to go on.")
    if now and not keeping:
        lines.append("Nothing will be kept: connect the job output to RF Cyclic Sampler.")
    lines += [f"Left out: {file}: {reason}" for file, reason in gallery.broken.items()]
    lines += [f"Left out: {left_out}."] if left_out else []
    return "\n".join([*lines, f"Page: {gallery.folder / 'index.html'}"])
