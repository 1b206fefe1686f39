"""A latent batch: each of its pictures gets a loop of its own, and draws what stock nodes draw of it."""

import json

import numpy as np
import pytest

from reliable_ads.cyclic.gallery import Gallery
from reliable_ads.devtools.api_graph import node

from .ads import ALWAYS, NEVER, ad, cut_out, latent, png, report_of
from .graphs import advanced, listed_ads, profiling, with_remedies

KSAMPLER = ("model", "positive", "negative", "seed", "steps", "cfg", "sampler_name", "scheduler", "denoise")
CUSTOM = ("noise", "guider", "sampler", "sigmas")


def batched(graph: dict, amount: int = 2, **changes) -> dict:
    """The graph with a batch for its sampler, or for whatever else takes the masked latent."""
    graph["batch"] = node("RepeatLatentBatch", samples=["masked", 0], amount=amount)
    taker = next(one for one in graph.values() if one["inputs"].get("latent_image") == ["masked", 0])
    taker["inputs"] |= {"latent_image": ["batch", 0], **changes}
    return graph


def stock(graph: dict, picture: int, name: str, **changes) -> dict:
    """The graph with stock nodes that draw one picture of its batch, counted from 0; the last has this name."""
    inputs = graph["sampler"]["inputs"]
    kind, taken = ("KSampler", KSAMPLER) if "cfg" in inputs else ("SamplerCustomAdvanced", CUSTOM)
    graph[f"one_{name}"] = node("LatentFromBatch", samples=inputs["latent_image"], batch_index=picture, length=1)
    graph[name] = node(kind, latent_image=[f"one_{name}", 0], **{**{key: inputs[key] for key in taken}, **changes})
    return keep(graph, name, 0)


def keep(graph: dict, name: str, output: int) -> dict:
    graph[f"keep_{name}"] = node("SaveLatent", samples=[name, output], filename_prefix=f"batch_{name}")
    return graph


def mask_each(graph: dict, amount: int) -> None:
    """So many noise masks, in the place of one: that of RF Product, and others that paint less."""
    graph["all"] = node("SolidMask", value=1.0, width=128, height=128)
    for number in range(1, amount):
        graph[f"held{number}"] = node("SolidMask", value=1.0, width=20 * number, height=128)
        graph[f"less{number}"] = node(
            "MaskComposite", destination=["product", 2], source=[f"held{number}", 0], x=0, y=0, operation="subtract"
        )
    pictures = [["product", 2], *([f"less{number}", 0] for number in range(1, amount))]
    for number, mask in enumerate(pictures):
        graph[f"shown{number}"] = node("MaskToImage", mask=mask)
        graph[f"joined{number}"] = (
            node("ImageBatch", image1=[f"joined{number - 1}", 0], image2=[f"shown{number}", 0])
            if number
            else graph["shown0"]
        )
    graph["masks"] = node("ImageToMask", image=[f"joined{amount - 1}", 0], channel="red")
    graph["each"] = node("SetLatentNoiseMask", samples=["batch", 0], mask=["masks", 0])
    graph["sampler"]["inputs"]["latent_image"] = ["each", 0]


@pytest.mark.parametrize("make", [ad, advanced])
@pytest.mark.parametrize("kind", ["repeated", "a mask each", "out of a larger batch"])
def test_the_first_attempt_of_each_picture_is_stocks_to_the_last_bit(client, base, make, kind):
    graph = batched(make(), 3, threshold=ALWAYS, attempts=2)
    count = 2 if kind == "out of a larger batch" else 3
    if kind == "a mask each":
        mask_each(graph, 3)
    if count == 2:
        graph["middle"] = node("LatentFromBatch", samples=["batch", 0], batch_index=1, length=2)
        graph["sampler"]["inputs"]["latent_image"] = ["middle", 0]
    for picture in range(count):
        stock(graph, picture, f"stock{picture}")
    report = report_of(client.outputs(keep(graph, "sampler", 1)))
    assert [(row["picture"], row["attempt"], row["seed"]) for row in report["attempts"]] == [
        (n, n, 7) for n in range(1, count + 1)
    ]
    assert report["accepted"] and report["results"] == [*range(1, count + 1)] and report["ended_by"] == "accepted"
    ours, theirs = latent(base, "batch_sampler"), [latent(base, f"batch_stock{picture}") for picture in range(count)]
    assert [float(np.abs(ours[n] - theirs[n][0]).max()) for n in range(count)] == [0.0] * count
    assert not np.array_equal(ours[0], ours[1])


