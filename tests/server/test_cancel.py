"""Cancelling: within one step, leaving nothing behind."""

import time

import psutil

from .ads import ad, report_of


def test_cancel_ends_within_a_step_and_the_next_prompt_works(client):
    steps_after, pressed, ended = 0, None, None
    for event in client.run(ad(sampler__steps=400, sampler__attempts=5)):
        if event.kind == "progress" and event.node == "sampler":
            if pressed is None and event.data["value"] >= 5:
                client.interrupt()
                pressed = time.monotonic()
            elif pressed is not None:
                steps_after += 1
        ended = event.kind
    assert ended == "execution_interrupted"
    assert steps_after <= 2  # one that was already on the wire, one that was being taken
    assert time.monotonic() - pressed < 5

    again = client.outputs(ad(sampler__attempts=1))
    assert len(report_of(again)["attempts"]) == 1


def test_cancel_between_attempts(client):
    verdicts, pressed, ended = 0, False, None
    for event in client.run(ad(sampler__steps=1, sampler__attempts=500)):
        verdicts += event.kind == "progress_text"
        if verdicts >= 3 and not pressed:
            client.interrupt()
            pressed, seen = True, verdicts
        ended = event.kind
    assert ended == "execution_interrupted" and verdicts <= seen + 2
    assert len(report_of(client.outputs(ad(sampler__attempts=1, sampler__seed=3)))["attempts"]) == 1
    assert client.ask("/queue")["queue_pending"] == []


def test_cancelled_runs_leave_no_memory_behind(client, server):
    process, sizes = psutil.Process(server.process.pid), []
    for number in range(15):
        for event in client.run(ad(sampler__steps=50, sampler__seed=1000 + number)):
            if event.kind == "progress" and event.node == "sampler" and event.data["value"] == 2:
                client.interrupt()
        sizes.append(process.memory_info().rss)
    assert sizes[-1] < 1.05 * sizes[4]
