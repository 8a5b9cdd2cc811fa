"""Several files from the Hub into its cache at once: resumed where a try ended, and verified before they count.

One thread, the visitor's, writes and hashes whatever arrives; each file is received on a thread of its own, which is
left behind on Cancel. A content has the lock that huggingface_hub takes for it: any two processes fetch it once.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
from filelock import FileLock, SoftFileLock, Timeout

from pipelines.core.errors import TurnaroundError
from pipelines.core.files import StorageError, disk_sentences, sync_to_disk
from pipelines.runtime import hub
from pipelines.runtime.devices import free_disk_bytes
from pipelines.runtime.download import LISTEN_S, Message, in_unit_of, megabytes, receive, time_left
from pipelines.runtime.hub import Patience, Remote
from pipelines.runtime.hub_cache import Digest, Shelf, Verified, digests_of, feed
from pipelines.runtime.report import Report

MOST_TRIES = 50  # of one file, progress or not


class Other(Exception):
    """What arrived is not what was announced."""


@dataclass(frozen=True, slots=True)
class Wanted:
    remote: Remote
    digests: tuple[str, ...]
    """All that the content must have: the card's, the Hub's."""

    def is_met_by(self, found: Sequence[str]) -> bool:
        return bool(found) and set(self.digests) <= set(found)


def transfer(
    wanted: Sequence[Wanted],
    shelf: Shelf,
    repository: str,
    verified: Verified,
    what: str,
    free_bytes: int,
    report: Report,
    patience: Patience,
) -> None:
    """Bring every content to the shelf, linked into its snapshot. `free_bytes` is what the disk shall have left."""
    with disk_sentences(f"{what} could not be stored in the Hub's cache (HF_HUB_CACHE)"):
        shelf.locks.mkdir(parents=True, exist_ok=True)
        shelf.blob("").mkdir(parents=True, exist_ok=True)
        for each in wanted:
            shelf.adopt(each.remote.etag, each.remote.commit, each.remote.path)
    named: dict[str, list[Wanted]] = {}  # one content may have several names
    for each in wanted:
        named.setdefault(each.remote.etag, []).append(each)
    files = [_Coming(names, shelf, repository, verified, what, patience) for names in named.values()]
    check_room(sum(file.size_bytes - file.done() for file in files), shelf.folder, what, free_bytes)
    inbox: queue.Queue[tuple[_Coming, int, Message]] = queue.Queue(maxsize=64)
    progress = _Progress(files, what, report)
    try:
        while left := [file for file in files if not file.here]:
            started = [file for file in left if file.started]
            for file in [file for file in left if not file.started][: hub.AT_ONCE - len(started)]:
                began = time.monotonic()
                file.start(inbox, progress.say)
                for other in started:  # which was not listened to while this one's part was read
                    other.excuse(time.monotonic() - began)
            progress.tell()
            for file in started:
                file.retry_if_due()
            try:
                file, number, message = inbox.get(timeout=min(LISTEN_S, patience.silent_s / 4))
            except queue.Empty:
                for file in started:
                    file.check_silence()
            else:
                file.hear(number, message)
    finally:
        for file in files:
            file.leave()


def check_room(needed_bytes: int, folder: Path, what: str, free_bytes: int) -> None:
    """`free_bytes` is what the disk shall have left."""
    free = free_disk_bytes(folder)
    if needed_bytes + free_bytes > free:
        raise StorageError(
            f"The disk has no room for {what}: {megabytes(needed_bytes)} are to come, and {megabytes(free)} are free"
            + (f", of which {megabytes(free_bytes)} are to stay free. " if free_bytes else ". ")
            + "Free some space, or let HF_HUB_CACHE name a folder on a larger disk, and try again."
        )


class _Progress:
    def __init__(self, files: Sequence["_Coming"], what: str, report: Report) -> None:
        self._files, self._what, self._report = files, what, report
        self._total = sum(file.size_bytes for file in files)
        self._before = self._best = sum(file.done() for file in files)
        self._start, self._told = time.monotonic(), 0.0

    def say(self, text: str) -> None:
        self._report(self._best / max(1, self._total), text)

    def tell(self) -> None:
        """At most four times a second; a file that begins anew does not move the bar back."""
        self._report.check()
        if time.monotonic() - self._told < LISTEN_S:
            return
        self._told = time.monotonic()
        self._best = done = max(self._best, sum(file.done() for file in self._files))
        elapsed_s, came = self._told - self._start, done - self._before
        text = f"Fetching {self._what}: {in_unit_of(done, self._total)} of {megabytes(self._total)}"
        if waiting := [file for file in self._files if file.elsewhere]:
            text += ", by another run" if len(waiting) == sum(not file.here for file in self._files) else ""
        elif came and elapsed_s > 2:
            text += f", {came / 1e6 / elapsed_s:.1f} MB/s{time_left(came, self._total - done, elapsed_s)}"
        self._report(done / max(1, self._total), text)


class _Coming:
    """A file on its way."""

    def __init__(
        self,
        names: Sequence[Wanted],
        shelf: Shelf,
        repository: str,
        verified: Verified,
        what: str,
        patience: Patience,
    ) -> None:
        self._names, self._shelf, self._repository, self._verified = names, shelf, repository, verified
        self._what, self._patience = what, patience
        self._remote = remote = names[0].remote
        self._blob, self._part = shelf.blob(remote.etag), shelf.part(remote.etag)
        self._lock_path = shelf.lock(remote.etag)
        self.size_bytes = remote.size_bytes
        self._doing = f"{what} could not be stored in the Hub's cache (HF_HUB_CACHE)"
        self.here = self.started = self.elsewhere = False
        self._lock: FileLock | SoftFileLock | None = None
        self._file: IO[bytes] | None = None
        self._digest = Digest(self.size_bytes)
        self._done = self._tries = self._fruitless = self._number = 0
        self._again_at = self._heard = 0.0
        self._abandoned = threading.Event()
        self._inbox: queue.Queue[tuple[_Coming, int, Message]]
        self._others = 0  # times that something else arrived
        self._trouble: Exception | None = None  # since the last byte

    def done(self) -> int:
        """Bytes that are here, whoever fetches them."""
        if self.here:
            return self.size_bytes
        if self._file:
            return self._done
        with suppress(OSError):
            if self._blob.exists():  # of another revision, most likely: it is looked at when its turn comes
                return min(self.size_bytes, self._blob.stat().st_size)
            return min(self.size_bytes, self._part.stat().st_size)
        return 0

    # --- One step at a time -------------------------------------------------------------------------------------------

    def start(self, inbox: "queue.Queue[tuple[_Coming, int, Message]]", tell: Callable[[str], None]) -> None:
        """Begin, unless it is here or someone else is at it."""
        with disk_sentences(self._doing):
            if not self._locked():
                return
            if self._blob.exists():
                if self._is_whole(tell):
                    self._arrived()
                    return
                self._blob.unlink()
            self._inbox, self.started = inbox, True
            self._open(tell)
        self._heard = time.monotonic()
        if self._done == self.size_bytes:
            self._ended()
        else:
            self._ask()

    def hear(self, number: int, message: Message) -> None:
        if number != self._number or not self.started:
            return  # from an answer that was given up
        if isinstance(message, bytes):
            self._take(message)
        elif isinstance(message, httpx.Response):
            self._begin(message)
        elif message is None:
            self._ended()
        else:
            self._failed(message)

    def retry_if_due(self) -> None:
        if self._again_at and time.monotonic() >= self._again_at:
            self._again_at = 0.0
            self._ask()

    def excuse(self, seconds: float) -> None:
        """It was not listened to for so long."""
        self._heard += seconds

    def check_silence(self) -> None:
        if not self._again_at and time.monotonic() - self._heard > self._patience.silent_s:
            raise self._in_words(self._trouble or hub.Silent())

    def leave(self) -> None:
        """Keep what has come for the next try, and let others have their turn."""
        self._abandoned.set()
        if self._file:
            with suppress(OSError):
                self._file.close()
            self._file = None
        if self._lock:
            with suppress(OSError):
                self._lock.release()
            self._lock = None
        self.started = False

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _locked(self) -> bool:
        for kind in (FileLock, SoftFileLock):  # the second for a disk that knows no locks
            if self._lock is None:
                lock = kind(self._lock_path, timeout=0, mode=0o664)
                try:
                    lock.acquire()
                    self._lock = lock
                except Timeout:
                    break
                except NotImplementedError:
                    continue
        self.elsewhere = self._lock is None
        return not self.elsewhere

    def _is_whole(self, tell: Callable[[str], None]) -> bool:
        """Whether the content that is here already is the right one: it may be of another revision, or another's."""
        found = self._verified.digests(self._blob)
        if not found and self._blob.stat().st_size == self.size_bytes:
            found = digests_of(self._blob, tell, f"Checking {self._what}")
            self._verified.remember(self._blob, found)
        return all(each.is_met_by(found) for each in self._names)

    def _open(self, tell: Callable[[str], None]) -> None:
        """Go on with what an earlier try left, which is hashed again; more than there can be is thrown away."""
        self._digest, self._done = Digest(self.size_bytes), 0
        if self._part.exists() and self._part.stat().st_size <= self.size_bytes:
            self._done = feed(self._digest, self._part, tell, f"Checking what has come of {self._what}")
            self._file = self._part.open("ab")
        else:
            self._file = self._part.open("wb")

    def _ask(self) -> None:
        """GET what is still missing."""
        self._number += 1
        self._tries += 1
        self._abandoned.set()
        self._abandoned, number, inbox = threading.Event(), self._number, self._inbox
        remote = self._remote
        headers = hub.headers() | ({"range": f"bytes={self._done}-"} if self._done else {})

        def put(message: Message, /, *, timeout: float) -> None:
            inbox.put((self, number, message), timeout=timeout)

        # Half the patience for one connection: a new one often gets through where the old one is dead.
        address = hub.address(self._repository, remote.commit, remote.path)
        receive(address, headers, self._patience.silent_s / 2, put, self._abandoned)

    def _begin(self, answer: httpx.Response) -> None:
        if answer.status_code == 200 and self._done:  # a server that knows no ranges sends it from the start
            self._restart()
        length = answer.headers.get("content-length", "")
        if length.isdigit() and self._done + int(length) != self.size_bytes:
            self._failed(Other())  # a login page, for instance

    def _take(self, piece: bytes) -> None:
        assert self._file
        self._heard, self._fruitless, self._trouble = time.monotonic(), 0, None
        self._done += len(piece)
        if self._done > self.size_bytes:
            self._failed(Other())
            return
        try:
            self._file.write(piece)
        except OSError:
            self._throw_away()  # a full disk is not helped by half a file on it
            with disk_sentences(self._doing):
                raise
        self._digest.update(piece)

    def _ended(self) -> None:
        if self._done < self.size_bytes:
            self._failed(httpx.RemoteProtocolError("it ended early"))
            return
        assert self._file
        found = self._digest.all()
        if not all(each.is_met_by(found) for each in self._names):
            self._failed(Other())
            return
        with disk_sentences(self._doing):
            try:
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError:
                self._throw_away()
                raise
            self._file.close()
            self._file = None
            self._part.replace(self._blob)
            sync_to_disk(self._blob.parent)
            self._verified.remember(self._blob, found)
        self._arrived()

    def _arrived(self) -> None:
        """Into the snapshot with it, though others are still to come: what is here need not be missing."""
        with disk_sentences(self._doing):
            found = self._verified.digests(self._blob)
            for remote in (each.remote for each in self._names):
                pointer = self._shelf.link(remote.etag, remote.commit, remote.path)
                with suppress(FileNotFoundError):  # huggingface_hub, which waited for it too, is just linking it anew
                    self._verified.remember(pointer, found)
        self.here = True
        self.leave()

    def _failed(self, problem: Exception) -> None:
        """Try again at once, after a pause, or not at all."""
        self._abandoned.set()
        self._number += 1
        status = problem.response.status_code if isinstance(problem, httpx.HTTPStatusError) else 0
        if isinstance(problem, Other) or status == 416:  # 416: what we have is more than there is
            self._others += 1
            self._restart()
            if self._others > 1:
                self._throw_away()
                raise TurnaroundError(
                    f"What arrives as a part of {self._what} is not what was published (its checksum or size differs), "
                    f"twice in a row, so it was thrown away. Something between here and {hub.host()} changes it, or "
                    "the place it is fetched from is at fault. Try again later, or from another network."
                )
            self._ask()
            return
        pauses = self._patience.pauses_s
        pause_s = pauses[self._fruitless] if self._fruitless < len(pauses) and self._tries < MOST_TRIES else None
        self._fruitless += 1
        self._trouble = problem
        if isinstance(problem, httpx.TimeoutException):
            wait_s = 0.0 if time.monotonic() - self._heard < self._patience.silent_s else None
        else:
            wait_s = hub.wait_before_retry(problem, pause_s, self._patience)
        if wait_s is None or time.monotonic() + wait_s - self._heard > self._patience.silent_s:
            raise self._in_words(problem) from problem
        self._again_at = time.monotonic() + wait_s

    def _in_words(self, problem: Exception) -> TurnaroundError:
        return hub.in_words(problem, self._repository, self._what, self._patience, of_a_body=True)

    def _restart(self) -> None:
        assert self._file
        with disk_sentences(self._doing):
            self._file.close()
            self._file = self._part.open("wb")
        self._digest, self._done = Digest(self.size_bytes), 0

    def _throw_away(self) -> None:
        if self._file:
            with suppress(OSError):
                self._file.close()
            self._file = None
        with suppress(OSError):
            self._part.unlink()
