"""Fine-tuning on a small world: only the adapter learns, a resumed run is the unbroken one, collapse stops it, bad
input is refused first.
"""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from reliable_ads.rfft import inputs, step, train
from reliable_ads.rfft.adapter import read_adapter
from reliable_ads.rfft.config import ConfigError, config_of, read_config
from reliable_ads.rfft.evaluate import EVALUATION_SEEDS, Evaluation, wilson
from reliable_ads.rfft.inputs import (
    check_reviewer,
    check_space,
)
from reliable_ads.rfft.kinds import CONFIGS
from reliable_ads.rfft.learner import Learner
from reliable_ads.rfft.step import TrainingStep
from reliable_ads.rfft.train import Run

from .rfft_examples import state


def weights(run):
    return {k: v for k, v in state(run).items() if k != "pictures_before"}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.slow(reason="trainings")
@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "cc", "accumulation": 2},
        {"loss": "kl", "beta": 1e-4, "precision": "bf16"},
        {"loss": "none", "rollout_guidance": False, "gradient_steps": 1, "through_maps": False},
    ],
)
def test_only_the_adapter_changes(world, changes):
    run = world(**changes)
    frozen = {
        f"{name}.{k}": v.clone() for name, part in run.models.parts().items() for k, v in part.state_dict().items()
    }
    reviewer = {k: v.clone() for k, v in run.reviewer.state_dict().items()}
    begin = [p.detach().clone() for p in run.learner.parameters]
    answer = run()
    assert equal(
        frozen, {f"{name}.{k}": v for name, part in run.models.parts().items() for k, v in part.state_dict().items()}
    )
    assert equal(reviewer, dict(run.reviewer.state_dict()))
    assert all(p.grad is None for part in (*run.models.parts().values(), run.reviewer) for p in part.parameters())
    # an untrained reviewer leaves some gradients at next to nothing
    assert sum(not torch.equal(a, b) for a, b in zip(begin, run.learner.parameters)) > 0.8 * len(begin)
    assert [row["step"] for row in answer["history"]] == [0, 2] and run.updates == 2 * run.config.gradient_steps
    assert answer["history"][0]["cc"] == 0 and answer["history"][1]["cc"] > 0
    assert not run.models.controlnet._forward_hooks and not any(
        m._forward_hooks for m in run.models.controlnet.modules()
    )


def test_passes_of_a_run_are_those_of_its_equations(world, monkeypatch):
    monkeypatch.setattr(step, "chosen_steps", lambda *_: [0, 1])
    run = world(steps=1, batch=2)
    run()
    # a rollout to step 1 (one step with guidance), then two looks with gradient and their references, each with and
    # without text
    assert (run.progress.passes.plain, run.progress.passes.gradient) == (1 * 2 * 2 + 2 * 2 * 2, 2 * 2 * 2)
    assert [row["passes"] for row in run.history] == [
        0,
        run.progress.passes.total,
    ]  # what measuring cost is counted by itself


@pytest.mark.slow(reason="trainings")
def test_n_and_n_steps_are_2n(world):
    whole = world(name="whole", steps=2, evaluate_every=1)
    whole()
    first = world(name="parts", steps=1, evaluate_every=1)
    first()
    second = world(name="parts", steps=2, evaluate_every=1)
    assert second.step == 1
    second()
    assert (
        equal(weights(whole), weights(second)) and second.step == 2 and second.progress.passes == whole.progress.passes
    )

    def strip(run):
        return [{k: v for k, v in row.items() if k != "seconds"} for row in run.history]

    assert strip(whole) == strip(second)
    last = "whole.last.safetensors", "parts.last.safetensors"
    folder = whole.config.result.parent
    assert equal(load_file(folder / last[0]), load_file(folder / last[1]))


@pytest.mark.slow(reason="trainings")
def test_a_run_that_is_broken_off_goes_on_from_its_last_whole_step(world, monkeypatch):
    whole = world(name="whole", steps=2, save_every=1, evaluate_every=10)
    whole()

    class Killed(Exception):
        pass

    update, count = Learner.update, iter(range(100))

    def dying(self, step):
        if next(count) == 3:  # in the middle of the second step
            raise Killed
        update(self, step)

    monkeypatch.setattr(Learner, "update", dying)
    with pytest.raises(Killed):
        world(name="killed", steps=2, save_every=100, evaluate_every=10)()
    monkeypatch.setattr(Learner, "update", update)
    again = world(name="killed", steps=2, save_every=1, evaluate_every=10)
    assert again.step == 1 and read_adapter(again.config.last)[1]["steps"] == "1"  # nothing of the half step is left
    again()
    assert equal(weights(whole), weights(again))


