"""RFProduct: a product picture becomes what the sampler needs."""

import logging

import torch
from comfy_api.latest import io, ui
from server import PromptServer

from .checked import checked
from .types import CATEGORY, Product, channels_last

CLEAN, AS_CUT, COMPARE = EDGES = ("clean", "as cut", "clean, show before and after")
GROUNDS = ((0.94, 0.92, 0.88), (0.06, 0.07, 0.1))  # light and dark, on which a rim shows


@checked(
    advanced=("alpha_threshold", "position", "mask_dilation", "edges"),
    aliases=("product ad", "product photo", "cut-out", "background", "inpaint product", "canny hint"),
)
class RFProduct(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RFProduct",
            display_name="RF Product",
            category=CATEGORY,
            description=(
                "Places a product cut-out on the canvas and makes the inpaint mask and the canny hint for painting a"
                " scene around it."
            ),
            inputs=[*picture_inputs(), *canvas_inputs(), *edge_inputs()],
            outputs=product_outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        image,
        mask_marks,
        caption,
        width,
        height,
        image_scale,
        alpha_threshold,
        position,
        mask_dilation,
        mask=None,
        edges=CLEAN,
    ) -> io.NodeOutput:
        from ..rfnet.pictures import PictureError
        from ..rfnet.product import Product as ProductPicture
        from ..rfnet.product import place

        product = ProductPicture.from_arrays(first(image).numpy(), product_mask(image, mask, mask_marks), caption)
        try:
            dilation = None if mask_dilation < 0 else mask_dilation
            canvas = place(
                product, width, height, image_scale, alpha_threshold, position, dilation, clean_edges=edges != AS_CUT
            )
        except PictureError as error:  # which of a folder's products it is
            raise PictureError(f'the product "{caption}" can\'t be placed: {error}') from error
        tell(canvas.notes, cls.hidden.unique_id)
        shown = ui.PreviewImage(before_and_after(canvas), cls=cls) if edges == COMPARE else None
        return io.NodeOutput(
            canvas,
            channels_last(canvas.shown[None]),
            canvas.inpaint_mask[None],
            channels_last(canvas.hint[None]),
            ui=shown,
        )


def picture_inputs() -> list:
    """The product itself."""
    return [
        io.Image.Input(
            "image",
            tooltip=(
                "The product picture, with transparency or together with a mask. Of several frames the first is used."
            ),
        ),
        io.Mask.Input(
            "mask",
            optional=True,
            tooltip=(
                "Which pixels are the product. Connect Load Image's MASK as it is; for other masks see mask_marks."
            ),
        ),
        io.Combo.Input(
            "mask_marks",
            options=["background", "product"],
            default="background",
            tooltip=(
                "What white (1) in the mask means. Load Image gives white where the picture is transparent:"
                " background. Most segmentation nodes paint the product white: product."
            ),
        ),
        io.String.Input(
            "caption",
            default="",
            tooltip=(
                "What the product is, in a few words, such as 'a red leather handbag'. The reviewer reads it;"
                " it may be empty and in any language."
            ),
        ),
    ]


def canvas_inputs() -> list:
    """Where it stands on the canvas."""
    return [
        io.Int.Input(
            "width",
            default=512,
            min=64,
            max=4096,
            step=8,
            tooltip=(
                "Canvas width in pixels: the size the model paints best (SD 1.5: 512, the pocket models that ship:"
                " 256)."
            ),
        ),
        io.Int.Input("height", default=512, min=64, max=4096, step=8, tooltip="Canvas height in pixels."),
        io.Float.Input(
            "image_scale",
            default=0.72,
            min=0.05,
            max=1.0,
            step=0.01,
            tooltip=(
                "Largest share of the canvas's width and height that the product takes. 0.66 to 0.78 leaves room for a"
                " scene."
            ),
        ),
        io.Float.Input(
            "alpha_threshold",
            default=0.5,
            min=0.01,
            max=1.0,
            step=0.01,
            tooltip=(
                "Pixels at least this opaque are solid product. Less opaque ones, such as glass, are see-through."
                " Lower it when the product is see-through everywhere."
            ),
        ),
        io.Combo.Input(
            "position",
            options=["centre", "keep"],
            default="centre",
            tooltip=(
                "centre: crop to the product, scale and centre it. keep: leave it where it stands in its own picture."
            ),
        ),
    ]


def edge_inputs() -> list:
    """What becomes of the product's edge."""
    return [
        io.Int.Input(
            "mask_dilation",
            default=-1,
            min=-1,
            max=256,
            tooltip=(
                "How far the painted area grows, as the side of a box in pixels; half of it reaches under the product's"
                " edge, so that no outline shows. Start with -1: 20 at 512 pixels, in proportion at other sizes. Raise"
                " it when an outline shows."
            ),
        ),
        io.Combo.Input(
            "edges",
            options=list(EDGES),
            default=CLEAN,
            optional=True,
            tooltip=(
                "clean: edges take the colours of the product beside them, so that no rim of an old background stays."
                " as cut: they stay as they are in the file. The third one is clean and shows both in the node."
            ),
        ),
    ]


def product_outputs() -> list:
    return [
        Product.Output(
            "product",
            display_name="product",
            tooltip="The placed product, for the cyclic sampler and the review.",
        ),
        io.Image.Output(
            "placed", display_name="image to encode", tooltip="The product over grey: connect to VAE Encode."
        ),
        io.Mask.Output(
            "inpaint_mask",
            display_name="inpaint mask",
            tooltip="White where the model paints: connect to Set Latent Noise Mask.",
        ),
        io.Image.Output(
            "hint",
            display_name="canny hint",
            tooltip="The product's outlines: connect to Apply ControlNet, canny.",
        ),
    ]


def tell(notes: tuple, node_id: str) -> None:
    """Says what was found in the cut-out, in the log and below the node."""
    for note in notes:
        logging.info("RF Product: %s", note)
    if notes:
        PromptServer.instance.send_progress_text("\n".join(notes), node_id, PromptServer.instance.client_id)


def before_and_after(canvas) -> torch.Tensor:
    """(2, H, W, 3): the product with its edges as cut, then clean, its left half on a light ground and its right half
    on a dark one.
    """
    ground = torch.empty(1, 3, canvas.height, canvas.width)
    for colour, half in zip(GROUNDS, (slice(None, canvas.width // 2), slice(canvas.width // 2, None))):
        ground[..., half] = torch.tensor(colour).view(1, 3, 1, 1)
    return channels_last(torch.cat([canvas.again(clean_edges=False).paste(ground), canvas.paste(ground)]))


def first(images: torch.Tensor) -> torch.Tensor:
    """The first frame (H, W, C) of a batch."""
    if len(images) > 1:
        logging.warning("RF Product: the picture has %d frames, only the first is used", len(images))
    return images[0].cpu().float()


def product_mask(image: torch.Tensor, mask: torch.Tensor | None, marks: str):
    """The mask (H, W) with 1 = product, or None where the picture's own alpha has to serve."""
    from ..rfnet.product import PictureError

    if mask is None:
        return None
    mask = mask[0] if mask.ndim == 3 else mask
    if marks == "product":
        return mask.cpu().float().numpy()
    # Load Image answers a picture without transparency with an empty 64x64 mask, whatever the picture's size.
    if mask.shape == (64, 64) and not mask.any():
        if image.shape[-1] == 4:
            return None
        raise PictureError(
            "the product picture has no transparency, so nothing says which pixels are the product: use a PNG with a"
            " transparent background, or connect a mask, or save it again with an alpha channel (32-bit PNG), or use RF"
            " Product Folder"
        )
    return 1 - mask.cpu().float().numpy()
