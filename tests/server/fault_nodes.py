"""Nodes for the tests alone, put into the server's custom_nodes: models and reviewers that fail at a chosen moment, and
a remedy of another package.
"""

import copy
import dataclasses
import sys

import comfy.patcher_extension
import torch


class TestFaultyModel:
    """The model, failing at its n-th call from now on, once: out of memory (only with `least` rows or more), or an
    error.
    """

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": ("MODEL",),
                "at": ("INT", {"default": 1}),
                "kind": (["oom", "error"],),
                "least": ("INT", {"default": 1}),
            }
        }

    RETURN_TYPES, FUNCTION, CATEGORY = ("MODEL",), "spoil", "tests"

    def spoil(self, model, at, kind, least):
        left = [at]

        def wrapper(executor, unet, conds, x, timestep, options):
            left[0] -= len(x) >= least
            if left[0] == 0:
                left[0] = -1
                raise (
                    torch.cuda.OutOfMemoryError("out of memory, says the test")
                    if kind == "oom"
                    else RuntimeError("the test's model fails")
                )
            return executor(unet, conds, x, timestep, options)

        model = model.clone()
        model.add_wrapper(comfy.patcher_extension.WrappersMP.CALC_COND_BATCH, wrapper)
        return (model,)


class TestFaultyReviewer:
    """The reviewer, throwing at its n-th review from now on, once."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"reviewer": ("RF_REVIEWER",), "at": ("INT", {"default": 1})}}

    RETURN_TYPES, FUNCTION, CATEGORY = ("RF_REVIEWER",), "spoil", "tests"

    def spoil(self, reviewer, at):
        spoilt, left = copy.copy(reviewer), [at]

        def review(*arguments):
            left[0] -= 1
            if left[0] == 0:
                raise RuntimeError("the test's reviewer fails")
            return reviewer.review(*arguments)

        spoilt.review = review
        return (spoilt,)


def lower_cfg(draw, value):
    draw.scale_guidance(value)


class TestOwnRemedy:
    """RF Remedies with a remedy of another package, which lowers cfg; `known` is whether that remedy then is listed."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"remedies": ("RF_REMEDIES",), "known": ("BOOLEAN", {"default": True})}}

    RETURN_TYPES, FUNCTION, CATEGORY = ("RF_REMEDIES",), "add", "tests"

    def add(self, remedies, known):
        library = next(module for name, module in sys.modules.items() if name.endswith(".cyclic.remedies"))
        library.REMEDIES[:] = [remedy for remedy in library.REMEDIES if remedy.name != "calm"]
        if known:
            library.register(library.Remedy("calm", library.EVERY, 1.0, -0.5, 0.5, lower_cfg, "Lowers cfg."))
        return (dataclasses.replace(remedies, allowed=("calm",)),) if known else (remedies,)


NODE_CLASS_MAPPINGS = {
    "TestFaultyModel": TestFaultyModel,
    "TestFaultyReviewer": TestFaultyReviewer,
    "TestOwnRemedy": TestOwnRemedy,
}
