"""RFProduct: a product picture becomes what the sampler needs."""

import logging

import torch
from comfy_api.latest import io

from .checked import checked
from .edge import CATEGORY, Product, channels_last


@checked(
    advanced=("alpha_threshold", "position", "mask_dilation"),
    aliases=("product ad", "product photo", "cut-out", "background", "inpaint product", "canny hint"),
)
class RFProduct(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RFProduct",
            display_name="RF Product",
            category=CATEGORY,
            description="Places a product cut-out on the canvas and makes the inpaint mask and the canny hint for painting a scene around it.",
            inputs=[
                io.Image.Input("image", tooltip="The product picture, with transparency or together with a mask. Of several frames the first is used."),
                io.Mask.Input("mask", optional=True, tooltip="Which pixels are the product. Connect Load Image's MASK as it is; for other masks see mask_marks."),
                io.Combo.Input(
                    "mask_marks",
                    options=["background", "product"],
                    default="background",
                    tooltip="What white (1) in the mask means. Load Image gives white where the picture is transparent: background. Most segmentation nodes paint the product white: product.",
                ),
                io.String.Input("caption", default="", tooltip="What the product is, in a few words, such as 'a red leather handbag'. The reviewer reads it; it may be empty and in any language."),
                io.Int.Input("width", default=512, min=64, max=4096, step=8, tooltip="Canvas width in pixels: the size the model paints best (SD 1.5: 512, pocket: 128)."),
                io.Int.Input("height", default=512, min=64, max=4096, step=8, tooltip="Canvas height in pixels."),
                io.Float.Input("image_scale", default=0.72, min=0.05, max=1.0, step=0.01, tooltip="Largest share of the canvas's width and height that the product takes. 0.66 to 0.78 leaves room for a scene."),
                io.Float.Input("alpha_threshold", default=0.5, min=0.01, max=1.0, step=0.01, tooltip="Pixels at least this opaque count as product when it is cut out and when the mask is made."),
                io.Combo.Input("position", options=["centre", "keep"], default="centre", tooltip="centre: crop to the product, scale and centre it. keep: leave it where it stands in its own picture."),
                io.Int.Input("mask_dilation", default=-1, min=-1, max=256, tooltip="Side in pixels of the box by which the painted area grows, half of it under the product's edge, so that no outline shows. -1: 20 at 512 pixels, in proportion at other sizes."),
            ],
            outputs=[
                Product.Output("product", display_name="product", tooltip="The placed product, for the cyclic sampler and the review."),
                io.Image.Output("placed", display_name="image to encode", tooltip="The product on grey: connect to VAE Encode."),
                io.Mask.Output("inpaint_mask", display_name="inpaint mask", tooltip="White where the model paints: connect to Set Latent Noise Mask."),
                io.Image.Output("hint", display_name="canny hint", tooltip="The product's outlines: connect to Apply ControlNet, canny."),
            ],
        )

    @classmethod
    def execute(cls, image, mask_marks, caption, width, height, image_scale, alpha_threshold, position, mask_dilation, mask=None) -> io.NodeOutput:
        from ..rfnet.pictures import PictureError
        from ..rfnet.product import Product as ProductPicture
        from ..rfnet.product import place

        product = ProductPicture.from_arrays(first(image).numpy(), product_mask(image, mask, mask_marks), caption)
        try:
            canvas = place(product, width, height, image_scale, alpha_threshold, position, None if mask_dilation < 0 else mask_dilation)
        except PictureError as error:  # which of a folder's products it is
            raise PictureError(f'the product "{caption}" can\'t be placed: {error}') from error
        return io.NodeOutput(canvas, channels_last(canvas.rgb[None]), canvas.inpaint_mask[None], channels_last(canvas.hint[None]))


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
            "the product picture has no transparency, so nothing says which pixels are the product: "
            "use a PNG with a transparent background, or connect a mask"
        )
    return 1 - mask.cpu().float().numpy()
