"""What the reader of photos answers is no more trusted than the photo was: a decoder may have been taken over."""

import json
import struct
import sys
from pathlib import Path

import pytest

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.intake import Intake
from tests.bad_files import FORMATS


def frame(header: object, pixels: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + struct.pack("<Q", len(pixels)) + pixels


GOOD = {"size": [4, 2], "original": [4, 2], "notes": []}
ANSWERS = {
    "pixels missing": frame(GOOD, bytes(31)),
    "pixels to spare": frame(GOOD, bytes(33)),
    "a size of 2**40 announced": struct.pack("<Q", 1 << 40),
    "pixels of 2**40 bytes announced": frame(GOOD)[:-8] + struct.pack("<Q", 1 << 40),
    "no JSON": frame(b"\x80\x04K\x01."),
    "no object": frame([1]),
    "deep JSON": frame(b"[" * 15_000),
    "negative size": frame({**GOOD, "size": [-4, -2]}, bytes(32)),
    "size of another type": frame({**GOOD, "size": [4.0, True]}, bytes(32)),
    "larger than any photo": frame({**GOOD, "size": [32, 4000]}, bytes(32 * 4000 * 4)),
    "notes of another type": frame({**GOOD, "notes": [{"a": 1}]}, bytes(32)),
    "markup in a note": frame({**GOOD, "notes": ["<img src=x onerror=alert(1)>"]}, bytes(32)),
    "markup in a sentence": frame({"error": "<script>alert(1)</script>"}),
    "a book instead of a sentence": frame({"error": "a" * 10_000}),
    "no sentence": frame({"error": None}),
    "nothing at all": frame({}),
    "silence": b"",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_is_not_ours_is_refused_and_the_child_replaced(
    answer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A taken-over child stands in: a script that answers so to whatever it is sent."""
    impostor = tmp_path / "impostor"
    (tmp_path / "answer").write_bytes(frame({"ready": True}) + answer)
    impostor.write_text(f"#!/bin/sh\ncat {tmp_path}/answer\nhead -c 9 > /dev/null\n")
    impostor.chmod(0o755)
    with Intake() as intake:
        monkeypatch.setattr(sys, "executable", str(impostor))
        intake.warm()
        first = intake._readers[0]._process
        monkeypatch.undo()
        with pytest.raises(TurnaroundError, match="damaged, or too complex"):
            intake.read(FORMATS["png"]())
        assert intake._readers[0]._process is not first
        assert intake.read(FORMATS["png"]()).original_size_px == (96, 72)
