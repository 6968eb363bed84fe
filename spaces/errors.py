"""What all errors have in common that a user can mend."""

import textwrap


class UserError(Exception):
    """Something about the input is wrong; the message is one sentence: where, what was given, what was expected.

    The command line prints it without a traceback. Every subclass also is a built-in exception of the fitting kind.
    """


class MissingData(UserError, FileNotFoundError):
    """Images or a table that are not where they were looked for; the message says where and how to get them."""


def in_one_line(error: Exception) -> str:
    """What an error of a library says, as a part of one of our sentences; its kind where it says nothing."""
    return shortened(" ".join(str(error).split()) or type(error).__name__)


def shortened(text: str) -> str:
    """The beginning of a long text."""
    return textwrap.shorten(text, 200, placeholder=" …")
