"""kill -9 at any moment: the same command again, and each product ends once."""

import random
import signal
import subprocess
import sys
import time

import pytest

from .catalogue_examples import catalogue, check_whole, opened, rows

DRIVER = """
import sys
from reliable_ads.benchmarks.sleeping_engine import SleepingSpec
from reliable_ads.catalogue import manifest, run, rows, storage
run.PART = 4
listed = rows.Catalogue(sys.argv[1], ("{caption} on a table",))
run.Run(listed, SleepingSpec(seconds=0.01), storage.open_storage(sys.argv[2]), say=print)()
"""


def start(folder, out) -> subprocess.Popen:
    command = [sys.executable, "-c", DRIVER, str(folder / "products.csv"), str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow(reason="five processes")
def test_a_driver_that_is_killed_goes_on(tmp_path):
    catalogue(tmp_path, 24)
    out, moments, killed = tmp_path / "out", random.Random(0), 0
    for _ in range(3):
        driver = start(tmp_path, out)
        began = len(list((out / "pictures").rglob("*.png"))) if out.exists() else 0
        while driver.poll() is None and len(list((out / "pictures").rglob("*.png"))) < began + 3:
            time.sleep(0.01)
        time.sleep(moments.random() * 0.1)
        killed += driver.poll() is None
        driver.send_signal(signal.SIGKILL)
        driver.communicate()
    assert killed == 3
    driver = start(tmp_path, out)
    said = driver.communicate(timeout=120)[0]
    assert driver.returncode == 0, said
    assert {row["id"] for row in rows(out)} == {f"p{number}" for number in range(24)}
    assert opened(out).totals.jobs == 24
    check_whole(out)


@pytest.mark.slow(reason="a process")
def test_a_driver_that_is_stopped_keeps_what_it_has(tmp_path):
    catalogue(tmp_path, 24)
    out = tmp_path / "out"
    driver = start(tmp_path, out)
    while driver.poll() is None and len(list((out / "pictures").rglob("*.png"))) < 3:
        time.sleep(0.01)
    driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=60)
    assert len(rows(out)) >= 2 and (out / "index.html").exists() and not (out / "run.json").exists()