@pytest.mark.slow(reason="trainings")
def test_a_watcher_can_end_a_run_and_nothing_is_lost(world):
    seen = []
    run = world(watch=lambda event: seen.append(event["kind"]) or event["kind"] == "step", steps=50)
    answer = run()
    assert answer["steps"] == 1 and seen == ["evaluation", "step", "end"]
    assert world(steps=50).step == 1
    with pytest.raises(ConfigError, match=r"belongs to a run with other settings.*delete it to start over"):
        world(steps=50, rank=4)


@pytest.mark.slow(reason="trainings")
def test_what_a_run_is_told_to_change_where_it_fails_it_goes_on_with(world):
    world(steps=1)()
    assert world(steps=2, lr=1e-5, precision="bf16", half_base=True).step == 1
    assert "lr" in json.loads(read_adapter(world(steps=1).config.last)[1]["config"])


@pytest.mark.slow(reason="trainings")
@pytest.mark.parametrize("part", ("checkpoint", "reviewer", "lora"))
def test_a_run_does_not_go_on_with_other_models_of_the_same_name(world, tmp_path, part):
    file = tmp_path / f"{part}.safetensors"
    save_file({"w": torch.zeros(100_000)}, file)
    changes = {"loras": [{"file": str(file)}]} if part == "lora" else {part: str(file)}
    world(steps=1, **changes)()
    assert world(steps=1, **changes).step == 1
    save_file({"w": torch.ones(100_000)}, file)  # as large, with the same header
    with pytest.raises(ConfigError, match="other settings, products or models"):
        world(steps=1, **changes)


def fake_evaluations(monkeypatch, rows):
    """Evaluations with these (rate of 10, diversity): only the measuring is stood in for, what is decided on it is
    real.
    """
    found = iter(rows)

    def evaluate(models, reviewer, jobs, *_):
        rate, diversity = next(found)
        return Evaluation(wilson(rate, 10), {"available": rate / 10}, diversity, 0, 0, 0, 0, 0, 0, 0, []), torch.zeros(
            2, 3, 64, 64
        )

    monkeypatch.setattr(train, "evaluate", evaluate)


@pytest.mark.slow(reason="trainings")
def test_collapse_stops_a_run_and_the_best_lively_adapter_is_kept(world, monkeypatch):
    fake_evaluations(monkeypatch, [(5, 1.0), (7, 0.95), (8, 0.9), (6, 0.92), (10, 0.5), (10, 0.1)])
    run = world(steps=9, evaluate_every=1, diversity_loss=0.3)
    answer = run()
    assert (
        answer["steps"] == 4
        and "diversity fell to 50% of the start's. Raise diversity_loss to go on" in answer["stopped"]
    )
    assert answer["best"] == 2 and answer["after"]["rate"]["value"] == 0.8
    assert [row["step"] for row in run.front()] == [0, 1, 2, 4]
    _, metadata = read_adapter(run.config.result, run.config.controlnet)
    rates = json.loads(metadata["rates"])
    assert rates["before"] == wilson(5, 10) and rates["after"] == wilson(8, 10) and metadata["steps"] == "2"
    assert json.loads(metadata["reviewer"])["ap"] == 0.9 and json.loads(metadata["losses"])["loss"] == "cc"
    assert not equal(load_file(run.config.result), load_file(run.config.result.with_name("tuned.last.safetensors")))


@pytest.mark.slow(reason="trainings")
def test_a_run_that_stopped_goes_on_where_more_diversity_may_be_lost(world, monkeypatch):
    fake_evaluations(monkeypatch, [(5, 1.0), (9, 0.6), (10, 0.5)])
    stopped = world(steps=9, evaluate_every=1, diversity_loss=0.3)()
    assert stopped["stopped"] and stopped["result"] == ""
    assert world(steps=9, evaluate_every=1, diversity_loss=0.3)()["stopped"] == stopped["stopped"]
    again = world(steps=1, evaluate_every=1, diversity_loss=0.5)
    answer = again()
    assert (
        not answer["stopped"]
        and answer["result"] == str(again.config.result)
        and read_adapter(again.config.result)[1]["steps"] == "1"
    )
    assert world(steps=2, evaluate_every=1, diversity_loss=0.5)()["after"]["step"] == 2


@pytest.mark.parametrize("pairs, count", [(8, 4), (8, 32), (20, 32), (12, 8)])
def test_pictures_to_measure_on_are_spread_over_all_briefs_and_none_comes_twice(pairs, count):
    chosen = train.spread(list(range(pairs)), count)
    assert (
        len(set(chosen)) == len(chosen) == min(pairs, count)
        and chosen[0] == 0
        and chosen[-1] >= pairs - pairs / len(chosen) - 1
    )


