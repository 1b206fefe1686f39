"""What the command lines of rfnet, rfft and pocket share: subcommands, errors as one sentence with exit status 1, and
130 when the user stops them.
"""

import argparse
import errno
import os
import sys

from .arguments import THREADS, Parser, one_line
from .files import NotAFile, NotWritten, quoted, refusal

LONGEST = 390  # characters of an error
OURS = __package__.rpartition(".")[0]  # this pack, by whatever name it was imported
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
REASONS = {  # of a path that is read, made or written: nothing says which
    errno.EACCES: "may not be used: change its permissions, or choose another place",
    errno.EPERM: "may not be used: change its permissions, or choose another place",
    errno.EROFS: "lies on a disk that can't be written: choose another place",
    errno.EEXIST: "is there already, and no folder: choose another name",
    errno.ENOTDIR: "lies below a file, or is none itself: give the path of a folder",
    errno.ENOTEMPTY: "is a folder with something in it: choose another name",
}
NO_MEMORY = (
    "there is not enough memory for this: close other programs, or take fewer workers, a smaller batch, size or limit."
)


class Commands:
    """`commands = Commands("rfnet", "..."); sub = commands.add("train", train, "..."); ...; commands.run(argv)`."""

    def __init__(self, prog: str, description: str):
        self.prog = prog
        self.parser = Parser(prog=prog, description=description)
        self.subparsers = self.parser.add_subparsers(required=True, metavar="COMMAND")

    def add(self, name: str, function, help: str) -> argparse.ArgumentParser:
        """A subcommand that calls function(args)."""
        import torch

        sub = self.subparsers.add_parser(
            name, help=help, description=help, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        sub.add_argument("--threads", type=THREADS, default=torch.get_num_threads(), help="CPU threads")
        sub.set_defaults(command=function)
        return sub

    def run(self, argv, **more) -> int:
        """Parses and runs.

        A command that went on past something damaged sets args.status to 1. more: further attributes of args.
        """
        import torch

        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")  # file names may hold what a console can't show
        args = self.parser.parse_args(argv)
        torch.set_num_threads(args.threads)
        vars(args).update(more, status=0)
        return guarded(self.prog, lambda: args.command(args) or args.status)


def guarded(prog: str, work, status: int = 1) -> int:
    """What work() returns; where it fails, one sentence on stderr and `status`, or 130 where the user stops it.

    RELIABLE_ADS_TRACEBACK=1 in the environment shows where an error comes from."""
    try:
        return work()
    except KeyboardInterrupt:
        print(f"{prog}: stopped; run the same command again to go on.", file=sys.stderr)
        return 130
    except Exception as error:
        if os.getenv("RELIABLE_ADS_TRACEBACK"):
            raise
        print(f"{prog}: {sentence(error)}", file=sys.stderr)
        return status


def sentence(error: Exception) -> str:
    """An error as one sentence below 400 characters: what, where, what to do."""
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _says_memory(str(error))):
        return NO_MEMORY
    if isinstance(error, OSError) and not isinstance(error, NotWritten) and error.errno is not None:
        return _of_the_system(error)
    if isinstance(error, ImportError):
        return one_line(
            f"this needs {error.name or 'a package'}, which can't be imported ({error}): install it with pip.", LONGEST
        )
    if type(error).__module__.startswith(OURS) or type(error) in (
        ValueError,
        RuntimeError,
        OSError,
        FloatingPointError,
        argparse.ArgumentTypeError,
    ):
        reason = (
            str(error).split("\n")[0] if type(error) is RuntimeError else str(error)
        )  # torch adds where in its own code
        return (
            one_line(reason, LONGEST)
            or f"{type(error).__name__}, which says nothing more: run again with RELIABLE_ADS_TRACEBACK=1 to see where."
        )
    reason = one_line(str(error), 150)
    return (
        f"unexpected error ({type(error).__name__}: {reason}): check what was given; RELIABLE_ADS_TRACEBACK=1 in"
        " the environment shows where it happened, for a report."
    )


def _says_memory(text: str) -> bool:
    low = text.lower()
    return any(
        words in low
        for words in (
            "out of memory",
            "can't allocate memory",
            "not enough memory",
            "storage size calculation overflowed",
        )
    )


def _of_the_system(error: OSError) -> str:
    path = error.filename if error.filename is not None else ""
    path = os.fsdecode(path) if isinstance(path, bytes) else path
    if error.errno in FULL:
        where = f"the disk of {quoted(os.path.dirname(os.path.abspath(path)))}" if path else "the disk"
        return (
            f"{where} is full: free some space, or choose another folder; what was finished before is kept, and the"
            " same command goes on from it."
        )
    if not path:
        return (
            f"the system refused ({one_line(error.strerror or str(error), 100)}): check the paths that were given,"
            " their disks and permissions."
        )
    if error.errno in REASONS and not isinstance(error, NotAFile):
        return f"{quoted(path)} {REASONS[error.errno]}."
    return refusal(path, error)
