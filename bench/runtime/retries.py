"""The fate of a task whose worker dies, on this machine or on a cluster: it runs again, and is given up in the end.

On this machine `in_processes` counts the deaths, on a cluster the scheduler does.
"""

from collections.abc import Callable
from typing import TypeVar

from opselect.spaces.errors import UserError

ALLOWED_DEATHS = 3
"""Number of processes of this machine that may die of one task before it is given up."""

Task = TypeVar("Task")
Result = TypeVar("Result")


def give_up(
    task: Task,
    deaths: str,
    last: str,
    on_failure: Callable[[Task, str], Result] | None,
    error: type[UserError],
) -> Result:
    """The result of a task that has cost too many workers.

    Args:
        task: The task that is given up.
        deaths: How many workers died, as "3 worker processes".
        last: The last of them, or how it died.
        on_failure: Makes the result from the task and the reason, or None where there is no such result.
        error: The class of the error to raise where there is no such result.

    Returns:
        What `on_failure` makes.

    Raises:
        UserError: There is no `on_failure`; it is of the given class.

    Example:
        >>> give_up("a task", "3 worker processes", "with exit status 7", lambda task, reason: reason, UserError)
        '3 worker processes died of it, the last one with exit status 7'
    """
    reason = f"{deaths} died of it, the last one {last}"
    if on_failure is None:
        raise error(f"a task was given up: {reason}") from None
    return on_failure(task, reason)
