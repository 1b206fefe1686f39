"""Union ControlNets on the real server: told which kind of hint they get, by the numbers of their own family."""

import numpy as np
import pytest

from reliable_ads.devtools.api_graph import node

from .ads import fails, latent
from .flow_graphs import applied, controlled, flow_ad, kept, with_stock


def told(family: str, *kinds: str) -> dict:
    graph = {"control_net": node("TestFlowControlNet", family=family, seed=1)}
    for kind in kinds:
        graph[kind] = node("TestUnionType", control_net=["control_net", 0], kind=kind)
        graph[f"show {kind}"] = node("PreviewAny", source=[kind, 1])
    return graph


@pytest.mark.parametrize(
    "family, numbers",
    [
        ("sdxl_union", {"canny": "[3]", "pose": "[0]", "none": "[]"}),
        ("sdxl_union_promax", {"canny": "[3]", "repaint": "[7]"}),
        ("flux_union", {"canny": "[0]", "low quality": "[6]"}),
        ("flux", {"canny": "None", "depth": "None"}),  # knows one kind only
    ],
)
def test_a_name_is_the_number_of_the_family(client, family, numbers):
    outputs = client.outputs(told(family, *numbers))
    assert {kind: outputs[f"show {kind}"]["text"][0] for kind in numbers} == numbers


def test_a_kind_that_it_does_not_know_is_refused(client):
    message = fails(client, told("sdxl_union", "tile"))
    assert '"a_union.safetensors" knows no hint of the kind tile' in message and "canny, depth, pose" in message


def test_it_draws_as_stock_does_with_that_number(client, base):
    """Stock has SDXL's names only: 0 is called openpose there, and is canny to Flux.1."""
    graph = controlled(flow_ad("flux"), "flux_union", control_net=["ours", 0])
    graph["ours"] = node("TestUnionType", control_net=["control_net", 0], kind="canny")
    graph["typed"] = node("SetUnionControlNetType", control_net=["control_net", 0], type="openpose")
    graph["stock_control"] = applied("flux_union", control_net=["typed", 0])
    graph["untyped"] = applied("flux_union")
    with_stock(graph, positive=["stock_control", 0], negative=["stock_control", 1])
    graph["plain"] = {**graph["stock"], "inputs": {**graph["stock"]["inputs"], "positive": ["untyped", 0]}}
    client.outputs(kept(graph, sampler=1, stock=0, plain=0))
    ours = latent(base, "flow_sampler")
    assert np.array_equal(ours, latent(base, "flow_stock")) and not np.array_equal(ours, latent(base, "flow_plain"))
