"""RFFT (arXiv:2408.00418): tune a ControlNet on the reviewer's feedback, so that more of what it draws can be
published, without making the pictures dull.

    from reliable_ads.rfft import load, load_adapter, merge_files

    models = load("sd15.safetensors", "control_v11p_sd15_canny.safetensors").freeze()
    load_adapter(models.controlnet, "canny_reliable.safetensors", "control_v11p_sd15_canny.safetensors", strength=1.0)

losses holds the method's losses, schedule and flow what diffusion and flow matching make of them, rollout draws and
takes the differentiable steps, objective puts these together, adapter is what learns and what is written, evaluate
measures the same pictures before and after, memory and estimate make it fit, loading and lora read users' files,
train.Run does it all as a config says.
"""

from ..rfnet.lazy import lazily

__all__, __getattr__, __dir__ = lazily(
    __name__,
    adapter="Adapter AdapterError load_adapter save_adapter",
    config="ConfigError TrainConfig read_config",
    loading="FAMILIES Family load",
    lora="fold_loras",
    losses="LOSSES Loss",
    merge="merge_files",
    models="ModelError Models",
    rollout="Job Sampling",
    train="Run",
)
