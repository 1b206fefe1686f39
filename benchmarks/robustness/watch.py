"""A worker process that reads one input after the other, and what it is stopped for: 20 seconds, or a gigabyte more
than it had."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time

import psutil

from ..common import ROOT

PATIENCE = 20.0  # seconds
MEMORY = 2**30  # bytes above the start
STARTING = 120.0  # seconds until a worker has imported everything


class Worker:
    """`worker.ask(target, arguments)` -> {"outcome": "refused" | "accepted" | "traceback" | "hang" | "memory" |
    "crash", ...}; a process that was stopped or died is started anew for the next input. warm: (target, arguments); it
    is asked with each input's target as a further argument before the first input of that target, and may take whatever
    time and memory it takes."""

    def __init__(self, patience: float = PATIENCE, memory: int = MEMORY, warm: tuple | None = None):
        self.patience = patience
        self.memory = memory
        self.warm = warm
        self.process = None
        self.warmed = set()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def start(self) -> None:
        variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", "COLUMNS": "80"}
        command = [sys.executable, "-m", "benchmarks.robustness.worker"]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.answers = queue.Queue()
        threading.Thread(target=_listen, args=(self.process.stdout, self.answers), daemon=True).start()
        if self.answers.get(timeout=STARTING) is None:
            raise RuntimeError(
                "the worker does not start: run `python -m benchmarks.robustness.worker` and see what it says."
            )
        self.warmed = set()

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
        self.process = None

    def ask(self, target: str, arguments: dict) -> dict:
        if self.process is None:
            self.start()
        if self.warm and target not in self.warmed:
            self.warmed.add(target)
            self._send(self.warm[0], {**self.warm[1], "target": target})
            self.answers.get(timeout=STARTING)
        seen = psutil.Process(self.process.pid)
        before = seen.memory_info().rss
        began = time.monotonic()
        clock = Clock(seen)
        self._send(target, arguments)
        while True:
            try:
                answer = self.answers.get(timeout=0.03)
                break
            except queue.Empty:
                try:
                    grown = seen.memory_info().rss - before
                    taken = clock.read()
                except psutil.Error:  # it has just ended
                    continue
                if taken > self.patience:
                    return self._stopped("hang", began)
                if grown > self.memory:
                    return self._stopped("memory", began)
        if answer is None:
            return self._stopped("crash", began, f"the process ended with {self.process.wait()}")
        if answer.pop("peak", 0) - before > self.memory:
            answer["outcome"] = "memory"
        return {**answer, "seconds": round(time.monotonic() - began, 2)}

    def _send(self, target: str, arguments: dict) -> None:
        self.process.stdin.write(json.dumps({"target": target, "arguments": arguments}).encode() + b"\n")
        self.process.stdin.flush()

    def _stopped(self, outcome: str, began: float, message: str = "") -> dict:
        self.stop()
        return {"outcome": outcome, "message": message, "seconds": round(time.monotonic() - began, 2)}


class Clock:
    """Seconds that a process itself takes: in which it computes, or waits for something. Those in which other processes
    keep the machine from it don't count. Read it often: it asks each time what the process is doing."""

    def __init__(self, process: psutil.Process):
        self.process = process
        self.taken = 0.0
        self.seen = time.monotonic()
        self.computed = self._computed()

    def read(self) -> float:
        now = time.monotonic()
        computed = self._computed()
        running = self.process.status() == psutil.STATUS_RUNNING
        self.taken += computed - self.computed if running else now - self.seen
        self.seen = now
        self.computed = computed
        return self.taken

    def _computed(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system


def _listen(stream, answers: queue.Queue) -> None:
    for line in stream:
        answers.put(json.loads(line))
    answers.put(None)