def test_later_attempts_take_the_next_seeds_and_all_results_come_out(client, base):
    graph = batched(ad(), 2, attempts=2, on_exhausted="last", steps=3)
    for picture in range(2):
        stock(graph, picture, f"next{picture}", seed=8)
    events = list(client.run(keep(graph, "sampler", 1)))
    outputs = client.history(client.prompt_id)["outputs"]
    report = report_of(outputs)
    assert [(row["picture"], row["attempt"], row["seed"]) for row in report["attempts"]] == [
        (1, 1, 7),
        (1, 2, 8),
        (2, 3, 7),
        (2, 4, 8),
    ]
    assert not report["accepted"] and report["returned"] == 2 and report["results"] == [2, 4] and report["steps"] == 12
    assert len(outputs["save"]["images"]) == 2 and len(outputs["sampler"]["images"]) == 4
    assert np.array_equal(
        latent(base, "batch_sampler"), np.concatenate([latent(base, f"batch_next{picture}") for picture in range(2)])
    )

    texts = [
        event.data["text"].split(" · ")[:2]
        for event in events
        if event.kind == "progress_text" and event.node == "sampler"
    ]
    assert texts == [[f"picture {picture}/2", f"attempt {attempt}/2"] for picture in (1, 2) for attempt in (1, 1, 2)]
    bar = [
        (event.data["value"], event.data["max"])
        for event in events
        if event.kind == "progress" and event.node == "sampler"
    ]
    assert bar == sorted(bar) and bar[-1] == (12, 12)
    strips = [event.data for event in events if event.kind == "reliable_ads.verdicts"]
    assert [(strip["drawing"], len(strip["rows"])) for strip in strips] == [
        (1, 0),
        (1, 1),
        (1, 1),
        (2, 0),
        (2, 1),
        (2, 1),
    ]
    (strip,) = outputs["sampler"]["reliable_ads"]
    assert [(row["number"], row["of"]) for row in strip["rows"]] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert (strip["pictures"], strip["most"], strip["results"]) == (2, 2, [2, 4])


@pytest.fixture(scope="module")
def chances(server) -> list:
    """p(available) of the first attempt at each of three pictures."""
    from reliable_ads.devtools.client import ComfyClient

    client = ComfyClient(server.address, patience=120)
    client.upload("product.png", png(cut_out()))
    report = report_of(client.outputs(batched(ad(), 3, attempts=1)))
    found = [row["probabilities"]["available"] for row in report["attempts"]]
    assert len(set(found)) == 3
    return found


def test_stop_leaves_out_pictures_without_a_result_and_the_rest_keeps_its_place(client, base, chances):
    """A second KSampler, whose noise goes by the place in the batch, draws what it draws behind stock nodes."""
    best = int(np.argmax(chances))
    graph = batched(ad(), 3, attempts=1, on_exhausted="stop", threshold=max(chances) - 2e-6)
    again = {key: graph["sampler"]["inputs"][key] for key in KSAMPLER} | {"denoise": 0.6}
    stock(graph, best, "first")
    for name, link in (("ours", ["sampler", 1]), ("theirs", ["first", 0])):
        graph[name] = node("KSampler", latent_image=link, **again)
        keep(graph, name, 0)
    outputs = client.outputs(graph)
    report = report_of(outputs)
    assert not report["accepted"] and report["ended_by"] == "attempts" and report["results"] == [best + 1]
    assert len(outputs["save"]["images"]) == 1 and len(outputs["sampler"]["images"]) == 3
    assert np.array_equal(latent(base, "batch_ours"), latent(base, "batch_theirs"))


def test_several_of_each_are_one_batch_whose_masks_and_places_fit(client, base):
    graph = batched(ad(), 2, threshold=ALWAYS, usable=2, sampler_name="euler", parallel=2)
    mask_each(graph, 2)
    graph["second"] = node(
        "KSampler",
        latent_image=["sampler", 1],
        **{key: graph["sampler"]["inputs"][key] for key in KSAMPLER} | {"denoise": 0.5},
    )
    graph["keep_second"] = node("SaveLatent", samples=["second", 0], filename_prefix="batch_second")
    outputs = client.outputs(graph)
    assert report_of(outputs)["results"] == [1, 2, 3, 4] and len(outputs["save"]["images"]) == 4
    assert latent(base, "batch_second").shape[0] == 4


