"""On a real Ray, as few times as possible, since it takes long to start."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from reliable_ads.catalogue.cli import main

from .catalogue_examples import catalogue, check_whole, rows

pytest.importorskip("ray")
DRIVER = """
import sys
from reliable_ads.benchmarks.sleeping_engine import SleepingSpec
from reliable_ads.catalogue import ray_run, rows, run, storage
listed = rows.Catalogue(sys.argv[1], ("{caption} on a table",))
spec = SleepingSpec(seconds=0.2, fails=("p3",))
run.Run(listed, spec, storage.open_storage(sys.argv[2]), work=ray_run.OnRay(workers=1))()
"""


def workers_of(process: subprocess.Popen) -> list:
    """Its actors that do jobs."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.Error, IndexError):
            found += [child] if child.cmdline()[0].startswith("ray::MapWorker") else []
    return found


@pytest.mark.slow(reason="Ray starts six processes")
def test_a_worker_that_is_killed_costs_no_job(tmp_path):
    listed, out = catalogue(tmp_path, 24), tmp_path / "out"
    command = [sys.executable, "-c", DRIVER, listed.location, str(out)]
    # Beside other tests, Ray's own niceness of 15 starves, and what they take of the memory makes it kill workers
    quick = {**os.environ, "RAY_worker_niceness": "0", "RAY_memory_monitor_refresh_ms": "0"}
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=quick)
    while driver.poll() is None and len(list(out.glob("records/*.json"))) < 3:
        time.sleep(0.05)
    killed = workers_of(driver)[:1]
    for worker in killed:
        worker.send_signal(signal.SIGKILL)
    said = driver.communicate(timeout=300)[0]
    assert driver.returncode == 0 and len(killed) == 1, said
    assert {row["id"] for row in rows(out)} == {f"p{number}" for number in range(24)} - {"p3"}
    assert "1 × error: line 5 (p3): p3 can't be drawn" in said
    assert len({row["worker"] for row in rows(out)}) >= 2
    check_whole(out)


def test_what_does_not_go_together_with_ray_is_said_first(tmp_path, capsys):
    listed = catalogue(tmp_path, 1)
    where = ["produce", listed.location, "--out", str(tmp_path / "out"), "--prompt", "a box"]
    assert main([*where, "--workers", "2"]) == 1 and "give --ray, too" in capsys.readouterr().err
    (tmp_path / "graph.json").write_text("{}")
    assert main([*where, "--ray", "--comfy", "127.0.0.1:1", "--graph", str(tmp_path / "graph.json")]) == 1
    assert "--ray and --comfy don't go together" in capsys.readouterr().err