def test_losing_diversity_and_rate_is_no_collapse_and_no_gain_keeps_nothing(world, monkeypatch):
    fake_evaluations(monkeypatch, [(5, 1.0), (4, 0.5), (5, 0.4)])
    run = world(evaluate_every=1, diversity_loss=0.3)
    answer = run()
    assert not answer["stopped"] and answer["best"] == 0 and answer["result"] == "" and not run.config.result.exists()


def test_evaluation_sees_the_average_and_gives_the_live_weights_back(world):
    run = world(steps=1)
    run.take_step(0)
    live = [p.detach().clone() for p in run.learner.parameters]
    assert not all(torch.equal(a, b) for a, b in zip(live, run.learner.average.shadow.values()))
    with pytest.raises(KeyError), run.learner.average.applied():
        assert all(torch.equal(a, b) for a, b in zip(run.learner.parameters, run.learner.average.shadow.values()))
        raise KeyError
    assert all(torch.equal(a, b) for a, b in zip(live, run.learner.parameters))


@pytest.mark.slow(reason="trainings")
def test_a_broken_gradient_is_passed_over_and_three_end_the_run(world, monkeypatch):
    run = world(steps=9, gradient_steps=1)
    before = [p.detach().clone() for p in run.learner.parameters]
    loss = TrainingStep.losses
    monkeypatch.setattr(TrainingStep, "losses", lambda *a: {k: v * float("nan") for k, v in loss(*a).items()})
    with pytest.raises(RuntimeError, match=r"not finite 3 times in a row at step 2.*lower lr"):
        run()
    assert all(torch.equal(a, b) for a, b in zip(before, run.learner.parameters)) and run.updates == 0


def test_no_seed_is_drawn_twice_and_every_pair_has_its_turn(world):
    run = world(batch=2, accumulation=2)
    drawn = [job for step in range(6) for batch in run.take_step.jobs(step) for job in batch]
    assert len({o.seed for o in drawn}) == 24 and max(o.seed for o in drawn) < EVALUATION_SEEDS
    counts = [sum(o.canvas is canvas for o in drawn) for canvas, _ in run.pairs]
    assert counts == [8, 8, 8]
    later = [o.seed for batch in world(name="b", batch=2, accumulation=2).take_step.jobs(3) for o in batch]
    assert later == [o.seed for o in drawn[12:16]]


# Bad input


def test_results_reviewers_and_disks_are_looked_at_first(world, tmp_path):
    run = world(steps=1)
    run.config.result.parent.mkdir(parents=True, exist_ok=True)
    run.config.result.write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r'tuned.safetensors" exists: choose another name, or delete it'):
        world(steps=1)
    assert run.config.result.read_bytes() == b"mine"
    run.config.result.unlink()
    run.config.result.with_suffix(".png").write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r'tuned.png" exists: choose another name'):
        world(steps=1)
    run.config.result.with_suffix(".png").unlink()
    with pytest.raises(ConfigError, match="MiB left and the run needs"):
        check_space(tmp_path, 2**62)
    with pytest.raises(ConfigError, match=r'"r" has an average precision of 0.60, below 0.75.*force = true'):
        check_reviewer({"scores": '{"ap": {"value": 0.6}}'}, "r", 0.75)
    with pytest.raises(ConfigError, match='"r" doesn\'t say how good it is'):
        check_reviewer({}, "r", 0.75)
    assert (
        check_reviewer({"scores": '{"ap": {"value": 0.6}}'}, "r", 0.75, force=True) == 0.6
        and check_reviewer({}, "r", 0.75, force=True) is None
    )
    with pytest.raises(ConfigError, match="nothing to train on"):
        Run(replace(run.config, name="other"), run.models, run.reviewer, [])


def test_a_full_disk_is_said_before_the_first_step(world, monkeypatch):
    monkeypatch.setattr(inputs.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(ConfigError, match=r"has 0 MiB left and the run needs .*make room, or choose another folder"):
        world()


def test_a_node_can_give_its_settings_as_text():
    with pytest.raises(ConfigError, match=r"the settings: unknown keys: stepz. Known are .*steps"):
        config_of({"stepz": 1}, "the settings")
    with pytest.raises(ConfigError, match=r"the settings can't be used: the LoRA .* write loras = "):
        config_of(
            {
                **dict.fromkeys(("checkpoint", "controlnet", "products", "prompts", "folder"), "x"),
                "name": "x",
                "loras": ["a"],
            },
            "the settings",
        )


def test_the_shipped_config_can_be_read():
    config = read_config(CONFIGS / "sd15_canny.toml")
    assert config.loss == "cc" and config.guidance == 7.5 and config.sampling_steps == 40 and config.last_steps == 10
