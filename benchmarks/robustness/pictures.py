"""Bad pictures: another format under the right ending, damaged bytes, bombs, headers that lie, odd modes, profiles,
animations. picture_files.py has more.
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from .goods import cut_out, encoded
from .inputs import Bad, Bench, maker

FORMATS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "TIFF": "tif", "GIF": "gif", "BMP": "bmp"}
SIZE_WORDS = ("pixels", "scale")


def chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    """A chunk of a PNG."""
    return (
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(
            ">I",
            zlib.crc32(kind + data) if checksum is None else checksum,
        )
    )


def png(
    width: int,
    height: int,
    depth: int = 8,
    colour: int = 6,
    before: bytes = b"",
    data: bytes | None = None,
    interlace: int = 0,
) -> bytes:
    """A PNG by hand. data: of its IDAT, compressed; by default all of it transparent."""
    row = 1 + (width * depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] + 7) // 8
    data = zlib.compress(bytes(row * height)) if data is None else data
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def good(bench: Bench, kinds=tuple(FORMATS)) -> tuple[str, bytes]:
    """(ending, bytes) of a good picture in some format."""
    kind = bench.pick(kinds)
    image = cut_out(bench.random.randint(40, 120), bench.random.randint(40, 120))
    return FORMATS[kind], encoded(image if kind in ("PNG", "WEBP", "TIFF") else image.convert("RGB"), kind)


def read(
    bench: Bench,
    content: bytes | None,
    ending: str = "png",
    like: bytes | None = None,
    target: str | None = None,
    names: tuple = (),
) -> Bad:
    """A bad picture with the reader that it goes to."""
    name = f"bad_{bench.random.randint(0, 99)}.{ending}"
    if content is not None:
        bench.write(name, content)
    same = {"path": str(bench.write(f"good.{ending}", like))} if like else None
    target = target or bench.pick(("picture", "product"))
    return Bad(target, {"path": str(bench.folder / name)}, (name, "the product", *names), same)


@maker("pictures")
def another_format_under_a_right_ending(bench: Bench) -> Bad:
    kind = bench.pick(
        (
            "EPS",
            "PDF",
            "ICO",
            "PPM",
            "TGA",
            "PCX",
            "SGI",
            "IM",
            "DDS",
            "MSP",
            "SPIDER",
            "XBM",
            "ICNS",
            "JPEG2000",
        )
    )
    image = cut_out().convert({"MSP": "1", "XBM": "1", "SPIDER": "F"}.get(kind, "RGB"))
    return read(bench, encoded(image, kind), bench.pick(("png", "webp", "jpg", "tif")))


@maker("pictures")
def no_picture_under_a_right_ending(bench: Bench) -> Bad:
    content = bench.pick(
        (
            b"",
            b"\x00",
            b"hello",
            b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
            b"<!DOCTYPE html><p>Not found",
            b"PK\x03\x04" + bytes(60),
            b"%PDF-1.7\n%" + bytes(99),
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n{} loop\n%%EOF",
            b"SIMPLE  =                    T" + b" " * 3000,
            b"8BPS\x00\x01" + bytes(6) + b"\x00\x04" + struct.pack(">II", 64, 64) + b"\x00\x08\x00\x03" + bytes(99),
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff",
            b"RIFF\x10\x00\x00\x00WEBPVP8 ",
            b"II*\x00",
            b"MM\x00*\x00\x00\x00\x08",
            b"GIF89a",
            b"BM",
            b"\x00\x00\x01\x00\x01\x00" + bytes(30),
            bench.random.randbytes(5000),
            b"\x80\x04\x95pickle.",
        )
    )
    return read(bench, content, bench.pick((*tuple(FORMATS.values()), "avif", "heic")))


@maker("pictures")
def cut_short(bench: Bench) -> Bad:
    ending, content = good(bench)
    return read(bench, content[: bench.random.randint(1, len(content) - 1)], ending, content)


@maker("pictures")
def flipped_bits(bench: Bench) -> Bad:
    ending, content = good(bench)
    flipped = bytearray(content)
    for _ in range(bench.pick((1, 1, 3, 20))):
        flipped[bench.random.randrange(len(flipped))] ^= 1 << bench.random.randrange(8)
    return read(bench, bytes(flipped), ending, content)


@maker("pictures")
def a_flipped_header(bench: Bench) -> Bad:
    ending, content = good(bench)
    flipped = bytearray(content)
    for _ in range(2):
        flipped[bench.random.randrange(4, 60)] = bench.pick((0, 1, 127, 128, 255))
    return read(bench, bytes(flipped), ending, content)


@maker("pictures")
def a_header_that_lies_about_the_size(bench: Bench) -> Bad:
    width, height = bench.pick(
        (
            (2**31 - 1, 2**31 - 1),
            (60000, 60000),
            (8193, 16),
            (16, 8193),
            (0, 0),
            (0, 50),
            (2**31, 1),
            (20000, 9000),
            (100000, 100),
        )
    )
    kind = bench.pick(("png", "bmp", "gif", "tif"))
    if kind == "png":
        content = png(16, 16).replace(struct.pack(">II", 16, 16), struct.pack(">II", width, height), 1)
        body = content[12:29]
        content = content[:29] + struct.pack(">I", zlib.crc32(body)) + content[33:]
    elif kind == "gif":
        content = bytearray(encoded(cut_out().convert("P"), "GIF"))
        content[6:10] = struct.pack("<HH", min(width, 65535), min(height, 65535))
    elif kind == "bmp":
        content = bytearray(encoded(cut_out().convert("RGB"), "BMP"))
        content[18:26] = struct.pack("<ii", min(width, 2**31 - 1), min(height, 2**31 - 1))
    else:
        content = encoded(cut_out(96, 120), "TIFF").replace(
            struct.pack("<HHII", 256, 4, 1, 96),
            struct.pack("<HHII", 256, 4, 1, width % 2**32),
        )
    return read(bench, bytes(content), kind, names=SIZE_WORDS)


@maker("pictures")
def a_bomb(bench: Bench) -> Bad:
    kind = bench.pick(("pixels", "text", "profile", "many chunks", "interlaced", "long data"))
    zeros = zlib.compress(bytes(50_000_000), 1)
    text = {
        "text": lambda: png(32, 32, before=b"".join(chunk(b"zTXt", b"k%d\0\0" % n + zeros) for n in range(30))),
        "profile": lambda: png(32, 32, before=chunk(b"iCCP", b"icc\0\0" + zeros)),
        "many chunks": lambda: png(32, 32, before=chunk(b"tEXt", b"a\0b") * 200_000),
        "pixels": lambda: png(30000, 30000, 1, 0),
        "interlaced": lambda: png(8192, 8192, 16, 6, data=zlib.compress(bytes(8192 * 16), 9), interlace=1),
        "long data": lambda: png(32, 32, data=zeros),
    }[kind]()
    return read(
        bench,
        text,
        like=png(32, 32) if kind in ("text", "profile", "many chunks", "long data") else None,
        target="picture",
        names=SIZE_WORDS,
    )


@maker("pictures")
def too_small_or_too_long(bench: Bench) -> Bad:
    size = bench.pick(((1, 1), (15, 200), (200, 15), (1, 8000), (9000, 20), (8200, 8200)))
    kind = bench.pick(("PNG", "TIFF", "BMP"))
    return read(bench, encoded(Image.new("L", size), kind), FORMATS[kind], names=SIZE_WORDS)


@maker("pictures")
def odd_modes(bench: Bench) -> Bad:
    values = np.linspace(0, 1, 64 * 64).reshape(64, 64)
    mode, options = bench.pick(
        (
            ("F", {}),
            ("F nan", {}),
            ("I", {}),
            ("I;16", {}),
            ("1", {}),
            ("L", {}),
            ("CMYK", {}),
            ("LAB", {}),
            ("YCbCr", {}),
            ("I negative", {}),
        )
    )
    if mode.startswith("F"):
        image = Image.fromarray((values * (np.nan if "nan" in mode else 1e30)).astype(np.float32))
    elif mode.startswith("I"):
        image = Image.fromarray(
            (values * 65535 * (-1e4 if "neg" in mode else 1)).astype(np.uint16 if "16" in mode else np.int32)
        )
    else:
        image = (
            cut_out(64, 64).convert("RGB").convert(mode)
            if mode != "LAB"
            else Image.new(
                "LAB",
                (64, 64),
                (120, 30, 40),
            )
        )
    return read(bench, encoded(image, "TIFF", **options), "tif", target="product")


@maker("pictures")
def a_damaged_profile(bench: Bench) -> Bad:
    from PIL import ImageCms

    right = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = bench.pick(
        (
            b"no profile",
            bytes(128),
            right[:200],
            right[:-50],
            b"\xff" * 3000,
            right.replace(b"RGB ", b"CMYK", 1),
            right.replace(b"RGB ", b"GRAY", 1),
            right.replace(b"XYZ ", b"Lab ", 1),
            bench.random.randbytes(600),
            bytes(3_000_000),
        )
    )
    kind = bench.pick(("PNG", "JPEG", "WEBP", "TIFF"))
    image = cut_out() if kind != "JPEG" else cut_out().convert("RGB")
    return read(bench, encoded(image, kind, icc_profile=profile), FORMATS[kind], encoded(image, kind), "picture")


@maker("pictures")
def odd_exif(bench: Bench) -> Bad:
    kind = bench.pick(("PNG", "JPEG", "WEBP"))
    head = b"Exif\0\0II*\0\x08\0\0\0"

    def tag(code, form, count, value):
        return struct.pack("<HHI4s", code, form, count, value)

    exif = bench.pick(
        (
            b"Exif\0\0" + bytes(20),
            head + struct.pack("<H", 65535),
            head + struct.pack("<H", 1) + tag(0x112, 3, 1, b"\x63\0\0\0") + bytes(4),
            head + struct.pack("<H", 1) + tag(0x112, 2, 4, b"abc\0") + bytes(4),
            head + struct.pack("<H", 1) + tag(0x112, 3, 2**31, b"\xff\xff\xff\x7f") + bytes(4),
            head + struct.pack("<H", 1) + tag(0x8769, 4, 1, b"\x08\0\0\0") + bytes(4),
            bench.random.randbytes(200),
        )
    )
    image = cut_out() if kind != "JPEG" else cut_out().convert("RGB")
    return read(bench, encoded(image, kind, exif=exif), FORMATS[kind], encoded(image, kind), "picture")


@maker("pictures")
def an_animation(bench: Bench) -> Bad:
    kind, count = bench.pick((("GIF", 200), ("WEBP", 60), ("PNG", 60), ("TIFF", 100), ("GIF cut", 30), ("PNG cut", 30)))
    frames = [cut_out().rotate(3 * number) for number in range(count)]
    content = encoded(frames[0], kind.split()[0], save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(content)) as whole:
        first = encoded(whole.convert("RGBA"), "PNG")
    return read(
        bench,
        content[: len(content) // 2] if "cut" in kind else content,
        FORMATS[kind.split()[0]],
        first,
        "product",
    )
