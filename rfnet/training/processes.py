"""The processes that a training runs in."""

import os

import torch


def accelerator(cpu: bool = False, **options):
    """accelerate's Accelerator.

    Untold, it would not join the processes that torchrun starts on CPUs: each would train by itself, into the same
    file.
    """
    from accelerate import Accelerator

    joined = int(os.getenv("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available()
    return Accelerator(cpu=cpu or joined, **options)


def spare_bf16(module: torch.nn.Module) -> None:
    """Let what is trained of the depthwise convolutions and of attention compute in fp32 under a CPU's autocast, in
    place: their gradients have no fast bf16 kernels there, and cost two to eight times as much (PyTorch 2.9 on AVX-512
    with bf16).
    """
    for part in module.modules():
        depthwise = isinstance(part, torch.nn.Conv2d) and part.groups == part.in_channels > 1
        if (depthwise or isinstance(part, torch.nn.MultiheadAttention)) and any(
            p.requires_grad for p in part.parameters()
        ):
            part.forward = _in_fp32(part.forward)


def _in_fp32(forward):
    def run(*inputs, **options):
        if not torch.is_grad_enabled():
            return forward(*inputs, **options)

        def full(value):
            return value.float() if torch.is_tensor(value) and value.is_floating_point() else value

        with torch.autocast("cpu", enabled=False):
            return forward(*map(full, inputs), **{name: full(value) for name, value in options.items()})

    return run
