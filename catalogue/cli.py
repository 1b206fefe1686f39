"""`cyclic produce CATALOGUE --out DIR`: errors as one sentence and exit status 1; 1, too, where a product failed."""

from __future__ import annotations

import argparse
import os
import re
import signal
import threading

from ..rfnet.arguments import COUNT, SEED, SHARE, STRENGTH, decimal, path, whole
from ..rfnet.commands import Commands
from ..rfnet.files import quoted
from ..rfnet.opinions.options import add_opinions
from ..rfnet.risks import ACCEPT
from ..rfnet.weights import DEFAULT_WEIGHTS
from .storage import scheme_of

SIDE = whole(64, 4096)
PRICE = decimal(0, 1e6)
ADDRESS = re.compile(r"[\w.-]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
OF_REVIEW = ("weights", "painter", "painter_controlnet")
DRAWN = (  # options that say how this process draws
    *("checkpoint", "controlnet", "adapter", "adapter_strength", "lora", "precision", "device"),
    *("width", "height", "image_scale", "steps", "cfg", "sampler", "negative", "control_strength"),
    *("reviewer", "threshold", "accept", "attempts", "on_exhausted", "usable", "seconds", "step_budget", "parallel"),
    *("early_rejection", "remedies", "opinions"),
)


def main(argv=None) -> int:
    commands = Commands("cyclic", "Cyclic generation: draw, review, draw again (arXiv:2408.00418).")
    sub = commands.add(
        "produce",
        produce,
        "Draw a whole catalogue until each product has a picture that can be published. Run it again after an"
        " interruption and it goes on.",
    )
    add_catalogue(sub)
    sub.add_argument(
        "--prompt", nargs="+", default=[], metavar="TEXT", help="for rows without one; {caption} stands for the caption"
    )
    sub.add_argument(
        "--seed", type=SEED, default=0, help="each product and prompt gets a seed of its own from this one"
    )
    _add_comfy(sub)
    _add_models(sub)
    _add_sampling(sub)
    _add_budgets(sub)
    add_running(sub)
    sub.set_defaults(default_of=sub.get_default)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)
    return commands.run(argv)


def add_catalogue(sub: argparse.ArgumentParser) -> None:
    """Which products, and where the results go."""
    sub.add_argument(
        "catalogue",
        type=path,
        help=".csv, .jsonl or .parquet with a product picture in each row, or a folder of cut-outs",
    )
    sub.add_argument(
        "--out",
        type=path,
        required=True,
        metavar="DIR",
        help="folder for pictures, manifest and pages, or an object store such as s3://bucket/run1",
    )
    sub.add_argument(
        "--columns",
        nargs="+",
        default=[],
        metavar="NAME=COLUMN",
        help="what the catalogue calls its columns, such as picture=image_url caption=title",
    )


def _add_comfy(sub: argparse.ArgumentParser) -> None:
    comfy = sub.add_argument_group("ComfyUI servers, which then draw; models, sampling and loop are their graph's")
    comfy.add_argument("--comfy", nargs="+", default=[], metavar="HOST:PORT")
    comfy.add_argument("--graph", type=path, help="graph with RF Product Folder in API format")
    comfy.add_argument(
        "--patience", type=decimal(1, 86400), default=600, help="seconds that a server may take for one product"
    )


def _add_models(sub: argparse.ArgumentParser) -> None:
    models = sub.add_argument_group("models (by default the pocket family, which ships)")
    models.add_argument("--checkpoint", type=path, help=".safetensors or a diffusers folder, SD 1.5 or SDXL")
    models.add_argument("--controlnet", type=path, help=".safetensors, canny")
    models.add_argument("--adapter", type=path, help="file that `rfft train` wrote for this ControlNet")
    models.add_argument("--adapter-strength", type=STRENGTH, default=1.0)
    models.add_argument("--lora", nargs="+", default=[], metavar="FILE[:STRENGTH]")
    models.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="bfloat16 takes half the memory on a GPU",
    )


