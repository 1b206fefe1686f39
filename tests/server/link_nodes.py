"""Nodes for the tests alone, put into the server's custom_nodes: what other packs link to ours, in the spellings of old
and new nodes.
"""

import time

import comfy.model_management
import comfy.samplers


class TestOldOutputs:
    """An old-style node with an output of each type.

    Lists of names are typed by the list itself; an empty one is filled late.
    """

    TYPES = (
        "INT",
        "FLOAT",
        "STRING",
        "BOOLEAN",
        "MODEL",
        "CLIP",
        "VAE",
        "CONTROL_NET",
        "CONDITIONING",
        "LATENT",
        "IMAGE",
        "MASK",
        "NOISE",
        "GUIDER",
        "SAMPLER",
        "SIGMAS",
        "RF_PRODUCT",
        "RF_REVIEWER",
        "RF_JOB",
        "RF_REMEDIES",
        "RF_OPINIONS",
        "MODEL_PATCH",
        "BACKGROUND_REMOVAL",
    )
    RETURN_TYPES = (
        *TYPES,
        [],
        comfy.samplers.KSampler.SAMPLERS,
        comfy.samplers.KSampler.SCHEDULERS,
        ["a colour", "another"],
    )
    RETURN_NAMES = (*TYPES, "LATE", "SAMPLERS", "SCHEDULERS", "COLOURS")
    FUNCTION, CATEGORY = "give", "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def give(self):
        return (None,) * len(self.RETURN_TYPES)


class TestGive:
    """A text as a name of an old list, a COMBO, a STRING, or anything; as a number, if it is one, an INT, a FLOAT, or
    anything.
    """

    KINDS = ("LIST", "COMBO", "STRING", "*", "INT", "FLOAT", "ANY NUMBER")
    RETURN_TYPES, RETURN_NAMES = ([], "COMBO", "STRING", "*", "INT", "FLOAT", "*"), KINDS
    FUNCTION, CATEGORY = "give", "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"default": ""})}}

    def give(self, text):
        try:
            number = float(text)
        except ValueError:
            return (text,) * 4 + (None,) * 3
        whole = int(text) if text.lstrip("-").isdigit() else None
        return (text,) * 4 + (whole, number, number if whole is None else whole)


class TestListOfSeeds:
    """Two seeds, one after the other."""

    RETURN_TYPES, OUTPUT_IS_LIST, FUNCTION, CATEGORY = ("INT",), (True,), "give", "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def give(self):
        return ([7, 8],)


class TestLateName:
    """Adds a schedule to ComfyUI's list while the server runs, as some packs do."""

    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "add", "tests", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": ("STRING", {"default": ""})}}

    def add(self, name):
        if name not in comfy.samplers.SCHEDULER_NAMES:
            comfy.samplers.SCHEDULER_HANDLERS[name] = comfy.samplers.SCHEDULER_HANDLERS["karras"]
            comfy.samplers.SCHEDULER_NAMES.append(name)
        return ()


class TestWait:
    """Waits until it is cancelled, so that what is queued behind it is checked and not run."""

    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "wait", "tests", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"seconds": ("INT", {"default": 120})}}

    def wait(self, seconds):
        for _ in range(seconds * 20):
            comfy.model_management.throw_exception_if_processing_interrupted()
            time.sleep(0.05)
        return ()


NODE_CLASS_MAPPINGS = {
    each.__name__: each for each in (TestOldOutputs, TestGive, TestListOfSeeds, TestLateName, TestWait)
}
