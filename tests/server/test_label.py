"""RF Label on the real server: pictures wait on disk, buttons give them labels over HTTP, and nothing is lost, doubled
or written by strangers.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from PIL import Image

from reliable_ads.devtools.api_graph import node
from reliable_ads.devtools.comfy import ComfyServer
from reliable_ads.rfnet.data.labelling import JOURNAL, LabelFolder
from reliable_ads.rfnet.data.tables import read_table
from reliable_ads.rfnet.labels import LABELS

from .ads import SIZE, ad
from .label_api import Api, fill

NUMBERS = count()


@pytest.fixture
def folder(base) -> LabelFolder:
    return LabelFolder(base / "output" / "labels" / f"set{next(NUMBERS)}")


@pytest.fixture
def tab(server, folder) -> Api:
    return Api(server, folder.folder.name)


def graph(folder: LabelFolder, /, **changes) -> dict:
    """The advertising graph with all its attempts to be labelled."""
    label = {
        "images": ["sampler", 6],
        "product": ["product", 0],
        "dataset": folder.folder.name,
        "blind": True,
        "prompt": "a box on a table",
        "report": ["sampler", 5],
    }
    return {
        **ad(),
        "label": node("RFLabel", **{**label, **changes}),
        "summary": node("PreviewAny", source=["label", 1]),
    }


def without_sampler(folder: LabelFolder, /, **changes) -> dict:
    """The placed product itself to be labelled."""
    made = graph(folder, **{"images": ["product", 1], "report": "", **changes})
    return {name: made[name] for name in ("picture", "product", "label", "summary")}


def test_pictures_come_once_with_all_that_is_known(client, folder, tab):
    outputs = client.outputs(graph(folder))
    assert outputs["label"]["dataset"] == [folder.folder.name]
    assert outputs["summary"]["text"][0].startswith(
        f"3 pictures added to {folder.folder.name}.\n0 of 3 pictures are labelled, 3 wait."
    )
    client.outputs(graph(folder, prompt="the same, in other words"))
    items = folder.read().items.values()
    assert (
        len(items) == 3
        and {item.caption for item in items} == {"an orange box"}
        and len({item.product_id for item in items}) == 1
    )
    assert all(item.verdict["label"] in LABELS for item in items)
    status, png = tab.send(f"/pictures/{tab.state()['item']['key']}.png")
    assert status == 200 and png[:4] == b"\x89PNG"
    product = Image.open(folder.picture(next(iter(items)).product, "products"))
    assert product.mode == "RGBA" and product.size == (SIZE, SIZE) and product.getchannel("A").getextrema() == (0, 255)


def test_labelled_over_http_is_what_training_reads(client, folder, tab):
    client.outputs(graph(folder))
    state = tab.state()
    for label in LABELS[:3]:
        state = tab.label(state["item"]["key"], label)
    assert state["item"] is None and state["labelled"] == 3 and state["waiting"] == 0
    samples = read_table(folder.table, SIZE)
    assert sorted(samples.count_labels().values()) == [0, 0, 1, 1, 1] and not samples.findings.counts
    assert samples.read(0)["aligned"]
    assert client.outputs(graph(folder, prompt="again"))["summary"]["text"][0].startswith(
        f"0 pictures added to {folder.folder.name}, 3 were there already.\n3 of 3"
    )


def test_verdicts_are_told_only_to_those_who_ask(folder, tab):
    fill(folder, 1)
    assert "verdict" not in tab.state()["item"] and "probability" not in json.dumps(tab.state())
    assert tab.state("?verdict=1")["item"]["verdict"] == {"label": "available", "probability": 0.5}


def test_a_double_click_labels_once(folder, tab):
    first, second = fill(folder, 2)
    with ThreadPoolExecutor(2) as clicks:
        states = list(clicks.map(lambda _: tab.label(first, "available"), range(2)))
    assert [state["item"]["key"] for state in states] == [second, second]
    assert (folder.folder / JOURNAL).read_text().count('"label"') == 3  # two verdicts of the reviewer, one label


def test_two_tabs(server, folder, tab):
    first, second = fill(folder, 2)
    other = Api(server, tab.dataset)
    assert tab.state()["item"]["key"] == other.state()["item"]["key"] == first
    tab.label(first, "available")
    state = other.label(first, "size_mismatch")
    assert state["counts"]["size_mismatch"] == state["labelled"] == 1 and state["counts"]["available"] == 0
    assert other.state(f"?at={first}")["item"]["key"] == second


def test_undo_shows_the_picture_again(folder, tab):
    first, second, _ = fill(folder, 3)
    tab.label(first, "available")
    assert tab.label(second, "available")["last"] == second
    for _ in range(2):  # a double click
        status, state = tab.send("/undo", {"key": second})
        assert status == 200 and state["item"]["key"] == second and state["labelled"] == 1 and state["last"] == first
    assert len(read_table(folder.table)) == 1


def test_skipping_goes_round(folder, tab):
    keys = fill(folder, 3)
    seen = [tab.state()["item"]["key"]]
    for _ in range(3):
        seen.append(tab.state(f"?after={seen[-1]}")["item"]["key"])
    assert seen == [*keys, keys[0]]


def test_a_server_that_is_killed_in_the_middle_of_200_labels(tmp_path):
    """What was answered is kept, what was not answered can be sent again; the killed server is in the middle of a
    request.
    """
    folder = LabelFolder(tmp_path / "output" / "labels" / "my_labels")
    keys = fill(folder, 200)
    wanted = {key: LABELS[number % 5] for number, key in enumerate(keys)}
    answered = []
    for kill_after in (90, None):
        with ComfyServer(
            tmp_path,
            tmp_path / "server.log",
            ("--cpu", "--disable-all-custom-nodes", "--whitelist-custom-nodes", "reliable-ads"),
        ) as server:
            tab = Api(server, "my_labels")
            state = tab.state()
            assert state["labelled"] in (len(answered), len(answered) + 1)

            def send(key, tab=tab, kill_after=kill_after, server=server):
                tab.label(key, wanted[key])
                answered.append(key)
                if len(answered) == kill_after:
                    server.process.kill()

            with ThreadPoolExecutor(2) as tabs:
                sent = [tabs.submit(send, key) for key in keys if key not in answered]
                failed = [future for future in sent if future.exception()]
            assert bool(failed) == bool(kill_after)
    assert folder.read().labels == wanted
    samples = read_table(folder.table)
    assert len(samples) == 200 and not samples.findings.counts and set(samples.count_labels().values()) == {40}


HERE = "http://127.0.0.1"


@pytest.mark.parametrize(
    "path, body, changes, status, told",
    [
        ("/label", {"key": "KEY", "label": "great"}, {}, 400, "label must be one of available"),
        ("/label", {"key": "KEY"}, {}, 400, "label must be one of"),
        ("/label", {"key": "KEY", "label": ["available"]}, {}, 400, "label must be one of"),
        ("/label", {"key": "KEY", "label": "available", "blind": "yes"}, {}, 400, "blind must be true or false"),
        ("/label", {"key": "../../../etc", "label": "available"}, {}, 400, "16 hex digits"),
        ("/label", {"key": 7, "label": "available"}, {}, 400, "16 hex digits"),
        ("/label", {"key": "0" * 16, "label": "available"}, {}, 404, "there is no picture 0000000000000000"),
        ("/undo", {"key": "0" * 16}, {}, 404, "there is no picture"),
        ("/undo", {}, {}, 400, "16 hex digits"),
        ("/label", b"{", {}, 400, "no JSON object"),
        ("/label", b"[" * 4000, {}, 400, "no JSON object"),
        ("/label", b"\xff\xfe", {}, 400, "no JSON object"),
        ("/label", [1], {}, 400, "no JSON object"),
        ("/label", {"key": "KEY", "label": "available", "more": "x" * 5000}, {}, 413, "larger than 4096 bytes"),
        ("/label", b"x" * 3_000_000, {}, 413, "larger than 4096 bytes"),
        ("/label", {"key": "KEY", "label": "available"}, {"Content_Type": "text/plain"}, 415, "send application/json"),
        (
            "/label",
            b"key=KEY&label=available",
            {"Content_Type": "application/x-www-form-urlencoded"},
            415,
            "send application/json",
        ),
        ("/label", {"key": "KEY", "label": "available"}, {"method": "PUT"}, 405, "GET and"),
        ("/label", None, {"method": "GET"}, 405, "GET and"),
        ("/label", None, {"method": "DELETE"}, 405, "GET and"),
        ("/pictures/KEY.png", None, {"method": "DELETE"}, 405, "GET and"),
        ("", {"key": "KEY", "label": "available"}, {}, 405, "GET and"),
        ("", None, {"method": "DELETE"}, 405, "GET and"),
        ("/label", {"key": "KEY", "label": "available"}, {"Sec_Fetch_Site": "cross-site"}, 403, "another site"),
        (
            "/label",
            {"key": "KEY", "label": "available"},
            {"Sec_Fetch_Site": "same-site", "Origin": HERE},
            403,
            "another site",
        ),
        ("", None, {"Sec_Fetch_Site": "cross-site"}, 403, "another site"),
        ("/pictures/KEY.png", None, {"Sec_Fetch_Site": "cross-site"}, 403, "another site"),
        ("/pictures/0000000000000000.png", None, {}, 404, "there is no picture"),
        ("/pictures/..%2Fjournal.png", None, {}, 404, "there is no picture"),
        ("/..%2Fpictures/KEY.png", None, {}, 404, "there is no picture"),
        ("/journal.jsonl/KEY.png", None, {}, 404, "there is no picture"),
        ("?after=..", None, {}, 400, "16 hex digits"),
    ],
)
def test_what_is_refused_writes_nothing(server, folder, tab, path, body, changes, status, told):
    key = fill(folder, 1)[0]
    path, body = (
        path.replace("KEY", key),
        {name: key if value == "KEY" else value for name, value in body.items()} if isinstance(body, dict) else body,
    )
    before = everything(folder.folder.parent)
    logged = server.log.stat().st_size
    found = tab.send(path, body, **changes)
    assert found[0] == status and told in found[1]["error"]
    assert everything(folder.folder.parent) == before
    assert told in log_after(server, logged) and f"refused ({status})" in log_after(server, logged)


@pytest.mark.parametrize("name", ["..", "..%2Fset0", "a%2Fb", "a%5Cb", "a.b", "%20", "x" * 65, "a%00b", "C%3A"])
def test_names_that_are_no_plain_names(server, folder, name):
    fill(folder, 1)
    before = everything(folder.folder.parent)
    tab = Api(server, name)
    if name == "..":  # clients resolve this themselves; it then leads elsewhere, where there is nothing
        assert tab.send()[0] in (400, 404)
    else:
        for found in (
            tab.send(),
            tab.send("/label", {"key": "0" * 16, "label": "available"}),
            tab.send(f"/pictures/{'0' * 16}.png"),
        ):
            assert found[0] == 400 and "can't name a dataset" in found[1]["error"]
    assert everything(folder.folder.parent) == before


def test_a_foreign_page_is_refused_even_where_comfyui_lets_it_in(tmp_path):
    """With --enable-cors-header ComfyUI answers pages of all sites."""
    folder = LabelFolder(tmp_path / "output" / "labels" / "my_labels")
    key = fill(folder, 1)[0]
    with ComfyServer(
        tmp_path,
        tmp_path / "server.log",
        ("--cpu", "--enable-cors-header", "--disable-all-custom-nodes", "--whitelist-custom-nodes", "reliable-ads"),
    ) as server:
        tab, body = Api(server, "my_labels"), {"key": key, "label": "available"}
        for origin in ("http://evil.example", "null", f"http://127.0.0.1:{server.port + 1}"):
            status, answer = tab.send("/label", body, Origin=origin)
            assert status == 403 and "another site" in answer["error"]
        assert not folder.read().labels
        assert tab.send("/label", body, Origin=f"http://{server.address}")[0] == 200
    assert folder.read().labels == {key: "available"}


def test_a_disk_that_refuses(folder, tab):
    key = fill(folder, 1)[0]
    folder.table.mkdir()  # the table can't be replaced, as on a full disk
    status, answer = tab.send("/label", {"key": key, "label": "available"})
    assert status == 507 and "Earlier labels are safe" in answer["error"]
    folder.table.rmdir()
    assert tab.label(key, "size_mismatch")["counts"]["size_mismatch"] == 1 and len(read_table(folder.table)) == 1


@pytest.mark.parametrize("name", ["", "../elsewhere", "a/b", "a.b", ".hidden", "C:x"])
def test_a_dataset_name_that_leads_elsewhere_ends_the_run(client, base, folder, name):
    before = everything(base / "output" / "labels")
    with pytest.raises(RuntimeError, match="can't name a dataset: use letters, digits"):
        client.outputs(without_sampler(folder, dataset=name))
    assert everything(base / "output" / "labels") == before


def test_pictures_of_another_size_end_the_run(client, folder):
    made = without_sampler(folder, images=["other", 0])
    made["other"] = node("EmptyImage", width=64, height=64, batch_size=1, color=255)
    with pytest.raises(RuntimeError, match="connect the RFProduct that the sampler used"):
        client.outputs(made)
    assert not folder.folder.exists()


@pytest.mark.parametrize(
    "report, told",
    [
        ("nonsense", "is not from RF Review or RF Cyclic Sampler"),
        ("[]", "is of other pictures"),
        ('{"attempts": [{}]}', "is not from RF Review"),
    ],
)
def test_a_report_of_something_else_is_said_and_not_used(client, folder, report, told):
    made = without_sampler(folder, report=["text", 0])
    made["text"] = node("PrimitiveString", value=report)
    assert told in client.outputs(made)["summary"]["text"][0]
    assert [item.verdict for item in folder.read().items.values()] == [None]


def test_the_picture_that_is_given_back_gets_its_own_verdict(client, folder):
    made = graph(folder, images=["sampler", 0])
    outputs = client.outputs(made)
    report = json.loads(outputs["sampler"]["report"][0])
    returned = report["attempts"][report["returned"] - 1]
    (item,) = folder.read().items.values()
    assert item.verdict["label"] == returned["label"]


def everything(folder: Path) -> dict:
    return (
        {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")} if folder.exists() else {}
    )


def log_after(server, size: int) -> str:
    with open(server.log, "rb") as file:
        file.seek(size)
        return file.read().decode()


def test_a_product_that_a_remedy_moved_is_kept_where_it_was_painted(client, folder):
    made = graph(folder)
    made["sampler"]["inputs"] |= {"remedies": ["remedies", 0], "attempts": 1}
    made["remedies"] = node(
        "RFRemedies",
        contrast_words="",
        surface_words="",
        begin_at='[{"remedy": "scale", "before": 1, "after": 0.7}]',
        scale=True,
        **dict.fromkeys(
            ("contrast", "guidance", "control", "dilation", "surface", "position", "avoid", "tuned"), False
        ),
    )
    client.outputs(made)
    client.outputs(without_sampler(folder))
    boxes = [Image.open(path).getchannel("A").getbbox() for path in (folder.folder / "products").iterdir()]
    smaller, placed = sorted(right - left for left, _, right, _ in boxes)
    assert smaller < 0.8 * placed
