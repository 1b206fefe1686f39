"""The device that a command computes on."""

import torch

from .files import quoted


def find_device(name: str | None = None) -> torch.device:
    """The device of this name, by default the accelerator where there is one. Raises ValueError where it isn't here."""
    if name is None:
        there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        return torch.device(next((name for name, is_there in there.items() if is_there), "cpu"))
    try:
        probe = torch.zeros(1, device=name)
        probe.cpu()  # "meta" has nothing to give back
        return probe.device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"--device is {quoted(name, 40)}, which this PyTorch can't use: give cpu or cuda.") from error
