"""What a usable picture costs: the plain loop, early rejection, and early rejection with remedies, without and with a
tuned ControlNet among them, on the same products and seeds.

    python -m benchmarks.sampler [--quick] [--only choice costs judge eye graph] [--products 100] [--attempts 5]
    [--profile auto] [--judge WEIGHTS]

Everything runs through a real ComfyUI server and the shipped workflow; the ways take turns, product by product. The
harder half and the hardest quarter are the products that needed most steps by the plain loop with other seeds than
those that are compared, so that bad luck does not choose them. With the same number of attempts a way that gives up
early also gives up sooner on a product that never succeeds; so early rejection is measured a second time ("equal"),
with more attempts, until it has paid as many steps as the plain loop may. `choice` draws validation products: what was
switched on was chosen there. The judge is a reviewer of another architecture, trained on other scenes
(benchmarks/judge.toml), that nothing in the loop looks at. `costs` leaves sheets of what was accepted in --out, mixed
so that nobody sees which way a picture came; labels given by eye go into benchmarks/labels/sampler_eye.json and `eye`
counts them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from reliable_ads.cyclic.remedies import NAMES, replaced
from reliable_ads.devtools.comfy import ComfyServer
from reliable_ads.devtools.graph import titled
from reliable_ads.pocket.training.draw import sheet
from reliable_ads.rfnet.files import write_bytes, write_text
from reliable_ads.rfnet.product import place
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer
from reliable_ads.synthetic.jobs import test_jobs
from reliable_ads.synthetic.scenes import BLAME

from .common import RESULTS, ROOT, Figure, mean, publish, share
from .end_to_end import PROMPT, SAMPLER, SEEDS, Session, picture_hash

COMMAND = "python -m benchmarks.sampler"
EYE = ROOT / "benchmarks" / "labels" / "sampler_eye.json"
MODELS, TUNED = "Models", "pocket_canny_reliable.safetensors"
JUDGE = ROOT / "data" / "judge" / "judge.safetensors"
OTHER_SEEDS = 1_000_000  # added to a job's seed where its difficulty is found out
FOLLOWED = 4  # draws of a product after which the next one is looked at
DRAWS = 2000  # of the bootstrap
WAYS = (
    "plain",
    "early",
    "words",
    "remedies",
    "answered",
)  # words: remedies without the tuned ControlNet; answered: all remedies, and every draw goes to its end
EQUAL = "equal"  # early rejection with as many steps as the plain loop may pay
MORE = 10  # times the attempts where only the budget of steps shall end it
WORDS, HELPFUL = ("avoid", "guidance"), ("avoid", "guidance", "tuned")  # what helped on validation products
COLUMNS = {"steps": 0, "seconds": 1, "usable": 2, "attempts": 3}


def cost(rows: np.ndarray) -> float:
    """Rows (N, 2) of what was paid and how many usable pictures came → paid per usable picture."""
    paid, usable = rows.sum(0)
    return float(paid / usable) if usable else float("inf")


def ratio(one: np.ndarray, other: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """cost(one) / cost(other) with a bootstrap 95 % interval over products, both on the same draws."""
    random = np.random.default_rng(seed)
    draws = [cost(one[rows]) / cost(other[rows]) for rows in random.integers(len(one), size=(DRAWS, len(one)))]
    return cost(one) / cost(other), float(np.percentile(draws, 2.5)), float(np.percentile(draws, 97.5))


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
    """Steps and seconds per usable picture of each way, and what each accepted."""
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
        rows, accepted = {way: [] for way in (*WAYS, EQUAL, "pilot")}, []
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
                            "brief": number,
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


def figures_of(found: dict[str, np.ndarray]) -> dict[str, Figure]:
    """The ratios on all products, on their harder half and on the hardest quarter, and every way's costs."""
    half, hard = (hardest(found["pilot"], part) for part in (2, 4))
    every = np.arange(len(found["plain"]))

    def compared(way: str, against: str, column: str, rows, most: float | None) -> Figure:
        value, low, high = ratio(
            *(found[name][rows][:, [COLUMNS[column], COLUMNS["usable"]]] for name in (way, against))
        )
        return Figure(
            value, low, high, len(rows), f"of {against}", f"<= {most}" if most else "", value <= most if most else None
        )

    figures = {
        "steps_ratio": compared("early", "plain", "steps", every, None),
        "steps_ratio_half": compared("early", "plain", "steps", half, 0.75),
        "steps_ratio_hard": compared("early", "plain", "steps", hard, 0.60),
        "wall_ratio": compared("early", "plain", "seconds", every, None),
        "wall_ratio_half": compared("early", "plain", "seconds", half, 0.80),
        "wall_ratio_hard": compared("early", "plain", "seconds", hard, 0.65),
        "attempts_ratio_remedies": compared("remedies", "early", "attempts", every, 0.85),
        "attempts_ratio_words": compared("words", "early", "attempts", every, None),
        "attempts_ratio_remedies_plain": compared("remedies", "plain", "attempts", every, None),
        "attempts_ratio_answered": compared("answered", "plain", "attempts", every, 0.85),
        "steps_ratio_answered": compared("answered", "plain", "steps", every, None),
        "steps_ratio_answered_hard": compared("answered", "plain", "steps", hard, None),
        "steps_ratio_equal": compared(EQUAL, "plain", "steps", every, None),
        "steps_ratio_equal_hard": compared(EQUAL, "plain", "steps", hard, None),
        "steps_ratio_words": compared("words", "plain", "steps", every, None),
        "steps_ratio_words_hard": compared("words", "plain", "steps", hard, None),
        "steps_ratio_remedies": compared("remedies", "plain", "steps", every, None),
        "steps_ratio_remedies_half": compared("remedies", "plain", "steps", half, 0.75),
        "steps_ratio_remedies_hard": compared("remedies", "plain", "steps", hard, 0.60),
        "wall_ratio_remedies": compared("remedies", "plain", "seconds", every, None),
        "wall_ratio_remedies_half": compared("remedies", "plain", "seconds", half, 0.80),
        "wall_ratio_remedies_hard": compared("remedies", "plain", "seconds", hard, 0.65),
    }
    for name, rows in (("", every), ("_half", half), ("_hard", hard)):
        usable, attempts = found["plain"][rows][:, [COLUMNS["usable"], COLUMNS["attempts"]]].sum(0)
        figures[f"plain_rate{name}"] = Figure(*share(int(usable), int(attempts)), int(attempts), "share")
    for way in (*WAYS, EQUAL):
        for column in ("steps", "seconds", "attempts"):
            figures[f"{column}_per_usable_{way}"] = Figure(
                cost(found[way][:, [COLUMNS[column], COLUMNS["usable"]]]),
                n=len(every),
                unit="s" if column == "seconds" else column,
            )
        figures[f"usable_{way}"] = Figure(
            *share(int(found[way][:, COLUMNS["usable"]].sum()), len(every)), n=len(every), unit="share"
        )
    return figures


