"""What an accepted picture costs: the plain loop, early rejection, and early rejection with remedies, without and with
a tuned ControlNet among them, on the same products and seeds.

    python -m benchmarks.sampler [--quick] [--only choice costs judge labels graph] [--products 100] [--attempts 5]
    [--profile auto] [--judge WEIGHTS]

Everything runs through a real ComfyUI server and the shipped workflow; the ways take turns, product by product. The
harder half and the hardest quarter are the products that needed most steps by the plain loop with other seeds than
those that are compared, so that bad luck does not choose them. With the same number of attempts a way that gives up
early also gives up sooner on a product that never succeeds; so early rejection is measured a second time ("equal"),
with more attempts, until it has paid as many steps as the plain loop may. `choice` draws validation products: what was
switched on was chosen there. What becomes of the accepted pictures, `judge`, `labels` and `graph`, is in
sampler_pictures.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from reliable_ads.cyclic.remedies import NAMES
from reliable_ads.devtools.comfy import ComfyServer
from reliable_ads.devtools.graph import titled
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer
from reliable_ads.synthetic.jobs import test_jobs
from reliable_ads.synthetic.scenes import BLAME

from .common import ROOT, Figure, publish
from .end_to_end import PROMPT, SAMPLER, SEEDS, Session, picture_hash
from .sampler_costs import DRAWS, EQUAL, WAYS, figures_of
from .sampler_pictures import blind_sheets, graph, judge, labels

COMMAND = "python -m benchmarks.sampler"
MODELS = "Models"
TUNED = "pocket_canny_reliable.safetensors"
JUDGE = ROOT / "data" / "judge" / "judge.safetensors"
OTHER_SEEDS = 1_000_000  # added to a job's seed where its difficulty is found out
FOLLOWED = 4  # draws of a product after which the next one is looked at
MORE = 10  # times the attempts where only the budget of steps shall end it
WORDS = ("avoid", "guidance")  # remedies that helped on validation products
HELPFUL = (*WORDS, "tuned")


def with_remedies(session: Session) -> dict:
    """{way: the sampler's inputs} with words that the pocket family has learned to call faults by, and with the
    ControlNet that RFFT has tuned (docs/rfft.md).
    """
    clip = session.graph[titled(session.graph, PROMPT)]["inputs"]["clip"]
    models = session.graph[titled(session.graph, MODELS)]["inputs"]
    session.graph["tuned"] = {
        "class_type": "RFControlNetLoader",
        "inputs": {"control_net_name": models["control_net_name"], "adapter": TUNED, "strength": 1.0},
        "_meta": {"title": "Tuned"},
    }
    for name, allowed in (("words", WORDS), ("remedies", HELPFUL)):
        inputs = {
            "clip": clip,
            "contrast_words": "",
            "surface_words": "",
            "avoid_words": ", ".join(BLAME.values()),
            "tuned_control_net": ["tuned", 0],
            "begin_at": "",
        }
        session.graph[name] = {
            "class_type": "RFRemedies",
            "inputs": {**inputs, **{remedy: remedy in allowed for remedy in NAMES}},
            "_meta": {"title": name},
        }
    return {name: {"remedies": [name, 0]} for name in ("words", "remedies")}


def costs(options) -> tuple[dict[str, Figure], dict]:
    """Steps and seconds per accepted picture of each way, and what each accepted."""
    jobs = test_jobs(options.products)
    with (
        tempfile.TemporaryDirectory(prefix="reliable-ads-") as base,
        ComfyServer(Path(base), options.out / "server.log") as server,
    ):
        session = Session(server)
        ways = {"plain": {"early_rejection": "off"}, "early": {"early_rejection": options.profile}}
        answers = with_remedies(session)
        ways |= {
            "words": {**ways["early"], **answers["words"]},
            "remedies": {**ways["early"], **answers["remedies"]},
            "answered": {**ways["plain"], **answers["remedies"]},
        }
        sampler = session.graph[titled(session.graph, SAMPLER)]["inputs"]
        ways[EQUAL] = {**ways["early"], "step_budget": options.attempts * sampler["steps"]}
        rows = {way: [] for way in (*WAYS, EQUAL, "pilot")}
        accepted = []
        for number, job in enumerate(jobs):
            turns = [*WAYS[number % len(WAYS) :], *WAYS[: number % len(WAYS)], EQUAL, "pilot"]
            for way in turns:
                sampler.pop("remedies", None)
                sampler["step_budget"] = 0
                asked = replace(job, seed=job.seed + OTHER_SEEDS) if way == "pilot" else job
                tries = options.attempts * (MORE if way == EQUAL else 1)
                report, pictures = session.draw(asked, tries, **ways.get(way, ways["plain"]))
                rows[way].append((report["steps"], report["seconds"], int(report["accepted"]), len(report["attempts"])))
                if report["accepted"] and way in WAYS:
                    first = report["usable"][0] - 1
                    accepted.append(
                        {
                            "way": way,
                            "job": number,
                            "hash": picture_hash(pictures[first]),
                            "remedies": report["attempts"][first]["remedies"],
                        }
                    )
                    pictures[first].save(options.out / f"{way}-{number:03d}.png")
            print(f"\rproduct {number + 1}/{len(jobs)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    blind_sheets(accepted, jobs, options.out)
    found = {way: np.array(values, float) for way, values in rows.items()}
    return figures_of(found), {
        "costs": {"attempts": options.attempts, "rows": {way: values.tolist() for way, values in found.items()}},
        "accepted": accepted,
    }


@torch.no_grad()
def choice(options) -> tuple[dict[str, Figure], dict]:
    """How the remedies were chosen: draws of validation products that follow a rejected one, with the next seed alone
    and with what may answer it (rfft's own sampler, as the first shipped workflow draws).
    """
    from reliable_ads.rfft.rollout import Job, draw, prepare, review_logits
    from reliable_ads.synthetic.jobs import jobs_of

    from . import tuning

    products = jobs_of(tuning.VALIDATION)[: 6 if options.quick else 57]
    faults = ", ".join(BLAME.values())
    reviewer = load_reviewer(DEFAULT_WEIGHTS)
    placed = tuning.placed(products)

    def passed(adapter, sampling) -> np.ndarray:
        """(products, FOLLOWED + 1) bool."""
        models = tuning.models_with(adapter)
        found = []
        jobs = [
            Job(canvas, prompt, product.seed + OTHER_SEEDS + seed)
            for product, (canvas, prompt) in zip(products, placed)
            for seed in range(FOLLOWED + 1)
        ]
        for first in range(0, len(jobs), 16):
            batch = prepare(models, jobs[first : first + 16], sampling)
            logits = review_logits(reviewer, draw(models, batch, sampling), [job.canvas for job in batch.jobs])
            found.append(logits.softmax(1)[:, 0] >= 0.5)
        return torch.cat(found).view(len(products), -1).numpy()

    plain = tuning.SAMPLING
    adapter = tuning.adapter(tuning.TUNED)
    strong = replace(plain, guidance=1.5 * plain.guidance)
    firsts = passed(None, plain)
    ways = {
        "seed": firsts,
        "words": passed(None, replace(strong, null_prompt=faults)),
        "tuned": passed(adapter, plain),
        "all": passed(adapter, replace(strong, null_prompt=faults)),
    }
    rejected = ~firsts[:, :-1]
    rows = np.random.default_rng(0).integers(len(products), size=(DRAWS, len(products)))  # a product's draws together
    figures = {}
    for name, found in ways.items():
        passed_then = found[:, 1:] & rejected
        draws = passed_then[rows].sum((1, 2)) / np.maximum(rejected[rows].sum((1, 2)), 1)
        figures[f"after_rejection_{name}"] = Figure(
            float(passed_then.sum() / rejected.sum()),
            *(float(np.percentile(draws, part)) for part in (2.5, 97.5)),
            int(rejected.sum()),
        )
    return figures, {}


PARTS = {"choice": choice, "costs": costs, "judge": judge, "labels": labels, "graph": graph}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="six products, nothing written")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=["costs", "graph"])
    parser.add_argument("--products", type=int, default=100)
    parser.add_argument("--attempts", type=int, default=5)
    parser.add_argument(
        "--profile",
        default="auto",
        help="early_rejection: a profile beside the reviewer, as dev.py profile writes it, or auto",
    )
    parser.add_argument("--judge", type=Path, default=JUDGE, help="weights of the second reviewer")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "sampler")
    options = parser.parse_args()
    options.products = 6 if options.quick else options.products
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        figures, details = PARTS[name](options)
        publish("sampler", COMMAND, SEEDS, figures, options.quick, details)


if __name__ == "__main__":
    main()
