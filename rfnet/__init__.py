"""The reviewer of "Reliable Advertising Image Generation" (arXiv:2408.00418) as a plain PyTorch library.

    from reliable_ads.rfnet import DEFAULT_WEIGHTS, Product, load_reviewer, place

    canvas = place(Product.from_picture("mug.png", "a green mug"), 512, 512)
    reviewer = load_reviewer(DEFAULT_WEIGHTS)
    rows = reviewer.review(images, canvas).rows()  # images (B, 3, 512, 512), RGB in [0, 1], painted around the product

rfnet.data reads labelled pictures, rfnet.training trains, adapts, calibrates and measures.
"""

from .lazy import lazily

__all__, __getattr__, __dir__ = lazily(
    __name__,
    architectures="ARCHITECTURES ArchitectureError RFNetConfig",
    data__sources="open_samples",
    explain="Explanation",
    labels="LABELS MEANING UNSUITABLE",
    map_sources="MapSource Opener open_maps",
    model="RFNet build_rfnet",
    pictures="PictureError open_picture",
    product="Canvas Product place",
    reviewer="Review ReviewError Reviewer",
    weights="DEFAULT_WEIGHTS WeightsError load_reviewer save_reviewer",
)
