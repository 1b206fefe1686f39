"""`rfft train | estimate | evaluate | merge`: one command each, errors as one sentence and exit status 1."""

import json
import sys

import torch

from ..rfnet.arguments import STRENGTH, path
from ..rfnet.commands import Commands
from ..rfnet.files import check_writable
from ..rfnet.training.toml_config import parse_overrides
from ..rfnet.weights import load_reviewer, read_metadata
from .adapter import load_adapter
from .config import ConfigError, TrainConfig, read_config
from .inputs import briefs, check_result, check_reviewer, open_products
from .loading import FAMILIES
from .lora import fold_loras
from .merge import merge_files


def main(argv=None, families: dict | None = None) -> int:
    """families: {name: loading.Family} of a caller, beside those of loading.FAMILIES."""
    return _commands().run(argv, families={**FAMILIES, **(families or {})})


def _commands() -> Commands:
    commands = Commands("rfft", "Tune a ControlNet on the reviewer's feedback (arXiv:2408.00418).")
    command = commands.add

    sub = command(
        "train",
        train,
        "Train an adapter as a TOML file says; run it again after an interruption, or with more steps, and it goes on.",
    )
    sub.add_argument("config", type=path)
    sub.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="any key of the config, such as steps=400 seed=1"
    )

    sub = command(
        "estimate",
        estimate,
        "How much memory a config's training takes on every rung of the ladder that it climbs where memory runs out; no"
        " weights are read but the reviewer's.",
    )
    sub.add_argument("config", type=path)
    sub.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE")

    sub = command(
        "evaluate",
        evaluate_command,
        "Rate, diversity and colours of a config's fixed orders, with an adapter or without.",
    )
    sub.add_argument("config", type=path)
    sub.add_argument("--adapter", type=path, help="file that `rfft train` wrote; without one the base is measured")
    sub.add_argument("--strength", type=STRENGTH, default=1.0)
    sub.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE")
    sub.add_argument("--json", action="store_true")

    sub = command(
        "merge",
        merge,
        "Fold adapters into the ControlNet that they were trained on: one full file, in that one's layout.",
    )
    sub.add_argument("base", type=path, help="the ControlNet file")
    sub.add_argument("adapters", type=path, nargs="+")
    sub.add_argument("--out", type=path, required=True, help="file to write, .safetensors")
    sub.add_argument("--strength", type=STRENGTH, nargs="+", help="one for each adapter; 1 by default")
    return commands


def train(args) -> None:
    from .train import Run

    config, found, reviewer, models = _open(args, check_result)
    Run(config, models, reviewer, found)()


def estimate(args) -> None:
    from .estimate import estimates, outlook

    config, family, found = _checked(args)
    if family.skeleton is None:
        raise ConfigError(
            f"the family \"{config.family}\" can't be built without its weights, so its memory can't be estimated:"
            " train with batch = 1 and look."
        )
    reviewer = load_reviewer(config.reviewer).requires_grad_(False)
    rows = []
    print("Memory of a training, estimated:", flush=True)
    for row in estimates(config, lambda: family.skeleton(config.checkpoint, config.controlnet), reviewer, found):
        print(f"  {row}", flush=True)
        rows.append(row)
    print(outlook(rows))


def evaluate_command(args) -> None:
    from tqdm import tqdm

    from ..rfnet.training.processes import accelerator
    from .evaluate import evaluate, triples
    from .train import autocast, spread

    config, found, reviewer, models = _open(args)
    device = accelerator().device
    if config.half_base:
        models.to(torch.bfloat16)
    models, reviewer = models.freeze().to(device), reviewer.to(device)
    adapter = load_adapter(models.controlnet, args.adapter, config.controlnet, args.strength) if args.adapter else None
    orders = triples(spread(found, config.evaluation_products), config.evaluation_seeds)
    with autocast(device, config):
        report, _ = evaluate(
            models,
            reviewer,
            orders,
            config.sampling,
            adapter,
            config.batch,
            progress=lambda batches: tqdm(batches, desc="evaluate", disable=args.json),
        )
    print(json.dumps(report.row()) if args.json else report)


def merge(args) -> None:
    check_writable(args.out)
    merge_files(args.base, args.adapters, args.out, args.strength)
    print(f"wrote {args.out}")


def _checked(args, check=lambda config: None) -> tuple:
    """(config, its family, briefs): all that is quick to check."""
    config: TrainConfig = read_config(args.config, **parse_overrides(args.set, ConfigError))
    if config.family not in args.families:
        raise ConfigError(f'family is "{config.family}": use one of {", ".join(sorted(args.families))}.')
    check(config)
    check_reviewer(read_metadata(config.reviewer), config.reviewer, config.minimum_ap, config.force)
    found = open_products(config.products)
    orders = briefs(config, found)
    for sentence in found.sentences:
        print(f"rfft: {sentence}", file=sys.stderr)
    args.status = 1 if found.broken else 0
    return config, args.families[config.family], orders


def _open(args, check=lambda config: None) -> tuple:
    """(config, briefs, reviewer, models): the models come last."""
    config, family, found = _checked(args, check)
    return (
        config,
        found,
        load_reviewer(config.reviewer),
        fold_loras(family.load(config.checkpoint, config.controlnet), config.loras),
    )
