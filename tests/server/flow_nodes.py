"""A node for the tests alone, put into the server's custom_nodes: models of flow matching with random weights.

Their classes are ComfyUI's own, and so is all that samples with them. Only their widths are small: ComfyUI's detection
gives most of these architectures one fixed width, of some gigabytes.
"""

import sys

import comfy.cldm.cldm
import comfy.cldm.dit_embedder
import comfy.controlnet
import comfy.latent_formats
import comfy.ldm.flux.controlnet
import comfy.ldm.flux.model
import comfy.ldm.models.autoencoder
import comfy.ldm.qwen_image.controlnet
import comfy.ldm.wan.vae
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.supported_models
import comfy.taesd.taesd
import torch

TOKENS, TEXT, POOLED = 6, 64, 48  # of a prompt: how many, how wide, and how wide its summary
FLUX = {
    "in_channels": 16,
    "out_channels": 16,
    "hidden_size": 64,
    "num_heads": 2,
    "axes_dim": [8, 12, 12],
    "context_in_dim": TEXT,
    "vec_in_dim": POOLED,
    "mlp_ratio": 2.0,
    "theta": 10000,
    "qkv_bias": True,
    "patch_size": 2,
    "depth": 2,
    "depth_single_blocks": 2,
    "guidance_embed": True,
}
if "txt_ids_dims" in comfy.ldm.flux.model.FluxParams.__dataclass_fields__:  # in newer ComfyUIs
    FLUX["txt_ids_dims"] = []
QWEN = {
    "in_channels": 64,
    "num_layers": 2,
    "attention_head_dim": 32,
    "num_attention_heads": 2,
    "joint_attention_dim": TEXT,
    "axes_dims_rope": (8, 12, 12),
}
SD35 = {
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "depth": 2,
    "input_size": None,
    "adm_in_channels": 2048,
    "context_embedder_config": {
        "target": "torch.nn.Linear",
        "params": {"in_features": TEXT, "out_features": 128},
    },
    "num_patches": 24**2,
    "pos_embed_max_size": 24,
    "pos_embed_scaling_factor": None,
    "qk_norm": "rms",
    "x_block_self_attn_layers": [0],
}
Z_IMAGE = {
    "patch_size": 2,
    "in_channels": 16,
    "dim": 256,
    "n_layers": 2,
    "n_refiner_layers": 1,
    "n_heads": 4,
    "n_kv_heads": 4,
    "multiple_of": 32,
    "ffn_dim_multiplier": 8.0 / 3.0,
    "qk_norm": True,
    "cap_feat_dim": TEXT,
    "axes_dims": [16, 24, 24],
    "axes_lens": [64, 64, 64],
    "rope_theta": 256.0,
    "z_image_modulation": True,
    "time_scale": 1000.0,
    "pad_tokens_multiple": 32,
}
HIDREAM = {
    "patch_size": 2,
    "in_channels": 16,
    "out_channels": 16,
    "num_layers": 1,
    "num_single_layers": 1,
    "attention_head_dim": 32,
    "num_attention_heads": 2,
    "caption_channels": [TEXT, TEXT],
    "text_emb_dim": POOLED,
    "num_routed_experts": 2,
    "num_activated_experts": 1,
    "axes_dims_rope": [16, 8, 8],
    "max_resolution": [64, 64],
    "llama_layers": [0, 1],
}
FLUX2 = {
    **FLUX,
    "in_channels": 128,
    "out_channels": 128,
    "axes_dim": [8, 8, 8, 8],
    "patch_size": 1,
    "vec_in_dim": None,
    "theta": 2000,
    "global_modulation": True,
    "mlp_silu_act": True,
    "qkv_bias": False,
    "ops_bias": False,
    "default_ref_method": "index",
    "ref_index_scale": 10.0,
}
if "txt_ids_dims" in FLUX2:
    FLUX2["txt_ids_dims"] = [3]
