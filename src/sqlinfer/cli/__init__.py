"""The command line. Until its modules are imported, Ctrl-C leaves with a word: nothing has begun."""

import os
import signal
import sys


def _leave(*_: object) -> None:
    os.write(2, b"Interrupted\n")
    os._exit(1)


def imported() -> None:
    """From here on Ctrl-C is the command's own matter."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


_IS_PROGRAM = os.path.basename(sys.argv[0]) == "sqlinfer"  # in a library's caller the signal is the caller's
if _IS_PROGRAM and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _leave)
