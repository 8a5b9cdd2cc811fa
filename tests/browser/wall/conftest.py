"""The wall behind its real rooms, with a few results to look at."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from pipelines.core.cameras import orbit
from tests.browser.wall.parts import Visit
from tests.browser.wall_house import WallHouse, wall_house


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WallHouse]:
    with wall_house(tmp_path_factory.mktemp("wall") / "data") as house:
        yield house


@pytest.fixture(scope="module")
def two(house: WallHouse) -> str:
    """An orbit and six fixed views of one subject."""
    return house.make(house.dial, house.sixfold)


@pytest.fixture(scope="module")
def seeded(house: WallHouse) -> str:
    """The orbit again, with another seed."""
    return house.make(house.dial, seed=7)


@pytest.fixture(scope="module")
def solid(house: WallHouse) -> str:
    return house.make(house.inflate, views=orbit(8, 10.0), size_px=128)


@pytest.fixture
def visit(browser: Browser, house: WallHouse) -> Iterator[Visit]:
    visit = Visit(browser, house)
    yield visit
    for context in visit.contexts:
        context.close()
    assert visit.complaints == []
    assert [url for url in visit.asked if not url.startswith((house.url, "data:", "blob:"))] == []
