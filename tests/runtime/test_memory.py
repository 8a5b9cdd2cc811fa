"""What a run took is given back when it ends."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNS = """
import sys, tempfile, time
from pathlib import Path
import psutil
from pipelines.runtime.memory import keep_little
keep_little()
from pipelines.core.cameras import orbit
from pipelines.registry import METHODS
from pipelines.runtime.archive import Archive
from pipelines.runtime.engine import InProcessEngine
from pipelines.runtime.jobs import Jobs
from pipelines.runtime.method import Request
from pipelines.runtime.settings import Settings
from tests.toy_methods import a_subject

with tempfile.TemporaryDirectory() as folder:
    settings = Settings(data=Path(folder))
    archive = Archive(settings)
    jobs, subject, process = Jobs(InProcessEngine(), archive, settings), a_subject(512), psutil.Process()
    for run in range(7):
        request = Request(subject, orbit(6), size_px=320)
        job = jobs.start(subject, [(METHODS[0], request)], "someone")
        job.keep()
        for thread in __import__("threading").enumerate():
            if thread.name.startswith("job-"):
                thread.join()
        assert job.state == "saved", job.problem
        print(process.memory_info().rss // 1_000_000)
"""


def test_the_seventh_run_leaves_the_process_as_large_as_the_second() -> None:
    done = subprocess.run([sys.executable, "-c", RUNS], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    after_mb = [int(line) for line in done.stdout.split()]
    assert after_mb[-1] - after_mb[1] < 30, after_mb
