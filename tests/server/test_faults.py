"""What goes wrong in the middle of a run: memory, reviewers, two runs at once, a cancel in an unusual place."""

import numpy as np
import pytest

from reliable_ads.devtools.api_graph import node

from .ads import ALWAYS, NEVER, ad, pixels, report_of


def with_faulty_model(at: int, kind: str, least: int = 1, **changes) -> dict:
    graph = ad(**changes)
    graph["faulty"] = node("TestFaultyModel", model=["models", 0], at=at, kind=kind, least=least)
    graph["sampler"]["inputs"]["model"] = ["faulty", 0]
    return graph


@pytest.mark.parametrize("at", [1, 2, 3])
def test_out_of_memory_with_several_at_once_goes_on_one_at_a_time_and_says_so(client, at):
    found = client.outputs(
        with_faulty_model(at, "oom", least=3, sampler__parallel=3, sampler__steps=3, sampler__sampler_name="euler")
    )
    report, alone = report_of(found), client.outputs(ad(sampler__steps=3, sampler__sampler_name="euler"))
    assert [attempt["seed"] for attempt in report["attempts"]] == [7, 8, 9] and "going on one at a time" in report[
        "notes"
    ][0]
    assert all(
        np.array_equal(pixels(client, found["sampler"], index), pixels(client, alone["sampler"], index))
        for index in range(3)
    )


@pytest.mark.parametrize("kind, says", [("oom", "out of memory, says the test"), ("error", "the test's model fails")])
def test_a_model_that_fails_ends_the_run_with_its_own_words_and_the_next_one_works(client, kind, says):
    with pytest.raises(RuntimeError, match=says):
        client.outputs(with_faulty_model(3, kind, sampler__steps=2))
    assert len(report_of(client.outputs(ad(sampler__seed=77)))["attempts"]) == 3


@pytest.mark.parametrize("parallel", [1, 2])
def test_a_reviewer_that_throws_ends_the_run_with_its_own_words_and_the_next_one_works(client, parallel):
    graph = ad(sampler__reviewer=["faulty", 0], sampler__parallel=parallel)
    graph["faulty"] = node("TestFaultyReviewer", reviewer=["reviewer", 0], at=2)
    with pytest.raises(RuntimeError, match="the test's reviewer fails"):
        client.outputs(graph)
    assert len(report_of(client.outputs(ad(sampler__seed=78, sampler__parallel=parallel)))["attempts"]) == 3


def test_two_prompts_queued_at_once_do_not_mix(client, server):
    from reliable_ads.devtools.client import ComfyClient

    other = ComfyClient(server.address, patience=120)
    graphs = [ad(sampler__seed=seed, sampler__attempts=2, sampler__threshold=NEVER) for seed in (100, 200)]
    apart = [client.outputs(graph) for graph in graphs]
    for number, graph in enumerate(graphs):
        graph["sampler"]["inputs"]["seconds"] = 500 + number  # or they would not be run again
    prompts = [(each, each.queue(graph)) for each, graph in zip((client, other), graphs)]
    for (each, prompt), graph, before in zip(prompts, graphs, apart):
        found = wait(each, prompt)
        seed = graph["sampler"]["inputs"]["seed"]
        assert [attempt["seed"] for attempt in report_of(found)["attempts"]] == [seed, seed + 1]
        assert all(
            np.array_equal(pixels(each, found["sampler"], index), pixels(each, before["sampler"], index))
            for index in range(2)
        )


def wait(client, prompt: str, seconds: float = 60) -> dict:
    """What a queued prompt's nodes show, once it has ended."""
    import time

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := client.ask(f"/history/{prompt}").get(prompt):
            return found["outputs"]
        time.sleep(0.1)
    raise AssertionError("the prompt did not end")


def test_a_cancel_while_several_are_drawn_at_once(client):
    pressed, ended = False, None
    for event in client.run(ad(sampler__steps=300, sampler__parallel=3)):
        if event.kind == "progress" and event.node == "sampler" and event.data["value"] >= 5 and not pressed:
            client.interrupt()
            pressed = True
        ended = event.kind
    assert ended == "execution_interrupted"
    assert report_of(client.outputs(ad(sampler__threshold=ALWAYS, sampler__seed=5)))["accepted"]
