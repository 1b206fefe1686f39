"""What an accepted picture costs (docs/protocol.md, 3): six arms on the same products and seeds.

    python -m benchmarks.sampler [--quick] [--only choice costs second labels graph] [--products 100] [--seeds 4]
    [--profile auto] [--second WEIGHTS] [--validation] [--share 0/1]

Everything runs through a real ComfyUI server and the shipped workflow; the arms take turns, product by product. Each
product is drawn with one seed, the first thirty with --seeds, so that the variety of what an arm serves can be seen.
The hardest quarter are the products that needed most steps by the plain loop with yet another seed, so that bad luck
does not choose them. The plain loop's draws are the first ones of best-of-N's, which has the same seeds: they are drawn
once, and counted for both; so are the first draws of the arm with remedies, which answer what was rejected.

`costs` goes on where it was stopped; two that are started with --share 0/2 and 1/2 work beside each other. --validation
runs it on validation products, by which the best arm is named. `choice` asks on validation products what may follow a
rejected draw. What becomes of the accepted pictures, `second`, `labels` and `graph`, is in sampler_pictures.py.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from reliable_ads.cyclic.remedies import REMEDIES
from reliable_ads.devtools.comfy import ComfyServer
from reliable_ads.devtools.graph import titled
from reliable_ads.rfnet.files import write_text
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer
from reliable_ads.synthetic.jobs import jobs_of
from reliable_ads.synthetic.scenes import BLAME

from .common import DRAWS, ROOT, VALIDATION, Figure, between, painter_print, products, publish, reviewer_print
from .end_to_end import ATTEMPTS, PROMPT, SAMPLER, SEEDS, Session
from .labelled import picture_hash
from .sampler_costs import ARMS, figures_of
from .sampler_pictures import graph, labels, second, sheets_of, variety

COMMAND = "python -m benchmarks.sampler"
MODELS = "Models"
TUNED = "pocket_canny_reliable.safetensors"
SECOND = ROOT / "benchmarks" / "second_reviewer.safetensors"  # of benchmarks/second_reviewer.toml
PLAIN, BEST_OF_N, ANSWERED = "plain", "best_of_n", "remedies"
PILOT = "pilot"  # the plain loop with another seed
OTHER_SEEDS = 1_000_000  # added to a job's seed for it
APART = 1000  # between a product's seeds, so that no attempt is shared
VARIED, FEW = 30, 1  # the first products are drawn with all seeds, by which variety is seen; the others with so many
FOLLOWED = 4  # draws of a product after which the next one is looked at
MORE = 10  # times the attempts where only the budget of steps shall end it


class Arms:
    """The shipped workflow in every arm's form."""

    def __init__(self, session: Session, profile: str):
        self.session, self.profile = session, profile
        graph = session.graph
        self.sampler = graph[titled(graph, SAMPLER)]["inputs"]
        self.applied = [node["inputs"] for node in graph.values() if node["class_type"].startswith("ControlNetApply")]
        self.plain = [inputs["control_net"] for inputs in self.applied]
        models = graph[titled(graph, MODELS)]["inputs"]
        clip = graph[titled(graph, PROMPT)]["inputs"]["clip"]
        graph["tuned"] = added("RFControlNetLoader", control_net_name=models["control_net_name"], adapter=TUNED)
        graph["tuned"]["inputs"]["strength"] = 1.0
        graph["remedies"] = added(
            "RFRemedies",
            clip=clip,
            begin_at="",
            **{f"{remedy.name}_words": remedy.words for remedy in REMEDIES if remedy.words},
            **{remedy.name: remedy.on and not remedy.other_network for remedy in REMEDIES},
        )

    def draw(self, arm: str, job, plain_steps: int) -> tuple[dict, list]:
        """plain_steps: what the plain loop may pay for one product."""
        tuned, early = arm in ("tuned", "early_tuned"), arm in ("early", "early_tuned")
        for inputs, usual in zip(self.applied, self.plain):
            inputs["control_net"] = ["tuned", 0] if tuned else usual
        self.sampler.pop("remedies", None)
        changes = {"early_rejection": self.profile if early else "off", "step_budget": 0}
        if arm == ANSWERED:
            changes["remedies"] = ["remedies", 0]
        if arm == "early_tuned":
            changes["step_budget"] = plain_steps
        if arm == BEST_OF_N:
            changes["threshold"] = 1.0
        asked = replace(job, seed=job.seed + OTHER_SEEDS) if arm == PILOT else job
        usual = self.sampler["threshold"]
        try:
            return self.session.draw(asked, ATTEMPTS * (MORE if arm == "early_tuned" else 1), **changes)
        finally:
            self.sampler["threshold"] = usual


