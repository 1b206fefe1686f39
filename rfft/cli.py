"""`rfft train | estimate | evaluate | merge`: one command each, errors as one sentence and exit status 1."""

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial

import torch

from ..rfnet.arguments import STRENGTH, one_line, path
from ..rfnet.commands import Commands
from ..rfnet.files import check_writable, write_picture
from ..rfnet.training.toml_config import parse_overrides
from ..rfnet.weights import load_reviewer, read_metadata
from .adapter import load_adapter, read_adapter
from .config import ConfigError, TrainConfig, read_config
from .families.loading import FLOW_FAMILIES
from .inputs import check_result, check_reviewer, open_products, read_pairs
from .loading import FAMILIES, Family
from .lora import check_layout, fold_loras
from .merge import merge_files


def main(argv=None, families: dict | None = None) -> int:
    """families: {name: loading.Family} of a caller, beside those of loading.FAMILIES."""
    return _commands().run(argv, families={**FAMILIES, **(families or {})})


def png(text: str) -> str:
    if not path(text).lower().endswith(".png"):
        raise argparse.ArgumentTypeError(f"{one_line(text, 60)} does not end with .png: pictures are written as PNG")
    return text


def _commands() -> Commands:
    commands = Commands("rfft", "Tune a ControlNet on the reviewer's feedback (arXiv:2408.00418).")

    sub = commands.add(
        "train",
        train,
        "Train an adapter as a TOML file says. Run it again to continue after an interruption, or with more steps.",
    )
    _add_config(sub)
    sub.add_argument("--picture", type=png, help="PNG to write after each step: curves, and pictures of then and now")

    sub = commands.add(
        "estimate",
        estimate,
        "Estimate the memory of a training, as configured and for each plan that it falls back to when memory runs out."
        " Reads no weights but the reviewer's.",
    )
    _add_config(sub)

    sub = commands.add(
        "evaluate",
        evaluate_command,
        "Measure rate, diversity and colours of a config's ControlNet, with an adapter or without.",
    )
    _add_config(sub)
    sub.add_argument("--adapter", type=path, help="file that `rfft train` wrote; without it, the base is measured")
    sub.add_argument("--strength", type=STRENGTH, default=1.0, help="how much of the adapter counts")
    sub.add_argument("--json", action="store_true", help="print the figures as JSON")

    sub = commands.add(
        "merge",
        merge,
        "Merge adapters into the ControlNet that they were trained on. Writes a full ControlNet in its layout.",
    )
    sub.add_argument("base", type=path, help="the ControlNet file")
    sub.add_argument("adapters", type=path, nargs="+", help="files that `rfft train` wrote")
    sub.add_argument("--out", type=path, required=True, help="file to write, .safetensors")
    sub.add_argument("--strength", type=STRENGTH, nargs="+", help="one for each adapter; 1 by default")
    return commands


def _add_config(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("config", type=path, help="TOML file; docs/rfft.md explains its keys")
    sub.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="change keys of the config, such as steps=400 seed=1"
    )


def train(args) -> None:
    from .train import Run

    if args.picture:
        check_writable(args.picture)
    config, pairs, reviewer, models = _load(args, check_result)
    if args.picture:
        _train_with_picture(config, models, reviewer, pairs, args.picture)
    else:
        Run(config, models, reviewer, pairs)()


def _train_with_picture(config: TrainConfig, models, reviewer, pairs: list, picture) -> None:
    from .interactive import Progress, summary
    from .train import Run

    progress = Progress(
        config.steps, lambda text: print(text, flush=True), lambda shown, _: write_picture(picture, shown)
    )
    run = Run(config, models, reviewer, pairs, watch=progress)
    progress.begin(run)
    try:
        print(summary(config, run(), "Start it again with more steps to go on."), flush=True)
    except KeyboardInterrupt:
        print(f"{progress.saved()}: start the same again to go on from there.", flush=True)
        raise


