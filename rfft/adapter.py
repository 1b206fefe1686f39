"""What RFFT learns: a low-rank adapter on a ControlNet, relative to that ControlNet (arXiv:2106.09685), and its file.

The ControlNet itself is never written to. Forward hooks add strength * alpha / rank * up(down(x)) to its linear and
convolution layers, so that

- switched off it is the ControlNet that one began with, bit for bit: the reference of the consistent condition, with no
second copy in memory;
- several adapters on one ControlNet add;
- the file holds a few MB, and any base checkpoint or LoRA may stand beside it.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ..rfnet import files
from ..rfnet.files import quoted, write_safetensors
from ..rfnet.structured import shortened
from .files import open_safetensors
from .names import ldm_name

FORMAT = "reliable-ads/rfft-adapter"
VERSION = 1
LARGEST = 1 << 30  # bytes of a file: one of rank 64 for SDXL has a quarter
LARGEST_ALPHA = 1e6  # usual ones are between 1 and the rank
PREFIX, UP, DOWN, ALPHA = "rfft.", ".lora_up.weight", ".lora_down.weight", ".alpha"


class AdapterError(ValueError):
    """An adapter or its base can't be used; the message names file, fault and remedy."""


class LowRank(nn.Module):
    """One layer's update alpha / rank * up(down(x)). It begins as zero: up is zero, down is random."""

    alpha: float
    options: dict[str, Any] | None  # of a convolution

    def __init__(self, layer: nn.Linear | nn.Conv2d, rank: int):
        super().__init__()
        weight = layer.weight
        outputs, inputs = weight.shape[:2]
        rank = min(rank, weight[0].numel(), outputs)  # more would not say more
        # It learns in fp32 where the base is kept in half
        device, dtype = weight.device, torch.promote_types(weight.dtype, torch.float32)
        down: tuple[int, ...] = (rank, inputs)
        up: tuple[int, ...] = (outputs, rank)
        self.options = None
        if isinstance(layer, nn.Conv2d):
            down, up = (*down, *layer.kernel_size), (*up, 1, 1)
            self.options = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
        self.down = nn.Parameter(torch.empty(down, device=device, dtype=dtype))
        self.up = nn.Parameter(torch.zeros(up, device=device, dtype=dtype))
        nn.init.normal_(self.down, std=self.down[0].numel() ** -0.5)
        self.alpha = float(rank)

    @property
    def scale(self) -> float:
        return self.alpha / len(self.down)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.to(self.down.dtype)
        if self.options is None:
            return F.linear(F.linear(x, self.down), self.up) * self.scale
        return F.conv2d(F.conv2d(x, self.down, **self.options), self.up) * self.scale


class Adapter(nn.Module):
    """Low-rank updates of every linear and convolution layer of a diffusers ControlNet, attached to it until `remove`.

    rank: of every update; strength: how much of it counts, 0 = the base itself, may be set at any time.
    Its parameters are what is trained; the ControlNet's own stay as they are.
    """

    updates: Any  # a ModuleList of LowRank

    def __init__(self, controlnet: Any, rank: int = 16, strength: float = 1.0, seed: int = 0):
        super().__init__()
        if rank < 1:
            raise AdapterError(f"rank is {rank}: it must be at least 1; 4 to 32 are usual.")
        layers = {
            name: layer
            for module, layer in controlnet.named_modules()
            if isinstance(layer, (nn.Linear, nn.Conv2d)) and (name := name_in_file(module, controlnet.config))
        }
        self.names = list(layers)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.updates = nn.ModuleList(LowRank(layer, rank) for layer in layers.values())
        self.rank, self.strength = rank, strength
        self._handles = [
            layer.register_forward_hook(self._hook(update)) for layer, update in zip(layers.values(), self.updates)
        ]

    def _hook(self, update: LowRank):
        def add(layer, inputs, output):
            return output if self.strength == 0 else output + (self.strength * update(inputs[0])).to(output.dtype)

        return add

    @contextmanager
    def off(self):
        """`with adapter.off():` the ControlNet is its base."""
        before, self.strength = self.strength, 0.0
        try:
            yield
        finally:
            self.strength = before

    def remove(self) -> None:
        """Take the hooks off; the ControlNet is its base from then on."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def tensors(self) -> dict:
        """{key of the file: tensor}."""
        tensors: dict[str, torch.Tensor] = {}
        for name, update in zip(self.names, self.updates):
            tensors |= {
                PREFIX + name + UP: update.up.detach(),
                PREFIX + name + DOWN: update.down.detach(),
                PREFIX + name + ALPHA: torch.tensor(update.alpha),
            }
        return tensors

    def load(self, tensors: dict, file: str) -> None:
        """Take the weights of a file's tensors, every one or none. Raises AdapterError naming `file`."""
        given, own = updates_of(tensors, file), dict(zip(self.names, self.updates))
        if differing := sorted(given.keys() ^ own.keys()):
            raise AdapterError(
                f'"{file}" was made for another kind of ControlNet (its layers differ, first in'
                f" {shortened(differing[0])[1:-1]}): load it with the base that it names."
            )
        for name, update in own.items():
            up, down, _ = given[name]
            # All but the rank, which may be the file's own
            for key, layer, new in ((UP, update.up[:, 0], up[:, 0]), (DOWN, update.down[0], down[0])):
                if layer.shape != new.shape:
                    raise AdapterError(
                        f'"{file}" was made for another ControlNet ({shortened(PREFIX + name + key, 100)[1:-1]} is for'
                        f" {tuple(new.shape)}, the layer has {tuple(layer.shape)}): use the base that it names."
                    )
        for name, update in own.items():
            up, down, alpha = given[name]
            update.up = nn.Parameter(up.to(update.up).clone(), update.up.requires_grad)
            update.down = nn.Parameter(down.to(update.down).clone(), update.down.requires_grad)
            update.alpha = float(alpha)


