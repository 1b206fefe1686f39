"""The developer tools that need no server: the command line, the graph converter, the stamps, the contact sheet,
writing.
"""

import errno
import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reliable_ads.devtools import arguments, client, graph, lint, seeds, sheet
from reliable_ads.devtools.comfy import ROOT, link
from reliable_ads.pocket import tuning
from reliable_ads.pocket.family import PICTURE_SIZE

INFO = {
    "Sampler": {
        "input": {
            "required": {
                "model": ["MODEL", {}],
                "seed": ["INT", {"control_after_generate": True}],
                "name": [["a", "b"], {}],
            },
            "optional": {"text": ["STRING", {"forceInput": True}], "scale": ["FLOAT", {}]},
        },
        "input_order": {"required": ["model", "seed", "name"], "optional": ["text", "scale"]},
    },
    "Model": {"input": {"required": {}}, "input_order": {"required": []}},
}


def workflow(**changes) -> dict:
    sampler = {
        "id": 2,
        "type": "Sampler",
        "inputs": [{"name": "model", "link": 1}],
        "widgets_values": [7, "fixed", "b", 0.5],
        "title": "Draw",
        **changes,
    }
    note = {"id": 3, "type": "MarkdownNote", "widgets_values": ["read me"]}
    return {"nodes": [{"id": 1, "type": "Model"}, sampler, note], "links": [[1, 1, 0, 2, 0, "MODEL"]]}


def test_a_saved_graph_becomes_an_api_graph():
    assert graph.to_api(workflow(), INFO)["2"] == {
        "class_type": "Sampler",
        "inputs": {"model": ["1", 0], "seed": 7, "name": "b", "scale": 0.5},
        "_meta": {"title": "Draw"},
    }


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"mode": 4}, "muted or bypassed"),
        ({"type": "Gone"}, "unknown to this ComfyUI"),
        ({"widgets_values": [7]}, "1 widget values where 4 are due"),
    ],
)
def test_what_the_converter_does_not_know_is_refused_by_name(changes, words):
    with pytest.raises(graph.GraphError, match=f"node 2 .*{words}"):
        graph.to_api(workflow(**changes), INFO)


@pytest.mark.parametrize("name", [path.stem for path in graph.shipped()])
def test_shipped_workflows_are_sound(name):
    shipped = graph.load(graph.workflow(name))
    nodes = {node["id"]: node for node in shipped["nodes"]}
    for number, source, out, target, slot, kind in shipped["links"]:
        assert number in nodes[source]["outputs"][out]["links"]
        assert nodes[target]["inputs"][slot]["link"] == number
        assert nodes[source]["outputs"][out]["type"] == kind


@pytest.mark.parametrize("name", [path.stem for path in graph.shipped()])
def test_nothing_in_a_shipped_workflow_lies_on_something_else(name):
    """Titles stand 30 pixels above a node's own box."""
    boxes = [(node["title"], *node["pos"], *node["size"]) for node in graph.load(graph.workflow(name))["nodes"]]
    for number, (title, x, y, width, height) in enumerate(boxes):
        for other, x2, y2, width2, height2 in boxes[number + 1 :]:
            apart = x + width <= x2 or x2 + width2 <= x or y + height <= y2 - 30 or y2 + height2 <= y - 30
            assert apart, f"{title} and {other} overlap"


def test_the_workflows_for_one_product_have_the_same_shape():
    def between(name, own):
        shipped = graph.load(graph.workflow(name))
        nodes = {node["id"]: node for node in shipped["nodes"]}
        ends = [
            (nodes[source], nodes[target], target_slot) for _, source, _, target, target_slot, _ in shipped["links"]
        ]
        return sorted(
            (source["type"] if source["type"] not in own else "models", target["type"], slot)
            for source, target, slot in ends
            if target["type"] not in own
        )

    stock = {"CheckpointLoaderSimple", "ControlNetLoader", "LoraLoader", "RFControlNetLoader"}
    shapes = [
        between("First product ad", {"RFPocketModels"}),
        *(between(name, stock) for name in ("SD 1.5", "SDXL", "LoRAs")),
    ]
    assert all(shape == shapes[0] for shape in shapes)


MISSING = {
    "type": "value_not_in_list",
    "message": "Value not in list",
    "details": "ckpt_name: 'a.safetensors' not in []",
    "extra_info": {"input_name": "ckpt_name", "received_value": "a.safetensors"},
}


@pytest.mark.parametrize(
    "fault, words",
    [
        (MISSING, "Loader (node 4): there is no a.safetensors in models/checkpoints: put it there, or choose another"),
        (
            {**MISSING, "extra_info": {"input_name": "scheduler", "received_value": "x"}},
            "Loader (node 4): Value not in list: ckpt_name: 'a.safetensors' not in []",
        ),
        (
            {"type": "value_smaller_than_min", "message": "Too small", "details": "steps"},
            "Loader (node 4): Too small: steps",
        ),
    ],
)
def test_a_refused_graph_names_node_and_fault_and_a_missing_model_its_folder(fault, words):
    assert client.reasons({"node_errors": {"4": {"class_type": "Loader", "errors": [fault]}}}) == words