def _add_sampling(sub: argparse.ArgumentParser) -> None:
    drawing = sub.add_argument_group("how pictures are drawn (by default what suits the models)")
    drawing.add_argument("--width", type=SIDE)
    drawing.add_argument("--height", type=SIDE)
    drawing.add_argument(
        "--image-scale", type=decimal(0.01, 1), default=0.72, help="share of the canvas that the product fills"
    )
    drawing.add_argument("--steps", type=whole(1, 1000))
    drawing.add_argument("--cfg", type=decimal(0, 100), help="guidance; 1: off")
    drawing.add_argument("--sampler", choices=("ddim", "dpmpp_2m", "euler"))
    drawing.add_argument("--negative", default="", help="negative prompt")
    drawing.add_argument("--control-strength", type=decimal(0, 10), default=1.0)


def _add_budgets(sub: argparse.ArgumentParser) -> None:
    loop = sub.add_argument_group("the loop, as in RF Cyclic Sampler")
    add_verdict(loop)
    loop.add_argument("--attempts", type=whole(1, 1000), default=5)
    loop.add_argument(
        "--on-exhausted",
        choices=("best", "last", "stop"),
        default="best",
        help="what is kept where no attempt was accepted",
    )
    loop.add_argument("--usable", type=whole(1, 1000), default=1, help="accepted pictures to draw for each product")
    loop.add_argument("--seconds", type=decimal(0, 86400, above=True), help="no new attempt of a product after so many")
    loop.add_argument("--step-budget", type=COUNT, help="no new attempt of a product after so many sampling steps")
    loop.add_argument("--parallel", type=whole(1, 64), default=1, help="attempts of a product drawn at once")
    loop.add_argument("--early-rejection", default="auto", help="auto, off, or a profile's file (*.gates.json)")
    add_opinions(loop)
    loop.add_argument(
        "--remedies",
        nargs="*",
        metavar="NAME",
        help="answer rejected pictures; without names, with the remedies that are on in RF Remedies",
    )


def add_verdict(group) -> None:
    group.add_argument("--reviewer", type=path, default=str(DEFAULT_WEIGHTS), metavar="WEIGHTS")
    group.add_argument("--threshold", type=SHARE, help="accept from this p(available); by default the reviewer's own")
    group.add_argument(
        "--accept",
        choices=tuple(ACCEPT),
        default="threshold",
        help="what decides: the threshold, or a risk that the reviewer is certified for",
    )


def add_running(sub: argparse.ArgumentParser) -> None:
    running = sub.add_argument_group("running")
    running.add_argument(
        "--ray",
        nargs="?",
        const="local",
        metavar="ADDRESS",
        help="on Ray: without an address on this machine, auto: the cluster it belongs to, or an address",
    )
    running.add_argument("--workers", type=COUNT, help="on Ray: so many, by default as many as it gives")
    running.add_argument("--cpus-per-worker", type=decimal(0, 1024), default=1, help="on Ray: what each asks for")
    running.add_argument("--gpus-per-worker", type=decimal(0, 64), help="the same; by default 1 where there are GPUs")
    running.add_argument(
        "--dry-run", action="store_true", help="say what would be done, hours and memory; write nothing"
    )
    running.add_argument("--limit", type=COUNT, help="do no more than so many in this run")
    running.add_argument("--price", type=PRICE, help="of an hour of one worker, to show what it costs")
    running.add_argument("--metrics-port", type=whole(1, 65535), help="serve numbers for Prometheus at /metrics there")
    running.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")


def produce(args) -> None:
    from .rows import Catalogue

    if args.ray:
        whole_paths(args)
    elif args.workers:
        raise argparse.ArgumentTypeError("--workers is for Ray: give --ray, too.")
    catalogue = Catalogue(args.catalogue, args.prompt, columns_of(args.columns), args.seed)
    start(args, catalogue, comfy_spec(args) if args.comfy or args.graph else diffusers_spec(args))


def start(args, catalogue, spec) -> None:
    """Runs it; what failed makes the exit status 1."""
    from .plan import dry_run
    from .progress import serve_metrics
    from .run import Run, on_this_machine
    from .storage import open_storage

    def begin(progress) -> None:
        if args.metrics_port:
            serve_metrics(progress, args.metrics_port)

    work = ray_of(args) if args.ray else on_this_machine
    run = Run(catalogue, spec, open_storage(args.out), work, args.limit, args.price, begin)
    if args.dry_run:
        dry_run(run, args.workers if args.ray else max(1, len(getattr(args, "comfy", ()))))
        return
    summary = run()
    print(f"Page: {run.out.where('index.html')}")
    args.status = 1 if summary["failures"] else 0


