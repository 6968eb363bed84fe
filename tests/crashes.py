"""Crashes at every point at which a process leaves something behind: for each of them, a forked child dies there.

What survives a crash is what the kernel was given before it, so a test need not pull a plug: it looks at the disk after
a child that dies before its first trace on it, then before its second, until one child has done everything.
"""

import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeAlias

import pytest

Crashes: TypeAlias = Callable[[Callable[[], object]], Iterator[int]]

_DEAD = 99
_EVENTS = {"open", "os.rename", "os.remove", "os.truncate", "os.mkdir", "fcntl.flock"}


def _crashes(action: Callable[[], object]) -> Iterator[int]:
    """Run an action in a child that dies before its first trace on the disk, then in one that dies before the second.

    A write dies half-way, with half of its bytes written. It ends with a child that has done everything.

    Yields:
        How many traces the child had left that has just died.
    """
    for survived in range(10_000):
        child = os.fork()
        if child == 0:
            _run_and_die(action, survived)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            return
        assert status == _DEAD, f"the child ended with {status}"
        yield survived


@pytest.fixture(scope="session")
def crashes() -> Crashes:
    """`for survived in crashes(action): ...` looks at what a process leaves that dies in the middle of an action."""
    return _crashes


def _run_and_die(action: Callable[[], object], survived: int) -> NoReturn:
    left = survived

    def trace(half: Callable[[], object] = lambda: None) -> None:
        nonlocal left
        if left == 0:
            half()
            os._exit(_DEAD)
        left -= 1

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        # Reading leaves no trace.
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_CREAT | os.O_TRUNC)):
            return
        if event in _EVENTS:
            trace()

    really_write, really_sync, really_write_bytes = os.write, os.fsync, pathlib.Path.write_bytes

    def write(descriptor: int, content: bytes) -> int:
        trace(lambda: really_write(descriptor, content[: len(content) // 2]))
        return really_write(descriptor, content)

    def sync(descriptor: int) -> None:
        trace()
        really_sync(descriptor)

    def write_bytes(path: pathlib.Path, content: bytes) -> int:
        trace(lambda: really_write_bytes(path, content[: len(content) // 2]))
        return really_write_bytes(path, content)

    try:
        sys.addaudithook(watch)
        os.write, os.fsync, pathlib.Path.write_bytes = write, sync, write_bytes
        action()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)
