"""A quick experiment, and how commands answer."""

EMPTY_CELL = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
SMALL = """
name = "small"
space = "digits201"
images = "tiny"
seeds = [0, 1]
[supernet]
epochs = 1
batch_size = 16
[table]
name = "additive"
dataset = "digits"
epochs = 10
[[selector]]
name = "random"
label = "chance"
[[selector]]
name = "best-acc"
"""


def refused(answer: tuple[int, str, str]) -> str:
    """What is said about bad input: status 2, nothing on the output, one line on the error stream."""
    status, output, error = answer
    assert status == 2
    assert output == ""
    assert error.startswith("opselect: ")
    assert error.endswith("\n")
    assert error.count("\n") == 1
    assert "Traceback" not in error
    return error.removeprefix("opselect: ").removesuffix("\n")
