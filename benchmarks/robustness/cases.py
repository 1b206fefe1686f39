"""Fourteen situations of real users, each with its right value: `CASES` need nothing, `SERVER_CASES` a ComfyUI. A check
raises AssertionError and says what is wrong.

Their files lie in tests/cases.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch

from reliable_ads.devtools.api_graph import node
from reliable_ads.devtools.client import GraphRefused
from reliable_ads.rfnet.pictures import open_picture
from reliable_ads.rfnet.product import Product, place

from ..common import ROOT
from .goods import make
from .server import Server, good_graph, sampling_graph

FILES = ROOT / "tests" / "cases"
HELPERS = FILES / "09-link-from-a-list-output" / "pick_schedule"  # a node as many packs have one


def file(number: str, name: str = "") -> Path:
    return next(FILES.glob(f"{number}-*")) / name


def placed(number: str, name: str, **more):
    return place(Product.from_picture(file(number, name), "a product"), 512, 512, **more)


def extent(inside: torch.Tensor) -> tuple[int, int, int, int]:
    """left, top, right, bottom of what is true."""
    rows, columns = (inside.any(side).nonzero().flatten() for side in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def glass_bottle() -> None:
    """All that is visible is the product, and what is translucent lets the scene through."""
    for more in ({}, {"alpha_threshold": 0.1}, {"position": "keep"}):
        canvas = placed("01", "glass_bottle.png", **more)
        left, top, right, bottom = extent(canvas.alpha > 0.02)
        wide = right - left
        high = bottom - top
        assert abs(wide / high - 160 / 390) < 0.04, f"{more}: the bottle is {wide} wide and {high} high"
        glass = (canvas.alpha > 0.3) & (canvas.alpha < 0.5)
        assert glass.sum() > 1000 and (canvas.inpaint_mask[glass] > 0.5).float().mean() > 0.8, (
            f"{more}: the scene isn't painted behind the glass"
        )
        dark, light = (canvas.paste(torch.full((1, 3, 512, 512), ground))[0][:, glass].mean() for ground in (0.1, 0.9))
        assert light - dark > 0.3, f"{more}: the glass is pasted opaque"


def all_translucent() -> None:
    """A frosted vase is a product where the threshold lets it count; else the sentence says which threshold would."""
    canvas = placed("02", "vase.png", alpha_threshold=0.1)
    assert (canvas.alpha > 0.1).float().mean() > 0.02, "the vase is gone"
    try:
        placed("02", "vase.png", alpha_threshold=0.9)
    except ValueError as error:
        assert "alpha_threshold" in str(error), error


def drop_shadow() -> None:
    """A shadow in the alpha is neither sliced nor does it shift or shrink the product."""
    for name in ("mug_soft_shadow.png", "mug_dark_shadow.png"):
        canvas = placed("03", name)
        left, top, right, bottom = extent(canvas.alpha > 0.95)
        assert (
            abs(
                max(
                    right - left,
                    bottom - top,
                )
                / 512
                - 0.72
            )
            < 0.05
        ), f"{name}: the mug is {right - left}x{bottom - top} of 512"
        off = max(abs(left + right - 512), abs(top + bottom - 512)) / 2
        assert off < 20, f"{name}: the mug stands {off} pixels off the centre"
    canvas = placed("03", "mug_soft_shadow.png")
    left, top, right, bottom = extent(canvas.alpha > 0.02)
    edges = [canvas.alpha[bottom - 1]] * (bottom < 512) + [canvas.alpha[:, right - 1]] * (right < 512)
    assert all(float(edge.max()) < 0.15 for edge in edges), "the soft shadow ends in a straight line"


def black_product() -> None:
    """The hint holds the outline of products of every colour, at every size."""
    assert placed("04", "black_bottle.png").hint[0].sum() > 600, "the black bottle's outline is missing in the hint"
    for grey in (0, 10, 20, 30, 40, 127, 255):
        rgba = np.zeros((500, 400, 4), np.uint8)
        rgba[100:400, 120:280] = (grey, grey, grey, 255)
        for size in (128, 512, 1024):
            canvas = place(Product.from_arrays(rgba), size, size)
            left, top, right, bottom = canvas.box
            assert canvas.hint[0].sum() > 1.6 * (right - left + bottom - top), (
                f"grey level {grey} at {size} pixels: {int(canvas.hint[0].sum())} pixels of outline"
            )


def thin_products() -> None:
    """The mask spares the middle of wires and rings."""

    def spared(canvas):
        return float((canvas.inpaint_mask < 1).logical_and(canvas.alpha >= 0.5).sum() / (canvas.alpha >= 0.5).sum())

    assert spared(placed("06", "wire_glasses.png")) > 0.2, "nothing of the wires is kept from painting"
    rows, columns = np.mgrid[:400, :400] - 200
    distance = np.hypot(rows, columns)
    ring = np.zeros((400, 400, 4), np.uint8)
    ring[(distance < 190) & (distance > 171)] = (200, 160, 40, 255)
    assert spared(place(Product.from_arrays(ring), 512, 512)) > 0.25, "nothing of the ring is kept from painting"


def old_background() -> None:
    """No rim of the old background, on dark and on light grounds."""
    for name, ground in (
        ("dark_mug_cut_from_white.png", 0.06),
        ("same_without_white.png", 0.06),
        ("white_mug_premultiplied.png", 0.9),
    ):
        canvas = placed("07", name)
        shown = canvas.paste(torch.full((1, 3, 512, 512), ground))[0].mean(0)
        edge = shown[(canvas.alpha > 0.05) & (canvas.alpha < 0.95)]
        product = float(canvas.rgb[:, canvas.alpha == 1].mean())
        low, high = sorted((product, ground))
        words = f"product {product:.2f}, ground {ground}, its edge from {edge.min():.2f} to {edge.max():.2f}"
        assert edge.min() > low - 0.12 and edge.max() < high + 0.07, f"{name}: {words}"


def wide_gamut() -> None:
    """Embedded profiles are converted to sRGB."""
    for name in ("green_mug_adobe_rgb.png", "green_mug_display_p3.png"):
        colour = np.round(open_picture(file("10", name))[200, 180, :3] * 255)
        assert np.abs(colour - (30, 190, 60)).max() <= 3, f"{name}: {colour} instead of (30, 190, 60)"


def one_broken_picture() -> None:
    """A damaged picture is named and counted, and the others are judged."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        status, said = rfnet(
            "review",
            *(file("11", f"drawn/ad{number}.png") for number in (0, 1, 3, 4)),
            "--product",
            file("11", "mug.png"),
            "--caption",
            "a red mug",
            "--json",
            out,
        )
        assert out.is_file(), f"no verdicts were written: {said}"
        rows = json.loads(out.read_text("utf-8"))
    judged = [Path(row["image"]).name for row in rows if "accepted" in row and "error" not in row]
    assert judged == ["ad0.png", "ad1.png", "ad4.png"], f"judged are {judged}"
    assert status == 1 and "ad3.png" in said, f"status {status}, said: {said}"


