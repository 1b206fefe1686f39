"""The opinion of an OpenAI-compatible server: what is sent, what is understood, and what becomes of bad answers."""

import base64
import io
import json
import math
import time

import pytest
import torch
from PIL import Image

from reliable_ads.rfnet.opinions import server as module
from reliable_ads.rfnet.opinions.opening import open_opinion
from reliable_ads.rfnet.opinions.panel import Panel
from reliable_ads.rfnet.opinions.protocol import OpinionError
from reliable_ads.rfnet.opinions.questions import SAID
from reliable_ads.rfnet.opinions.server import Server, data_url, read_server
from reliable_ads.rfnet.reviewer import Reviewer

from .chat_server import chat_server, completion
from .opinion_examples import boxed, on_table
from .rfnet_examples import small_networks

KEY = "sk-secret-0123456789"


@pytest.fixture
def named(tmp_path):
    """(settings) -> the path of a server's file with them."""

    def write(url="http://127.0.0.1:1/v1", **settings):
        path = tmp_path / "my_server.json"
        path.write_text(json.dumps({"url": url, "model": "tiny", "timeout": 1.0, **settings}), "utf-8")
        return path

    return write


@pytest.fixture
def picture():
    return on_table(boxed(), True)[0]


def test_what_is_sent_is_the_product_the_picture_and_a_question(named, picture, tmp_path):
    (tmp_path / "key.txt").write_text(f"{KEY}\n")
    with chat_server(completion("Yes", {"Yes": math.log(0.8), "No": math.log(0.2)})) as (url, seen):
        found = open_opinion(f"server={named(url, key_file='key.txt')}").evidence(boxed(), picture)
    assert found.tolist() == [[pytest.approx(math.log(4))] * 4]
    assert [path for path, *_ in seen] == ["/v1/chat/completions"] * 4
    for _, headers, body in seen:
        assert headers["Authorization"] == f"Bearer {KEY}" and str(tmp_path) not in json.dumps([headers, body])
        first, second, text = body["messages"][0]["content"]
        assert "(a box)" in text["text"] and "yes or no" in text["text"] and body["model"] == "tiny"
        for part in (first, second):
            kind, _, content = part["image_url"]["url"].partition(",")
            shown = Image.open(io.BytesIO(base64.b64decode(content)))
            assert kind == "data:image/png;base64" and not shown.info and shown.size <= (64, 64)


def test_each_picture_is_encoded_once_for_all_questions(named, monkeypatch):
    encoded = []
    monkeypatch.setattr(module, "data_url", lambda picture: encoded.append(picture) or data_url(picture))
    with chat_server(completion("yes")) as (url, seen):
        Server(named(url)).evidence(boxed(), torch.cat([on_table(boxed(), shadow)[0] for shadow in (True, False)]))
    urls = [[part["image_url"]["url"] for part in body["messages"][0]["content"][:2]] for *_, body in seen]
    assert len(encoded) == 3 and len(urls) == 8  # the product, two pictures; four questions about each picture
    assert urls[:4] == [urls[0]] * 4 and urls[4:] == [urls[4]] * 4 and urls[0][0] == urls[4][0] != urls[4][1]


@pytest.mark.parametrize("text, odds", [("Yes.", SAID), (" no", -SAID)])
def test_a_plain_word_is_understood(named, picture, text, odds):
    with chat_server(completion(text)) as (url, _):
        assert Server(named(url)).evidence(boxed(), picture).tolist() == [[odds] * 4]


