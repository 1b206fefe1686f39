"""Bad pictures as files: pipes, links and names that are none, chunks and tags in disorder, one bad among good ones,
captions beside them.
"""

from __future__ import annotations

import os
import struct
import zlib

from PIL import Image

from .goods import cut_out, encoded
from .inputs import Bad, Bench, maker
from .pictures import SIZE_WORDS, chunk, png, read


@maker("pictures")
def no_regular_file(bench: Bench) -> Bad:
    name = f"odd_{bench.random.randint(0, 99)}.png"
    path = bench.folder / name
    kind = bench.pick(("pipe", "folder", "missing", "circle", "zeros", "tty", "proc"))
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.symlink_to({"circle": name, "zeros": "/dev/zero", "tty": "/dev/stdin", "proc": "/proc/self/mem"}[kind])
    return Bad(bench.pick(("picture", "product")), {"path": str(path)}, (name,))


@maker("pictures")
def names_that_are_none(bench: Bench) -> Bad:
    name = bench.pick(
        (
            "x" * 300 + ".png",
            "a\0b.png",
            "line\nbreak.png",
            "\ud800.png",
            "..",
            "",
            "con:.png",
            "~",
            "http://127.0.0.1:9/a.png",
            "file:///etc/passwd",
            "|cat",
            "*.png",
        )
    )
    return Bad(
        "picture",
        {"path": str(bench.folder / name) if name else ""},
        (name[:40].strip(), '"', "file", "picture"),
    )


@maker("pictures")
def nothing_or_everything_opaque(bench: Bench) -> Bad:
    alpha = bench.pick((0, 0, 255, 1))
    colour = (*bench.random.choices(range(256), k=3), alpha)
    return read(
        bench,
        encoded(Image.new("RGBA", (64, 80), colour), "PNG"),
        target="product",
        names=("alpha", "transparen", "background"),
    )


@maker("pictures")
def chunks_in_disorder(bench: Bench) -> Bad:
    plain = png(32, 32)
    start = plain[:8]
    head = plain[8:33]
    body = plain[33:-12]
    end = plain[-12:]
    content = bench.pick(
        (
            start + body + head + end,
            start + head + end,
            start + head + head + body + end,
            start + head + chunk(b"IDAT", b"no zlib") + end,
            start + head + chunk(b"IDAT", zlib.compress(b"\x07" * 4000)) + end,
            start + head + chunk(b"IDAT", zlib.compress(bytes(10))) + end,
            start + head + struct.pack(">I", 2**31 - 1) + b"IDAT" + bytes(50),
            png(32, 32, 8, 3),
            png(32, 32, 8, 3, before=chunk(b"PLTE", bytes(3)) + chunk(b"tRNS", bytes(900))),
            start + chunk(b"IHDR", bytes(5)) + body + end,
            start + head[:-4] + bytes(4) + body + end,
            png(32, 32, before=chunk(b"ABCD", bytes(9))),
            png(32, 32, before=chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))),
        )
    )
    return read(bench, content, like=plain, target="picture")


@maker("pictures")
def a_tiff_of_its_own(bench: Bench) -> Bad:
    def field(tag, form, count, value):
        return struct.pack("<HHII", tag, form, count, value)

    size = bench.pick(((64, 64), (8192, 8192), (2**32 - 1, 1)))
    tags = [
        field(256, 4, 1, size[0]),
        field(257, 4, 1, size[1]),
        field(258, 3, 1, 8),
        field(259, 3, 1, bench.pick((1, 5, 7, 8, 34712, 50000, 60000))),
        field(262, 3, 1, bench.pick((1, 2, 5, 6, 32803))),
        field(273, 4, 1, bench.pick((8, 2**32 - 1, 10**6))),
        field(277, 3, 1, bench.pick((1, 4, 60000))),
        field(278, 4, 1, 2**31),
        field(279, 4, bench.pick((1, 2**28)), bench.pick((4096, 2**32 - 1))),
    ]
    following = bench.pick((0, 8, 2**32 - 2))  # 8: a circle
    content = b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(tags) + struct.pack("<I", following) + bytes(5000)
    return read(bench, content, "tif", names=SIZE_WORDS)


@maker("pictures")
def a_bad_one_among_good_products(bench: Bench) -> Bad:
    shop = bench.folder / "shop"
    bench.write("shop/a_good.png", encoded(cut_out(), "PNG"))
    name, content = bench.pick(
        (
            ("b_cut.png", encoded(cut_out(), "PNG")[:150]),
            ("b_text.webp", b"no picture"),
            ("b_opaque.png", encoded(Image.new("RGB", (50, 50)), "PNG")),
            ("b_eps.png", encoded(cut_out().convert("RGB"), "EPS")),
        )
    )
    bench.write(f"shop/{name}", content)
    if bench.random.random() < 0.3:
        name = "pipe.png"
        os.mkfifo(shop / name)
    return Bad("products", {"folder": str(shop)}, (name, "b_"))


@maker("pictures")
def a_caption_file_that_is_none(bench: Bench) -> Bad:
    for shop in ("shop", "without"):
        bench.write(f"{shop}/a_good.png", encoded(cut_out(), "PNG"))
    beside = bench.folder / "shop" / "a_good.txt"
    kind = bench.pick(("latin", "zeros", "pipe", "huge", "folder", "gbk"))
    if kind == "pipe":
        os.mkfifo(beside)
    elif kind == "folder":
        beside.mkdir()
    elif kind == "huge":
        with beside.open("wb") as file:
            file.truncate(3 * 2**30)
    else:
        beside.write_bytes(
            {
                "latin": "ein grüner Becher".encode("latin-1"),
                "zeros": bytes(5000),
                "gbk": "红色杯子".encode("gbk"),
            }[kind]
        )
    return Bad(
        "products",
        {"folder": str(bench.folder / "shop")},
        ("a_good.txt", "caption"),
        {"folder": str(bench.folder / "without")},
    )