def test_when_no_picture_has_a_result_what_is_behind_does_not_run(client):
    outputs = client.outputs(batched(ad(), 2, attempts=1, on_exhausted="stop"))
    assert "save" not in outputs and report_of(outputs)["returned"] is None and report_of(outputs)["results"] == []


def test_an_error_names_the_picture(client, chances):
    order = [chance >= max(chances) - 2e-6 for chance in chances]
    with pytest.raises(RuntimeError, match=f"picture {order.index(False) + 1} of 3: none of 1 attempts was accepted"):
        client.outputs(batched(ad(), 3, attempts=1, on_exhausted="error", threshold=max(chances) - 2e-6))


def test_remedies_start_afresh_for_each_picture(client):
    rows = report_of(client.outputs(batched(with_remedies(only=["avoid", "guidance"]), attempts=3)))["attempts"]
    for picture in (1, 2):
        remedies = [row["remedies"] for row in rows if row["picture"] == picture]
        assert len(remedies) == 3 and remedies[0] == [] and remedies[1] and remedies[2]


@pytest.mark.parametrize("ending", ["best", "error"])
def test_a_list_keeps_the_pictures_of_each_product(client, base, folder, ending):
    graph = batched(listed_ads(folder, sampler__on_exhausted=ending))
    graph["folder"]["inputs"] |= {"prompts": "a beach", "at_most": 1}
    client.outputs(graph)
    gallery = Gallery(base / "output" / folder.name)
    (row,) = gallery.rows.values()
    assert [tried.picture for tried in row.tried] == [1, 1, 2, 2] and len(
        list((gallery.folder / "attempts").iterdir())
    ) == 4
    assert len(row.pictures) == len(list(gallery.folder.glob("*.png"))) == (2 if ending == "best" else 0)


def test_a_profile_goes_round_the_pictures(client, base):
    def scores(name, graph):
        client.outputs(graph)
        path = base / "models" / "rfnet" / f"{name}.gates.json"
        found = json.loads(path.read_text())["scores"]
        path.unlink()
        return found

    about = {"preview_method": "vae", "threshold": NEVER}
    both = scores("round", batched(profiling("round", draws=3, **about)))
    one = batched(profiling("one", draws=1, seed=8, **about))
    one["second"] = node("LatentFromBatch", samples=["batch", 0], batch_index=1, length=1)
    one["profile"]["inputs"]["latent_image"] = ["second", 0]
    assert len(both) == 3 and scores("one", one) == [both[1]]


def test_labels_take_what_a_batch_gave_back(client):
    graph = batched(ad(), 2, attempts=2)
    graph["label"] = node(
        "RFLabel",
        images=["sampler", 0],
        product=["product", 0],
        report=["sampler", 5],
        dataset="of_a_batch",
        blind=True,
        prompt="",
    )
    graph["summary"] = node("PreviewAny", source=["label", 1])
    told = client.outputs(graph)["summary"]["text"][0]
    assert told.startswith("2 pictures added to of_a_batch.") and "report" not in told


def test_a_single_picture_gets_no_place_in_a_batch(client, base):
    """Two results of it are a batch like any other to the next sampler, with noise of its own for the second."""
    graph = ad(sampler__threshold=ALWAYS, sampler__usable=2, sampler__sampler_name="euler")
    inputs = {key: graph["sampler"]["inputs"][key] for key in KSAMPLER}
    graph["second"] = node("KSampler", latent_image=["sampler", 1], **inputs | {"seed": 99})
    graph["eighth"] = node("KSampler", latent_image=["masked", 0], **inputs | {"seed": 8})
    graph["twice"] = node("RepeatLatentBatch", samples=["eighth", 0], amount=2)
    graph["stock"] = node("KSampler", latent_image=["twice", 0], **inputs | {"seed": 99})
    report = report_of(client.outputs(keep(keep(graph, "second", 0), "stock", 0)))
    assert "results" not in report and all("picture" not in row for row in report["attempts"])
    ours, theirs = latent(base, "batch_second"), latent(base, "batch_stock")
    assert np.abs(ours[1] - theirs[1]).max() < 1e-3 < np.abs(theirs[0] - theirs[1]).max()
