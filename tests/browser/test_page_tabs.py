"""One visitor with two tabs."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import FLAT_FLAGS, PATIENCE_MS, Visitors
from tests.browser.page_parts import (
    cutout_changed,
    cutout_shown,
    cutout_source,
    generate,
    one_view,
    pixels,
    result_shown,
    share_of,
    upload,
)
from tests.ui.house import BLUE, ORANGE, a_photo

pytestmark = pytest.mark.browser
FLAGS = FLAT_FLAGS


def test_two_tabs_have_a_photo_and_a_result_each_and_one_history(visitor: Visitors):
    first = visitor()
    second = first.context.new_page()
    second.set_default_timeout(PATIENCE_MS)
    second.goto(first.url)
    results = []
    for page, colour in ((first, ORANGE), (second, (60, 150, 60))):
        cutout_shown(page)
        before = cutout_source(page)
        upload(page, a_photo(colour))
        cutout_changed(page, before)
        one_view(page)
    for page in (first, second):
        generate(page)
    for page in (first, second):
        results.append(result_shown(page))
    assert results[0] != results[1]
    assert share_of(ORANGE, pixels(first, "#wall canvas")) > 0.08
    assert share_of(ORANGE, pixels(second, "#wall canvas")) < 0.01 < share_of(BLUE, pixels(second, "#wall canvas"))
    second.reload()
    expect(second.locator("#history li")).to_have_count(2)
