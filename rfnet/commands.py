"""What the command lines of rfnet and rfft share: subcommands, errors as one sentence with exit status 1, and 130 when the user stops them."""

import argparse
import sys

import torch


class Commands:
    """`commands = Commands("rfnet", "..."); sub = commands.add("train", train, "..."); ...; commands.run(argv, refusals)`."""

    def __init__(self, prog: str, description: str):
        self.prog = prog
        self.parser = argparse.ArgumentParser(prog=prog, description=description)
        self.subparsers = self.parser.add_subparsers(required=True)

    def add(self, name: str, function, help: str) -> argparse.ArgumentParser:
        """A subcommand that calls function(args)."""
        sub = self.subparsers.add_parser(name, help=help, description=help, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        sub.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
        sub.set_defaults(command=function)
        return sub

    def run(self, argv, refusals: tuple, **more) -> int:
        """Parses and runs; exceptions in `refusals` are printed as they are. A command that went on past something damaged sets args.status to 1.

        more: further attributes of args."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")  # file names may hold what a console can't show
        args = self.parser.parse_args(argv)
        torch.set_num_threads(args.threads)
        vars(args).update(more, status=0)
        try:
            args.command(args)
        except refusals as error:
            print(f"{self.prog}: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print(f"{self.prog}: stopped; run the same command again to go on.", file=sys.stderr)
            return 130
        return args.status