def estimate(args) -> None:
    from .estimate import advice, estimates

    config, family, pairs = _checked(args)
    if family.skeleton is None:
        raise ConfigError(
            f"the family \"{config.family}\" can't be built without its weights, so its memory can't be estimated:"
            " train with batch = 1, and watch the memory."
        )
    reviewer = load_reviewer(config.reviewer).requires_grad_(False)
    rows = []
    print("Memory of a training, estimated:", flush=True)
    parts = {"parts": config.parts} if family.flow else {}
    skeleton = partial(family.skeleton, config.checkpoint, config.controlnet, **parts)
    for row in estimates(config, skeleton, reviewer, pairs):
        print(f"  {row}", flush=True)
        rows.append(row)
    print(advice(rows))


def evaluate_command(args) -> None:
    from tqdm import tqdm

    from ..rfnet.training.processes import accelerator
    from .evaluate import evaluate, evaluation_jobs
    from .step import autocast
    from .train import spread

    if args.adapter:  # before the models, which take longer
        read_adapter(args.adapter, read_config(args.config, **parse_overrides(args.set, ConfigError)).controlnet)
    config, pairs, reviewer, models = _load(args)
    device = accelerator().device
    if config.half_base:
        models.to(torch.bfloat16)
    models, reviewer = models.freeze().to(device), reviewer.to(device)
    adapter = load_adapter(models.controlnet, args.adapter, config.controlnet, args.strength) if args.adapter else None
    jobs = evaluation_jobs(spread(pairs, config.evaluation_products), config.evaluation_seeds)
    with autocast(device, config):
        evaluation, _ = evaluate(
            models,
            reviewer,
            jobs,
            config.sampling,
            adapter,
            config.batch,
            progress=lambda batches: tqdm(batches, desc="evaluate", disable=args.json),
        )
    print(json.dumps(evaluation.row()) if args.json else evaluation)


def merge(args) -> None:
    check_writable(args.out)
    merge_files(args.base, args.adapters, args.out, args.strength)
    print(f"wrote {args.out}")


def _checked(args, check: Callable = lambda config: None) -> tuple:
    """(config, its family, its pairs of canvas and prompt): all that is quick to check."""
    config: TrainConfig = read_config(args.config, **parse_overrides(args.set, ConfigError))
    if config.family not in args.families:
        raise ConfigError(f'family is "{config.family}": use one of {", ".join(sorted(args.families))}.')
    check(config)
    check_family(config, args.families[config.family])
    for lora in config.loras:
        check_layout(lora["file"])
    check_reviewer(read_metadata(config.reviewer), config.reviewer, config.minimum_ap, config.force)
    cut_outs = open_products(config.products)
    pairs = read_pairs(config, cut_outs)
    for sentence in cut_outs.sentences:
        print(f"rfft: {sentence}", file=sys.stderr)
    args.status = 1 if cut_outs.broken else 0
    return config, args.families[config.family], pairs


def check_family(config: TrainConfig, family: Family) -> None:
    """Raises ConfigError where settings are not for this family."""
    if not family.flow:
        if config.sampler == "euler":
            raise ConfigError('sampler is "euler", which draws flow-matching models: use ddim or dpmpp_2m.')
        if config.parts:
            raise ConfigError(
                "parts are for flow-matching models: give a whole checkpoint, or set family to one of"
                f" {', '.join(FLOW_FAMILIES)}."
            )
        return
    if config.sampler == "dpmpp_2m":
        raise ConfigError(f'sampler is "dpmpp_2m", and {config.family} is drawn with sampler = "euler".')
    if config.size % 16:
        raise ConfigError(f"size is {config.size}: {config.family} needs a multiple of 16.")
    if config.loras:
        raise ConfigError(
            f"loras can't be folded into {config.family} yet: merge them into the checkpoint with another program, and"
            " leave loras empty."
        )


def _load(args, check: Callable = lambda config: None) -> tuple:
    """(config, pairs, reviewer, models): the models come last."""
    config, family, pairs = _checked(args, check)
    reviewer = load_reviewer(config.reviewer)
    dtype = torch.bfloat16 if config.half_base else torch.float32
    options = {"parts": config.parts, "dtype": dtype} if family.flow else {}
    models = family.load(config.checkpoint, config.controlnet, **options)
    return config, pairs, reviewer, fold_loras(models, config.loras, config.checkpoint)
