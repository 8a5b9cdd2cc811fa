"""One real server for the tests that speak HTTP to the page."""

from collections.abc import Iterator

import pytest

from tests.ui.hostile.server import Running, serving


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("house") / "data", "tests.ui.house") as running:
        yield running
