"""The page in a real Chromium: how soon it is there, how smoothly the wall turns, how it holds up under a crowd.

    python -m bench.page [--rounds 5] [--viewers 50]

- First paint and interactive, and bytes transferred, beside a bare Gradio page with one button, in turns.
- Frames a second and the longest gap while six tiles of 21 views are dragged.
- Seconds from Generate to the first pixels of the turnaround.
- How long others wait for the page and for results while a run goes on and `--viewers` people look at results.

Only addresses of this machine are called.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from bench.startup import BARE, ROOT, served
from tests.browser.conftest import FLAGS
from tools.browser import find

VIEWS, TILES = 21, 6
DRAG_S, STEPS = 4.0, 240
OBJECT = ROOT / "assets" / "examples" / "1-robot.jpg"
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime / 1000"
DRAWN = "#wall .tile[data-state=done]:not(.tile-empty) canvas"
# Of one's own run: the preview while it works, or the result; never the recorded example.
PICTURES = "performance.getEntriesByType('resource').filter((e) => /view_\\d+/.test(e.name) && e.responseEnd).length"
OWN = (
    "#wall .tile[data-state=done]:not(:has(.tile-badge)):not(.tile-empty) canvas,"
    "#wall .tile[data-state=working] .tile-preview:not(.tile-ghost)"
)
NOTICE_INTERACTIVE = """
const found = new MutationObserver(() => {
    if (!document.querySelector("%s:not([disabled])")?.checkVisibility()) return;
    found.disconnect();
    requestAnimationFrame(() => setTimeout(() => (window.interactiveAt = performance.now()), 0));
});
document.addEventListener("DOMContentLoaded", () =>
    found.observe(document.documentElement, { childList: true, subtree: true, attributes: true }));
"""
# Counts the frames that the browser shows, and the longest time between two of them.
COUNT_FRAMES = """() => {
    const times = [];
    const next = (now) => { times.push(now); window.counting = requestAnimationFrame(next); };
    window.counting = requestAnimationFrame(next);
    window.counted = () => {
        cancelAnimationFrame(window.counting);
        const gaps = times.slice(1).map((time, i) => time - times[i]);
        return { fps: gaps.length / ((times.at(-1) - times[0]) / 1000), worst_ms: Math.max(...gaps) };
    };
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--viewers", type=int, default=50)
    asked = parser.parse_args()
    chromium = find()
    if not chromium:
        raise SystemExit("There is no Chromium here. `make test` installs one.")
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as other,
        served([sys.executable, "app.py"], Path(folder)) as ours,
        served([sys.executable, "-c", BARE], Path(other)) as bare,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        compare_arrivals(browser, {"bare Gradio": (bare, "button"), "app.py": (ours, "#generate")}, asked.rounds)
        results = [render(ours) for _ in range(TILES)]
        drag(browser, ours, ",".join(results))
        first_pixels(browser, ours, asked.rounds)
        crowd(ours, results, asked.viewers)
        browser.close()


# --- 1. Arriving ------------------------------------------------------------------------------------------------------


def compare_arrivals(browser: Browser, pages: dict[str, tuple[str, str]], rounds: int) -> None:
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in pages}
    for turn in range(rounds + 1):
        for name, (address, selector) in pages.items():
            arrival = arrive(browser, address, selector)
            if turn:  # the first fills the servers' caches
                taken[name].append(arrival)
    print(f"Arriving with an empty cache (median of {rounds}): first paint s, interactive s, kB transferred")
    for name, arrivals in taken.items():
        middle = {key: statistics.median(each[key] for each in arrivals) for key in arrivals[0]}
        print(f"  {name:12} {middle['paint']:6.2f} {middle['interactive']:6.2f} {middle['kB']:8.0f}")
    extra = statistics.median(a["kB"] for a in taken["app.py"]) - statistics.median(
        a["kB"] for a in taken["bare Gradio"]
    )
    print(f"  ours on top of Gradio's: {extra:.0f} kB (aim: under 1500)")


