"""The server opinion against a real `transformers serve` on loopback, with thin models of a real class."""

import json
import os
import sys
import urllib.request

import pytest
import torch

from reliable_ads.benchmarks.random_opinions import write_language
from reliable_ads.devtools.server import Server as Process
from reliable_ads.rfnet.opinions.opening import open_opinion
from reliable_ads.rfnet.opinions.panel import Panel
from reliable_ads.rfnet.opinions.questions import SAID
from reliable_ads.rfnet.reviewer import Reviewer

from ..unit.opinion_examples import boxed, on_table
from ..unit.rfnet_examples import small_networks

for needed in ("fastapi", "openai", "uvicorn", "transformers.cli.serve"):
    pytest.importorskip(needed, reason="`transformers serve` of transformers 5, with what requirements-dev.txt lists")


class TransformersServe(Process):
    """`transformers serve` without a network; it opens the folder that a request names as its model."""

    name = "transformers serve"

    def prepare(self) -> None:
        pass

    def command(self) -> list[str]:
        where = ("--host", "127.0.0.1", "--port", str(self.port), "--device", "cpu")
        return [sys.executable, "-m", "transformers.cli.transformers", "serve", *where]

    @property
    def surroundings(self) -> dict:
        return {"env": {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"}}

    def serves(self) -> bool:
        with urllib.request.urlopen(f"http://{self.address}/health", timeout=5) as answer:
            return json.load(answer)["status"] == "ok"


def decided(folder, word):
    """A thin model that answers with this word and ends: nothing but its last token tells what it says next."""
    import transformers

    write_language(folder)
    model = transformers.LlavaForConditionalGeneration.from_pretrained(folder)
    words = transformers.AutoTokenizer.from_pretrained(folder).get_vocab()
    with torch.no_grad():
        for layer in model.model.language_model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.get_input_embeddings().weight.copy_(torch.eye(16)[0])
        model.get_input_embeddings().weight[words[word]] = torch.eye(16)[1]
        model.lm_head.weight.zero_()
        model.lm_head.weight[words[word], 0] = 10.0
        model.lm_head.weight[words["</s>"], 1] = 10.0
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    with TransformersServe(tmp_path_factory.mktemp("serve") / "serve.log", None, 300) as running:
        yield running


@pytest.fixture
def named(serve, tmp_path):
    """(folder of a model) -> the opinion of the server that serves it."""

    def write(folder):
        file = tmp_path / "server.json"
        file.write_text(json.dumps({"url": f"http://{serve.address}/v1", "model": str(folder), "timeout": 120}))
        return open_opinion(f"server={file}")

    return write


@pytest.mark.parametrize("word, odds", [("yes", SAID), ("No", -SAID)])
def test_a_plain_word_of_the_model_is_the_evidence(named, tmp_path, word, odds):
    """The server gives no probabilities, so the word counts as docs/opinions.md says."""
    opinion = named(decided(tmp_path / "model", word))
    assert opinion.evidence(boxed(), on_table(boxed(), True)[0]).tolist() == [[odds] * 4]


def test_a_model_that_answers_prose_is_left_out_and_the_run_goes_on(named, tmp_path):
    folder = write_language(tmp_path / "prose", ["yes", "no", *(f"word{number}" for number in range(60))])
    panel = Panel(Reviewer(*small_networks()), [open_opinion("own_label"), named(folder)])
    (row,) = panel.review(on_table(boxed(), True)[0], boxed()).rows()
    (note,) = [note for note in row["notes"] if "left out" in note]
    assert note.startswith("The opinion server was left out: its server answered ") and "yes or no" in note
    assert row["label"] and row["opinions"].keys() == {"own_label"}


def test_a_model_that_the_server_does_not_have_is_named_by_its_status(named, tmp_path):
    panel = Panel(Reviewer(*small_networks()), [named(tmp_path / "gone")])
    (row,) = panel.review(on_table(boxed(), True)[0], boxed()).rows()
    assert any("its server answered with status" in note for note in row["notes"])
