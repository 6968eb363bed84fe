"""Running the promises of what is registered under a name, and saying which are kept."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from opselect.bench.conformance.check import Check, CheckFailed, NotApplicable
from opselect.bench.conformance.collect import checks
from opselect.bench.experiment.file import InvalidExperiment
from opselect.spaces import registry
from opselect.spaces.errors import UserError, in_one_line

Status = Literal["kept", "broken", "not applicable"]


@dataclass(frozen=True)
class Outcome:
    """What became of one check.

    Attributes:
        kind: of the part, as `opselect list` calls it.
        name: registered.
        check: in a few words.
        promise: what is promised, one sentence.
        status: whether it is kept.
        sentence: what was observed, or why the promise does not apply; empty where it is kept.
        seconds: that the check took.
    """

    kind: str
    name: str
    check: str
    promise: str
    status: Status
    sentence: str
    seconds: float


def kinds_of(name: str) -> tuple[str, ...]:
    """The kinds in which the name is registered.

    Raises:
        UnknownName: there are none.
    """
    found = tuple(kind for kind in registry.KINDS if name in registry.names(kind))
    if not found:
        everything = tuple(sorted({known for kind in registry.KINDS for known in registry.names(kind)}))
        raise registry.UnknownName(f"nothing is registered as {name!r}{registry.did_you_mean(name, everything)}")
    return found


def examine(kind: str, name: str, settings: Mapping[str, Any]) -> Iterator[Outcome]:
    """Check a part, one promise after the other.

    Args:
        kind: one of `opselect.spaces.registry.KINDS`.
        name: registered.
        settings: of a selector.

    Raises:
        UnknownName: nothing of the kind has the name.
        MissingData: images or a table are not there.
        InvalidExperiment: the settings are wrong.
    """
    loading = Check(
        f"{registry.SINGULAR[kind]} {name!r}", "can be loaded", "The entry point leads to a part.", _nothing
    )
    try:
        found = checks(kind, name, settings)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise InvalidExperiment(
            f"{loading.subject}: {where}: {problem['msg']}; give it with --set {where}=VALUE"
        ) from None
    except UserError:
        raise
    except CheckFailed as broken:
        yield _outcome(kind, name, loading, "broken", str(broken), 0.0)
        return
    except Exception as error:
        yield _outcome(kind, name, loading, "broken", f"loading it raised {_raised(error)}", 0.0)
        return
    for check in found:
        started = time.perf_counter()
        status: Status = "kept"
        sentence = ""
        try:
            check.verify()
        except NotApplicable as reason:
            status, sentence = "not applicable", str(reason)
        except CheckFailed as broken:
            status, sentence = "broken", str(broken)
        except Exception as error:
            status, sentence = "broken", f"it raised {_raised(error)}"
        yield _outcome(kind, name, check, status, sentence, time.perf_counter() - started)


def _nothing() -> None:
    """Loading is observed by doing it."""


def _raised(error: Exception) -> str:
    return f"{type(error).__name__}: {in_one_line(error)}"


def _outcome(kind: str, name: str, check: Check, status: Status, sentence: str, seconds: float) -> Outcome:
    return Outcome(kind, name, check.name, check.promise, status, sentence, seconds)


def line_of(outcome: Outcome) -> str:
    """One line for the reader: what is checked, what became of it and why."""
    explained = outcome.sentence if outcome.status != "kept" else outcome.promise
    return f"{outcome.status:14s}  {outcome.check}: {explained}"
