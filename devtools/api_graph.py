"""Parts of graphs in API format, for tests and benchmarks."""


def node(class_type: str, **inputs) -> dict:
    return {"class_type": class_type, "inputs": inputs}


def placed_product(caption: str, width: int, height: int, file: str = "product.png", image_scale: float = 0.72) -> dict:
    """{"picture": a file of the server's input folder, "product": it on a canvas, in the middle}."""
    return {
        "picture": node("LoadImage", image=file),
        "product": node(
            "RFProduct",
            image=["picture", 0],
            mask=["picture", 1],
            mask_marks="background",
            caption=caption,
            width=width,
            height=height,
            image_scale=image_scale,
            alpha_threshold=0.5,
            position="centre",
            mask_dilation=-1,
        ),
    }


def masked_latent(vae: list) -> dict:
    """{"encode", "masked"}: placed_product's image encoded by the VAE of this link, its inpaint mask set."""
    return {
        "encode": node("VAEEncode", pixels=["product", 1], vae=vae),
        "masked": node("SetLatentNoiseMask", samples=["encode", 0], mask=["product", 2]),
    }


def changed(graph: dict, changes: dict) -> dict:
    """The graph itself, with inputs set: {"sampler__attempts": 2} sets one of one node."""
    for name, value in changes.items():
        where, which = name.split("__", 1)
        graph[where]["inputs"][which] = value
    return graph
