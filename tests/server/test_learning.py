"""RF Label's reviewer on the real server: it learns while one labels, and tells two labellers apart."""

import time
from itertools import count

import pytest

from reliable_ads.rfnet.data.labelling import LabelFolder
from reliable_ads.rfnet.labels import LABELS

from .label_api import Api, fill

NUMBERS = count()


@pytest.fixture
def folder(base) -> LabelFolder:
    return LabelFolder(base / "output" / "labels" / f"learned{next(NUMBERS)}")


@pytest.fixture
def tab(server, folder) -> Api:
    return Api(server, folder.folder.name)


def test_a_reviewer_learns_while_one_labels_and_chooses_what_comes_next(server, tab, folder):
    fill(folder, 13)
    query = "?learner=rfnet_compact.safetensors&by=Ana"

    def settled() -> dict:
        until = time.monotonic() + 120
        while (answer := tab.state(query))["learning"]["busy"] and time.monotonic() < until:
            time.sleep(0.1)
        return answer

    answer = settled()
    assert answer["learning"]["unread"] == answer["learning"]["learned"] == 0 and not answer["learning"]["error"]
    shown = answer["item"]["key"]
    assert tab.state(f"{query}&at={shown}")["item"]["key"] == shown
    skipped = tab.state(f"{query}&after={shown}")["item"]["key"]
    assert skipped != shown and tab.state(query)["item"]["key"] == skipped  # a skipped picture comes last
    for number in range(10):
        body = {"key": tab.state(query)["item"]["key"], "label": LABELS[number % 2], "by": "Ana"}
        assert tab.send(f"/label{query}", body)[0] == 200
    learning = settled()["learning"]
    assert learning["learned"] == 10 and learning["rounds"][0][:2] == [0, 10]
    assert tab.state()["learning"] is None

    key = next(iter(folder.read().labels))
    status, answer = tab.send("/label", {"key": key, "label": "available", "by": "Bo"})
    assert status == 200 and answer["labellers"][0]["names"] == ["Ana", "Bo"] and answer["labellers"][0]["n"] == 1
    status, answer = tab.send("/undo", {"key": key, "by": "Bo"})
    assert status == 200 and len(folder.read().labels) == 10 and answer["last"] is None


@pytest.mark.parametrize(
    "query, told",
    [
        ("?learner=../secret.safetensors", "there is no file"),
        ("?learner=%00", "there is no file"),
        ("?by=" + "x" * 41, "by must be the labeller's name"),
        ("?by=%0A", "by must be the labeller's name"),
    ],
)
def test_learners_and_names_that_are_none_are_refused(tab, folder, query, told):
    fill(folder, 1)
    status, answer = tab.send(query)
    assert status == 400 and told in answer["error"]
