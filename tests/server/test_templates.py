"""What a template's note says that a run shows is what a run shows."""

import json
import re

import pytest

from reliable_ads.devtools.comfy import ROOT
from reliable_ads.devtools.graph import load, titled, to_api, workflow

WORDS = {
    words: label
    for label, words in re.findall(
        r"^  (\w+): '(.+?)',?$", (ROOT / "web" / "js" / "page.js").read_text(encoding="utf-8"), re.MULTILINE
    )
}
CLAIM = re.compile(r"attempt 1 is rejected \(\*(.+?)\*\),? (\*Remedies\* answer, )?and attempt 2 is accepted")


@pytest.mark.parametrize("word", ["First product ad", "Remedies"])
def test_the_note_tells_how_the_run_goes(client, word):
    shipped = load(workflow(word))
    note = next(node["widgets_values"][0] for node in shipped["nodes"] if node["type"] == "MarkdownNote")
    reason, remedied = CLAIM.search(note).groups()
    graph = to_api(shipped, client.ask("/object_info"))
    attempts = json.loads(client.outputs(graph)[titled(graph, "Draw until accepted")]["report"][0])["attempts"]
    assert [attempt["accepted"] for attempt in attempts] == [
        False,
        True,
    ], "choose another seed, or write what happens with this one"
    assert attempts[0]["label"] == WORDS[reason] and not attempts[0]["remedies"]
    assert bool(attempts[1]["remedies"]) == bool(remedied)