def text_files_from_windows() -> None:
    """Byte order marks are read, UTF-16 by its mark; what can't be read is refused in a sentence with a remedy."""
    from reliable_ads.rfnet.data.errors import DataError
    from reliable_ads.rfnet.data.sources import open_samples

    for name in ("index_bom.jsonl", "index_utf16.jsonl"):
        status, said = rfnet("review", "--index", file("12", name), "--json")
        assert status == 0, f"{name}: {said}"
    assert "byte order" not in (said := config("config_bom.toml")) and "Invalid" not in said, said
    for name in ("config_users.toml", "config_tab.toml"):
        assert "single quotes" in (said := config(name)) or ("/" in said and "\\" in said), f"{name}: {said}"
    samples = open_samples(file("12", "labels_utf16.csv"), 64)
    assert len(samples) == 1 and samples.read(0)["caption"] == "a mug", f"labels_utf16.csv: {samples.findings}"
    try:
        samples = open_samples(file("12", "labels_gbk.csv"), 64)
    except DataError as error:
        assert "UTF-8" in str(error), error
    else:
        raise AssertionError(f"labels_gbk.csv: {len(samples)} samples, caption {samples.read(0)['caption']!r}")


def config(name: str) -> str:
    """What `rfft train` says of a config, which names models that aren't there."""
    from reliable_ads.rfft.config import ConfigError, read_config

    try:
        read_config(file("12", name))
    except ConfigError as error:
        return str(error)
    return ""


def files_left_out() -> None:
    """Both readers of folders take the same pictures, skip hidden files, and say what they left out."""
    from reliable_ads.rfft.inputs import read_products
    from reliable_ads.rfnet.cut_outs import cut_outs, read_folder

    shop = file("14", "shop")
    found = [Path(path).name for path, _ in cut_outs(shop)]
    assert found == ["a_mug.avif", "a_red_mug.png"], f"RF Product Folder sees {found}"
    found = [product.caption for product in read_products(shop)]
    assert found == ["a mug", "a red mug"], f"rfft sees {found}"
    left_out = " ".join(read_folder(shop).sentences)
    assert all(word in left_out for word in (".jpg", ".heic", "bottles")), f"what is left out is not said: {left_out}"


