"""Warnings on the error stream, one sentence each, in the command line and in worker processes."""

import logging
import sys


class _Sentences(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # Looked up here, since progress bars replace the stream while they are shown.
        sys.stderr.write(f"opselect: {record.levelname.lower()}: {record.getMessage()}\n")


_HANDLER = _Sentences(logging.WARNING)


def print_warnings() -> None:
    """Print the warnings of opselect on the error stream of this process.

    The package itself never does that: a program that imports opselect decides about its log.
    """
    logging.getLogger("opselect").addHandler(_HANDLER)