def added(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs, "_meta": {"title": kind}}


def served(arm: str, report: dict, threshold: float) -> int | None:
    """The place of the picture that an arm serves, None where it has none."""
    if arm != BEST_OF_N:
        return report["usable"][0] - 1 if report["accepted"] else None
    chances = [attempt["probabilities"]["available"] for attempt in report["attempts"]]
    best = int(np.argmax(chances))
    return best if chances[best] >= threshold else None


def costs(options) -> tuple[dict[str, Figure], dict]:
    """Steps, seconds and attempts of each arm, and what each served."""
    jobs = products(options.products, options.quick or options.validation)
    about = {"painter": painter_print(), "reviewer": reviewer_print(), "profile": options.profile}
    rows = kept_rows(options.out, about)
    asked = [
        (arm, number, seed)
        for number in range(len(jobs))
        for seed in range(options.seeds if number < VARIED else min(FEW, options.seeds))
        for arm in turns(number)
        if arm != PILOT or seed < FEW
    ]
    own, of = map(int, options.share.split("/"))
    missing = [ask for ask in asked if ask[1] % of == own and ask[0] != PLAIN and key_of(*ask) not in rows]
    if missing:
        draw_all(missing, jobs, rows, about, options)
        rows = kept_rows(options.out, about)
    others = [ask for ask in asked if key_of(*ask) not in rows]
    if others:
        raise SystemExit(f"{len(others)} draws are another --share's: run this once more when they are done")
    found = [rows[key_of(*ask)] for ask in asked]
    sheets_of(found, jobs, options.out)
    return {**figures_of(found), **variety(found, options.out)}, {"accepted": [row for row in found if row["hash"]]}


def draw_all(asked: list, jobs: list, rows: dict, about: dict, options) -> None:
    """Draws on a server of its own; after each draw rows-N.json holds the known rows and the new ones."""
    threshold = load_reviewer(DEFAULT_WEIGHTS).threshold
    file, log = (options.out / f"{name}-{options.share.split('/')[0]}" for name in ("rows", "server"))
    rows = {**rows}
    with (
        tempfile.TemporaryDirectory(prefix="reliable-ads-") as base,
        ComfyServer(Path(base), log.with_suffix(".log")) as server,
    ):
        arms = Arms(Session(server), options.profile)
        steps = ATTEMPTS * arms.sampler["steps"]
        for count, (arm, number, seed) in enumerate(asked, 1):
            if arm == ANSWERED and rows[key_of(PLAIN, number, seed)]["attempts"] == 1:
                found = [same_as_plain(arm, number, seed, rows, options.out)]
            else:
                report, pictures = arms.draw(arm, replace(jobs[number], seed=jobs[number].seed + APART * seed), steps)
                reports = {arm: report} | ({PLAIN: begun(report, threshold)} if arm == BEST_OF_N else {})
                found = [
                    row_of(name, number, seed, report, pictures, threshold, options.out)
                    for name, report in reports.items()
                ]
            rows |= {key_of(row["arm"], number, seed): row for row in found}
            write_text(file.with_suffix(".json"), json.dumps({"about": about, "rows": rows}))
            print(f"\r{count}/{len(asked)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def same_as_plain(arm: str, number: int, seed: int, rows: dict, out: Path) -> dict:
    """The plain loop's row and picture, under an arm's name."""
    plain = key_of(PLAIN, number, seed)
    if (picture := out / f"{plain}.png").exists():
        shutil.copyfile(picture, out / f"{key_of(arm, number, seed)}.png")
    return {**rows[plain], "arm": arm}


def begun(report: dict, threshold: float) -> dict:
    """What the plain loop would have reported of the same draws: those up to the first that is accepted."""
    accepted = [attempt["probabilities"]["available"] >= threshold for attempt in report["attempts"]]
    count = accepted.index(True) + 1 if any(accepted) else len(accepted)
    attempts, more = report["attempts"][:count], report["attempts"][count:]
    return {
        "attempts": attempts,
        "usable": [count] if any(accepted) else [],
        "accepted": any(accepted),
        **{paid: report[paid] - sum(attempt[paid] for attempt in more) for paid in ("steps", "seconds")},
    }


def turns(number: int) -> list[str]:
    """The arms in the order in which a product is drawn, so that none is always the first; what changes nothing but
    what follows a rejected draw comes after the plain loop.
    """
    arms = [arm for arm in ARMS if arm != ANSWERED]
    place = number % len(arms)
    return [*arms[place:], *arms[:place], ANSWERED, PILOT]


def key_of(arm: str, number: int, seed: int) -> str:
    return f"{arm}-{number:03d}-{seed}"


def kept_rows(out: Path, about: dict) -> dict:
    """The rows of runs that were stopped; none of those that had other weights or settings."""
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(out.glob("rows-*.json"))]
    return {key: row for run in runs if run["about"] == about for key, row in run["rows"].items()}


