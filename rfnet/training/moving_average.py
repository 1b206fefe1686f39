"""The exponential moving average of weights in training, which is what gets evaluated and written."""

from collections.abc import Mapping
from contextlib import contextmanager

import torch


class MovingAverage:
    """The average of `parameters` ({name: Parameter}); shadow: {name: its average}, on the parameter's device.

    The decay begins at 1/10 and rises to `decay`, so that the first steps, which are far from the end, are forgotten.
    """

    def __init__(self, parameters: Mapping[str, torch.Tensor], decay: float):
        self.parameters = dict(parameters)
        self.decay = decay
        self.shadow = {name: p.detach().clone() for name, p in self.parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after an update; step: how many there were before it."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.shadow.values()), [p.detach() for p in self.parameters.values()], 1 - decay)

    @contextmanager
    def applied(self):
        """`with average.applied():` the parameters hold the average; afterwards the live weights again."""
        live = {name: p.detach().clone() for name, p in self.parameters.items()}
        _copy(self.shadow, self.parameters)
        try:
            yield
        finally:
            _copy(live, self.parameters)

    def load_state_dict(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back a `shadow`. Raises KeyError where an average is missing, ValueError where its shape differs."""
        for name, average in self.shadow.items():
            if tensors[name].shape != average.shape:
                raise ValueError(f"the average of {name} is {tuple(tensors[name].shape)}, not {tuple(average.shape)}")
        _copy({name: tensors[name] for name in self.shadow}, self.shadow)


@torch.no_grad()
def _copy(values: Mapping[str, torch.Tensor], targets: Mapping[str, torch.Tensor]) -> None:
    for name, target in targets.items():
        target.copy_(values[name])
