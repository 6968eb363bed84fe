"""What all errors have in common that a user can mend."""

import textwrap

LONGEST_MESSAGE = 2000
"""A sentence that quotes much is cut in its middle: where it happened stands first, what to do stands last."""


class UserError(Exception):
    """Something about the input is wrong; the message is one sentence: where, what was given, what was expected.

    The command line prints it without a traceback. Every subclass also is a built-in exception of the fitting kind.
    Whatever the message quotes, it is one line of printable characters and not long.
    """

    def __init__(self, message: str = "") -> None:
        # Twice, since what does not show gets longer by it, and a text of megabytes should not.
        super().__init__(_cut(printable(_cut(message))))


class MissingData(UserError, FileNotFoundError):
    """Images or a table that are not where they were looked for; the message says where and how to get them."""


def _cut(message: str) -> str:
    if len(message) <= LONGEST_MESSAGE:
        return message
    return f"{message[: 2 * LONGEST_MESSAGE // 3]} … {message[-LONGEST_MESSAGE // 4 :]}"


def in_one_line(error: Exception) -> str:
    """What an error of a library says, as a part of one of our sentences; its kind where it says nothing."""
    return shortened(" ".join(str(error).split()) or type(error).__name__)


def shortened(text: str) -> str:
    """The beginning of a long text."""
    return textwrap.shorten(text, 200, placeholder=" …")


def printable(text: str) -> str:
    r"""The text with everything that does not show as it is in Python's notation, `\n` or `\u202e` for example.

    Control characters could write over a terminal, marks of direction could reorder what stands there, and halves of
    surrogate pairs cannot be written to a file.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