def test_the_command_line():
    options, rest = arguments.parse(["demo", "--seed", "3", "--attempts", "2", "--json"])
    assert (options.seed, options.attempts, options.json, rest) == (3, 2, True, [])
    options, rest = arguments.parse(["test", "-k", "seeds", "--fast", "--lf"])
    assert options.fast and rest == ["-k", "seeds", "--lf"]


@pytest.mark.parametrize(
    "wrong", [["--attempts", "0"], ["--seed", "-1"], ["--seed", "x"], ["--product", "nowhere.png"], ["--nonsense"]]
)
def test_a_wrong_command_line_is_refused_before_anything_is_installed(wrong, capsys):
    with pytest.raises(SystemExit):
        arguments.parse(["demo", *wrong])
    assert wrong[-1] in capsys.readouterr().err


@pytest.fixture
def dev(monkeypatch, tmp_path):
    """dev.py as a module, with a virtual environment folder of its own."""
    monkeypatch.setitem(sys.modules, "devtools", __import__("reliable_ads.devtools").devtools)
    monkeypatch.setitem(sys.modules, "devtools.arguments", arguments)
    spec = importlib.util.spec_from_file_location("dev_under_test", ROOT / "dev.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "dev_under_test", module)
    spec.loader.exec_module(module)
    monkeypatch.setitem(module.os.environ, "RELIABLE_ADS_COMFYUI", "")
    monkeypatch.setattr(module, "VENV", tmp_path)
    monkeypatch.setattr(module, "PYTHON_IN_VENV", sys.executable)
    return module


def test_a_finished_step_is_not_done_again_until_its_list_changes(dev, tmp_path, monkeypatch):
    (tmp_path / "list.txt").write_text("a>=1")
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    step = dev.Step("things", lambda: ["-r", "list.txt"], reads=("list.txt",))
    assert not step.is_done()
    step.stamp.parent.mkdir()
    step.stamp.write_text(step.fingerprint())
    assert step.is_done()
    (tmp_path / "list.txt").write_text("a>=2")
    assert not step.is_done()


def test_a_failed_step_says_which_and_what_to_do(dev):
    step = dev.Step("nonsense", lambda: ["--no-index", "a-package-that-is-nowhere"])
    with pytest.raises(dev.SetupFailed, match="step 'nonsense' failed: check the network"):
        dev.install(step, "installing nonsense")
    assert not step.is_done()


def test_lint_says_in_one_line_what_each_tool_found(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(lint, "CACHE", tmp_path / "cache")
    (tmp_path / "wide.py").write_text("import os\nwords = 'one'\n")
    style, check = (tool._replace(folder=tmp_path) for tool in lint.QUICK)
    assert not lint.run(style) and not lint.run(check)
    said = capfd.readouterr().out.splitlines()
    assert any(re.fullmatch(r"ruff format: 1 found \(ruff format \.\), [\d.]+ s", line) for line in said)
    assert any(re.match(r"wide\.py:1:8: .*F401", line) for line in said) and re.match(r"ruff check: \d found", said[-1])
    (tmp_path / "wide.py").write_text('words = "one"\n')
    assert lint.run(style) and lint.run(check)
    assert re.fullmatch(r"ruff format: clean, [\d.]+ s\nruff check: clean, [\d.]+ s\n", capfd.readouterr().out)


def test_lint_types_the_rooms_whatever_the_clones_folder_is_called(tmp_path, monkeypatch):
    monkeypatch.setattr(lint, "CACHE", tmp_path)
    tool = lint.mypy()
    assert tool.folder == tmp_path and (tmp_path / "reliable_ads" / "__init__.py").is_file()
    assert {"rfnet", "rfft", "cyclic"} <= {path.name for path in (tmp_path / "reliable_ads").iterdir()}
    assert (tmp_path / "reliable_ads" / "rfnet" / "data" / "samples.py").is_file()
    assert [path for path in (tmp_path / "reliable_ads").rglob("*") if path.is_file() and path.suffix != ".py"] == []


@pytest.mark.parametrize(
    "fast, rest, told",
    [
        (False, [], ["-n", "3", "--dist", "loadfile"]),
        (True, ["--durations=9"], ["tests/unit", "-m", "not slow", "-n", "3", "--dist", "loadfile", "--durations=9"]),
        (False, ["tests/unit/test_devtools.py::test_x", "-x"], ["tests/unit/test_devtools.py::test_x", "-x"]),
        (True, ["tests/unit"], ["-m", "not slow", "tests/unit"]),
    ],
)
def test_all_tests_are_spread_over_the_cores_and_named_ones_are_not(dev, monkeypatch, fast, rest, told):
    monkeypatch.setattr(dev.os, "cpu_count", lambda: 2)
    assert dev.tests(fast, rest) == told


@pytest.mark.parametrize(
    "line, name",
    [
        ("kornia>=0.7.1", "kornia"),
        ("pydantic~=2.0", "pydantic"),
        ("torch", "torch"),
        ('PyYAML==6 ; sys_platform == "x"', "pyyaml"),
    ],
)
def test_requirement_names(dev, line, name):
    assert dev.requirement_name(line) == name


def test_a_comfyui_that_was_brought_along_gets_an_environment_of_its_own(dev, tmp_path):
    comfyui = tmp_path / "ComfyUI"
    (comfyui / "comfy_api" / "latest").mkdir(parents=True)
    with pytest.raises(SystemExit):
        arguments.parse(["serve", "--comfyui", str(comfyui)])
    (comfyui / "main.py").touch()
    (comfyui / "requirements.txt").write_text(
        "comfyui-frontend-package==1.49.6\ntorch\ncomfyui-embedded-docs==0.5.10\n# a comment\naiohttp>=3.11.8"
    )
    options, rest = arguments.parse(["test", "--comfyui", str(comfyui), "-k", "seeds"])
    assert options.comfyui == comfyui and rest == ["-k", "seeds"]
    dev.use(options.comfyui)
    assert dev.VENV.name.startswith(".venv-ComfyUI-") and dev.VENV.parent == ROOT
    assert dev.steps_for(comfyui)[1].arguments() == ["requests", "comfyui-frontend-package==1.49.6", "aiohttp>=3.11.8"]


def test_the_manager_and_pip_install_the_same():
    listed = set((ROOT / "requirements.txt").read_text().split())
    declared = (ROOT / "pyproject.toml").read_text().partition("dependencies = [")[2].partition("]")[0]
    assert listed == {line.strip(' ",') for line in declared.splitlines() if line.strip()}


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "report.json"
    client.write_atomically(target, b"old")

    def full(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device.*free some disk space"):
        client.write_atomically(target, b"new")
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]


def test_the_contact_sheet_frames_verdicts_in_green_and_red():
    attempts = [
        {
            "attempt": 1,
            "seed": 5,
            "label": "size_mismatch",
            "probabilities": {"size_mismatch": 0.81},
            "accepted": False,
        },
        {"attempt": 2, "seed": 6, "label": "available", "probabilities": {"available": 0.9}, "accepted": True},
    ]
    drawn = np.asarray(sheet.attempts_sheet([Image.new("RGB", (128, 128)), Image.new("RGB", (96, 128))], attempts))
    middle = sheet.GAP + sheet.CELL // 2
    assert tuple(drawn[middle, sheet.GAP + 1]) == sheet.RED
    assert tuple(drawn[middle, sheet.GAP + sheet.CELL + 2 * sheet.FRAME + sheet.GAP + 1]) == sheet.GREEN
    assert sheet.verdict(attempts[0]) == "size_mismatch 0.81"
    assert sheet.verdict({"error": "the picture holds NaN"}) == "the picture holds NaN"


def test_the_pack_is_linked_once(tmp_path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "a.txt").write_text("x")
    for _ in range(2):
        link(tmp_path / "pack", tmp_path / "linked")
    assert (tmp_path / "linked" / "a.txt").read_text() == "x"


def test_a_template_shows_what_its_note_tells():
    def row(label, p, accepted=False):
        return {"label": label, "probabilities": {label: p}, "accepted": accepted}

    good = row("available", 0.8, True)
    assert seeds.tells([row("size_mismatch", 0.8), good], 0.7)
    assert not seeds.tells([row("size_mismatch", 0.6), good], 0.7) and not seeds.tells([good], 0.7)
    assert not seeds.tells([row("available", 0.8), good], 0.7)  # rejected, and no defect to see


def test_a_seed_and_its_reason_are_written_into_a_template(tmp_path, monkeypatch):
    monkeypatch.setattr(seeds, "ROOT", tmp_path)
    path = tmp_path / graph.workflow("Remedies").name
    path.write_text(graph.workflow("Remedies").read_text("utf-8"), "utf-8")
    seeds.write(path, 123, "shape_hallucination")
    nodes = {node["title"]: node for node in graph.load(path)["nodes"]}
    assert nodes["Draw until accepted"]["widgets_values"][0] == 123
    assert "attempt 1 is rejected (*grew extra parts*)" in nodes["What to change"]["widgets_values"][0]
    assert len(path.read_bytes().splitlines()) == len(graph.workflow("Remedies").read_bytes().splitlines())


@pytest.mark.parametrize("path", graph.shipped(), ids=lambda path: path.stem)
def test_templates_of_the_small_models_draw_as_the_family_does(path):
    """Settings and size stand in one place: pocket/tuning.py."""
    nodes = {node["type"]: node["widgets_values"] for node in graph.load(path)["nodes"] if "widgets_values" in node}
    if "RFPocketModels" in nodes:
        steps, cfg, sampler_name, scheduler = nodes["RFCyclicSampler"][2:6]
        drawn = {"steps": steps, "cfg": cfg, "sampler_name": sampler_name, "scheduler": scheduler}
        assert drawn == tuning.DRAWING and nodes["RFProduct"][2:4] == [PICTURE_SIZE] * 2
