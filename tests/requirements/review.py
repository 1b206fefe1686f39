"""Run by the Python of an environment that is looked at: reviews a picture with the shipped reviewer and prints what
came out, as JSON.
"""

import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CAPTION = "a blue bottle, 保湿面霜 50ml, «été»!"


def the_pack() -> None:
    """The checkout as the package `reliable_ads`, as a host loads it."""
    spec = importlib.util.spec_from_file_location(
        "reliable_ads", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    package = importlib.util.module_from_spec(spec)
    sys.modules["reliable_ads"] = package
    spec.loader.exec_module(package)


def review() -> list:
    import numpy as np
    import torch

    from reliable_ads.rfnet.product import Product, place
    from reliable_ads.rfnet.reviewer import annotate
    from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer

    early = sorted({"timm", "open_clip", "transformers", "cv2"} & set(sys.modules))
    if early:
        sys.exit(f"imported before a reviewer was loaded: {early}")
    torch.set_num_threads(1)
    rgba = np.zeros((60, 40, 4), np.uint8)
    rgba[15:-4, 8:-8], rgba[4:15, 13:-13] = (30, 60, 200, 255), (200, 30, 40, 255)
    canvas = place(Product.from_arrays(rgba, caption=CAPTION), 128, 96)
    images = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    found = load_reviewer(DEFAULT_WEIGHTS).review(images, canvas)
    annotate(images, found)
    return found.probabilities.tolist()


if __name__ == "__main__":
    the_pack()
    probabilities = review()
    print(
        json.dumps(
            {
                "probabilities": probabilities,
                "versions": {name: importlib.metadata.version(name) for name in sys.argv[1:]},
            }
        )
    )
