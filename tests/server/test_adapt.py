"""RF Adapt Reviewer on the real server: trains inside ComfyUI's inference mode, is cancelled within a step, and refuses
with a sentence what can't work.
"""

import json

import pytest
from PIL import Image

from reliable_ads.devtools.api_graph import node, placed_product
from reliable_ads.rfnet.data.labelling import LabelFolder
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.weights import read_metadata

from .ads import REVIEWER, cut_out

COLOURS = dict(zip(LABELS, ("white", "red", "lime", "blue", "black")))


@pytest.fixture
def folder(base) -> LabelFolder:
    return LabelFolder(base / "output" / "labels" / f"adapt{len(list((base / 'output').glob('labels/adapt*')))}")


def fill(folder: LabelFolder, many: int, labels=LABELS) -> None:
    """Labelled pictures whose colour shows their label."""
    product = cut_out().resize((64, 96))
    for number in range(many):
        label = labels[number % len(labels)]
        picture = Image.new("RGB", product.size, COLOURS[label])
        picture.putpixel((0, 0), (number, 0, 0))
        folder.add(picture, product, "p", "a box")
        folder.label(next(iter(folder.read().items.keys() - folder.read().labels.keys())), label)


def graph(folder: LabelFolder, name: str, /, **changes) -> dict:
    adapt = {
        "reviewer": ["reviewer", 0],
        "dataset": folder.folder.name,
        "result_name": name,
        "epochs": 2,
        "learning_rate": 1e-3,
        "seed": 0,
        "mix_in": False,
    }
    return {
        "reviewer": node("RFLoadReviewer", reviewer_name=REVIEWER),
        "adapt": node("RFAdaptReviewer", **{**adapt, **changes}),
    }


def files(base) -> set:
    return {path.name for path in (base / "models" / "rfnet").iterdir()}


def fails(client, made) -> str:
    with pytest.raises(RuntimeError) as failure:
        client.outputs(made)
    return str(failure.value)


def test_a_small_run_from_labels_to_verdicts(client, base, folder):
    fill(folder, 45)
    made = graph(folder, f"{folder.folder.name}_reviewer")
    client.upload(
        "box.png", (folder.picture(next(iter(folder.read().items.values())).product, "products")).read_bytes()
    )
    made |= {
        **placed_product("a box", 64, 96, file="box.png", image_scale=0.7),
        "review": node("RFReview", images=["product", 1], reviewer=["adapt", 0], product=["product", 0], threshold=0.5),
        "kept": node("PreviewAny", source=["adapt", 1]),
    }
    moved = [event for event in client.run(made) if event.kind == "progress" and event.node == "adapt"]
    outputs = client.history(client.prompt_id)["outputs"]
    report = json.loads(outputs["adapt"]["report"][0])
    assert moved and report["split"] == "by picture" and report["n"] == 45
    assert outputs["kept"]["text"] == [str(report["kept"])] and report["reason"] in outputs["adapt"]["text"][0]
    path = base / "models" / "rfnet" / f"{folder.folder.name}_reviewer.safetensors"
    assert path.is_file() == report["kept"]
    if report["kept"]:
        assert read_metadata(path)["created_with"] == "RF Adapt Reviewer"
        folder.label(
            folder.read().last, None
        )  # a reason to train again: the same graph must not come from the cache, nor overwrite
        assert "there is a reviewer" in fails(client, made) and "choose another result_name" in fails(client, made)


def test_a_head_takes_no_training(client, folder):
    """What lacks labels is said and not refused."""
    fill(folder, 44, LABELS[:2])
    made = graph(folder, f"{folder.folder.name}_head", method="head", keep_worse=True)
    told = [event.data.get("text", "") for event in client.run(made) if event.kind == "progress_text"]
    report = json.loads(client.history(client.prompt_id)["outputs"]["adapt"]["report"][0])
    assert report["method"] == "head" and report["kept"] and not any("step" in text for text in told)
    assert "No picture is labelled size_mismatch, indistinctiveness, shape_hallucination" in report["reason"]


def test_a_cancel_ends_it_within_a_step_and_leaves_nothing(client, base, folder):
    fill(folder, 45)
    before, steps = files(base), 0
    for event in client.run(graph(folder, "cancelled", epochs=100, method="full")):
        if event.kind == "progress" and event.node == "adapt":
            steps += 1
            if steps == 3:
                client.interrupt()
        ended = event.kind
    assert ended == "execution_interrupted" and steps <= 5
    assert files(base) == before
    assert (
        "dataset" in client.outputs({**graph(folder, "cancelled", epochs=1, method="head")})["adapt"]["report"][0]
    )  # and the next run works


@pytest.mark.parametrize(
    "many, changes, told",
    [
        (19, {}, "19 pictures are labelled: at least 20 are needed, 200 are recommended"),
        (0, {}, "0 pictures are labelled"),
        (0, {"dataset": "../elsewhere"}, "can't name a dataset"),
        (0, {"result_name": "../mine"}, "can't name a reviewer"),
        (0, {"result_name": "mine.safetensors"}, "can't name a reviewer"),
        (0, {"result_name": ""}, "can't name a reviewer"),
        (0, {"result_name": "rfnet_compact"}, "there is a reviewer rfnet_compact.safetensors already"),
        (0, {"result_name": REVIEWER.removesuffix(".safetensors")}, f"there is a reviewer {REVIEWER} already"),
    ],
)
def test_what_is_refused_writes_no_reviewer(client, base, folder, many, changes, told):
    fill(folder, many)
    before = files(base)
    assert told in fails(client, graph(folder, "refused", **changes))
    assert files(base) == before


def test_a_reviewer_with_maps_of_the_users_own_is_refused(client, folder):
    made = graph(folder, "mine")
    made["reviewer"] = node("RFLoadReviewer", reviewer_name=REVIEWER, depth_model="dpt/dpt-tiny")
    assert "uses a depth or saliency model of yours" in fails(client, made)
