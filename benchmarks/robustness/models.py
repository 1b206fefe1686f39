"""Bad weights of one kind: what a reviewer's, an adapter's, a LoRA's or a pocket file's own metadata and numbers can
say."""

from __future__ import annotations

import json

import numpy as np

from .inputs import Bad, Bench, maker
from .weights import DIGITS, NAMES, NOT_JSON, NUMBERS, TEXTS, built, changed, tensors_of


def with_metadata(bench: Bench, targets: tuple, key: str, text: str) -> Bad:
    def change(header, data):
        header["__metadata__"][key] = text
        return built(header, data)

    return changed(bench, targets, change)


def with_json(bench: Bench, targets: tuple, key: str, edit) -> Bad:
    """One value inside of a metadata text that is JSON."""

    def change(header, data):
        values = json.loads(header["__metadata__"][key])
        edit(values)
        header["__metadata__"][key] = json.dumps(values)
        return built(header, data)

    return changed(bench, targets, change)


@maker("reviewers")
def config_with_odd_numbers(bench: Bench) -> Bad:
    name = bench.pick(
        (
            "stride",
            "image_size",
            "map_size",
            "width",
            "heads",
            "filter_layers",
            "fusion_layers",
            "text_width",
            "text_layers",
            "text_heads",
            "vocabulary",
            "context",
        )
    )
    return with_json(bench, ("reviewer",), "config", lambda config: config.update({name: bench.pick(NUMBERS)}))


@maker("reviewers")
def config_with_odd_names(bench: Bench) -> Bad:
    name = bench.pick(("backbone", "backbone", "text", "text", "map_encoder"))
    return with_json(
        bench,
        ("reviewer",),
        "config",
        lambda config: config.update({name: bench.pick((*NAMES, 7, None, ["small"]))}),
    )


@maker("reviewers")
def config_with_other_inputs(bench: Bench) -> Bad:
    inputs = bench.pick(
        (
            [],
            ["caption"],
            ["product", "product"],
            [["product"]],
            "product",
            None,
            {"product": 1},
            ["generated"],
            [7],
            ["product", "generated", "depth", "saliency", "caption"] * 1000,
            ["image"],
            ["depth"],
        )
    )
    return with_json(
        bench,
        ("reviewer",),
        "config",
        lambda config: config.update({bench.pick(("inputs", "inputs", "unknown")): inputs}),
    )


@maker("reviewers")
def odd_thresholds_and_temperatures(bench: Bench) -> Bad:
    key = bench.pick(("temperature", "threshold"))
    return with_metadata(
        bench,
        ("reviewer",),
        key,
        bench.pick(TEXTS + {"temperature": ("1e-30", "1e30"), "threshold": ("1.0000001", "7", "1e30")}[key]),
    )


@maker("reviewers")
def odd_risks_maps_labels_and_scores(bench: Bench) -> Bad:
    key = bench.pick(("risks", "maps", "labels", "scores"))
    entry = {
        "threshold": bench.pick((0.5, "x", None, 2, -1, [], 10**400)),
        "accepted": bench.pick((100, -1, "x", None)),
        "bad": 0,
        "bound": 0.04,
        "confidence": 0.95,
        "unit": "product",
    }
    text = bench.pick(
        {
            "risks": (
                json.dumps({"0.05": entry}),
                json.dumps({"nan": entry}),
                json.dumps({"x": entry}),
                json.dumps({"5": entry}),
                json.dumps([entry]),
                json.dumps({DIGITS: entry}),
                json.dumps({"0.05": {"refused": "few", "painter": bench.pick((None, "x", [], {"checkpoint": 7}))}}),
                '{"0.05": []}',
                '{"0.05": {}}',
                '{"0.05": {"refused": 7}}',
            ),
            "maps": (
                "",
                "{}",
                '{"depth": 1, "saliency": 2}',
                '{"depth": "a"}',
                "../../etc",
                "{" * 100_000,
                '{"depth": "builtin", "saliency": "' + "x" * 9000 + '"}',
                "[1]",
            ),
            "labels": (
                "[]",
                "null",
                "{}",
                '["available"]',
                '["available", "space_mismatch", "size_mismatch", "shape_hallucination", "indistinctiveness"]',
                '"available"',
                json.dumps(["x" * 3000] * 5),
                "7",
            ),
            "scores": (
                '{"ap": {"value": NaN}}',
                '{"ap": {"value": "0.9"}}',
                '{"ap": {"value": 7}}',
                '{"ap": 0.9}',
                '{"ap": {"value": -1}}',
                '{"ap": {"value": true}}',
                '{"ap": {"value": 1e999}}',
                '{"ap": {"value": 0.2}}',
            ),
        }[key]
        + NOT_JSON
    )
    return with_metadata(bench, ("reviewer",), key, text)