def lora_with_more() -> None:
    """Every tensor of a LoRA is used, or the file is refused by the name of one that isn't."""
    from safetensors.torch import save_file

    from reliable_ads.pocket.ldm import load_pocket
    from reliable_ads.pocket.tuning import models_of
    from reliable_ads.rfft.lora import names_of, updates
    from reliable_ads.rfft.models import ModelError

    layers = names_of(models_of(load_pocket()))
    name = next(name for name in layers if "attn1_to_q" in name)
    outputs, inputs = layers[name].weight.shape[:2]
    base = {
        f"{name}.lora_up.weight": torch.randn(outputs, 4),
        f"{name}.lora_down.weight": torch.randn(4, inputs),
        f"{name}.alpha": torch.tensor(4.0),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lora.safetensors"
        save_file(base, path)
        assert len(updates(path, layers)) == 1, "the plain LoRA is not taken"
        more = {
            "lora_unet_x_norm.w_norm": torch.ones(32),
            f"{name}.diff_b": torch.ones(outputs),
            "lora_unet_x.a1.weight": torch.ones(4, 4),
            "lora_unet_x.oft_blocks": torch.ones(2, 4, 4),
            f"{name}.alpha": torch.tensor(torch.nan),
        }
        for key, value in more.items():
            save_file({**base, key: value}, path)
            try:
                updates(path, layers)
            except ModelError as error:
                assert "lora.safetensors" in str(error), error
            else:
                raise AssertionError(f"{key} is dropped in silence")


def rfnet(*arguments) -> tuple[int, str]:
    """(exit status, what it says to stderr) of a command, the paths of an index relative to it."""
    from reliable_ads.rfnet.cli import main

    err = io.StringIO()
    before = os.getcwd()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        try:
            status = main([str(part) for part in arguments])
        finally:
            os.chdir(before)
    return status, err.getvalue()


# with a server; client: a devtools.client.ComfyClient, as `served` gives it


def mask_the_other_way_round(client) -> None:
    """An inverted mask is named before anything is drawn: refused, or in the node's own words."""
    for name in ("photo.png", "mask_white_is_product.png"):
        client.upload(name, file("08", name).read_bytes())
    graph = good_graph(picture__image="photo.png", product__mask=["mask", 0])
    graph |= {
        "mask": node("LoadImageMask", image="mask_white_is_product.png", channel="red"),
        "shown": node("PreviewImage", images=["product", 1]),
    }
    try:
        said = json.dumps(client.outputs({name: graph[name] for name in ("picture", "mask", "product", "shown")}))
    except RuntimeError as error:
        said = str(error)
    assert "mask_marks" in said, f"nothing is said of the inverted mask: {said[:200]}"


def link_from_a_list_output(client) -> None:
    """Where KSampler takes a scheduler's name from another pack's node, so do our samplers."""
    client.upload("product.png", file("09", "mug.png").read_bytes())
    graph = sampling_graph(sampler__scheduler=["pick", 0], sampler__sampler_name="euler", sampler__attempts=1)
    graph["pick"] = node("PickSchedule", scheduler="karras")
    try:
        client.outputs(graph)
    except GraphRefused as error:
        raise AssertionError(str(error)) from None


def transparent_colour(client) -> None:
    """A PNG whose transparency Load Image drops: the sentence says how to save it, and what else reads it."""
    for name in ("mug_truecolour_trns.png", "mug_grey_trns.png"):
        client.upload(name, file("18", name).read_bytes())
        try:
            client.outputs(good_graph(picture__image=name))
        except RuntimeError as error:
            assert "alpha channel" in str(error) or "32-bit" in str(error), f"{name}: {error}"


CASES = {
    "01": glass_bottle,
    "02": all_translucent,
    "03": drop_shadow,
    "04": black_product,
    "06": thin_products,
    "07": old_background,
    "10": wide_gamut,
    "11": one_broken_picture,
    "12": text_files_from_windows,
    "14": files_left_out,
    "16": lora_with_more,
}
SERVER_CASES = {"08": mask_the_other_way_round, "09": link_from_a_list_output, "18": transparent_colour}


def outcome(check, *arguments) -> str:
    """Empty where the case is right, else what is wrong."""
    try:
        check(*arguments)
    except Exception as error:  # what a case that isn't right raises
        return f"{type(error).__name__}: {error}"[:400]
    return ""


@contextlib.contextmanager
def served(folder: Path):
    """A client of a real server with good files and the helper node, at work in a folder."""
    (folder / "goods").mkdir()
    make(folder / "goods")
    shutil.copytree(
        HELPERS,
        folder / "comfyui" / "custom_nodes" / HELPERS.name,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    with Server(folder / "comfyui", folder / "goods") as server:
        yield server.client()


def outcomes() -> dict:
    """{number: what is wrong, empty where it is right} of all cases."""
    found = {number: outcome(check) for number, check in CASES.items()}
    with tempfile.TemporaryDirectory(prefix="rf-cases-") as folder, served(Path(folder)) as client:
        found |= {number: outcome(check, client) for number, check in SERVER_CASES.items()}
    return dict(sorted(found.items()))
