"""How the family that ships is best drawn: samplers and steps on validation products, one picture each, by what RFNet
and the second reviewer accept and by what a draw costs.

    python -m benchmarks.drawing [--products 48] [--quick]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from . import tuning
from .common import Figure, mean, publish
from .figures.drawing import WAYS
from .sampler import SECOND


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=48)
    parser.add_argument("--quick", action="store_true", help="three products, nothing written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    studio = tuning.Studio(3 if options.quick else options.products, 1, SECOND, quick=True)
    figures = {}
    for sampler, steps in WAYS:
        key = f"{sampler}_{steps}"
        began = time.process_time()
        with tempfile.TemporaryDirectory() as place:
            studio.folder = Path(place)  # nothing is kept: what is kept takes no time
            drawn = studio.draw(key, sampling=replace(tuning.SAMPLING, sampler=sampler, steps=steps))
        seconds = (time.process_time() - began) / len(studio.products)
        figures[f"rate_{key}"] = Figure(*mean(drawn.reviewer >= studio.reviewer.threshold), n=len(drawn.reviewer))
        figures[f"second_{key}"] = Figure(*mean(drawn.second >= studio.second.threshold), n=len(drawn.second))
        figures[f"seconds_{key}"] = Figure(seconds, n=len(studio.products))
    publish("drawing", "python -m benchmarks.drawing", [0], figures, options.quick, paints=True)


if __name__ == "__main__":
    main()