FAMILIES = {  # ComfyUI's class, and the size
    "sd35": (comfy.supported_models.SD3, SD35),
    "flux": (comfy.supported_models.Flux, FLUX),
    "flux_fill": (comfy.supported_models.FluxInpaint, {**FLUX, "in_channels": 96}),
    "flux2": (comfy.supported_models.Flux2, FLUX2),
    "qwen_image": (comfy.supported_models.QwenImage, QWEN),
    "z_image": (comfy.supported_models.ZImage, Z_IMAGE),
    "hidream": (comfy.supported_models.HiDream, HIDREAM),
}


class TestFlowModels:
    """MODEL, VAE and two prompts of a family."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"family": (list(FAMILIES),)}}

    RETURN_TYPES = ("MODEL", "VAE", "CONDITIONING", "CONDITIONING")
    FUNCTION, CATEGORY = "build", "tests"

    def build(self, family):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            return patcher(family), vae(family), prompt(family), prompt(family)


class TestFlowControlNet:
    """CONTROL_NET of a family, and another of the same kind with other weights."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"family": (list(CONTROLS),), "seed": ("INT", {"default": 1})}}

    RETURN_TYPES, FUNCTION, CATEGORY = ("CONTROL_NET",), "build", "tests"

    def build(self, family, seed):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return (CONTROLS[family](),)


class TestFlowModelPatch:
    """MODEL_PATCH of a family whose ControlNets patch the model."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"family": (["qwen_image", "z_image"],), "seed": ("INT", {"default": 1})}}

    RETURN_TYPES, FUNCTION, CATEGORY = ("MODEL_PATCH",), "build", "tests"

    def build(self, family, seed):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return (patched(filled(qwen_patch() if family == "qwen_image" else z_image_patch())),)


def qwen_patch():
    from comfy_extras.nodes_model_patch import QwenImageBlockWiseControlNet

    return QwenImageBlockWiseControlNet(2, dim=64, operations=comfy.ops.manual_cast)


def z_image_patch():
    from comfy.ldm.lumina.controlnet import ZImage_Control  # not in every ComfyUI

    same = ("dim", "n_heads", "n_kv_heads", "multiple_of", "ffn_dim_multiplier", "qk_norm")
    size = {name: Z_IMAGE[name] for name in same}
    return ZImage_Control(**size, n_control_layers=6, operations=comfy.ops.manual_cast)


class TestUnionType:
    """A CONTROL_NET that RF Load ControlNet has told which kind of hint it gets, and the number of that kind."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"control_net": ("CONTROL_NET",), "kind": ("STRING", {"default": "canny"})}}

    RETURN_TYPES, FUNCTION, CATEGORY = ("CONTROL_NET", "STRING"), "choose", "tests"

    def choose(self, control_net, kind):
        loader = next(module for name, module in sys.modules.items() if name.endswith(".nodes.union_types"))
        chosen = control_net.copy()
        loader.choose(chosen, kind, "a_union.safetensors")
        return chosen, str(chosen.extra_args.get("control_type"))


def patcher(family: str) -> comfy.model_patcher.ModelPatcher:
    config, size = FAMILIES[family]
    config = config({**size, "dtype": torch.float32})
    return patched(filled(config.get_model({}, "", device=torch.device("cpu"))))


def patched(model) -> comfy.model_patcher.ModelPatcher:
    devices = comfy.model_management.get_torch_device(), comfy.model_management.unet_offload_device()
    return comfy.model_patcher.ModelPatcher(model, *devices)


def filled(module):
    """ComfyUI's layers begin as uninitialised memory."""
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        if value.is_floating_point() and not name.startswith("model_sampling"):
            value.data.normal_(std=0.3 / max(1, value[0].numel()) ** 0.5 if value.ndim > 1 else 0.1)
            if value.ndim == 1 and name.endswith(("norm.scale", "weight", "gamma")):
                value.data.add_(1)
    return module


def vae(family: str) -> comfy.sd.VAE:
    """Small ones that stock VAE Loader reads from files, and for Flux.2 its class in a smaller size."""
    if family == "flux2":
        return vae_of_flux2()
    if family == "qwen_image":
        size = {"dim": 8, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "temperal_downsample": [False, True, True]}
        module = comfy.ldm.wan.vae.WanVAE(**size)
    else:
        module = comfy.taesd.taesd.TAESD(latent_channels=16)
    return comfy.sd.VAE(sd=filled(module).state_dict())


