"""What the sections that start a process share: its buttons, and what they say of it."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from ..process import STOPPED, Process
from ..settings import Refused


def buttons(name: str, id: str) -> tuple:
    """(start, cancel, refresh); the last two can be seen while it runs, and then javascript/reliable_ads.js presses the
    last one every few seconds.
    """
    with gr.Row():
        start = gr.Button(name, variant="primary", min_width=80, elem_id=f"{id}_start")
        cancel = gr.Button("Cancel", visible=False, min_width=80, elem_id=f"{id}_cancel")
        refresh = gr.Button("Refresh", visible=False, min_width=80, elem_id=f"{id}_refresh")
    return start, cancel, refresh


class Running:
    """The process of a section: one at a time, whoever started it, also after the page was loaded anew."""

    def __init__(self, what: str, stopped: str):
        self.what = what
        self.stopped = stopped
        self.process: Process | None = None

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.running

    def check_free(self) -> None:
        """Raises Refused while one runs."""
        if self.is_running:
            raise Refused(f"{self.what} is running already: wait for its end, or press Cancel.")

    def start(self, arguments: list, log: Path, cpu: bool) -> None:
        """Raises Refused, OSError."""
        self.check_free()
        self.process = Process(arguments, log, cpu)

    def cancel(self) -> str:
        return self.process.stop() if self.process else "Nothing runs."

    def state(self) -> str:
        """In a line: what it does, or how it ended."""
        if self.process is None:
            return "Nothing was started yet."
        status = self.process.status
        if status is None:
            return f"{self.what} is stopping." if self.process.told else f"{self.what} is running."
        if status == STOPPED:
            return f"{self.what} was stopped: {self.stopped}."
        if status:
            return f"{self.what} ended without a result. {''.join(self.process.lines(1)) or 'It said nothing.'}"
        return f"{self.what} is done."

    def shown(self, state: str = "") -> tuple:
        """(state, log, cancel button, refresh button) as the page shows them."""
        buttons = [gr.update(visible=self.is_running)] * 2
        return state or self.state(), self.log(), *buttons

    def log(self) -> str:
        return "\n".join(self.process.lines()) if self.process else ""


def number(name: str, value, kind: type):
    """What was typed into a box, as int or float. Raises Refused."""
    try:
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        raise Refused(f"{name[0].upper()}{name[1:]} is {value}: give a{' whole' * (kind is int)} number.") from None
