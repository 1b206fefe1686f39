"""What other nodes link to ours: whatever stock KSampler takes is taken, and nonsense is refused while queueing, in a
sentence.
"""

import json

import numpy as np
import pytest

from reliable_ads.devtools.api_graph import node
from reliable_ads.devtools.client import ComfyClient, GraphRefused
from reliable_ads.devtools.comfy import PACK

from .ads import CHECKPOINT, CONTROLNET, REVIEWER, ad, cut_out, pixels, png, report_of

WRITTEN = {
    "folder": "demo_products",
    "prompts": "on a table",
    "ckpt_name": CHECKPOINT,
    "control_net_name": CONTROLNET,
    "reviewer_name": REVIEWER,
}
STOCK = {  # type: the graph's node and output that give it
    "INT": ("int", 0),
    "FLOAT": ("float", 0),
    "STRING": ("text", 0),
    "COMBO": ("text", 0),
    "BOOLEAN": ("switch", 0),
    "IMAGE": ("picture", 0),
    "MASK": ("picture", 1),
    "MODEL": ("models", 0),
    "CLIP": ("models", 1),
    "VAE": ("models", 2),
    "CONTROL_NET": ("models", 3),
    "CONDITIONING": ("prompt", 0),
    "LATENT": ("encode", 0),
    "NOISE": ("noise", 0),
    "SAMPLER": ("algorithm", 0),
    "SIGMAS": ("sigmas", 0),
    "GUIDER": ("guider", 0),
    "RF_PRODUCT": ("product", 0),
    "RF_REVIEWER": ("reviewer", 0),
    "RF_REMEDIES": ("remedies", 0),
    "RF_OPINIONS": ("opinions", 0),
    "MODEL_PATCH": ("patch", 0),
    "RF_JOB": ("old", 18),  # RF Product Folder would run by itself
    "BACKGROUND_REMOVAL": ("old", 22),  # not every ComfyUI has a node that gives it
}


OLD = (
    "INT",
    "FLOAT",
    "STRING",
    "BOOLEAN",
    "MODEL",
    "CLIP",
    "VAE",
    "CONTROL_NET",
    "CONDITIONING",
    "LATENT",
    "IMAGE",
    "MASK",
    "NOISE",
    "GUIDER",
    "SAMPLER",
    "SIGMAS",
    "RF_PRODUCT",
    "RF_REVIEWER",
    "RF_JOB",
    "RF_REMEDIES",
    "RF_OPINIONS",
    "MODEL_PATCH",
    "BACKGROUND_REMOVAL",
    "LATE",
    "SAMPLERS",
    "SCHEDULERS",
    "COLOURS",
)  # what TestOldOutputs gives, in order


def providers() -> dict:
    """Nodes that give each type: stock ones where there are any."""
    words = {
        "contrast_words": "",
        "surface_words": "",
        "begin_at": "",
        **dict.fromkeys(("contrast", "guidance", "control", "dilation", "surface", "position", "scale"), True),
    }
    return {name: each for name, each in ad().items() if name not in ("sampler", "save")} | {
        "int": node("PrimitiveInt", value=1),
        "float": node("PrimitiveFloat", value=1.0),
        "text": node("PrimitiveString", value="x"),
        "switch": node("PrimitiveBoolean", value=True),
        "noise": node("RandomNoise", noise_seed=1),
        "algorithm": node("KSamplerSelect", sampler_name="euler"),
        "sigmas": node("BasicScheduler", model=["models", 0], scheduler="normal", steps=2, denoise=1.0),
        "guider": node("BasicGuider", model=["models", 0], conditioning=["prompt", 0]),
        "remedies": node("RFRemedies", **words),
        "opinions": node("RFOpinions", contact=True, own_label=True, expansion="off", language="off", server="off"),
        "patch": node("TestFlowModelPatch", family="qwen_image", seed=1),
        "old": node("TestOldOutputs"),
    }


@pytest.fixture
def waiting(server):
    """A client of a server whose queue stands still: what is queued is checked and not run."""
    client = ComfyClient(server.address, patience=120)
    client.upload("product.png", png(cut_out()))
    blocking = client.queue({"wait": node("TestWait", seconds=300)})
    yield client
    client.post("/queue", json.dumps({"clear": True}).encode())
    client.prompt_id = blocking
    client.interrupt()
    client.history(blocking)


@pytest.fixture(scope="module")
def ours(server) -> dict:
    """{node: {input: (type, options)}} of every node of this pack, as the page gets them."""
    found = ComfyClient(server.address).ask("/object_info")
    return {
        name: {**info["input"].get("required", {}), **info["input"].get("optional", {})}
        for name, info in found.items()
        if info["python_module"] == f"custom_nodes.{PACK}"
    }