@maker("adapters")
def odd_facts_about_the_base(bench: Bench) -> Bad:
    key = bench.pick(("base_sha256", "base_name", "rank", "format_version", "format"))
    text = bench.pick(
        {
            "base_sha256": ("", "0" * 64, "x", "0" * 5000, "A" * 64),
            "base_name": ("", "../../x", "n" * 5000, "a\nb"),
            "rank": TEXTS,
            "format_version": TEXTS,
            "format": ("", "x" * 3000, "reliable-ads/rfnet"),
        }[key]
    )
    return with_metadata(bench, ("adapter", "merged"), key, text)


ALPHAS = (0.0, -4.0, 1e30, np.nan, np.inf, 3.4e38)


@maker("adapters")
def an_alpha_that_cannot_be(bench: Bench) -> Bad:
    return alphas(bench, ("adapter", "merged"))


@maker("loras")
def an_alpha_of_a_lora_that_cannot_be(bench: Bench) -> Bad:
    return alphas(bench, ("lora",))


def alphas(bench: Bench, targets: tuple) -> Bad:
    def change(header, data):
        content = bytearray(data)
        key = bench.pick([key for key in tensors_of(header) if key.endswith(".alpha")])
        start, _ = header[key]["data_offsets"]
        content[start : start + 4] = np.array([bench.pick(ALPHAS)], "<f4").tobytes()
        return built(header, bytes(content))

    return changed(bench, targets, change)


@maker("pocket files")
def family_of_odd_sizes(bench: Bench) -> Bad:
    where = bench.pick(("unet", "vae", "clip"))
    name = bench.pick(
        {
            "unet": ("channels", "attention", "layers", "context", "heads"),
            "vae": ("latent_channels", "channels", "encoder_blocks"),
            "clip": (
                "hidden_size",
                "intermediate_size",
                "num_attention_heads",
                "num_hidden_layers",
                "hidden_act",
                "vocab_size",
                "max_position_embeddings",
                "layer_norm_eps",
            ),
        }[where]
    )
    value = bench.pick((*NUMBERS, [10**9] * 3, [32] * 50, [True] * 9, "eval", "__import__", [[]]))
    return with_json(bench, ("pocket",), "pocket", lambda config: config[where].update({name: value}))


@maker("pocket files")
def family_of_another_shape(bench: Bench) -> Bad:
    edits = (
        lambda c: c.pop("unet"),
        lambda c: c.update(unet=None),
        lambda c: c.update(unet=[]),
        lambda c: c["unet"].pop("channels"),
        lambda c: c.update(format_version="2"),
        lambda c: c.update(format_version=2),
        lambda c: c.update(format_version=None),
        lambda c: c.update(format_version=[1]),
        lambda c: c.update(more={"a": 1}),
        lambda c: c["unet"].update(more=1),
        lambda c: c["clip"].update(more=1),
        lambda c: c["clip"].update(_name_or_path="/etc"),
        lambda c: c.update(clip={}),
        lambda c: c.update(vae=7),
        lambda c: c.update(format_version=10**400),
    )
    return with_json(bench, ("pocket",), "pocket", bench.pick(edits))