def ray_of(args):
    from .ray_run import OnRay

    if getattr(args, "comfy", None):
        raise argparse.ArgumentTypeError(
            "--ray and --comfy don't go together: ComfyUI's servers are the workers already."
        )
    return OnRay(None if args.ray == "local" else args.ray, args.workers, args.cpus_per_worker, args.gpus_per_worker)


def whole_paths(args) -> None:
    """Workers on Ray run in other folders: every path becomes one that holds there, too."""
    for name in ("catalogue", "out", "checkpoint", "controlnet", "adapter", "reviewer", "early_rejection", *OF_REVIEW):
        value = getattr(args, name, None)
        if value and not scheme_of(value) and (name != "early_rejection" or os.path.exists(value)):
            setattr(args, name, os.path.abspath(value))
    args.lora = [os.path.abspath(text) for text in getattr(args, "lora", ())]
    args.opinions = [f"{name}{sign}{path and os.path.abspath(path)}" for name, sign, path in map(parts, args.opinions)]


def parts(text: str) -> tuple[str, str, str]:
    """("expansion", "=", "FILE") of "expansion=FILE"."""
    return text.partition("=")


def comfy_spec(args):
    from .comfy_engine import ComfySpec

    if not (args.comfy and args.graph):
        raise argparse.ArgumentTypeError("--comfy and --graph belong together: give the servers, and what they draw.")
    if wrong := [address for address in args.comfy if not ADDRESS.fullmatch(address)]:
        raise argparse.ArgumentTypeError(f'--comfy has "{wrong[0]}": write HOST:PORT, such as 127.0.0.1:8188.')
    if given := [name for name in DRAWN if getattr(args, name) != args.default_of(name)]:
        option = f"--{given[0].replace('_', '-')}"
        raise argparse.ArgumentTypeError(f"{option} is for drawing without ComfyUI: change it in the graph.")
    return ComfySpec(tuple(dict.fromkeys(args.comfy)), args.graph, args.patience)


def diffusers_spec(args):
    from ..cyclic.remedies import REMEDIES
    from .diffusers_engine import DiffusersSpec
    from .settings import Budgets, Verdict

    if bool(args.checkpoint) != bool(args.controlnet):
        given, other = ("--checkpoint", "--controlnet") if args.checkpoint else ("--controlnet", "--checkpoint")
        raise argparse.ArgumentTypeError(f"{given} is given without {other}: give both, or none for the pocket family.")
    models = {name: getattr(args, name) for name in ("checkpoint", "controlnet") if getattr(args, name)}
    on = [remedy.name for remedy in REMEDIES if remedy.on and not remedy.other_network]
    asked = () if args.remedies is None else tuple(args.remedies or on)
    names = ("adapter", "adapter_strength", "precision", "width", "height", "image_scale", "steps", "cfg", "sampler")
    same = {name: getattr(args, name) for name in (*names, "negative", "control_strength", "device")}
    return DiffusersSpec(
        Verdict(args.reviewer, args.threshold, args.accept, tuple(args.opinions)),
        Budgets(
            args.attempts,
            args.on_exhausted,
            args.usable,
            args.seconds,
            args.step_budget,
            args.parallel,
            args.early_rejection,
            asked,
        ),
        loras=tuple(map(lora_of, args.lora)),
        **models,
        **same,
    )


def columns_of(given: list[str]) -> dict[str, str]:
    """{"picture": "image_url"} of ["picture=image_url"]. Raises ArgumentTypeError."""
    pairs = [text.partition("=") for text in given]
    if wrong := [name for name, sign, column in pairs if not (name and sign and column)]:
        raise argparse.ArgumentTypeError(f'--columns has "{wrong[0]}": write NAME=COLUMN, such as picture=image_url.')
    return {name: column for name, _, column in pairs}


def lora_of(text: str) -> tuple[str, float]:
    """ "style.safetensors:0.8" -> the file and its strength, 1 without one."""
    file, sign, strength = text.rpartition(":")
    if not sign or not file.endswith(".safetensors"):
        return text, 1.0
    try:
        return file, STRENGTH(strength)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"--lora gives {quoted(file)} a strength that can't be used: {error}.") from error


def _stop(*_) -> None:
    raise KeyboardInterrupt  # what is done becomes a part, as when the user stops it