def graph_with(class_type: str, inputs: dict, **changes) -> dict:
    """Providers and one of our nodes, its sockets linked to stock nodes, its other inputs as they come."""
    values = {}
    for name, (kind, *about) in inputs.items():
        about = about[0] if about else {}
        written = WRITTEN.get(name, about.get("default", next(iter(about.get("options", [])), None)))
        values[name] = (
            list(STOCK[kind.split(",")[0]])
            if kind not in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO") or about.get("forceInput")
            else written
        )
    graph = providers() | {
        "tried": node(class_type, **{**values, **changes}),
        "show": node("PreviewAny", source=["tried", 0]),
    }
    return {name: graph[name] for name in before(graph, "show")}


def before(graph: dict, name: str) -> set:
    """A node and all that it needs; with others in it, ComfyUI would run those and take the graph."""
    links = (value[0] for value in graph[name]["inputs"].values() if isinstance(value, list))
    return {name}.union(*(before(graph, each) for each in links))


def links_for(kind: str, name: str) -> list:
    """Every output that an input of this type must take: stock nodes', and the old-style helper's."""
    kinds = kind.split(",")
    also = {"INT": ["FLOAT"], "FLOAT": ["INT"], "COMBO": ["STRING"]}.get(kind, [])
    lists = ["LATE"] if kind == "COMBO" else []
    lists += {"sampler_name": ["SAMPLERS"], "scheduler": ["SCHEDULERS"]}.get(name, [])
    stock = [list(STOCK[each]) for each in [*kinds, *also]]
    return stock + [["old", OLD.index(each)] for each in [*(each for each in kinds if each != "COMBO"), *also, *lists]]


def test_every_input_of_every_node_takes_what_it_should_from_stock_and_old_nodes(waiting, ours):
    refused, tried = [], 0
    for class_type, inputs in ours.items():
        for name, (kind, *_) in inputs.items():
            for link in links_for(kind, name):
                tried += 1
                try:
                    waiting.queue(graph_with(class_type, inputs, **{name: link}))
                except GraphRefused as refusal:
                    refused.append(f"{class_type}.{name} <- {link}: {refusal}")
        waiting.post("/queue", json.dumps({"clear": True}).encode())
    assert not refused and tried > 200, refused


def test_every_input_of_every_node_refuses_nonsense_while_queueing_in_a_sentence(waiting, ours):
    wrong = []
    for class_type, inputs in ours.items():
        for name, (kind, *_) in inputs.items():
            for given in [
                each
                for each in ("IMAGE", "LATENT", "COLOURS")
                if each not in kind.split(",") and (each != "COLOURS" or kind != "STRING")
            ]:
                with_nonsense = graph_with(class_type, inputs, **{name: ["old", OLD.index(given)]})
                try:
                    waiting.queue(with_nonsense)
                    wrong.append(f"{class_type}.{name} takes {given}")
                except GraphRefused as refusal:
                    line = next(
                        line for line in str(refusal).splitlines() if line.startswith(f"{class_type} (node tried)")
                    )
                    if f"{name} can't take" not in line or len(line) > 400:
                        wrong.append(line)
    assert not wrong


BAD = {
    "INT": [10**30, "seven", float("nan"), float("inf")],
    "FLOAT": [float("nan"), 1e300, "warm"],
    "COMBO": ["no such name", 7, None, "x" * 10_000_000, "../../etc/passwd", "a\0b", "a\u202eb"],
    "STRING": ["x" * 10_000_000, "a\0b", "\ud800"],
    "BOOLEAN": [],
}


def test_every_input_refuses_hostile_values_in_one_sentence(waiting, ours):
    wrong, info = [], waiting.ask("/object_info")
    optional_inputs = {name: info[name]["input"].get("optional", {}) for name in ours}
    for class_type, inputs in ours.items():
        for name, (kind, *about) in inputs.items():
            optional = name in optional_inputs[class_type]  # which may be null
            for value in (
                []
                if about and about[0].get("forceInput")
                else [each for each in BAD.get(kind, ["text", 7]) if each is not None or not optional]
            ):
                try:
                    waiting.queue(graph_with(class_type, inputs, **{name: value}))
                    wrong.append(f"{class_type}.{name} takes {value!r:.30}")
                except GraphRefused as refusal:
                    line = next(
                        (line for line in str(refusal).splitlines() if line.startswith(f"{class_type} (node tried)")),
                        str(refusal),
                    )
                    if (
                        not (name in line or "there is no" in line)
                        or len(line) > 450
                        or "Traceback" in line
                        or not line.isprintable()
                    ):
                        wrong.append(line[:600])
        waiting.post("/queue", json.dumps({"clear": True}).encode())
    assert not wrong


