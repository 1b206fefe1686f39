"""How long a million label lines take to index, and how much memory: RF1M as it is published, in thirty zip archives.

`python -m benchmarks.reviewer --only index` runs it.

The archives carry every member that the labels name, a generated picture and a product picture each, in true central
directories: what the reader lists, joins and checks is all there. Only the pictures are no pictures (a few bytes each,
the same for samples of one product), since indexing doesn't open them.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np

from reliable_ads.rfnet.labels import LABELS, UNSUITABLE

ROWS = 1_000_000
ARCHIVES = 30
DRAWS = 5  # DRAWS: pictures of one product
CHILD = """
import json, resource, sys, time
from reliable_ads.rfnet.data.rf1m import read_rf1m
def peak():
    try:  # the process's own peak in KiB; Linux's ru_maxrss begins with that of the process that started this one
        return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 ** (1 if sys.platform == "linux" else 2)
before, began, worked = peak(), time.perf_counter(), time.process_time()
samples = read_rf1m(sys.argv[1])
seconds, worked = time.perf_counter() - began, time.process_time() - worked
found = {"samples": len(samples), "findings": samples.findings.counts}
print(json.dumps({"index_seconds": seconds, "cpu_seconds": worked, "index_mib": peak() - before, **found}))
"""


def measure(rows: int = ROWS) -> dict:
    """{"index_seconds" by the clock, "cpu_seconds" of them at work, "index_mib": growth of peak resident memory,
    "samples": how many were indexed, "findings"}, in a fresh process.
    """
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), rows)
        child = subprocess.run([sys.executable, "-c", CHILD, folder], check=True, capture_output=True, text=True)
    return json.loads(child.stdout)


def write(root: Path, rows: int) -> None:
    """label.txt of `rows` lines, and archives of generated and of product pictures with a member per line."""
    random = np.random.default_rng(0)
    names = [f"{number // DRAWS:09d}_{number % DRAWS}" for number in random.permutation(rows).tolist()]
    spelled = [name.replace("_", " ").title() for name in (*LABELS, UNSUITABLE)]
    labels = random.choice(len(spelled), rows, p=[0.5, 0.1, 0.1, 0.1, 0.15, 0.05]).tolist()
    (root / "label.txt").write_text("".join(f"{name}.jpg\t{spelled[label]}\n" for name, label in zip(names, labels)))
    for number in range(ARCHIVES):
        part = names[number::ARCHIVES]
        for role, ending in (("images", "jpg"), ("transparent_images", "png")):
            write_zip(
                root / f"{role}_{number:02d}.zip",
                {f"{role}/{name}.{ending}".encode(): name.split("_")[0].encode() for name in part},
            )


def write_zip(path: Path, members: dict[bytes, bytes]) -> None:
    """A zip of many small stored members; the standard library takes ten times as long for it."""
    local = struct.Struct("<4s5H3I2H")
    entry = struct.Struct("<4s6H3I5H2I")
    directory = []
    place = 0
    with open(path, "wb") as file:
        for name, content in members.items():
            sums = (0, 0, 0, 33, zlib.crc32(content), len(content), len(content), len(name), 0)
            member = local.pack(b"PK\x03\x04", 20, *sums) + name + content
            file.write(member)
            directory.append(entry.pack(b"PK\x01\x02", 20, 20, *sums, 0, 0, 0, 0, place) + name)
            place += len(member)
        listing = b"".join(directory)
        end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, len(members), len(members), len(listing), place, 0)
        file.write(listing + end)
