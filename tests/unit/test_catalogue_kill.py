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
run.Run(listed, SleepingSpec(seconds=0.02), storage.open_storage(sys.argv[2]), say=print)()
"""


def start(folder, out) -> subprocess.Popen:
    command = [sys.executable, "-c", DRIVER, str(folder / "products.csv"), str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def after_some_products(driver, out) -> None:
    """Waits until the driver has drawn three more."""
    began = len(list((out / "pictures").rglob("*.png")))
    while driver.poll() is None and len(list((out / "pictures").rglob("*.png"))) < began + 3:
        time.sleep(0.01)


@pytest.mark.slow(reason="four processes")
def test_a_driver_that_is_killed_or_stopped_goes_on(tmp_path):
    catalogue(tmp_path, 24)
    out, moments = tmp_path / "out", random.Random(0)
    for sent in (signal.SIGKILL, signal.SIGKILL, signal.SIGINT):
        driver = start(tmp_path, out)
        after_some_products(driver, out)
        time.sleep(moments.random() * 0.1)
        assert driver.poll() is None
        driver.send_signal(sent)
        driver.communicate(timeout=120)
    assert (out / "index.html").exists() and not (out / "run.json").exists()  # stopped, it keeps what it has
    assert len(rows(out)) >= 6
    driver = start(tmp_path, out)
    said = driver.communicate(timeout=120)[0]
    assert driver.returncode == 0, said
    assert {row["id"] for row in rows(out)} == {f"p{number}" for number in range(24)}
    assert opened(out).totals.jobs == 24
    check_whole(out)
