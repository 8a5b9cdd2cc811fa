"""What becomes of runs and results while people come and go, in Chromium: queues, closed tabs, damage, deleting."""

import json
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import FLAT_FLAGS, Visitors
from tests.browser.page_parts import choose_only, cutout_shown, generate, one_view, result_shown, tiles, unfold
from tests.browser.wall_house import until
from tests.ui.hostile.server import Running, file_object
from tests.ui.house import a_photo

pytestmark = pytest.mark.browser
FLAGS = FLAT_FLAGS
SETTINGS = {"TURNAROUND_MAX_QUEUE": 2, "TURNAROUND_GRACE_S": 20}  # longer than a busy machine takes to begin following


def in_state(page: Page, state: str) -> Locator:
    return page.locator(f"#wall .tile[data-state={state}]")


def ids(page: Page) -> list[str]:
    """Of the results that the page's address names."""
    return str(page.evaluate("new URLSearchParams(location.search).get('r') ?? ''")).split(",")


def manifest(house: Running, id: str, key: str) -> dict:
    return house.client.get(f"/r/{id}/{key}/manifest.json").json()


def last(page: Page, steps: int) -> None:
    """Slow takes half a second for each."""
    unfold(page.locator("#method-slow"), "Options", "Steps").fill(str(steps))
    page.keyboard.press("Tab")


def delete(tile: Locator) -> None:
    tile.get_by_role("button", name="More").click()
    tile.get_by_role("button", name="Delete the result").click()
    tile.get_by_role("button", name="Delete", exact=True).click()


def made(house: Running) -> str:
    """A result by program, of one small view."""
    photo = file_object(house.upload(a_photo(), "ball.jpg"))
    given = [photo, None, ["inflate"], 0, 10, 1, "one view", 1, 0, 96, None, "auto", 0, 0.8, None, None]
    answer = house.call("render", *given)
    assert answer.ok, answer.text
    return json.loads(answer.text)[0]["id"]


def test_who_waits_learns_behind_whom_and_who_finds_the_queue_full_keeps_the_settings_and_comes_back(
    visitor: Visitors, house: Running
):
    first, second, third = visitor(), visitor(), visitor()
    for page in (first, second, third):
        cutout_shown(page)
        one_view(page)
    first.get_by_role("checkbox", name="Slow").check()
    last(first, 600)
    generate(first)
    expect(in_state(first, "working")).to_contain_text("Step")
    delete(in_state(first, "done"))
    expect(first.locator("#status .problem")).to_contain_text("still being made")
    generate(second)
    expect(in_state(second, "waiting")).to_contain_text(re.compile(r"Waiting for 1 other run, about \d+ minutes"))
    expect(in_state(second, "waiting").get_by_role("button", name="Cancel")).to_be_visible()
    expect(second.locator("#cancel")).to_be_visible()

    fourth = visitor(f"?r={ids(first)[0]}")  # follows someone else's run, and has none to cancel
    expect(in_state(fourth, "working")).to_contain_text("Step")
    expect(in_state(fourth, "working").get_by_role("button", name="Cancel")).to_have_count(0)
    expect(fourth.locator("#cancel")).to_be_hidden()
    fourth.click("#generate")  # refused, for the queue is full
    expect(fourth.locator("#status .problem")).to_contain_text("2 runs are waiting already")
    expect(fourth.locator("#history li")).to_have_count(0)

    third.get_by_role("button", name="Repair, edges, depth").click()  # which needs WebGL, and these browsers have none
    expect(third.locator(".brushes")).to_contain_text(
        "The mask editor needs WebGL, which this browser has switched off"
    )
    seed = unfold(third, "Size and seed", "Seed")
    seed.fill("7")
    generate(third)
    refusal = third.locator("#status .problem")
    expect(refusal).to_contain_text("2 runs are waiting already. Try again in a few minutes.")
    expect(refusal).to_be_in_viewport()
    expect(seed).to_have_value("7")

    first.click("#cancel")
    expect(in_state(first, "cancelled")).to_contain_text("What had finished before was saved")
    results = [result_shown(first), result_shown(second)]
    generate(third)
    results.append(result_shown(third))
    expect(refusal).to_have_count(0)
    assert manifest(house, ids(third)[0], "inflate")["seed"] == 7
    for page in (first, second, third):
        expect(page.locator("#history li")).to_have_count(1)
    assert len(set(results)) == 3


