"""The process that reads bad inputs: a line of JSON in, a line of JSON out. Started by watch.Worker."""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings

from .sentences import Said

REACHED: list = []  # addresses that something asked for: no input may make us reach for the network


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    questions = os.fdopen(os.dup(0), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):  # whatever is read or printed meanwhile doesn't get between
        os.dup2(nothing, stream)
    from .targets import TARGETS  # after the above: libraries talk while they are imported

    sys.addaudithook(
        lambda event, arguments: (
            REACHED.append(str(arguments[-1]))
            if event
            in (
                "socket.connect",
                "socket.getaddrinfo",
            )
            else None
        )
    )

    def say(answer):
        return print(json.dumps(answer), file=answers, flush=True)

    say({"ready": True})
    for line in questions:
        question = json.loads(line)
        say(answer_to(TARGETS[question["target"]], question["arguments"]))


def answer_to(target, arguments: dict) -> dict:
    """What the target made of it. "result" of an accepted input is a text that is equal for equal results."""
    peak = peak_memory()
    REACHED.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            answer = target(**arguments)
            answer = (
                {
                    "outcome": "refused",
                    "message": answer.text,
                    "said": answer.beside,
                }
                if isinstance(answer, Said)
                else {"outcome": "accepted", "result": str(answer)[:5000]}
            )
        except BaseException as error:  # whatever it is, it is what we are looking for
            answer = {
                "outcome": "refused" if is_sentence(error) else "traceback",
                "message": str(error),
                "type": type(error).__name__,
                "trace": traceback.format_exc()[-3000:],
            }
    if REACHED:
        answer = {**answer, "outcome": "traceback", "type": "it reaches for the network", "trace": ", ".join(REACHED)}
    return {**answer, "peak": after if (after := peak_memory()) > peak else 0}


def is_sentence(error: BaseException) -> bool:
    """Whether it is raised to be read: an error of this project, or a plain ValueError or OSError. What libraries raise
    of their own isn't."""
    return type(error).__module__.startswith("reliable_ads.") or type(error) in (ValueError, OSError, FileNotFoundError)


def peak_memory() -> int:
    """The most bytes that this process ever had, 0 where the system doesn't say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