def hardest(pilot: np.ndarray, part: int) -> np.ndarray:
    """Rows of the hardest half (part = 2), quarter (4), ... by the steps that the pilot's draws took."""
    return np.argsort(-pilot[:, COLUMNS["steps"]], kind="stable")[: max(1, len(pilot) // part)]


def blind_sheets(accepted: list, jobs: list, out: Path) -> None:
    """Every accepted picture once, whichever ways drew it, in an order that tells nothing, 20 a sheet, numbered;
    blind.json says which hash is which number.
    """
    from PIL import Image

    once = list({row["hash"]: row for row in accepted}.values())
    rows = [once[i] for i in np.random.default_rng(0).permutation(len(once))]
    for first in range(0, len(rows), 20):
        part = rows[first : first + 20]
        pictures = [Image.open(out / f"{row['way']}-{row['brief']:03d}.png").convert("RGB") for row in part]
        texts = [f"{first + place}: {jobs[row['brief']].product.caption}" for place, row in enumerate(part)]
        sheet(pictures, texts, 5, 300).save(out / f"blind-{first:03d}.png")
    write_text(out / "blind.json", json.dumps([row["hash"] for row in rows]))


def judge(options) -> tuple[dict[str, Figure], dict]:
    """The share of each way's accepted pictures that the independent judge calls bad, and the judge's own standing."""
    from PIL import Image

    if options.quick:
        raise SystemExit("judge looks at the pictures of the last whole `costs` run: leave out --quick")
    reviewer, jobs, bad = load_reviewer(options.judge), test_jobs(options.products), {way: {} for way in WAYS}
    for row in json.loads((RESULTS / "sampler.json").read_text())["details"]["accepted"]:
        picture = Image.open(options.out / f"{row['way']}-{row['brief']:03d}.png").convert("RGB")
        if picture_hash(picture) != row["hash"]:
            raise SystemExit(f"{options.out} holds other pictures than the last `costs` run: run it again")
        canvas = replaced(
            place(jobs[row["brief"]].product, 128, 128),
            {change["remedy"]: change["after"] for change in row["remedies"]},
        )
        image = torch.from_numpy(np.asarray(picture, np.float32) / 255).movedim(-1, 0)
        bad[row["way"]][row["brief"]] = not reviewer.review(image[None], canvas).rows()[0]["accepted"]
    return worse("judge", bad), {}


def worse(who: str, bad: dict) -> dict[str, Figure]:
    """The share of each way's accepted pictures that are bad, and how many more that are than the plain loop's, of the
    products that both served; bad: {way: {product: bool}}.
    """
    figures = {
        f"{who}_bad_{way}": Figure(*share(sum(found.values()), len(found)), n=len(found), unit="share")
        for way, found in bad.items()
    }
    for way in WAYS[1:]:
        both = sorted(bad[way].keys() & bad["plain"].keys())
        value, low, high = mean(np.array([float(bad[way][product]) - float(bad["plain"][product]) for product in both]))
        figures[f"{who}_bad_{way}_more"] = Figure(
            value, low, high, len(both), "share", "interval reaches 0 or below", low <= 0
        )
    return figures


def eye(options) -> tuple[dict[str, Figure], dict]:
    """Labels given by eye to accepted pictures, {"labels": {labeller: {hash: label}}}: what most labellers say, by
    way.
    """
    labels = json.loads(EYE.read_text())["labels"]
    accepted = json.loads((RESULTS / "sampler.json").read_text())["details"]["accepted"]
    if missing := {row["hash"] for row in accepted if not all(row["hash"] in found for found in labels.values())}:
        raise SystemExit(
            f"{EYE} lacks labels for {len(missing)} pictures of the last `costs` run: label its sheets again"
        )
    bad = {
        way: {
            row["brief"]: sum(found[row["hash"]] != "available" for found in labels.values()) > len(labels) / 2
            for row in accepted
            if row["way"] == way
        }
        for way in WAYS
    }
    return worse("eye", bad), {}


def graph(options) -> tuple[dict[str, Figure], dict]:
    """docs/cost_per_usable.png: steps and seconds per usable picture, of all products, the harder half and the hardest
    quarter.
    """
    import io

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = {
        way: np.array(values)
        for way, values in json.loads((RESULTS / "sampler.json").read_text())["details"]["costs"]["rows"].items()
    }
    names = {
        "plain": "plain loop",
        "early": "early rejection",
        "words": "+ remedies without\ntuned ControlNet",
        "remedies": "+ all remedies",
        "answered": "all remedies without\nearly rejection",
    }
    figure, axes = pyplot.subplots(1, 2, figsize=(13, 3.6), layout="constrained")
    for axis, column, unit in zip(axes, ("steps", "seconds"), ("sampling steps", "seconds")):
        for shift, (text, chosen, colour) in enumerate(
            (
                ("all products", slice(None), "#4878a8"),
                ("harder half", hardest(rows["pilot"], 2), "#d0a040"),
                ("hardest quarter", hardest(rows["pilot"], 4), "#c05040"),
            )
        ):
            values = [cost(rows[way][chosen][:, [COLUMNS[column], COLUMNS["usable"]]]) for way in WAYS]
            bars = axis.bar(np.arange(len(WAYS)) + 0.28 * (shift - 1), values, 0.26, label=text, color=colour)
            axis.bar_label(bars, fmt="%.2f" if column == "seconds" else "%.1f", fontsize=8)
        axis.set_xticks(range(len(WAYS)), [names[way] for way in WAYS], fontsize=8)
        axis.set_ylabel(f"{unit} per usable picture")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    file = io.BytesIO()
    figure.savefig(file, dpi=130)
    write_bytes(ROOT / "docs" / "cost_per_usable.png", file.getvalue())
    return {}, {}


@torch.no_grad()
def choice(options) -> tuple[dict[str, Figure], dict]:
    """How the remedies were chosen: draws of validation products that follow a rejected one, with the next seed alone
    and with what may answer it (rfft's own sampler, as the first shipped workflow draws).
    """
    from reliable_ads.rfft.rollout import Job, draw, prepare, review_logits
    from reliable_ads.synthetic.jobs import jobs_of

    from . import tuning

    products, faults = jobs_of(tuning.VALIDATION)[: 6 if options.quick else 57], ", ".join(BLAME.values())
    reviewer, placed = load_reviewer(DEFAULT_WEIGHTS), tuning.placed(products)

    def passed(adapter, sampling) -> np.ndarray:
        """(products, FOLLOWED + 1) bool."""
        models, found = tuning.models_with(adapter), []
        jobs = [
            Job(canvas, prompt, product.seed + OTHER_SEEDS + seed)
            for product, (canvas, prompt) in zip(products, placed)
            for seed in range(FOLLOWED + 1)
        ]
        for first in range(0, len(jobs), 16):
            batch = prepare(models, jobs[first : first + 16], sampling)
            found.append(
                review_logits(reviewer, draw(models, batch, sampling), [job.canvas for job in batch.jobs]).softmax(1)[
                    :, 0
                ]
                >= 0.5
            )
        return torch.cat(found).view(len(products), -1).numpy()

    plain, adapter = tuning.SAMPLING, tuning.adapter(tuning.TUNED)
    strong = replace(plain, guidance=1.5 * plain.guidance)
    firsts = passed(None, plain)
    ways = {
        "seed": firsts,
        "words": passed(None, replace(strong, null_prompt=faults)),
        "tuned": passed(adapter, plain),
        "all": passed(adapter, replace(strong, null_prompt=faults)),
    }
    rejected = ~firsts[:, :-1]
    rows = np.random.default_rng(0).integers(
        len(products), size=(DRAWS, len(products))
    )  # draws of one product go together
    figures = {}
    for name, found in ways.items():
        passed_then = found[:, 1:] & rejected
        draws = passed_then[rows].sum((1, 2)) / np.maximum(rejected[rows].sum((1, 2)), 1)
        figures[f"after_rejection_{name}"] = Figure(
            float(passed_then.sum() / rejected.sum()),
            *(float(np.percentile(draws, part)) for part in (2.5, 97.5)),
            int(rejected.sum()),
            "share",
        )
    return figures, {}


PARTS = {"choice": choice, "costs": costs, "judge": judge, "eye": eye, "graph": graph}


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
    parser.add_argument("--judge", type=Path, default=JUDGE, help="weights of the independent judge")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "sampler")
    options = parser.parse_args()
    options.products = 6 if options.quick else options.products
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        figures, details = PARTS[name](options)
        publish("sampler", COMMAND, SEEDS, figures, options.quick, details)


if __name__ == "__main__":
    main()
