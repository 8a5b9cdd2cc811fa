"""Find a Chromium that starts, or install one, for the tests that drive the page.

    python tools/browser.py      prints what it does, and the path of what it found

Looked for in this order: the program that CHROMIUM names, an installed Chromium or Chrome, Playwright's own. When there
is none, one is installed: Playwright's own, or, as root on Debian and Ubuntu, the distribution's.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The first is the same browser without a window of its own, which draws its frame all the time: a sixth less to do
PROGRAMS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
)
MAC_PROGRAMS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
DOWNLOAD_S = 300  # Playwright's Chromium is about 180 MB
APT_S = 600
CAPTURED: dict[str, Any] = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL}


def starts(program: str) -> bool:
    """Whether it shows a page. A browser without its libraries does not, nor does Ubuntu's stand-in for a snap."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
        page = "data:text/html,<p>it starts</p>"
        try:
            shown = subprocess.run([program, *flags, "--dump-dom", page], check=False, timeout=60, **CAPTURED)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return "it starts" in shown.stdout


def candidates() -> Iterator[str]:
    yield from (path for name in PROGRAMS if (path := shutil.which(name)))
    yield from (path for path in MAC_PROGRAMS if Path(path).exists())
    if (own := _playwrights_own()).exists():
        yield str(own)


def find() -> str | None:
    """The path of a Chromium that starts."""
    if named := os.environ.get("CHROMIUM"):
        path = shutil.which(named)
        if not path or not starts(path):
            raise SystemExit(f"CHROMIUM names {named!r}, which does not start as a browser. Correct or unset it.")
        return path
    return next((path for path in candidates() if starts(path)), None)


def install() -> str | None:
    print("No Chromium that starts was found; fetching Playwright's own ...", flush=True)
    playwright = [sys.executable, "-m", "playwright"]
    if _quietly([*playwright, "install", "chromium"], DOWNLOAD_S):
        if found := find():
            return found
        if _is_root():
            print("It lacks system libraries; installing them ...", flush=True)
            _quietly([*playwright, "install-deps", "chromium"], APT_S)
            if found := find():
                return found
    if _is_root() and shutil.which("apt-get"):
        print("That did not work; installing the distribution's Chromium with apt-get ...", flush=True)
        _quietly(["apt-get", "update"], APT_S)
        for browser in PROGRAMS[:2]:  # Ubuntu has not the first
            # Fonts too: without any, a page's text is boxes of another size.
            packages = [browser, "fonts-liberation"]
            _quietly(["apt-get", "install", "-y", "--no-install-recommends", *packages], APT_S)
            if found := find():
                return found
    return None


def _playwrights_own() -> Path:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _quietly(command: list[str], limit_s: float) -> bool:
    """Whether the command succeeded; its last words are shown when it did not."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(command, timeout=limit_s, env=environment, check=False, **CAPTURED)
    except (OSError, subprocess.TimeoutExpired) as problem:
        print(f"  {problem}")
        return False
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if re.search(r"\w{3}", line)]
        words = [line for line in said if "rror" in line] or said  # the cause, rather than the trace after it
        print(f"  {' '.join(command[-2:])} failed: {words[-1].strip()[:200] if words else 'no message'}")
    return done.returncode == 0


def main() -> None:
    path = find() or install()
    if not path:
        raise SystemExit(
            "The tests need a Chromium, and none could be found or installed. Install Chromium or Google Chrome, "
            "or run `python -m playwright install --with-deps chromium`, or name one: make test CHROMIUM=/path/to/it"
        )
    print(f"The browser for the tests: {path}")


if __name__ == "__main__":
    main()