def arrive(browser: Browser, address: str, selector: str) -> dict[str, float]:
    """Interactive: the button that matters can be pressed and the main thread answers. By the page's own clock, since
    Playwright's questions wait behind whatever the page does.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(NOTICE_INTERACTIVE % selector)
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    received: list[float] = []
    wire.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    page.goto(address)
    interactive = page.wait_for_function("window.interactiveAt").json_value() / 1000
    page.wait_for_timeout(4000)  # for what is fetched afterwards
    arrival = {"paint": page.evaluate(FIRST_PAINT), "interactive": interactive, "kB": sum(received) / 1000}
    context.close()
    return arrival


# --- 2. Turning -------------------------------------------------------------------------------------------------------


def drag(browser: Browser, address: str, spec: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")  # nothing turns by itself
    page.add_init_script("performance.setResourceTimingBufferSize(2000)")  # Gradio's own files alone fill the usual 250
    page.goto(f"{address}/?r={spec}")
    page.wait_for_function(f"() => document.querySelectorAll('{DRAWN}').length >= {TILES}")
    page.wait_for_function(f"() => {PICTURES} >= {TILES * VIEWS}")
    box = page.locator(DRAWN).first.bounding_box()
    assert box
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.evaluate(COUNT_FRAMES)
    start = time.perf_counter()
    for step in range(STEPS):
        page.mouse.move(box["x"] + 20 + (step * 7) % (box["width"] - 40), box["y"] + box["height"] / 2)
        time.sleep(max(0.0, start + DRAG_S * step / STEPS - time.perf_counter()))
    counted = page.evaluate("window.counted()")
    page.mouse.up()
    print(
        f"Dragging {TILES} tiles of {VIEWS} views: {counted['fps']:.0f} frames a second, longest gap "
        f"{counted['worst_ms']:.0f} ms, {len(asked)} requests (software rendering when there is no GPU)"
    )
    page.close()


# --- 3. Generating ----------------------------------------------------------------------------------------------------


def first_pixels(browser: Browser, address: str, rounds: int) -> None:
    taken = []
    for _ in range(rounds):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        page.wait_for_selector("#cutout .board img")
        page.wait_for_selector("#generate:not([disabled])")
        watch_for_own_picture(page)
        page.click("#generate")
        taken.append(page.evaluate("() => window.ownPicture"))
        page.close()
    print(f"Generate to first pixels, s (median of {rounds}): {statistics.median(taken):.2f}")


def watch_for_own_picture(page: Page) -> None:
    """From the click on Generate to the first picture in a tile that is not the recorded example's."""
    page.evaluate(
        """(selector) => {
            window.ownPicture = new Promise((done) => {
                let start;
                document.querySelector('#generate').addEventListener('click', () => {
                    start = performance.now();
                    const look = () => {
                        if (document.querySelector(selector)) done((performance.now() - start) / 1000);
                        else requestAnimationFrame(look);
                    };
                    look();
                }, { capture: true });
            });
        }""",
        OWN,
    )


# --- 4. A crowd -------------------------------------------------------------------------------------------------------


def crowd(address: str, results: list[str], viewers: int) -> None:
    over = threading.Event()
    waited: list[float] = []

    def look(number: int) -> None:
        with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
            id = results[number % len(results)]
            while not over.is_set():
                for path in (f"r/{id}/wall.json", f"r/{id}/inflate/view_{number % VIEWS:03d}.webp"):
                    start = time.perf_counter()
                    client.get(path).raise_for_status()
                    waited.append(time.perf_counter() - start)
                over.wait(1.0)  # a person looks, too

    threads = [threading.Thread(target=look, args=(number,), daemon=True) for number in range(viewers)]
    for thread in threads:
        thread.start()
    with httpx.Client(base_url=address, timeout=60, trust_env=False) as visitor:
        quiet = page_latency(visitor, 10)
        run = threading.Thread(target=render, args=(address, 60))
        run.start()
        busy = page_latency(visitor, 10)
        run.join()
    over.set()
    for thread in threads:
        thread.join()
    print(
        f"With {viewers} viewers (medians): the page in {quiet * 1000:.0f} ms, during a run {busy * 1000:.0f} ms; "
        f"results in {statistics.median(waited) * 1000:.0f} ms, slowest of {len(waited)}: {max(waited):.2f} s"
    )


def page_latency(client: httpx.Client, times: int) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        client.get("/").raise_for_status()
        taken.append(time.perf_counter() - start)
        time.sleep(0.1)
    return statistics.median(taken)


# --- What all need ----------------------------------------------------------------------------------------------------


def render(address: str, count: int = VIEWS) -> str:
    """A result, made over HTTP; its id."""
    from gradio_client import Client, handle_file

    client = Client(address, verbose=False)
    made = client.predict(photo=handle_file(str(OBJECT)), path="orbit", count=count, api_name="/render")
    return made["id"]


if __name__ == "__main__":
    main()
