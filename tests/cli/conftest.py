"""What the tests of several commands need: App backends of our own, right and broken."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from roomhook.contract_tests.app_backends.server import BackendServer


@pytest.fixture(scope="module")
def server() -> Iterator[BackendServer]:
    with BackendServer() as running:
        yield running
