"""How long the page takes to start, against bare Gradio on the same machine.

    python -m bench.startup [--rounds 5]

Both are started in turns, so that a busy moment of the machine meets both alike; "serves" means that a GET of / has
answered 200. The aim: within 2 s of bare Gradio.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BARE = """
import gradio as gr
with gr.Blocks() as page:
    gr.Markdown("Hello")
    gr.Button("Press")
page.launch()
"""
LIMIT_S = 90
AIM_S = 2.0


def seconds_until_served(command: list[str], folder: Path) -> float:
    """From starting the process to its first page; the process is ended either way."""
    start = time.perf_counter()
    with served(command, folder):
        return time.perf_counter() - start


@contextmanager
def served(command: list[str], folder: Path) -> Iterator[str]:
    """The address of a page that `command` serves, once it does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "TURNAROUND_DATA": str(folder / "data"),
    }
    with (folder / "output.txt").open("w+") as output:
        start = time.perf_counter()
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            while not _serves(port):
                if server.poll() is not None or time.perf_counter() - start > LIMIT_S:
                    output.seek(0)
                    ended = f"it did not serve within {LIMIT_S} s" if server.returncode is None else "it ended"
                    raise SystemExit(f"{' '.join(command)[:80]}: {ended}.\n{output.read()[-2000:]}")
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _serves(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args(arguments).rounds
    started = {"bare Gradio": [sys.executable, "-c", BARE], "app.py": [sys.executable, "app.py"]}
    taken: dict[str, list[float]] = {name: [] for name in started}
    for turn in range(rounds + 1):
        for name, command in started.items():
            with tempfile.TemporaryDirectory() as folder:
                seconds = seconds_until_served(command, Path(folder))
            if turn:  # the first of each fills the disk's cache and Python's bytecode
                taken[name].append(seconds)
    print("Start until the page is served, seconds (median of", rounds, "rounds, least to most):")
    for name, seconds in taken.items():
        print(f"  {name:12} {statistics.median(seconds):5.2f}   {min(seconds):.2f} to {max(seconds):.2f}")
    more = statistics.median(taken["app.py"]) - statistics.median(taken["bare Gradio"])
    print(f"  app.py takes {more:+.2f} s; the aim is at most {AIM_S:+.1f} s")


if __name__ == "__main__":
    main()
