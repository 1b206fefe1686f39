"""The generators of random numbers that a web UI draws with, kept from what is computed in between."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def apart(seed: int | None = None):
    """Leaves the global generators of torch and numpy as they are. seed: what torch's begins with inside.

    Forge and reForge take noise from torch's at each step of a draw with a mask: whatever builds a module or encodes a
    picture between two steps would change the rest of the draw.
    """
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    before = np.random.get_state()
    try:
        with torch.random.fork_rng(devices):
            if seed is not None:
                torch.manual_seed(seed)
            yield
    finally:
        np.random.set_state(before)
