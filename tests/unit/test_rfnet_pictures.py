"""Product pictures of every kind a shop has: read right, or refused in one sentence."""

import io
import os
import struct
import tempfile
import time
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

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
    assert read.shape == (60, 40, 4) and read.min() >= 0 and read.max() <= 1


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
    read = open_picture(
        save(tmp_path, Image.new("RGB", (32, 32), (250, 20, 20)).convert("CMYK"), "print.jpg", quality=95)
    )
    assert np.abs(read[16, 16, :3] * 255 - (250, 20, 20)).max() < 12


def test_cmyk_with_a_broken_profile_is_still_read(tmp_path):
    path = save(
        tmp_path, Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "print.jpg", icc_profile=b"no profile at all" * 10
    )
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
    with pytest.raises(PictureError, match=r"1x1 pixels.*at least 16"):
        open_picture(save(tmp_path, Image.new("RGBA", (1, 1))))


@pytest.mark.slow(reason="sixty-four million pixels")
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
    for path, message in (
        (tmp_path / "none.png", "does not exist"),
        (tmp_path, "is a folder"),
        (tmp_path / "note.png", "not a picture"),
    ):
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


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(bits: int, colours: int, rows: list, *chunks: bytes, size=(32, 32)) -> bytes:
    """A PNG by hand, since Pillow writes no grey of few bits and no key colour of all kinds."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, colours, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + b"".join(chunks)
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
        + chunk(b"IEND", b"")
    )


def packed(values: list, bits: int) -> bytes:
    text = "".join(f"{value:0{bits}b}" for value in values)
    return int(text, 2).to_bytes(len(text) // 8, "big")


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_key_colour_is_transparent_at_any_depth_of_grey(tmp_path, bits):
    top = 2**bits - 1
    values = [round(place * top / 31) for place in range(32)]
    for key in {0, 1, top}:
        (tmp_path / "key.png").write_bytes(
            png(bits, 0, [packed(values, bits)] * 32, chunk(b"tRNS", struct.pack(">H", key)))
        )
        read = open_picture(tmp_path / "key.png")
        assert (read[0, :, 3] > 0).tolist() == [value != key for value in values]
        assert np.abs(read[0, :, 0] - np.array(values) / top).max() < 1 / 250


@pytest.mark.parametrize("bits", [8, 16])
def test_a_key_colour_is_transparent_in_colour_too(tmp_path, bits):
    top = 2**bits - 1
    (tmp_path / "key.png").write_bytes(
        png(
            bits,
            2,
            [packed([top, 0, top] * 16 + [0, top, 0] * 16, bits)] * 32,
            chunk(b"tRNS", struct.pack(">HHH", top, 0, top)),
        )
    )
    read = open_picture(tmp_path / "key.png")
    assert read[0, [0, 31]].tolist() == [[1, 0, 1, 0], [0, 1, 0, 1]]


def profiles() -> dict:
    """Colour profiles: sRGB as lcms writes it, one whose red and green are exchanged, and a broken one."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"xXYZ").replace(b"gXYZ", b"rXYZ").replace(b"xXYZ", b"gXYZ")
    assert swapped != srgb
    return {"srgb": srgb, "swapped": swapped, "broken": srgb[:150]}


@pytest.mark.parametrize(
    ("ending", "options"), [("png", {}), ("tiff", {}), ("webp", {"lossless": True, "exact": True})]
)
def test_every_profile_is_converted_and_alpha_is_left_alone(tmp_path, ending, options):
    picture = Image.new("RGBA", (32, 32), (200, 40, 90, 77))
    for name, colours in (("srgb", (200, 40, 90)), ("swapped", (40, 200, 90))):
        read = open_picture(save(tmp_path, picture, f"{name}.{ending}", icc_profile=profiles()[name], **options)) * 255
        assert np.abs(read[5, 5] - (*colours, 77)).max() <= (0 if name == "srgb" else 2)


def test_a_profile_speaks_of_palettes_and_grey_too(tmp_path):
    palette = Image.new("RGB", (32, 32), (200, 40, 90)).quantize()
    assert (
        np.abs(
            open_picture(save(tmp_path, palette, icc_profile=profiles()["swapped"]))[5, 5, :3] * 255 - (40, 200, 90)
        ).max()
        <= 2
    )
    assert open_picture(save(tmp_path, Image.new("LA", (32, 32), (100, 50)), icc_profile=profiles()["srgb"]))[
        5, 5
    ].tolist() == pytest.approx([100 / 255] * 3 + [50 / 255])


def test_a_profile_that_cannot_be_used_is_told_and_the_colours_are_taken_as_they_are(tmp_path):
    for picture, profile in (
        (Image.new("RGB", (32, 32), (200, 40, 90)), "broken"),
        (Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "srgb"),
    ):
        with pytest.warns(UserWarning, match='"odd.tiff": its colour profile can.t be used .* convert it to sRGB'):
            read = open_picture(save(tmp_path, picture, "odd.tiff", icc_profile=profiles()[profile]))
        assert np.abs(read[5, 5, :3] * 255 - np.asarray(picture.convert("RGB"))[5, 5]).max() == 0


def test_what_a_shared_adobe_rgb_file_shows_is_what_viewers_show(tmp_path):
    path = Path(__file__).parents[1] / "cases" / "green_mug_adobe_rgb.png"
    assert np.abs(open_picture(path)[200, 180, :3] * 255 - (30, 190, 60)).max() <= 2


