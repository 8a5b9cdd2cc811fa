"""The page in a real Chromium: how soon it is there, how smoothly the wall turns, how it holds up under a crowd.

    python -m bench.page [--rounds 5] [--viewers 50]

- First paint and interactive, and bytes transferred, beside a bare Gradio page with one button, in turns.
- Frames a second and the longest gap while six tiles of 21 views are dragged, and six models in 3D.
- Seconds from Generate to the first preview of the visitor's own object, and to the first picture of the finished
  turnaround.
- How long others wait for the page and for results while `--viewers` people look at results, and while a run goes on
  beside.

Each figure stands beside its aim, where it has one.

Only addresses of this machine are called.
"""

import argparse
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from bench.startup import BARE, ROOT, served
from tests.browser.conftest import FLAGS
from tools.browser import find

if TYPE_CHECKING:
    from gradio_client.client import Job

VIEWS, TILES = 21, 6
DRAG_S, STEPS = 4.0, 240
RUN_VIEWS = 100  # of the run beside a crowd: the most that one may have at this size
LOOKS, PAUSE_S = 10, 0.3  # at the page, before that run
MORE_S, MORE_KB, FIRST_S, FPS = 1.0, 1500, 1.0, 60  # the aims
OBJECT = ROOT / "assets" / "examples" / "1-robot.jpg"
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime / 1000"
DRAWN = "#wall .tile[data-state=done]:not(.tile-empty) canvas"
PICTURES = "performance.getEntriesByType('resource').filter((e) => /view_\\d+/.test(e.name) && e.responseEnd).length"
# Of one's own run, never of the recorded example
OWN = {
    "preview": "#wall .tile[data-state=working] .tile-preview:not(.tile-ghost)",
    "picture": "#wall .tile[data-state=done]:not(:has(.tile-badge)):not(.tile-empty) canvas",
}
GL = """() => {
    const gl = document.createElement("canvas").getContext("webgl2");
    const told = gl?.getExtension("WEBGL_debug_renderer_info");
    return told ? gl.getParameter(told.UNMASKED_RENDERER_WEBGL) : "none";
}"""
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
        drag(browser, ours, ",".join(results), in_3d=False)
        drag(browser, ours, ",".join(results), in_3d=True)
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
    middle = {
        name: {key: statistics.median(each[key] for each in arrivals) for key in arrivals[0]}
        for name, arrivals in taken.items()
    }
    for name, each in middle.items():
        print(f"  {name:12} {each['paint']:6.2f} {each['interactive']:6.2f} {each['kB']:8.0f}")
    more = {key: middle["app.py"][key] - middle["bare Gradio"][key] for key in ("interactive", "kB")}
    print(f"  interactive after Gradio's: {more['interactive']:+.2f} s (aim: at most {MORE_S:+.1f} s)")
    print(f"  ours on top of Gradio's: {more['kB']:.0f} kB (aim: under {MORE_KB})")


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


def drag(browser: Browser, address: str, spec: str, *, in_3d: bool) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")  # nothing turns by itself
    page.add_init_script("performance.setResourceTimingBufferSize(2000)")  # Gradio's own files alone fill the usual 250
    page.goto(f"{address}/?r={spec}")
    page.wait_for_function(f"() => document.querySelectorAll('{DRAWN}').length >= {TILES}")
    page.wait_for_function(f"() => {PICTURES} >= {TILES * VIEWS}")
    if in_3d:
        page.locator(".wall-bar").get_by_role("button", name="3D", exact=True).click()
        page.wait_for_function(f"() => document.querySelectorAll('{DRAWN}.tilts').length >= {TILES}")
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
    what = f"models in 3D, drawn by {drawer(page)}" if in_3d else f"tiles of {VIEWS} views"
    print(
        f"Dragging {TILES} {what}: {counted['fps']:.0f} frames a second (aim: {FPS}), longest gap "
        f"{counted['worst_ms']:.0f} ms, {len(asked)} requests"
    )
    page.close()


def drawer(page: Page) -> str:
    """What draws in 3D."""
    name = str(page.evaluate(GL))
    return "the processor, which says little of a GPU" if re.search("SwiftShader|llvmpipe", name) else name


# --- 3. Generating ----------------------------------------------------------------------------------------------------


