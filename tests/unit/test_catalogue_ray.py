"""On a real Ray, as few times as possible, since it takes long to start."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from reliable_ads.catalogue.cli import main

from .catalogue_examples import catalogue, check_whole, rows, tiny_family, write_csv, write_products

pytest.importorskip("ray")
# Beside other tests, Ray's own niceness of 15 starves, and what they take of the memory makes it kill workers
QUICK = {"RAY_worker_niceness": "0", "RAY_memory_monitor_refresh_ms": "0"}
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


def said_of(out) -> list[dict]:
    """The manifest's rows, without what depends on who drew them and when."""
    own = ("worker", "seconds", "job_seconds", "ended", "peak_mib")
    return sorted(
        ({name: value for name, value in row.items() if name not in own} for row in rows(out)),
        key=lambda row: (row["id"], row["attempt"]),
    )


@pytest.mark.slow(reason="Ray starts six processes")
def test_opinions_say_the_same_on_two_workers_of_ray(tmp_path, monkeypatch):
    files = tiny_family(tmp_path)
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)
    write_csv(tmp_path / "products.csv", write_products(tmp_path, 4))
    networks = [f"--{name}={files / name}.safetensors" for name in ("checkpoint", "controlnet")]
    drawing = ["--width", "64", "--steps", "2", "--attempts", "2", "--prompt", "{caption}", "--threads", "1"]
    judging = ["--reviewer", str(files / "fused.safetensors"), "--opinions", "contact"]
    command = ["produce", str(tmp_path / "products.csv"), *networks, *drawing, *judging]
    assert main([*command, "--out", str(tmp_path / "alone")]) == 0
    assert main([*command, "--out", str(tmp_path / "together"), "--ray", "--workers", "2"]) == 0
    alone, together = said_of(tmp_path / "alone"), said_of(tmp_path / "together")
    assert together == alone and len(alone) == 8
    assert {row["decided_by"] for row in together} == {"contact"}
    assert all(json.loads(row["opinions"]).keys() == {"contact"} for row in together)


@pytest.mark.slow(reason="Ray starts six processes")
def test_a_worker_that_is_killed_costs_no_job(tmp_path):
    listed, out = catalogue(tmp_path, 24), tmp_path / "out"
    command = [sys.executable, "-c", DRIVER, listed.location, str(out)]
    driver = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **QUICK}
    )
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