def test_a_closed_tab_ends_its_run_unless_its_link_was_taken(visitor: Visitors, house: Running):
    stays = visitor()
    stays.context.grant_permissions(["clipboard-read", "clipboard-write"])
    leaves = stays.context.new_page()
    leaves.goto(stays.url)
    for page in (stays, leaves):
        cutout_shown(page)
        choose_only(page, "Slow")
    last(leaves, 600)
    last(stays, 3)
    generate(leaves)
    expect(in_state(leaves, "working")).to_contain_text("Step")
    generate(stays)
    expect(in_state(stays, "waiting")).to_contain_text("Waiting for 1 other run")
    stays.get_by_role("button", name="Share").click()
    with stays.expect_response("**/queue/join*"):
        stays.get_by_role("button", name="Copy link", exact=True).click()
    stays.wait_for_timeout(500)  # a hand takes longer to close a tab: what a page has asked for ends with it
    (left,), (kept,) = ids(leaves), ids(stays)
    leaves.close()
    stays.close()

    def told(id: str) -> str:
        return house.client.get(f"/r/{id}/wall.json").json()["tiles"][0]["state"]

    until(lambda: (told(left), told(kept)) == ("cancelled", "done"))
    assert manifest(house, kept, "slow")["options"] == {"steps": 3}  # as its card was set
    back = visitor(f"?r={left},{kept}")
    expect(in_state(back, "cancelled")).to_contain_text("The page was closed, so this run was stopped")
    expect(in_state(back, "done").locator("canvas")).to_be_visible()
    assert not (house.data / "results" / left).exists()


def test_seeds_side_by_side_are_told_apart_and_one_deleted_from_its_tile_is_gone_everywhere(
    visitor: Visitors, house: Running
):
    page = visitor()
    cutout_shown(page)
    one_view(page)
    choose_only(page, "Slow")
    last(page, 1)
    generate(page)
    result_shown(page)
    for wanted in ("Beside it, with seed 1", "Run again exactly"):  # in one breath
        tiles(page).first.get_by_role("button", name="More").click()
        page.get_by_role("button", name=wanted).click()
    result_shown(page, 3)
    tiles(page).last.get_by_role("button", name="More").click()
    page.get_by_role("button", name="Beside it, with seed 2").click()
    result_shown(page, 4)
    expect(page.locator(".tile-differs")).to_have_text(["seed 0", "seed 1", "seed 0", "seed 2"])
    results = ids(page)
    assert [manifest(house, id, "slow")["seed"] for id in results] == [0, 1, 0, 2]
    expect(page.locator("#history li")).to_have_count(4)

    middle = tiles(page).nth(1)
    middle.get_by_role("button", name="More").click()
    middle.get_by_role("button", name="Delete the result").click()
    middle.get_by_role("button", name="Keep").click()
    page.keyboard.press("Escape")
    expect(middle.locator(".wall-panel:visible")).to_have_count(0)
    assert (house.data / "results" / results[1]).is_dir()
    delete(middle)
    expect(page.locator(".tile-differs")).to_have_text(["seed 0", "seed 0", "seed 2"])
    expect(page.locator("#history li")).to_have_count(3)
    assert ids(page) == [results[0], *results[2:]]
    assert not (house.data / "results" / results[1]).exists()

    other = visitor(f"?r={','.join(results)}")
    result_shown(other, 3)
    expect(other.locator(".wall-notice")).to_contain_text("no result behind this link")


def test_what_is_damaged_says_so_and_the_rest_is_shown(visitor: Visitors, house: Running):
    lacking, cut, whole = made(house), made(house), made(house)
    stored = house.data / "results"
    (stored / lacking / "inflate" / "view_000.webp").unlink()
    text = (stored / cut / "manifest.json").read_bytes()
    (stored / cut / "manifest.json").write_bytes(text[: len(text) // 2])

    page = visitor(f"?r={lacking},{cut},{whole}")
    assert result_shown(page) == whole
    expect(page.locator(".wall-notice")).to_contain_text("damaged")
    cutout_shown(page)  # of an example: nobody has the damaged one's
