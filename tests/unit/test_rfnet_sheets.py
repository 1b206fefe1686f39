"""Contact sheets, and the colours of a verdict: one pair, in every language that shows it."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from reliable_ads.cyclic import gallery_page
from reliable_ads.rfnet import reviewer, sheets

from ..conftest import ROOT


def plain(colour, size=(8, 6)):
    return Image.new("RGB", size, colour)


def test_pictures_lie_row_by_row_with_gaps_between_and_a_margin_around():
    drawn = np.asarray(sheets.contact_sheet([plain("red"), plain("blue"), plain("lime")], 2, gap=3, margin=5))
    assert drawn.shape == (2 * 6 + 3 + 2 * 5, 2 * 8 + 3 + 2 * 5, 3)
    assert (drawn[5:11, 5:13] == (255, 0, 0)).all() and (drawn[5:11, 16:24] == (0, 0, 255)).all()
    assert (drawn[14:20, 5:13] == (0, 255, 0)).all()
    assert (drawn[:5] == 255).all() and (drawn[11:14] == 255).all() and (drawn[14:20, 13:] == 255).all()


def test_a_row_that_is_not_full_is_as_wide_as_the_others():
    assert sheets.contact_sheet([plain("red")], 4, ground="black").size == (32, 6)


def test_a_sheet_of_nothing_is_refused():
    with pytest.raises(ValueError, match="one picture at least"):
        sheets.contact_sheet([], 4)


def test_a_tensor_becomes_the_picture_with_its_values():
    picture = sheets.to_image(torch.tensor([0.0, 0.5, 1.0, 2.0]).view(1, 1, 4).expand(3, 2, 4))
    assert picture.size == (4, 2) and np.asarray(picture)[0, :, 0].tolist() == [0, 128, 255, 255]


@pytest.mark.parametrize("style", ("web/js/verdicts.css", "gallery"))
def test_style_sheets_have_the_green_and_red_of_the_frames(style):
    text = gallery_page.STYLE if style == "gallery" else (ROOT / style).read_text(encoding="utf-8")
    for name, colour in (("good", sheets.GREEN), ("bad", sheets.RED)):
        given = re.findall(rf"--{name}: ([^;]*);", text)
        assert given and all(bytes(colour).hex() in value for value in given)
    assert (reviewer.GREEN, reviewer.RED) == (sheets.GREEN, sheets.RED)
