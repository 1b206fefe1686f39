"""Draw, review, draw again until a picture can be published, with a plain diffusers pipeline.

    python recipes/diffusers_loop.py CHECKPOINT CONTROLNET product.png "a green bottle" "a green bottle on a wooden
    table, soft daylight"

CHECKPOINT and CONTROLNET (canny) are diffusers folders of one Stable Diffusion; the result is advert.png. Needs this
project (pip install -e .) and diffusers.
"""

import sys

import torch
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline
from torchvision.utils import save_image

from reliable_ads.cyclic.loop import Reviewed, run
from reliable_ads.rfnet.product import Product, place
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer

if len(sys.argv) != 6:
    sys.exit(__doc__)
checkpoint, controlnet, picture, caption, prompt = sys.argv[1:]

pipe = StableDiffusionControlNetPipeline.from_pretrained(
    checkpoint, controlnet=ControlNetModel.from_pretrained(controlnet)
)
pipe.to("cuda" if torch.cuda.is_available() else "cpu")
size = pipe.unet.config.sample_size * pipe.vae_scale_factor
canvas = place(Product.from_picture(picture, caption), size, size)
reviewer = load_reviewer(DEFAULT_WEIGHTS)


def generate(index, seed, check):
    images = pipe(
        prompt,
        image=canvas.hint[None],
        generator=torch.Generator().manual_seed(seed),
        num_inference_steps=40,
        output_type="pt",
    ).images
    return canvas.paste(images.float().cpu())[0], None  # the product's own pixels are put back


def review(image):
    return reviewer.review(image[None], canvas).rows()[0]


result = run(
    generate,
    review,
    seed=0,
    attempts=5,
    on_event=lambda event: print(event.text) if isinstance(event, Reviewed) else None,
)
save_image(result.returned.image, "advert.png")
print(
    f"advert.png: {'accepted' if result.accepted else 'the best of those that were rejected'}, seed"
    f" {result.returned.seed}"
)