def linked(**links) -> dict:
    """The advertising graph with these inputs of its sampler linked: input=(kind of TestGive, text)."""
    kinds = ("LIST", "COMBO", "STRING", "*", "INT", "FLOAT", "ANY NUMBER")
    graph = ad(sampler__sampler_name="euler", sampler__scheduler="karras", sampler__attempts=1)
    for name, (kind, text) in links.items():
        graph[f"give {name}"] = node("TestGive", text=text)
        graph["sampler"]["inputs"][name] = [f"give {name}", kinds.index(kind)]
    return graph


@pytest.fixture(scope="module")
def plain_picture(server):
    client = ComfyClient(server.address, patience=120)
    client.upload("product.png", png(cut_out()))
    return pixels(client, client.outputs(linked())["sampler"])


@pytest.mark.parametrize("kind", ["LIST", "COMBO", "STRING", "*"])
def test_linked_names_draw_what_written_ones_draw(client, plain_picture, kind):
    found = client.outputs(
        linked(sampler_name=(kind, "euler"), scheduler=(kind, "karras"), on_exhausted=(kind, "best"))
    )
    assert np.array_equal(pixels(client, found["sampler"]), plain_picture)
    assert report_of(found)["settings"]["scheduler"] == "karras"


@pytest.mark.parametrize("kind", ["INT", "FLOAT", "ANY NUMBER"])
def test_linked_numbers_draw_what_written_ones_draw(client, plain_picture, kind):
    found = client.outputs(
        linked(seed=(kind, "7"), steps=(kind, "2"), cfg=(kind, "5"), denoise=(kind, "1"), attempts=(kind, "1"))
    )
    assert np.array_equal(pixels(client, found["sampler"]), plain_picture)


@pytest.mark.parametrize(
    "links, says",
    [
        ({"scheduler": ("STRING", "sepia")}, 'scheduler is "sepia", which is not in its list: choose one of '),
        ({"sampler_name": ("LIST", "x" * 5000)}, "is not in its list"),
        ({"seed": ("FLOAT", "7.5")}, "seed is 7.5, and must be a whole number"),
        ({"cfg": ("FLOAT", "nan")}, "cfg is nan, which is no number"),
        ({"steps": ("INT", "20000")}, "steps is 20000, and must lie between 1 and 10000"),
        ({"denoise": ("*", "much")}, 'denoise is "much", which is no number'),
        ({"product": ("*", "a text")}, 'product got "a text", and needs RF_PRODUCT'),
        ({"latent_image": ("INT", "text")}, "latent_image"),
    ],
)
def test_a_linked_value_that_cannot_be_used_is_named_before_sampling(client, links, says):
    try:
        events = list(client.run(linked(**links)))
    except GraphRefused as refusal:
        assert says in str(refusal)
        return
    message = events[-1].data["exception_message"]
    assert says in message and len(message) < 400 and events[-1].data["exception_type"] == "Reliable Ads"
    assert not [event for event in events if event.kind == "preview"]


def test_a_seed_below_zero_is_the_one_that_torch_takes_it_for(client):
    below, same = (client.outputs(linked(seed=("INT", text))) for text in ("-1", str(2**64 - 1)))
    assert report_of(below)["attempts"][0]["seed"] == 2**64 - 1 and np.array_equal(
        pixels(client, below["sampler"]), pixels(client, same["sampler"])
    )


def test_a_list_of_seeds_draws_one_after_the_other(client):
    graph = linked() | {"seeds": node("TestListOfSeeds")}
    graph["sampler"]["inputs"]["seed"] = ["seeds", 0]
    reports = [json.loads(text) for text in client.outputs(graph)["sampler"]["report"]]
    assert [report["attempts"][0]["seed"] for report in reports] == [7, 8]


def test_a_name_that_another_pack_adds_late_is_taken(client, plain_picture):
    with pytest.raises(GraphRefused, match="which is not in its list"):
        client.queue(ad(sampler__scheduler="rf_late"))
    client.outputs({"add": node("TestLateName", name="rf_late")})
    for graph in (
        ad(sampler__sampler_name="euler", sampler__scheduler="rf_late", sampler__attempts=1),
        linked(scheduler=("LIST", "rf_late")),
    ):
        assert np.array_equal(pixels(client, client.outputs(graph)["sampler"]), plain_picture)


def test_linked_names_of_files_and_sizes(client, plain_picture):
    graph = linked()
    for where, name, kind, text in (
        ("models", "ckpt_name", 2, CHECKPOINT),
        ("reviewer", "reviewer_name", 0, REVIEWER),
        ("product", "width", 5, "128"),
        ("product", "position", 1, "centre"),
    ):
        graph[f"give {name}"] = node("TestGive", text=text)
        graph[where]["inputs"][name] = [f"give {name}", kind]
    assert np.array_equal(pixels(client, client.outputs(graph)["sampler"]), plain_picture)
    graph["give reviewer_name"]["inputs"]["text"] = "gone.safetensors"
    with pytest.raises(RuntimeError, match=r"no file gone.safetensors in models/rfnet"):
        client.outputs(graph)