def name_in_file(module: str, config) -> str:
    """What files call a module of a ControlNet of this config: ldm's name for Stable Diffusion's, which ComfyUI patches
    by, diffusers' for transformers', and "" for what only union ControlNets have, which no adapter changes.
    """
    layers = getattr(config, "layers_per_block", None)
    if layers is None:
        return module
    try:
        return ldm_name(module, layers)
    except KeyError:
        return ""


def updates_of(tensors: dict, file: str) -> dict:
    """{ldm module: (up, down, alpha)} from a file's tensors.

    Raises AdapterError naming `file` where one is missing, left over or doesn't fit the others.
    """
    modules = sorted(
        {
            key[len(PREFIX) : -len(end)]
            for key in tensors
            for end in (UP, DOWN, ALPHA)
            if key.startswith(PREFIX) and key.endswith(end)
        }
    )
    missing = sorted({PREFIX + name + end for name in modules for end in (UP, DOWN, ALPHA)} - tensors.keys())
    if missing or not modules:
        raise AdapterError(
            f'"{file}" lacks {shortened(missing[0], 100)[1:-1] if missing else "every layer"}: it is not a whole RFFT'
            " adapter; copy or train it again."
        )
    if len(tensors) != 3 * len(modules):
        raise AdapterError(
            f'"{file}" holds more than an RFFT adapter does ({len(tensors) - 3 * len(modules)} unknown tensors): it was'
            " changed by another program; take the original."
        )
    updates = {name: tuple(tensors[PREFIX + name + end] for end in (UP, DOWN, ALPHA)) for name in modules}
    for name, (up, down, alpha) in updates.items():
        if fault := fault_of(up, down, alpha):
            raise AdapterError(
                f'"{file}" has an update of {shortened(name, 100)[1:-1]} that can\'t be used ({fault}): copy or train'
                " it again."
            )
    return updates


def fault_of(up: torch.Tensor, down: torch.Tensor, alpha) -> str:
    """What is wrong with a low-rank update by itself; "" where nothing is. alpha: a number, or a tensor of one."""
    if min(up.ndim, down.ndim) < 2 or up.ndim != down.ndim or not len(down) or up[0].numel() != len(down):
        return f"shapes {tuple(up.shape)} and {tuple(down.shape)}"
    if not (up.is_floating_point() and down.is_floating_point()):
        return f"whole numbers, {up.dtype} and {down.dtype}".replace("torch.", "")
    if not all(torch.isfinite(value.float()).all() for value in (up, down)):
        return "values that aren't finite"
    if isinstance(alpha, torch.Tensor) and (alpha.numel() != 1 or alpha.is_complex()):
        return f"an alpha of shape {tuple(alpha.shape)}"
    return "" if 0 < float(alpha) <= LARGEST_ALPHA else f"an alpha of {float(alpha):g}"


def delta(up: torch.Tensor, down: torch.Tensor, alpha) -> torch.Tensor:
    """The update as a weight, float32: alpha / rank * up @ down, in the shape of the layer it belongs to."""
    product = up.flatten(1).float() @ down.flatten(1).float() * (float(alpha) / len(down))
    return product.view(len(up), *down.shape[1:])