@pytest.mark.parametrize("name", ["EPS", "ICO", "PPM", "TGA", "PCX", "SGI", "PDF"])
def test_formats_that_are_no_pictures_of_products_are_not_opened_whatever_their_ending(tmp_path, name):
    Image.new("RGB", (64, 64)).save(tmp_path / "file", name)
    (tmp_path / "file").rename(tmp_path / "file.png")
    with pytest.raises(PictureError, match=r'"file.png" is not a picture that can be read.*save it as PNG or WebP'):
        open_picture(tmp_path / "file.png")


def test_what_a_file_seems_to_be_is_said(tmp_path):
    for content, words in (
        (b"", "it is empty"),
        (b"8BPS", "Photoshop"),
        (b"<!DOCTYPE html>", "web page"),
        (b"\0\0\0\x18ftypheic", "HEIC|damaged"),
    ):
        (tmp_path / "x.png").write_bytes(content + bytes(30 * bool(content)))
        with pytest.raises(PictureError, match=words):
            open_picture(tmp_path / "x.png")


def test_an_ending_does_not_matter(tmp_path):
    Image.fromarray(bottle_rgba()).save(tmp_path / "a.webp", lossless=True, exact=True)
    (tmp_path / "a.webp").rename(tmp_path / "a.txt")
    assert np.array_equal(np.round(open_picture(tmp_path / "a.txt") * 255), bottle_rgba())


def test_files_made_to_exhaust_a_machine_are_refused_at_once(tmp_path):
    scan = io.BytesIO()
    Image.new("RGB", (2048, 2048)).save(scan, "JPEG", progressive=True)
    scan, last = scan.getvalue(), scan.getvalue().rfind(b"\xff\xda")
    whole = png(8, 6, [bytes(128)] * 32)
    bombs = {
        "wide.png": (png(8, 2, [b""], size=(60000, 60000)), "too many pixels"),
        "thin.png": (png(8, 0, [b""], size=(1, 10**9)), "too many pixels"),
        "text.png": (
            whole[:33] + chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(3 << 20))) + whole[33:],
            "carries texts",
        ),
        "passes.jpg": (scan[:-2] + scan[last:-2] * 1000 + b"\xff\xd9", "stored in 10.. passes"),
    }
    began = time.monotonic()
    for name, (content, words) in bombs.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PictureError, match=f'"{name}" .*{words}'):
            open_picture(tmp_path / name)
    assert time.monotonic() - began < 5


def test_of_thousands_of_frames_only_the_first_is_looked_for(tmp_path):
    frames = [Image.new("RGB", (32, 32), (255, number % 256, 0)) for number in range(400)]
    for name in ("a.gif", "a.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        began = time.monotonic()
        with pytest.warns(UserWarning, match="only its first frame"):
            assert open_picture(tmp_path / name)[0, 0].tolist() == [1, 0, 0, 1]
        assert time.monotonic() - began < 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    os.symlink("loop.png", tmp_path / "loop.png")
    for path, words in (
        (tmp_path / "pipe.png", "pipe or a device"),
        ("/dev/zero", "pipe or a device"),
        (tmp_path / "loop.png", "leads to itself"),
        ("a\0b.png", "does not exist"),
    ):
        with pytest.raises(PictureError, match=words):
            open_picture(path)


def test_a_name_is_found_in_either_unicode_form(tmp_path):
    Image.fromarray(bottle_rgba()).save(tmp_path / unicodedata.normalize("NFD", "café.png"))
    assert open_picture(tmp_path / unicodedata.normalize("NFC", "café.png")).shape == (60, 40, 4)


def test_32_bit_greys_of_unknown_scale_are_refused(tmp_path):
    with pytest.raises(PictureError, match="32-bit numbers of unknown scale"):
        open_picture(save(tmp_path, Image.new("I", (32, 32), 70000), "deep.tiff"))


def test_broken_exif_is_no_reason_to_refuse(tmp_path):
    for number, exif in enumerate(
        (b"Exif\0\0II*\0" + b"\xff" * 40, b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x05\0\0\0\0")
    ):
        assert open_picture(save(tmp_path, Image.new("RGB", (40, 20)), f"{number}.jpg", exif=exif)).shape == (20, 40, 4)


def test_deep_greys_whose_zero_is_white_are_turned(tmp_path):
    picture = Image.fromarray(np.full((32, 32), 60000, np.uint16))
    read = open_picture(save(tmp_path, picture, "negative.tif", tiffinfo={262: 0}))
    assert read[5, 5, :3].tolist() == pytest.approx([1 - 60000 / 65535] * 3, abs=1 / 255)


def test_a_tiff_of_huge_tiles_is_refused_before_room_is_made_for_one(tmp_path):
    tags = {256: 64, 257: 64, 258: 8, 259: 5, 262: 1, 277: 1, 322: 32768, 323: 32768, 324: 8, 325: 64}  # packed by LZW
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    (tmp_path / "tiles.tif").write_bytes(
        b"II*\0" + struct.pack("<I", 72) + bytes(64) + struct.pack("<H", len(tags)) + entries + bytes(4)
    )
    with pytest.raises(PictureError, match=r'"tiles.tif" is stored in tiles of 32768x32768 pixels'):
        open_picture(tmp_path / "tiles.tif")
