"""Attempts are the host's own draws: equal to what it draws without Reliable Ads, to the last bit."""

from .ads import DRAW, canvas, draw, pasted, plain, same


def test_attempts_equal_plain_draws_with_their_seeds(web):
    answer = draw(web, {"attempts": 3, "keep_rejected": True})
    seeds = [row["seed"] for row in answer.report["attempts"]]
    assert seeds == [5, 6, 7] and answer.info["all_seeds"] == [7, 5, 6]  # the last one is given back
    placed = canvas()
    for drawn, seed in zip(answer.pictures, answer.info["all_seeds"]):
        alone = web.draw(**{**DRAW, "seed": seed, "alwayson_scripts": plain(web, placed)})
        assert same(drawn, pasted(placed, alone.pictures[0])), seed