def first_pixels(browser: Browser, address: str, rounds: int) -> None:
    taken: list[dict[str, float]] = []
    for _ in range(rounds):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        page.wait_for_selector("#cutout .board img")
        page.wait_for_selector("#generate:not([disabled])")
        watch_for_own(page)
        page.click("#generate")
        taken.append(page.evaluate("() => window.own"))
        page.close()
    print(f"From Generate, s (median of {rounds}; aim: something within {FIRST_S:.1f} s):")
    previews = [each["preview"] for each in taken if "preview" in each]
    seen = f"{statistics.median(previews):.2f}" if previews else "none"
    print(f"  the first preview of the visitor's own object: {seen} (seen in {len(previews)} of {rounds})")
    pictures = statistics.median(each["picture"] for each in taken)
    print(f"  the first picture of the finished turnaround: {pictures:.2f}")


def watch_for_own(page: Page) -> None:
    """From the click on Generate: when each was first there, until the finished one is."""
    page.evaluate(
        """(own) => {
            window.own = new Promise((done) => {
                document.querySelector('#generate').addEventListener('click', () => {
                    const start = performance.now();
                    const seen = {};
                    const look = () => {
                        for (const [name, selector] of Object.entries(own)) {
                            if (!(name in seen) && document.querySelector(selector)) {
                                seen[name] = (performance.now() - start) / 1000;
                            }
                        }
                        if ('picture' in seen) done(seen);
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
    waited: list[tuple[float, float]] = []  # when, and how long

    def look(number: int) -> None:
        with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
            id = results[number % len(results)]
            while not over.is_set():
                for path in (f"r/{id}/wall.json", f"r/{id}/inflate/view_{number % VIEWS:03d}.webp"):
                    start = time.perf_counter()
                    client.get(path).raise_for_status()
                    waited.append((start, time.perf_counter() - start))
                over.wait(1.0)  # a person looks, too

    threads = [threading.Thread(target=look, args=(number,), daemon=True) for number in range(viewers)]
    for thread in threads:
        thread.start()
    try:
        with httpx.Client(base_url=address, timeout=60, trust_env=False) as visitor:
            quiet = [page_latency(visitor) for _ in range(LOOKS)]
            run = begin(address, RUN_VIEWS)
            start, beside, looks = time.perf_counter(), list[float](), 0
            while not run.done():
                latency, looks = page_latency(visitor), looks + 1
                if not run.done():  # it went on all the while
                    beside.append(latency)
            run.result()
            run_s = time.perf_counter() - start
    finally:
        over.set()
        for thread in threads:
            thread.join()
    during = [seconds for when, seconds in waited if start <= when and when + seconds <= start + run_s]
    before = [seconds for when, seconds in waited if when < start]
    print(f"With {viewers} viewers, ms (medians, and the slowest), without and with a run beside:")
    print(f"  the page:    {middle_and_worst(quiet)}; {middle_and_worst(beside)}")
    print(f"  the results: {middle_and_worst(before)}; {middle_and_worst(during)}")
    print(
        f"  in the run's {run_s:.1f} s lie {len(beside)} of {looks} looks at the page beside it, and {len(during)} of "
        f"all {len(waited)} looks at results"
    )


def page_latency(client: httpx.Client) -> float:
    time.sleep(PAUSE_S)
    start = time.perf_counter()
    client.get("/").raise_for_status()
    return time.perf_counter() - start


def middle_and_worst(seconds: list[float]) -> str:
    if not seconds:
        return "not measured"
    return f"{statistics.median(seconds) * 1000:.0f} (slowest of {len(seconds)}: {max(seconds) * 1000:.0f})"


# --- What all need ----------------------------------------------------------------------------------------------------


def render(address: str) -> str:
    """A result, made over HTTP; its id."""
    return begin(address, VIEWS).result()["id"]


def begin(address: str, count: int) -> "Job":
    """A run over HTTP that has begun: its method is at work."""
    from gradio_client import Client, handle_file

    client = Client(address, verbose=False, analytics_enabled=False)
    job = client.submit(photo=handle_file(str(OBJECT)), path="orbit", count=count, api_name="/render")
    told = cast("Iterator[dict[str, Any]]", iter(job))
    if not any(each["method"] for each in told if each["state"] == "working"):
        job.result()  # says why not, if it was refused
    return job


if __name__ == "__main__":
    main()
