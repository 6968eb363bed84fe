"""The base class of all errors that a user can correct, and how their messages quote text."""

import textwrap

LONGEST_MESSAGE = 2000
"""Limit of characters. A longer message loses its middle: the place of the error stands first, the advice last."""


class UserError(Exception):
    r"""The input is wrong; the message is one sentence: where, what was given, what was expected.

    The command line prints the message without a traceback. Every subclass also derives from the built-in exception
    that fits. Quoted input cannot spoil a message: it stays one line of printable characters and is not long.

    Example:
        >>> print(UserError("the name 'a\nb' is unknown, expected 'digits'"))
        the name 'a\nb' is unknown, expected 'digits'
    """

    def __init__(self, message: str = "") -> None:
        # Cut before as well as after: escapes lengthen a text, and escaping megabytes would take long.
        super().__init__(_cut(printable(_cut(message))))


class MissingData(UserError, FileNotFoundError):
    """Images or a table are missing; the message says where they were expected and how to get them."""


def _cut(message: str) -> str:
    if len(message) <= LONGEST_MESSAGE:
        return message
    return f"{message[: 2 * LONGEST_MESSAGE // 3]} … {message[-LONGEST_MESSAGE // 4 :]}"


def in_one_line(error: Exception) -> str:
    r"""The message of a library's error on one line, to be quoted in a sentence; the error's class if it has none.

    Example:
        >>> in_one_line(ValueError("bad header\n  in line 3"))
        'bad header in line 3'
        >>> in_one_line(EOFError())
        'EOFError'
    """
    return shortened(" ".join(str(error).split()) or type(error).__name__)


def shortened(text: str) -> str:
    """The beginning of a text, at most 200 characters, cut between words and with single spaces."""
    return textwrap.shorten(text, 200, placeholder=" …")


def printable(text: str) -> str:
    r"""The text with unprintable characters as Python escapes, `\n` or `\u202e` for example.

    Control characters could overwrite a terminal, direction marks could reorder its text, and lone surrogates cannot
    be written to a file.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
