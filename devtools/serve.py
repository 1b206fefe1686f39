"""`python dev.py serve [ComfyUI arguments]`: ComfyUI with this pack, for a person with a browser, until Ctrl+C."""

import argparse
import signal
import sys

from .comfy import ROOT, ComfyServer
from .server import ServerFailed


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl+C: the server is stopped, too
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--port", type=int)
    parser.add_argument("--comfyui")  # dev.py has read it
    mine, arguments = parser.parse_known_args(arguments)
    folder = ROOT / "out"
    print("starting ComfyUI ...", file=sys.stderr, flush=True)
    try:
        with ComfyServer(
            folder / "comfyui", folder / "server.log", ("--preview-method", "auto", *arguments), port=mine.port
        ) as server:
            print(
                f"ComfyUI with Reliable Ads: http://{server.address}  (Ctrl+C ends it; log: {server.log})", flush=True
            )
            server.process.wait()
            print(f"ComfyUI ended by itself:\n{server.last_words()}", file=sys.stderr)
            return 1
    except ServerFailed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
