"""Pictures of a folder against one product, as the tab of a web UI reviews them; nothing here needs one."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from reliable_ads.rfnet.data.labelling import LabelFolder
from reliable_ads.rfnet.explain import explain
from reliable_ads.rfnet.finished import canvas_of, on_canvas
from reliable_ads.rfnet.pictures import PictureError
from reliable_ads.rfnet.product import Product
from reliable_ads.sdwebui import reviewing
from reliable_ads.sdwebui.reviewing import Placed, copy_into, pictures_in, report, review

from .rfft_examples import small_reviewer
from .rfnet_examples import bottle, bottle_rgba


class Judge:
    """The reviewer as the web UI's room wraps it, on the CPU."""

    def __init__(self):
        self.reviewer = small_reviewer()

    def row(self, picture, canvas, threshold):
        return self.reviewer.review(picture[None], canvas, threshold).rows()[0]

    def explain(self, picture, canvas):
        review = self.reviewer.review(picture[None], canvas)
        return review, explain(self.reviewer, picture[None], canvas, review=review)


def painted(folder, name: str, size=(128, 96), colour="orange", age=0):
    """A picture of the bottle on a plain ground."""
    canvas = canvas_of(bottle(), *size)
    ground = torch.from_numpy(np.array(Image.new("RGB", (canvas.width, canvas.height), colour))).movedim(-1, 0) / 255
    pixels = (canvas.paste(ground[None])[0].movedim(0, -1).numpy() * 255).round().astype(np.uint8)
    path = folder / name
    Image.fromarray(pixels).resize(size).save(path)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def test_a_doubt_stands_in_the_report(tmp_path):
    done = review(painted(tmp_path, "a.png"), Placed(bottle()), Judge(), 0.5, explained=False, doubted="not certified.")
    assert report([done])[0]["notes"] == ["not certified."]


def test_the_newest_pictures_come_first_and_nothing_else_counts(tmp_path):
    for age, name in enumerate(("c.png", "a.jpg", "b.webp")):
        painted(tmp_path, name, age=age)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "below").mkdir()
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert [path.name for path in pictures_in(tmp_path, 9)] == ["c.png", "a.jpg", "b.webp"]
    assert [path.name for path in pictures_in(tmp_path, 2)] == ["c.png", "a.jpg"]


@pytest.mark.parametrize(
    "below, words", [((), "holds no pictures: choose another."), (("2026-01-30",), 'such as "2026-01-30"')]
)
def test_a_folder_without_pictures_says_where_to_look(tmp_path, below, words):
    for name in below:
        (tmp_path / name).mkdir()
    with pytest.raises(PictureError, match=words):
        pictures_in(tmp_path, 9)
    with pytest.raises(PictureError, match="can't be read"):
        pictures_in(tmp_path / "gone", 9)


def test_pictures_of_any_size_are_judged_on_a_canvas_of_theirs(tmp_path):
    placed, judge = Placed(bottle()), Judge()
    for number, size in enumerate(((128, 96), (101, 67), (128, 96))):
        done = review(painted(tmp_path, f"{number}.png", size), placed, judge, 0.5, explained=True)
        assert done.row["accepted"] == (done.row["probabilities"]["available"] >= 0.5 and not done.row.get("missing"))
        assert done.words.startswith(("accepted: ", "rejected: "))
        assert done.heat.size == done.shown.size and ("evidence" in done.row) != done.row["accepted"]
    assert [(canvas.width, canvas.height) for canvas in placed.canvases.values()] == [(128, 96), (104, 64)]


def test_what_is_no_picture_is_named_and_the_others_go_on(tmp_path):
    (tmp_path / "a <b>.png").write_text("no picture")
    painted(tmp_path, "good.png")
    Image.new("RGB", (40, 40)).save(tmp_path / "small.png")
    done = [review(path, Placed(bottle()), Judge(), 0.5, False) for path in pictures_in(tmp_path, 9)]
    broken, small, good = sorted(done, key=lambda each: (each.path.name == "good.png", each.path.name))
    assert '"a <b>.png" is not a picture' in broken.words and broken.shown is None
    assert small.words.startswith('"small.png": the canvas width is 40: ')
    assert good.shown is not None and good.heat is None
    assert [row["image"] for row in report(done)] == [each.path.name for each in done]


def test_a_copy_keeps_the_file_as_it_is_and_no_other_picture_is_lost(tmp_path):
    first = painted(tmp_path, "ad.png")
    (tmp_path / "two").mkdir()
    second = painted(tmp_path / "two", "ad.png", colour="teal")
    folder = tmp_path / "accepted"
    kept = [copy_into(folder, path) for path in (first, second, first, second)]
    assert [path.name for path in kept] == ["ad.png", "ad-2.png", "ad.png", "ad-2.png"]
    assert kept[0].read_bytes() == first.read_bytes() and kept[1].read_bytes() == second.read_bytes()


def test_reviewed_pictures_wait_for_their_label(tmp_path):
    placed, labels = Placed(bottle()), LabelFolder(tmp_path / "labels")
    path = painted(tmp_path, "ad.png")
    done = review(path, placed, Judge(), 0.5, False)
    assert [reviewing.add_to(labels, done, placed, "on a table") for _ in range(2)] == [True, False]
    (item,) = labels.read().items.values()
    assert (item.caption, item.prompt, item.verdict["label"]) == ("a blue bottle", "on a table", done.row["label"])
    assert Image.open(labels.picture(item.key)).tobytes() == Image.open(path).tobytes()
    assert Image.open(labels.picture(item.product, "products")).mode == "RGBA"


def test_a_picture_is_fitted_to_the_canvas_of_its_product():
    product = Product.from_arrays(bottle_rgba(72, 96))
    assert canvas_of(product, 72, 96).width == 72 and canvas_of(product, 77, 99).height == 96
    own, centred = canvas_of(product, 72, 96), canvas_of(product, 72, 96, 0.5, "centre")
    assert own.alpha.sum() > 2 * centred.alpha.sum()
    assert on_canvas(np.ones((99, 77, 4), np.float32), canvas_of(product, 77, 99)).shape == (1, 3, 96, 80)
