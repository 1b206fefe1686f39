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
from comfy_execution.graph import ExecutionBlocker

from . import patch_loader, pocket_models, sd35_layout, union_types
from .checked import checked
from .folders import path_of, state_of
from .types import CATEGORY, ModelPatch

NONE = "none"
ADAPTER = "adapter"
OTHER = "other"
UNREADABLE = "unreadable"
WRONG_OUTPUT = (
    "RF Load ControlNet: connect MODEL_PATCH for a ControlNet for Z-Image, and CONTROL_NET for every other one."
)


@checked(
    checks={
        "control_net_name": lambda name: path_of(folder_of(name), name),
        **dict.fromkeys(
            ("adapter", "adapter_2", "adapter_3"), lambda name: name == NONE or path_of(folder_of(name), name)
        ),
    },
    advanced=("adapter_2", "strength_2", "adapter_3", "strength_3", "union_type"),
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
                        "A ControlNet (.safetensors) from models/controlnet, one for Z-Image from models/model_patches,"
                        " or the small pocket ControlNet that ships: the one that the adapter was trained on, or a full"
                        " tuned file."
                    ),
                ),
                *slot(
                    "",
                    "A small file that `rfft train` wrote, from models/controlnet, or none. It belongs to one"
                    " ControlNet file.",
                ),
                *slot("_2", "A second adapter of the same ControlNet; several add.", optional=True),
                *slot("_3", "A third adapter of the same ControlNet; several add.", optional=True),
                io.Combo.Input(
                    "union_type",
                    options=union_types.OPTIONS,
                    default="canny",
                    optional=True,
                    tooltip=(
                        "What a union ControlNet is given: canny for RF Product's hint. none: it isn't told. Other"
                        " ControlNets know one kind and need none of this."
                    ),
                ),
            ],
            outputs=[
                io.ControlNet.Output(
                    "control_net", display_name="CONTROL_NET", tooltip="For Apply ControlNet, as any other ControlNet."
                ),
                ModelPatch.Output(
                    "model_patch",
                    display_name="MODEL_PATCH",
                    tooltip="Of a ControlNet for Z-Image, in place of the other output: for ZImageFunControlnet.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, control_net_name="", adapter=NONE, adapter_2=NONE, adapter_3=NONE, **strengths):
        return state_of(folder_of(control_net_name), control_net_name), *(
            state_of(folder_of(name), name) for name in (adapter, adapter_2, adapter_3)
        )

    @classmethod
    def execute(
        cls,
        control_net_name,
        adapter,
        strength,
        adapter_2=NONE,
        strength_2=1.0,
        adapter_3=NONE,
        strength_3=1.0,
        union_type="canny",
    ) -> io.NodeOutput:
        slots = ((adapter, strength), (adapter_2, strength_2), (adapter_3, strength_3))
        adapters = [(path_of(folder_of(name), name), amount) for name, amount in slots if name != NONE]
        path = path_of(folder_of(control_net_name), control_net_name)
        if patch_loader.is_patch(path):
            return io.NodeOutput(ExecutionBlocker(WRONG_OUTPUT), patch_loader.load(control_net_name, path, adapters))
        control = load(path, adapters)
        union_types.choose(control, union_type, control_net_name)
        return io.NodeOutput(control, ExecutionBlocker(WRONG_OUTPUT))


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
    """Everything in models/controlnet but adapters, ControlNets for Z-Image, and the pocket ControlNets whose names
    aren't taken there.
    """
    own = [name for name, kind in kinds().items() if kind != ADAPTER]
    pocket = [name for name in pocket_models.pocket_files(pocket_models.CONTROLNET_KEY) if folder_of(name) == "pocket"]
    return own + [name for name in patch_files() if folder_of(name) == patch_loader.FOLDER] + pocket


def patch_files() -> list[str]:
    """The ControlNets for Z-Image in models/model_patches."""
    names = [name for name, kind in patch_kinds().items() if kind != ADAPTER]
    return [name for name in names if patch_loader.is_patch(folder_paths.get_full_path(patch_loader.FOLDER, name))]


def patch_kinds() -> dict:
    """As `kinds`, of models/model_patches; empty where ComfyUI is too old to have it."""
    return kinds(patch_loader.FOLDER) if patch_loader.FOLDER in folder_paths.folder_names_and_paths else {}


def adapter_files() -> list[str]:
    """The adapters in models/controlnet and models/model_patches, told by what their metadata say, and the one that
    ships for the pocket ControlNet.
    """
    own = [name for name, kind in kinds().items() if kind != OTHER]
    others = [*kinds("pocket").items(), *patch_kinds().items()]
    return own + [name for name, kind in others if kind == ADAPTER and name not in own]


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
    would list them and read them wrongly. ControlNets for Z-Image live where ComfyUI's loader of model patches looks.
    """
    if not isinstance(name, str) or folder_paths.get_full_path("controlnet", name):  # a link gives it: not known yet
        return "controlnet"
    others = ("pocket", patch_loader.FOLDER)
    found = [folder for folder in others if folder in folder_paths.folder_names_and_paths]
    return next((folder for folder in found if folder_paths.get_full_path(folder, name)), "controlnet")


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
    try:
        weights = sd35_layout.converted(weights)
        left = dict(weights)  # the loader takes out what it reads in diffusers' layout
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
    own = {key: value.numel() for key, value in control.control_model.state_dict().items() if not later(control, key)}
    parts = {key.split(".")[0] for key in own}
    # In diffusers' layout several tensors become one, so values are counted, and then the tensors that have no place.
    used = [key for key in weights if key not in left or key.removeprefix(LDM) in own]
    lacking = sum(own.values()) > sum(weights[key].numel() for key in used)
    missing = max(len(own) - len(used), 1) if lacking else 0
    astray = sum(key not in own and key.split(".")[0] in parts for key in (key.removeprefix(LDM) for key in left))
    if missing or astray:
        raise AdapterError(
            f'"{file.name}" is not a whole ControlNet: {missing} of {len(own)} weights are missing, {astray}'
            " have no place; copy or download it again."
        )
    return control


def later(control, key: str) -> bool:
    """Whether ComfyUI takes this weight from the model when it draws: ControlNets of SD 3.5 lack one of its
    embedders.
    """
    if not isinstance(control, comfy.controlnet.ControlNetSD35):
        return False
    return key.startswith("orig_y_embedder." if control.control_model.double_y_emb else "x_embedder.")