PROSE = "It depends on how you look at it."
BAD = {
    "prose": ({"content": completion(PROSE)}, "where yes or no was asked for"),
    "unsure": ({"content": completion(PROSE, {"It": -0.1, "Yes": -6.0})}, "where yes or no was asked for"),
    "no JSON": ({"content": b"<html>hello</html>"}, "no JSON object"),
    "a list": ({"content": b"[1]"}, "no JSON object"),
    "another form": ({"content": b'{"choices": []}'}, "no chat completion"),
    "no text": ({"content": b'{"choices": [{"message": {"content": 7}}]}'}, "no chat completion"),
    "an error": ({"content": b"out of order " + KEY.encode(), "status": 500}, "status 500 .out of order ..."),
    "a redirect": ({"status": 302, "headers": {"Location": "http://example.com/v1"}}, "status 302"),
    "too much": ({"content": b" " * ((1 << 20) + 10)}, "more than 1 MiB"),
    "cut short": ({"content": b"{", "headers": {"Content-Length": "999"}}, "cut short"),
    "slow": ({"wait": 5.0}, "did not answer within 0.5 seconds"),
    "a byte now and then": ({"content": completion("Yes"), "drip": 0.2}, "did not answer within 0.5 seconds"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_answer_leaves_the_opinion_out_and_the_run_goes_on(named, picture, tmp_path, kind):
    behaviour, said = BAD[kind]
    (tmp_path / "key.txt").write_text(KEY)
    with chat_server(**behaviour) as (url, _):
        began = time.monotonic()
        opinion = Server(named(url, timeout=0.5, key_file="key.txt"))
        with pytest.raises(OpinionError, match=said) as failure:
            opinion.evidence(boxed(), picture)
        assert time.monotonic() - began < 3 and KEY not in str(failure.value) and len(str(failure.value)) < 250
        review = Panel(Reviewer(*small_networks()), [opinion]).review(picture, boxed())
    (row,) = review.rows()
    assert row["label"] and any("The opinion server was left out" in note for note in row["notes"])


def test_a_server_that_is_not_there_is_named_and_then_left_alone(named, picture, monkeypatch):
    opinion = Server(named("http://127.0.0.1:1/v1"))
    for said in ("can't be reached", "can't be reached", "left alone for a minute"):
        with pytest.raises(OpinionError, match=said):
            opinion.evidence(boxed(), picture)
    with chat_server(completion("no")) as (url, _):
        opinion.settings.url = url
        monkeypatch.setattr(module, "PAUSE", 0.0)
        opinion.silent_until = time.monotonic()
        assert opinion.evidence(boxed(), picture).tolist() == [[-SAID] * 4] and opinion.failures == 0


def test_no_proxy_of_the_environment_gets_the_pictures(named, picture, monkeypatch):
    with chat_server(completion("yes")) as (url, _), chat_server(completion("no")) as (proxy, stolen):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.removesuffix("/v1"))
        assert Server(named(url)).evidence(boxed(), picture).tolist() == [[SAID] * 4] and not stolen


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"url": "http://example.com/v1"}, "not this machine"),
        ({"url": "http://127.0.0.1.example.com/v1"}, "not this machine"),
        ({"url": "http://10.0.0.5:8000/v1"}, "not this machine"),
        ({"url": "http://example.com/v1", "allow_remote": True}, "use https"),
        ({"url": "file:///etc/passwd"}, "write it like"),
        ({"url": "http://user:word@127.0.0.1/v1"}, "write it like"),
        ({"url": "http://127.0.0.1:99999/v1"}, "my_server.json.*write it like"),
        ({"url": "http://[::1"}, "my_server.json.*write it like"),
        ({"url": "http://127.0.0.1/my models/v1"}, "write it like"),
        ({"url": "http://0.0.0.0:8000/v1"}, "write 127.0.0.1"),
        ({"model": ""}, "looks like"),
        ({"timeout": 0}, "looks like"),
        ({"key": KEY}, "looks like"),
        ({"key_file": "../key.txt"}, "the name of a file beside this one"),
        ({"key_file": "gone.txt"}, "does not exist"),
    ],
)
def test_a_file_that_names_no_server_that_may_be_asked_is_refused(named, settings, said):
    with pytest.raises(OpinionError, match=said):
        Server(named(**settings))


def test_a_server_elsewhere_is_taken_where_the_file_allows_it(named):
    assert read_server(named("https://example.com/v1", allow_remote=True)).allow_remote
    assert read_server(named("http://[::1]:8000/v1")) and read_server(named("http://localhost:8000/v1"))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "3.0"])
def test_a_number_that_is_no_log_probability_leaves_the_word_to_say_it(number):
    answer = json.loads(completion("no", {"yes": -1.0, "no": -0.1}).decode().replace("-1.0", number))
    assert module.understood(answer) == -SAID
