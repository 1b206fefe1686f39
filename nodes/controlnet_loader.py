"""RFControlNetLoader: a ControlNet with RFFT adapters added, as the plain CONTROL_NET that stock nodes take.

Adapters are added to the weights before ComfyUI sees them, by the very code of `rfft merge`. So strength 0 is the base
and strength 1 the merged file, to the last bit, and nothing is left to do while sampling.
"""

from functools import lru_cache
from pathlib import Path

import comfy.controlnet
import comfy.model_management
import folder_paths
from comfy_api.latest import io

from . import pocket_models
from .checked import checked
from .folders import path_of, state_of
from .types import CATEGORY

NONE = "none"
ADAPTER = "adapter"
OTHER = "other"
UNREADABLE = "unreadable"


@checked(
    checks={
        "control_net_name": lambda name: path_of(folder_of(name), name),
        **dict.fromkeys(
            ("adapter", "adapter_2", "adapter_3"), lambda name: name == NONE or path_of(folder_of(name), name)
        ),
    },
    advanced=("adapter_2", "strength_2", "adapter_3", "strength_3"),
    aliases=("load tuned controlnet", "controlnet adapter", "RFFT"),
)
class RFControlNetLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RFControlNetLoader",
            display_name="RF Load ControlNet",
            category=CATEGORY,
            description=(
                "Loads a ControlNet and adds what RFFT has learned, at any strength. The result works with every node"
                " that takes a ControlNet."
            ),
            inputs=[
                io.Combo.Input(
                    "control_net_name",
                    options=base_files(),
                    tooltip=(
                        "A ControlNet (.safetensors) of SD 1.5 or SDXL from models/controlnet, or the small pocket"
                        " ControlNet that ships: the one that the adapter was trained on, or a full tuned file."
                    ),
                ),
                *slot(
                    "",
                    "A small file that `rfft train` wrote, from models/controlnet, or none. It belongs to one"
                    " ControlNet file.",
                ),
                *slot("_2", "A second adapter of the same ControlNet; several add.", optional=True),
                *slot("_3", "A third adapter of the same ControlNet; several add.", optional=True),
            ],
            outputs=[
                io.ControlNet.Output(
                    "control_net", display_name="CONTROL_NET", tooltip="For Apply ControlNet, as any other ControlNet."
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, control_net_name="", adapter=NONE, adapter_2=NONE, adapter_3=NONE, **strengths):
        return state_of(folder_of(control_net_name), control_net_name), *(
            state_of(folder_of(name), name) for name in (adapter, adapter_2, adapter_3)
        )

    @classmethod
    def execute(
        cls, control_net_name, adapter, strength, adapter_2=NONE, strength_2=1.0, adapter_3=NONE, strength_3=1.0
    ) -> io.NodeOutput:
        slots = ((adapter, strength), (adapter_2, strength_2), (adapter_3, strength_3))
        adapters = [(path_of(folder_of(name), name), amount) for name, amount in slots if name != NONE]
        return io.NodeOutput(load(path_of(folder_of(control_net_name), control_net_name), adapters))


def slot(number: str, tooltip: str, optional: bool = False) -> tuple:
    """The two inputs of one adapter."""
    amount = "How much of this adapter counts: 0 is the ControlNet without it, 1 as it was trained."
    return (
        io.Combo.Input(
            f"adapter{number}", options=[NONE, *adapter_files()], default=NONE, optional=optional, tooltip=tooltip
        ),
        io.Float.Input(
            f"strength{number}", default=1.0, min=0.0, max=2.0, step=0.05, optional=optional, tooltip=amount
        ),
    )


def base_files() -> list[str]:
    """Everything in models/controlnet but adapters, and the pocket ControlNets whose names aren't taken there."""
    own = [name for name, kind in kinds().items() if kind != ADAPTER]
    return own + [
        name for name in pocket_models.pocket_files(pocket_models.CONTROLNET_KEY) if folder_of(name) == "pocket"
    ]


def adapter_files() -> list[str]:
    """The adapters in models/controlnet, told by what their metadata say, and the one that ships for the pocket
    ControlNet.
    """
    own = [name for name, kind in kinds().items() if kind != OTHER]
    return own + [name for name, kind in kinds("pocket").items() if kind == ADAPTER and name not in own]


def kinds(folder: str = "controlnet") -> dict:
    """{name: kind} of the .safetensors in this models folder.

    A file that can't be read is in both lists: whoever chooses it is told why.
    """
    names = [name for name in folder_paths.get_filename_list(folder) if name.endswith(".safetensors")]
    return {name: kind_of(folder_paths.get_full_path(folder, name), state_of(folder, name)) for name in names}


@lru_cache(maxsize=1024)
def kind_of(path: str, state: str) -> str:
    """Reads the file's header only; `state` makes the answer forgotten when the file changes."""
    from ..rfft.adapter import FORMAT
    from ..rfnet.tensors import read_header

    try:
        return ADAPTER if read_header(path, ValueError).metadata.get("format") == FORMAT else OTHER
    except ValueError:  # whatever is wrong with it: it is named when it is asked for
        return UNREADABLE


def folder_of(name: str) -> str:
    """Pocket ControlNets, and the adapter that ships for one, live in a folder of their own, because the stock loader
    would list them and read them wrongly.
    """
    if not isinstance(name, str):  # a link gives it, and it is not known yet
        return "controlnet"
    return (
        "pocket"
        if folder_paths.get_full_path("controlnet", name) is None and folder_paths.get_full_path("pocket", name)
        else "controlnet"
    )


def load(path: str, adapters: list) -> comfy.controlnet.ControlNet:
    """A ControlNet file and (adapter file, strength) pairs → CONTROL_NET.

    Raises AdapterError, PocketFileError: a sentence with file, fault and remedy.
    """
    from ..pocket.ldm import read_file
    from ..rfft.merge import fold

    weights, metadata = fold(path, adapters)
    if "pocket" in metadata:
        read_file(path)  # refuses a format that is newer than this program
        return pocket_models.load_controlnet(weights, path)
    return load_stock(weights, path)


def load_stock(weights: dict, path: str) -> comfy.controlnet.ControlNet:
    """ComfyUI's own loader, which only logs the weights that are missing; here the file is refused."""
    from ..rfft.adapter import AdapterError
    from ..rfft.merge import LDM

    # Where ComfyUI reads the file itself, it tells this kind by the file's name.
    file = Path(path)
    options = {"global_average_pooling": True} if file.stem.endswith(("_shuffle", "_shuffle_fp16")) else {}
    left = dict(weights)  # the loader takes out what it reads in diffusers' layout
    try:
        control = comfy.controlnet.load_controlnet_state_dict(left, model_options=options)
    except comfy.model_management.OOM_EXCEPTION:
        raise  # the file is not to blame
    except (
        AttributeError,
        IndexError,
        KeyError,
        RuntimeError,
        TypeError,
    ) as error:  # ComfyUI finds out the network's shape from the weights, and trips over gaps
        raise AdapterError(
            f'"{file.name}" holds no ControlNet that ComfyUI can build: copy or download it again, or choose another.'
        ) from error
    own = control.control_model.state_dict().keys()
    parts = {key.split(".")[0] for key in own}
    missing = len(own) - sum(key not in left or key.removeprefix(LDM) in own for key in weights)
    astray = sum(key not in own and key.split(".")[0] in parts for key in (key.removeprefix(LDM) for key in left))
    if missing > 0 or astray:
        raise AdapterError(
            f'"{file.name}" is not a whole ControlNet: {max(missing, 0)} of {len(own)} weights are missing, {astray}'
            " have no place; copy or download it again."
        )
    return control
