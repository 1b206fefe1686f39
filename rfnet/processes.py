"""The processes that a training runs in."""

import os

import torch


def accelerator(cpu: bool = False, **options):
    """accelerate's Accelerator. Untold, it would not join the processes that torchrun starts on CPUs: each would train by itself, into the same file."""
    from accelerate import Accelerator

    joined = int(os.getenv("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available()
    return Accelerator(cpu=cpu or joined, **options)
