"""Attempts are the host's own draws: equal to what it draws without Reliable Ads, to the last bit."""

import numpy as np
import pytest
import torch
from PIL import Image

from reliable_ads.devtools.thin_models import plain

from .ads import ALWAYS, DRAW, SIZE, base64_png, by_seed, canvas, cut_out, draw, pasted, pixels, same


def test_attempts_equal_plain_draws_with_their_seeds(web):
    answer = draw(web, {"attempts": 3, "keep_rejected": True})
    seeds = [row["seed"] for row in answer.report["attempts"]]
    assert seeds == [5, 6, 7] and answer.info["all_seeds"] == [7, 5, 6]  # the last one is given back
    placed = canvas()
    for drawn, seed in zip(answer.pictures, answer.info["all_seeds"]):
        alone = web.draw(**{**DRAW, "seed": seed, "alwayson_scripts": plain(web, placed)})
        assert same(drawn, pasted(placed, alone.pictures[0])), seed


def test_each_picture_of_a_batch_has_its_own_loop_and_seeds(web):
    batch = {"n_iter": 2, "batch_size": 2}
    answer = draw(web, {"keep_rejected": True}, **batch)
    rows = answer.report["attempts"]
    assert [(row["picture"], row["seed"]) for row in rows] == [
        (1, 5), (1, 9), (2, 6), (2, 10), (3, 7), (3, 11), (4, 8), (4, 12),
    ]  # fmt: skip
    assert answer.info["all_seeds"] == [9, 10, 11, 12, 5, 6, 7, 8] and answer.report["results"] == [2, 4, 6, 8]
    drawn, placed = by_seed(answer), canvas()
    hosts = web.draw(**DRAW, **batch, alwayson_scripts=plain(web, placed))
    singly = web.draw(**{**DRAW, "seed": 11}, alwayson_scripts=plain(web, placed))
    for seed, alone in [*zip((5, 6, 7, 8), hosts.pictures), (11, singly.pictures[0])]:
        assert same(drawn[seed], pasted(placed, alone)), seed


def test_an_accepted_picture_of_a_batch_is_not_drawn_again(web):
    rows = draw(web, {"attempts": 1}, batch_size=2).report["attempts"]
    probabilities = [row["probabilities"]["available"] for row in rows]
    between = sum(probabilities) / 2
    answer = draw(web, {"threshold": between}, batch_size=2)
    accepted = [row["picture"] for row in answer.report["attempts"] if row["accepted"]]
    better = 1 + int(probabilities[1] > probabilities[0])
    assert better in accepted
    assert sum(row["picture"] == better for row in answer.report["attempts"]) == 1


def test_img2img_draws_before_its_own_picture(web):
    backdrop = Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), np.uint8))
    request = {"init_images": [base64_png(backdrop)], "denoising_strength": 0.75}
    answer = draw(web, {"keep_rejected": True}, "img2img", **request)
    placed = canvas()
    start = placed.paste(torch.from_numpy(np.array(backdrop)).movedim(-1, 0)[None].float() / 255)[0]
    for seed, drawn in by_seed(answer).items():
        alone = web.draw("img2img", **{**DRAW, **request, "seed": seed}, alwayson_scripts=plain(web, placed, start))
        assert same(drawn, pasted(placed, alone.pictures[0])), seed


def test_the_img2img_picture_can_be_the_product(web):
    answer = draw(
        web, {"product": None, "use_init_image": True, "keep_rejected": True}, "img2img",
        init_images=[base64_png(cut_out())], denoising_strength=0.3,
    )  # fmt: skip
    drawn, placed = by_seed(answer), canvas()
    assert sorted(drawn) == [5, 6] and not same(drawn[5], drawn[6])
    whole = placed.alpha.numpy() == 1
    for each in drawn.values():
        assert (pixels(each)[whole] == np.asarray(pasted(placed, each))[whole]).all()
    again = draw(
        web, {"product": None, "use_init_image": True, "attempts": 1}, "img2img",
        init_images=[base64_png(cut_out())], denoising_strength=0.9, seed=6,
    )  # fmt: skip
    assert same(drawn[6], again.pictures[0])  # there is nothing behind it to keep: drawn from noise alone


@pytest.mark.parametrize("upscaler", ["Latent", "Lanczos"])
def test_hires_fix(web, upscaler):
    hires = {"enable_hr": True, "hr_scale": 2.0, "hr_upscaler": upscaler, "denoising_strength": 0.6}
    if web.host.kind == "Forge":
        hires["hr_additional_modules"] = ["Use same choices"]  # its API draws none without
    answer = draw(web, {"keep_rejected": True}, **hires)
    drawn, placed = by_seed(answer), canvas(2 * SIZE, 2 * SIZE)
    whole = placed.alpha.numpy() == 1
    for each in drawn.values():
        assert each.size == (2 * SIZE, 2 * SIZE)
        assert (pixels(each)[whole] == (placed.rgb * 255).round().byte().movedim(0, -1).numpy()[whole]).all()
    again = draw(web, {"attempts": 1}, **{**hires, "seed": 6})
    assert same(drawn[6], again.pictures[0])


def chosen(web, name: str, **said) -> dict:
    """For a request: this one of the host's own scripts, with these values by their labels."""
    parts = next(each["args"] for each in web.ask("/sdapi/v1/script-info") if each["name"] == name)
    return {"script_name": name, "script_args": [said.get(part["label"], part["value"]) for part in parts]}


def test_a_plot_over_seeds(web):
    said = {"X type": 1, "X values": "5,7", "Y type": 0, "Z type": 0, "Include Sub Images": True}  # types by number
    answer = draw(web, {"threshold": ALWAYS}, **chosen(web, "x/y/z plot", **said))
    alone = [draw(web, {"threshold": ALWAYS}, seed=seed).pictures[0] for seed in (5, 7)]
    assert all(any(same(one, each) for each in answer.pictures) for one in alone)


def test_a_script_that_draws_again_with_the_same_settings(web):
    """Loopback: its second picture begins with the first, one seed on."""
    request = {"init_images": [base64_png(Image.new("RGB", (SIZE, SIZE), "teal"))], "denoising_strength": 0.75}
    said = {"Loops": 2, "Final denoising strength": 0.5}
    answer = draw(web, {"threshold": ALWAYS}, "img2img", **request, **chosen(web, "loopback", **said))
    first = draw(web, {"threshold": ALWAYS}, "img2img", **request).pictures[0]
    again = {"init_images": [base64_png(first)], "denoising_strength": 0.5, "seed": 6}
    second = draw(web, {"threshold": ALWAYS}, "img2img", **again).pictures[0]
    assert all(any(same(one, each) for each in answer.pictures) for one in (first, second))


def test_without_reliable_ads_nothing_changes(web):
    off = web.draw(**DRAW, alwayson_scripts={"reliable ads": {"args": [{"enabled": False}]}})
    before = web.draw(**DRAW)
    assert same(off.pictures[0], before.pictures[0]) and "RF" not in off.infotexts[0]
