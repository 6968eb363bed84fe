"""Widths of text as LaTeX sets it, so that a table's width is known without LaTeX."""

import unicodedata
from functools import lru_cache

# Hundredths of the type size, rounded up, at 8 pt: the widest of Computer Modern and Times in the encodings OT1 and T1,
# by their TFM files. One table for all, since a file of a report does not know the fonts of the paper that reads it.
_CHARACTERS = {
    31: ",.:;il",
    32: "|",
    34: "j",
    35: "!'[]f",
    36: " -",
    39: "I",
    42: "()rt",
    43: "s",
    48: "cez",
    51: "?",
    54: '"$*/0123456789`ago–',
    55: "J\\{}↑↓",
    57: "kqvxy",
    60: "Sbdhnpu",
    65: "Z^~",
    67: "L",
    70: "F",
    73: "EP",
    76: "B",
    77: "CTw",
    79: "R",
    80: "AHNUVXY",
    82: "D",
    83: "&+=KOQ_",
    84: "<>G±−",
    89: "#%m",
    95: "@",
    98: "M",
    107: "→",
    110: "W",
    143: "…",
}
_WIDTHS = {character: width for width, characters in _CHARACTERS.items() for character in characters}
# Characters that the table lacks are no wider than the widest letter.
_WIDEST_LETTER = 110

# Small type is wider for its size: the width of a character relative to that at 8 pt.
_RELATIVE = {7: 0.938, 8: 1.0, 9: 1.093}
_BOLD = 1.22

SIZES = tuple(_RELATIVE)
"""Type sizes in points whose widths are known."""


def text_width(text: str, size: int, bold: bool = False) -> float:
    """Width of a line of text in points, never less than what LaTeX makes of it, and at most a tenth more in OT1.

    Args:
        text: Text as it is printed, without commands.
        size: Type size in points, one of `SIZES`.
        bold: Whether the text is bold.

    Example:
        >>> text_width("87.12", 8)
        19.76
    """
    return round(_hundredths(text) / 100 * 8 * _RELATIVE[size] * (_BOLD if bold else 1), 4)


# A table is measured again for every set of columns that is tried.
@lru_cache(maxsize=100_000)
def _hundredths(text: str) -> int:
    # An accented letter is as wide as the letter.
    letters = text if text.isascii() else unicodedata.normalize("NFC", text)
    return sum(
        _WIDTHS.get(letter) or _WIDTHS.get(unicodedata.normalize("NFD", letter)[0], _WIDEST_LETTER)
        for letter in letters
    )
