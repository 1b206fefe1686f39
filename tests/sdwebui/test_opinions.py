"""Second opinions in a real web UI: shown in report and infotext, and left out with a note where they fail."""

import json

from .ads import draw, in_infotext


def test_what_they_said_is_in_the_report_and_their_names_in_infotext(web):
    answer = draw(web, {"attempts": 2, "opinions": ["contact", "own_label"]})
    for row in answer.report["attempts"]:
        assert row["decided_by"] == "rfnet" and row["opinions"].keys() == {"contact", "own_label"}
        assert row["opinions"]["own_label"] == {"shape_hallucination": -6.0}  # the product was pasted
    assert in_infotext(answer.infotexts[0], "RF opinions") == "contact + own_label"
    assert any("`rfnet fuse`" in note for note in answer.report["notes"])


def test_a_server_that_is_gone_ends_no_run(web, data):
    folder = data / "models" / "rfnet" / "servers"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gone.json").write_text(json.dumps({"url": "http://127.0.0.1:1/v1", "model": "x", "timeout": 5}))
    report = draw(web, {"attempts": 1, "opinions": ["server=gone.json"]}).report
    assert any("The opinion server was left out: its server can't be reached" in note for note in report["notes"])
    assert len(report["attempts"]) == 1
