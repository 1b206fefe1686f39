"""Skip ends an attempt, Interrupt the run, early rejection a draw that will hardly pass; each within a step."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from safetensors.torch import load_file

from reliable_ads.cyclic.early_rejection import EarlyThreshold, Profile
from reliable_ads.cyclic.profiles import fingerprint
from reliable_ads.devtools.thin_models import MODELS
from reliable_ads.pocket.ldm import UNET_PREFIX
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer

from .ads import DRAW, NEVER, base64_png, cut_out, draw, same

STEPS = 16  # long enough to press a button


@contextmanager
def drawing(web, attempts: int, **request):
    """A run that goes on meanwhile; gives (what presses a button in an attempt, what waits for the Answer)."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(draw, web, {"attempts": attempts}, steps=STEPS, **request)

        def press(button: str, attempt: int) -> int:
            """Presses Skip or Interrupt a few steps after this attempt's begin -> how many steps it may have."""
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline and not running.done():
                seen = web.ask("/sdapi/v1/progress?skip_current_image=true")
                said, step = seen["textinfo"] or "", seen["state"]["sampling_step"]
                if said.startswith(f"attempt {attempt}/") and 2 <= step <= STEPS / 2:
                    web.ask(f"/sdapi/v1/{button}", {})
                    # counted from 0, and the step that is being drawn is drawn to its end
                    return web.ask("/sdapi/v1/progress?skip_current_image=true")["state"]["sampling_step"] + 2
                time.sleep(0.02)
            raise AssertionError(f"attempt {attempt} was not seen")

        yield press, lambda: running.result(timeout=300)


def test_skip_ends_an_attempt_and_the_run_goes_on(web):
    with drawing(web, attempts=3) as (press, answer):
        most = [press("skip", 1), press("skip", 2)]
        answer = answer()
    first, second, third = answer.report["attempts"]
    for row, steps in zip((first, second), most):
        assert row["error"] == "skipped by the user" and not row["accepted"] and 3 <= row["steps"] <= steps < STEPS
    assert third["steps"] == STEPS and "error" not in third and answer.info["all_seeds"] == [7]
    assert same(answer.pictures[0], draw(web, {"attempts": 1}, steps=STEPS, seed=7).pictures[0])


def test_interrupt_keeps_what_there_is(web):
    with drawing(web, attempts=3) as (press, answer):
        most = press("interrupt", 2)
        answer = answer()
    report = answer.report
    assert report["ended_by"] == "interrupted" and report["returned"] == 1 and len(report["attempts"]) == 2
    assert report["attempts"][0]["steps"] == STEPS and 3 <= report["attempts"][1]["steps"] <= most < STEPS
    assert answer.info["all_seeds"] == [5] and len(answer.pictures) == 1
    assert len(draw(web).report["attempts"]) == 2  # and the next run is as ever


def test_interrupt_in_the_first_attempt_gives_what_was_drawn_so_far(web):
    with drawing(web, attempts=3) as (press, answer):
        most = press("interrupt", 1)
        answer = answer()
    (row,) = answer.report["attempts"]
    assert "interrupted" in row["error"] and 3 <= row["steps"] <= most < STEPS and len(answer.pictures) == 1


def test_interrupt_ends_a_batch(web):
    with drawing(web, attempts=2, n_iter=2) as (press, answer):
        press("interrupt", 1)
        answer = answer()
    assert answer.report["ended_by"] == "interrupted" and len(answer.pictures) == 1


@pytest.fixture(scope="module")
def profiled(web):
    """profiled(threshold, **more) writes a profile of the thin model and the shipped reviewer, checked after half."""
    unet = {
        name.removeprefix(UNET_PREFIX): weight
        for name, weight in load_file(MODELS / "thin_sd.safetensors").items()
        if name.startswith(UNET_PREFIX)
    }
    model = fingerprint(SimpleNamespace(state_dict=lambda: unet))
    reviewer = fingerprint(load_reviewer(DEFAULT_WEIGHTS))
    path = web.data / "models" / "rfnet" / "halfway.gates.json"
    settings = {
        "steps": 4, "cfg": DRAW["cfg_scale"], "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
        "threshold": NEVER,
    }  # fmt: skip

    def write(threshold: float, **more) -> None:
        gates = (EarlyThreshold(0.5, threshold),)
        path.write_text(Profile(model, reviewer, settings, gates, about={"draws": 2}, **more).to_json())

    yield write
    path.unlink()


GREY = [[0.2, 0.1, 0.1, 0.1, 0.5]] * 3  # factors of a preview


@pytest.mark.parametrize("preview", [[], GREY], ids=["vae", "factors"])
def test_a_draw_that_will_hardly_pass_ends_at_its_check(web, profiled, preview):
    profiled(1.0, preview=preview)
    answer = draw(web, steps=4)
    report = answer.report
    assert report["early_rejection"] == {"profile": "halfway", "gates": [{"step": 2, "threshold": 1.0}]}
    assert [(row["dropped"], row["steps"]) for row in report["attempts"]] == [(True, 2), (True, 2), (False, 4)]
    assert all(row["looks"][0]["step"] == 2 for row in report["attempts"][:2])
    assert report["attempts"][2]["seed"] == 6 and answer.info["all_seeds"] == [6]  # the last one, to its end
    whole = draw(web, {"attempts": 1, "early_rejection": "off"}, steps=4, seed=6)
    assert same(answer.pictures[0], whole.pictures[0])


def test_nothing_of_a_run_stays_in_memory(web, profiled):
    profiled(1.0)
    for tab, request in {"txt2img": {}, "img2img": {"init_images": [base64_png(cut_out())]}}.items():
        for steps in (4, 2):  # stopped early, and drawn to the end
            draw(web, {"attempts": 4}, tab, steps=steps, **request)
    for module in ("loop", "plan"):
        assert web.ask(f"/kit/objects?module=reliable_ads.sdwebui.{module}") == []


def test_checks_change_no_picture(web, profiled):
    profiled(0.0)
    checked = draw(web, {"keep_rejected": True}, steps=4)
    assert [(row["dropped"], len(row["looks"])) for row in checked.report["attempts"]] == [(False, 1)] * 2
    unchecked = draw(web, {"keep_rejected": True, "early_rejection": "off"}, steps=4)
    assert all(same(*pair) for pair in zip(checked.pictures, unchecked.pictures))


def test_a_batch_ends_early_together(web, profiled):
    profiled(1.0)
    answer = draw(web, {"attempts": 1}, steps=4, batch_size=2)
    rows = answer.report["attempts"]
    assert [(row["picture"], row["seed"], row["dropped"]) for row in rows] == [
        (1, 5, True), (1, 5, False), (2, 6, True), (2, 6, False),
    ]  # fmt: skip
    assert answer.info["all_seeds"] == [5, 6]


def test_a_profile_of_other_settings_is_left_alone(web, profiled):
    profiled(1.0)
    report = draw(web, {"attempts": 1}, steps=4, cfg_scale=7.0).report
    assert "no profile fits" in report["early_rejection"]["profile"] and not report["attempts"][0]["dropped"]
