"""A small training of the reviewer."""

from reliable_ads.rfnet.training.config import TrainConfig

from .rfnet_examples import SMALL


def config(folder, out, **changes):
    return TrainConfig(
        **{
            "train": folder / "train",
            "val": folder / "val",
            "out": str(out),
            "architecture": SMALL,
            "init": "random",
            "batch": 8,
            "epochs": 2,
            "map_epochs": 1,
            "save_every": 1,
            **changes,
        }
    )