def vae_of_flux2() -> comfy.sd.VAE:
    size = {"double_z": True, "z_channels": 32, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 32}
    size |= {"ch_mult": [1, 1, 1, 1], "num_res_blocks": 1, "attn_resolutions": [], "batch_norm_latent": True}
    params = {"ddconfig": size, "embed_dim": 32}
    module = filled(comfy.ldm.models.autoencoder.AutoencoderKL(**params))
    module.bn.running_var.fill_(1.0)
    small = comfy.sd.VAE(sd=module.state_dict(), config={"params": params})
    small.downscale_ratio = small.upscale_ratio = 16
    small.latent_channels = 128
    return small


def prompt(family: str) -> list:
    """As the family's CLIP Text Encode gives it."""
    values = {"pooled_output": torch.randn(1, 2048 if family == "sd35" else POOLED)}
    if family == "hidream":
        values["conditioning_llama3"] = torch.randn(1, 2, TOKENS, TEXT)
    return [[torch.randn(1, TOKENS, TEXT), values]]


def control(network, latent_format, **options) -> comfy.controlnet.ControlNet:
    devices = {"load_device": comfy.model_management.get_torch_device(), "manual_cast_dtype": None}
    kind = options.pop("kind", comfy.controlnet.ControlNet)
    return kind(filled(network), compression_ratio=1, latent_format=latent_format, **devices, **options)


def flux_control(**size):
    network = comfy.ldm.flux.controlnet.ControlNetFlux(
        latent_input=True, **{**FLUX, **size}, dtype=torch.float32, operations=comfy.ops.disable_weight_init
    )
    masked = size.get("control_latent_channels") == 17
    return control(network, comfy.latent_formats.Flux(), extra_conds=["y", "guidance"], concat_mask=masked)


def qwen_control(extra: int = 0):
    network = comfy.ldm.qwen_image.controlnet.QwenImageControlNetModel(
        extra, **QWEN, dtype=torch.float32, operations=comfy.ops.disable_weight_init
    )
    return control(network, comfy.latent_formats.Wan21(), extra_conds=[], concat_mask=extra > 0)


def sd35_control():
    network = comfy.cldm.dit_embedder.ControlNetEmbedder(
        None, 2, 16, 64, 2, 2048, 2, 2, False, None, torch.float32, operations=comfy.ops.disable_weight_init
    )
    return control(network, comfy.latent_formats.SD3(), kind=comfy.controlnet.ControlNetSD35)


def sdxl_union_control(kinds: int):
    """Of one level, since the part for the kinds has a fixed width."""
    network = comfy.cldm.cldm.ControlNet(
        image_size=32,
        in_channels=4,
        model_channels=320,
        hint_channels=3,
        num_res_blocks=1,
        channel_mult=(1,),
        num_heads=8,
        context_dim=TEXT,
        transformer_depth=[0],
        transformer_depth_middle=-1,
        use_spatial_transformer=True,
        union_controlnet_num_control_type=kinds,
        dtype=torch.float32,
    )
    return comfy.controlnet.ControlNet(filled(network))


CONTROLS = {
    "sd35": sd35_control,
    "flux": lambda: flux_control(control_latent_channels=16),
    "flux_inpaint": lambda: flux_control(control_latent_channels=17),
    "flux_union": lambda: flux_control(control_latent_channels=16, num_union_modes=7),
    "qwen_image": qwen_control,
    "qwen_image_inpaint": lambda: qwen_control(4),
    "sdxl_union": lambda: sdxl_union_control(6),
    "sdxl_union_promax": lambda: sdxl_union_control(8),
}
NODE_CLASS_MAPPINGS = {
    "TestFlowModels": TestFlowModels,
    "TestFlowControlNet": TestFlowControlNet,
    "TestFlowModelPatch": TestFlowModelPatch,
    "TestUnionType": TestUnionType,
}