def save_adapter(path, adapter_or_tensors, base_sha256: str, base_name: str, about: dict | None = None) -> None:
    """Write an adapter as fp16, whole or not at all.

    about: further metadata, JSON-able: reviewer, losses, steps, rates ({"before", "after"}, each {"value", "low",
    "high", "n"}). Raises OSError when the disk refuses.
    """
    tensors = adapter_or_tensors.tensors() if isinstance(adapter_or_tensors, Adapter) else adapter_or_tensors
    rank = max(len(value) for key, value in tensors.items() if key.endswith(DOWN))
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in (about or {}).items()}
    texts |= {
        "format": FORMAT,
        "format_version": str(VERSION),
        "base_sha256": base_sha256,
        "base_name": base_name,
        "rank": str(rank),
    }
    write_safetensors(
        path, {key: value if key.endswith(ALPHA) else value.half() for key, value in tensors.items()}, texts
    )


def read_adapter(path, base=None) -> tuple:
    """(tensors, metadata) of an adapter file; refuses every file that isn't one.

    base: the ControlNet file that it will be used on, which has to be the very file that it was trained on. Raises
    AdapterError.
    """
    path = Path(path)
    tensors, metadata = read_file(path, "adapter", "train one with `rfft train`", LARGEST)
    if metadata.get("format") != FORMAT:
        raise AdapterError(f'"{path.name}" is no RFFT adapter{_guess(tensors)}: choose a file that `rfft train` wrote.')
    version = metadata.get("format_version", "")
    if not (version.isascii() and version.isdigit() and len(version) < 10) or int(version) > VERSION:
        raise AdapterError(
            f'"{path.name}" has format version {shortened(version)[1:-1] or "unknown"}, this version of Reliable Ads'
            f" reads up to {VERSION}: update Reliable Ads."
        )
    if not metadata.get("base_sha256"):
        raise AdapterError(
            f'"{path.name}" doesn\'t say which ControlNet it belongs to: it was changed by another program; take the'
            " original."
        )
    updates_of(tensors, path.name)
    if base is not None:
        check_base(metadata, path, base)
    return tensors, metadata


def check_base(metadata: dict, path, base) -> None:
    """Raises AdapterError unless the ControlNet file `base` is the very one that the adapter file `path` was trained
    on.
    """
    if (digest := sha256_of(base)) != metadata["base_sha256"]:
        name = metadata.get("base_name", "another ControlNet")
        other = "another " if name == Path(base).name else ""
        raise AdapterError(
            f'"{Path(path).name}" belongs to {other}{quoted(name, 60)} (SHA-256'
            f' {shortened(metadata["base_sha256"][:12])[1:-1]}...), not to "{Path(base).name}" ({digest[:12]}...):'
            " choose the ControlNet file that it was trained on."
        )


def load_adapter(controlnet: nn.Module, path, base, strength: float = 1.0) -> Adapter:
    """An adapter file on a ControlNet that was read from the file `base`, at any strength. Raises AdapterError."""
    tensors, _metadata = read_adapter(path, base)
    adapter = Adapter(controlnet, 1, strength)
    try:
        adapter.load(tensors, Path(path).name)
    except AdapterError:
        adapter.remove()
        raise
    adapter.rank = max(len(update.down) for update in adapter.updates)
    return adapter.requires_grad_(False)


def read_file(path, kind: str, remedy: str, most: int | None = None) -> tuple:
    """(tensors, metadata) of a safetensors file of at most `most` bytes.

    Raises AdapterError, which calls the file what it was meant to be.
    """
    with open_safetensors(
        path, AdapterError, f"the {kind} {quoted(path)} does not exist: check the path, or {remedy}.", most
    ) as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}


def sha256_of(path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits. Raises AdapterError where it can't be read."""
    try:
        state = os.stat(path)
        return _sha256(os.fspath(path), state.st_mtime_ns, state.st_size)
    except OSError as error:
        raise AdapterError(
            f"the ControlNet file {quoted(path)} can't be read ({error.strerror or error}): check the path."
        ) from error


@lru_cache(maxsize=64)
def _sha256(path: str, changed: int, size: int) -> str:
    """A ControlNet is asked for with every change of a strength, and takes seconds to read; `changed` and `size` make
    the answer forgotten with the file.
    """
    return files.sha256_of(path)


def _guess(tensors: dict) -> str:
    """What a file that isn't an adapter seems to be."""
    for kind, key in (
        ("a whole ControlNet", "zero_convs.0.0.weight"),
        ("a whole ControlNet", "control_model.zero_convs.0.0.weight"),
        ("a whole ControlNet", "controlnet_cond_embedding.conv_in.weight"),
        ("a control-LoRA", "lora_controlnet"),
    ):
        if key in tensors:
            return f" but {kind}"
    is_lora = any(key.startswith(("lora_unet", "lora_te")) for key in tensors)
    return " but a LoRA for the UNet or text encoder" if is_lora else ""
