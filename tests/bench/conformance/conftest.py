"""A component that is registered for one test."""

from collections.abc import Callable

import pytest

from opselect.spaces import registry


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, object], str]:
    """Register a component under the name `bad` for the test."""

    def register(kind: str, component: object) -> str:
        load, names = registry.load, registry.names
        monkeypatch.setattr(registry, "load", lambda k, n: component if (k, n) == (kind, "bad") else load(k, n))
        monkeypatch.setattr(registry, "names", lambda k: (*names(k), "bad") if k == kind else names(k))
        return "bad"

    return register
