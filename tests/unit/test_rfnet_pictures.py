"""Product pictures of every kind a shop has: read right, or refused in one sentence."""

import io
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reliable_ads.rfnet.pictures import PictureError, open_picture
from reliable_ads.rfnet.product import Product
from .rfnet_examples import bottle_rgba


def save(folder, picture, name="product.png", **options) -> Path:
    path = folder / name
    picture.save(path, **options)
    return path


def test_rgba_keeps_every_pixel(tmp_path):
    read = open_picture(save(tmp_path, Image.fromarray(bottle_rgba())))
    assert read.dtype == np.float32
    assert np.array_equal(np.round(read * 255), bottle_rgba())


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "P", "1", "PA"])
def test_other_modes_become_rgba(tmp_path, mode):
    picture = Image.fromarray(bottle_rgba()).convert("RGB" if mode in "P1" else "RGBA")
    read = open_picture(save(tmp_path, picture.convert(mode), "product.tiff" if mode == "PA" else "product.png"))
    assert read.shape == (60, 40, 4) and 0 <= read.min() and read.max() <= 1


def test_palette_transparency_is_the_alpha(tmp_path):
    picture = Image.new("P", (40, 40), 1)
    picture.putpalette([0, 0, 0, 250, 10, 20] + [0] * 750)
    picture.paste(0, (0, 0, 20, 40))
    read = open_picture(save(tmp_path, picture, transparency=0))
    assert np.array_equal(read[0, [0, 39], 3], [0, 1])
    assert np.array_equal(np.round(read[0, 39, :3] * 255), [250, 10, 20])


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    values = np.linspace(0, 65535, 64, dtype=np.uint16)[None].repeat(32, 0)
    read = open_picture(save(tmp_path, Image.fromarray(values)))
    assert np.abs(read[0, :, 0] - np.linspace(0, 1, 64)).max() < 1 / 255


def test_sixteen_bit_colour_with_alpha(tmp_path):
    cv2 = pytest.importorskip("cv2")
    rgba = bottle_rgba().astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "deep.png"), rgba[..., [2, 1, 0, 3]])
    assert np.array_equal(np.round(open_picture(tmp_path / "deep.png") * 255), bottle_rgba())


def test_cmyk_jpeg_shows_its_colours(tmp_path):
    read = open_picture(save(tmp_path, Image.new("RGB", (32, 32), (250, 20, 20)).convert("CMYK"), "print.jpg", quality=95))
    assert np.abs(read[16, 16, :3] * 255 - (250, 20, 20)).max() < 12


def test_cmyk_with_a_broken_profile_is_still_read(tmp_path):
    path = save(tmp_path, Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "print.jpg", icc_profile=b"no profile at all" * 10)
    assert open_picture(path)[16, 16, 0] > 0.9


def test_exif_rotation_is_applied(tmp_path):
    picture = Image.new("RGB", (40, 20), "white")
    picture.paste((255, 0, 0), (0, 0, 10, 20))  # red at the left
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to show
    read = open_picture(save(tmp_path, picture, "phone.jpg", exif=exif, quality=95))
    assert read.shape[:2] == (40, 20)
    assert read[2, 10, 1] < 0.2 and read[-3, 10, 1] > 0.8  # red is now at the top


def test_animation_gives_its_first_frame_and_a_warning(tmp_path):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    with pytest.warns(UserWarning, match="moving.gif.* first frame"):
        read = open_picture(tmp_path / "moving.gif")
    assert read[0, 0, 0] > 0.9 and read[0, 0, 2] < 0.1


def test_one_pixel_is_refused(tmp_path):
    with pytest.raises(PictureError, match="1x1 pixels.*at least 16"):
        open_picture(save(tmp_path, Image.new("RGBA", (1, 1))))


def test_8000_pixels_are_accepted_and_scaled_to_what_a_canvas_can_use(tmp_path):
    picture = Image.new("RGBA", (8000, 8000))
    picture.paste((200, 30, 30, 255), (2000, 2000, 6000, 6000))
    product = Product.from_picture(save(tmp_path, picture, compress_level=1))
    assert product.rgba.shape == (4096, 4096, 4)
    assert np.allclose(product.rgba[2048, 2048], (200 / 255, 30 / 255, 30 / 255, 1))


def test_more_than_8192_pixels_are_refused(tmp_path):
    with pytest.raises(PictureError, match="9000x20 pixels: scale it down to at most 8192"):
        open_picture(save(tmp_path, Image.new("L", (9000, 20))))


def test_missing_file_folder_and_text_are_refused(tmp_path):
    (tmp_path / "note.png").write_text("no picture")
    for path, message in ((tmp_path / "none.png", "does not exist"), (tmp_path, "is a folder"), (tmp_path / "note.png", "not a picture")):
        with pytest.raises(PictureError, match=message):
            open_picture(path)


def test_floating_point_pictures_are_refused(tmp_path):
    with pytest.raises(PictureError, match="floating-point"):
        open_picture(save(tmp_path, Image.fromarray(np.ones((32, 32), np.float32)), "height.tiff"))


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_truncated_files_are_refused(tmp_path, ending):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    path = save(tmp_path, noise, f"cut.{ending}")
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(PictureError, match=r'"cut\..*(damaged|not a picture)'):
        open_picture(path)


def test_a_tiff_whose_header_is_damaged_is_refused_with_a_sentence(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(bottle_rgba()).save(buffer, "TIFF")
    for place in range(200):  # header and directory: Pillow answers with TypeError, KeyError and others
        content = bytearray(buffer.getvalue())
        content[place] ^= 0x5A
        path = tmp_path / "damaged.tif"
        path.write_bytes(content)
        try:
            assert open_picture(path).shape[2] == 4
        except PictureError as error:
            assert "damaged.tif" in str(error)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_damaged_bytes_are_read_or_refused_never_anything_else(data):
    buffer = io.BytesIO()
    Image.fromarray(bottle_rgba()).save(buffer, data.draw(st.sampled_from(["PNG", "WEBP", "TIFF", "GIF"])))
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged"
        path.write_bytes(content)
        try:
            assert open_picture(path).shape[2] == 4
        except PictureError as error:
            assert "damaged" in str(error)