def row_of(arm: str, number: int, seed: int, report: dict, pictures: list, threshold: float, out: Path) -> dict:
    """What an arm paid for a product; the picture that it serves is written into `out`."""
    place = served(arm, report, threshold)
    row = {
        "arm": arm,
        "product": number,
        "seed": seed,
        "steps": report["steps"],
        "seconds": report["seconds"],
        "attempts": len(report["attempts"]),
        "served": int(place is not None),
        "hash": None,
        "remedies": [],
    }
    if place is not None:
        row |= {"hash": picture_hash(pictures[place]), "remedies": report["attempts"][place]["remedies"]}
        pictures[place].save(out / f"{key_of(arm, number, seed)}.png")
    return row


@torch.no_grad()
def choice(options) -> tuple[dict[str, Figure], dict]:
    """Draws of validation products that follow a rejected one, with the next seed alone and with what may answer it
    (rfft's own sampler, as the first shipped workflow draws).
    """
    from reliable_ads.rfft.rollout import Job, draw, prepare, review_logits

    from . import tuning

    jobs = jobs_of(VALIDATION)[: 4 if options.quick else 60]
    faults = ", ".join(BLAME.values())
    reviewer = load_reviewer(DEFAULT_WEIGHTS)
    placed = tuning.placed(jobs)

    def passed(adapter, sampling) -> np.ndarray:
        """(products, FOLLOWED + 1) bool."""
        models = tuning.models_with(adapter)
        asked = [
            Job(canvas, prompt, job.seed + OTHER_SEEDS + seed)
            for job, (canvas, prompt) in zip(jobs, placed)
            for seed in range(FOLLOWED + 1)
        ]
        found = []
        for first in range(0, len(asked), 16):
            batch = prepare(models, asked[first : first + 16], sampling)
            logits = review_logits(reviewer, draw(models, batch, sampling), [job.canvas for job in batch.jobs])
            found.append(logits.softmax(1)[:, 0] >= reviewer.threshold)
        return torch.cat(found).view(len(jobs), -1).numpy()

    plain = tuning.SAMPLING
    strong = replace(plain, guidance=1.5 * plain.guidance)
    firsts = passed(None, plain)
    ways = {"seed": firsts, "words": passed(None, replace(strong, null_prompt=faults))}
    tuned = ROOT / "pocket" / "weights" / TUNED
    if tuned.exists() and tuning.fits(tuned):
        ways |= {"tuned": passed(tuned, plain), "all": passed(tuned, replace(strong, null_prompt=faults))}
    rejected = ~firsts[:, :-1]
    rows = np.random.default_rng(0).integers(len(jobs), size=(DRAWS, len(jobs)))  # a product's draws together
    figures = {}
    for name, found in ways.items():
        then = found[:, 1:] & rejected
        draws = then[rows].sum((1, 2)) / np.maximum(rejected[rows].sum((1, 2)), 1)
        value = float(then.sum() / max(rejected.sum(), 1))
        figures[f"after_rejection_{name}"] = Figure(value, *between(draws), int(rejected.sum()))
    return figures, {}


PARTS = {"choice": choice, "costs": costs, "second": second, "labels": labels, "graph": graph}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two validation products, two seeds, nothing written")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=["costs", "graph"])
    parser.add_argument("--products", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=4, help="of each of the first products")
    parser.add_argument("--validation", action="store_true", help="validation products; nothing is written")
    parser.add_argument(
        "--profile",
        default="auto",
        help="early_rejection: a profile beside the reviewer, as dev.py profile writes it, or auto",
    )
    parser.add_argument("--share", default="0/1", help="0/2 and 1/2: half of the products each, in two processes")
    parser.add_argument("--second", type=Path, default=SECOND, help="weights of the second reviewer")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "sampler")
    options = parser.parse_args()
    if options.quick:
        options.products, options.seeds, options.out = 2, 2, options.out / "quick"
    if options.validation:
        options.products, options.out = min(options.products, 80), options.out / "validation"
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        figures, details = PARTS[name](options)
        publish(
            "sampler", COMMAND, SEEDS, figures, options.quick or options.validation, details, reviews=True, paints=True
        )


if __name__ == "__main__":
    main()
