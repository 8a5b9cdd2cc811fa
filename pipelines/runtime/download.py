"""One file over HTTP: to a temporary name, checked against its published hash, then renamed. Whole, or not there.

The bytes arrive on a thread of their own, so that a visitor's Cancel is heard at once even when the line is silent.
"""

import errno
import hashlib
import os
import queue
import secrets
import shutil
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Protocol

import httpx

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.report import Report

PATIENCE_S = 30.0  # nothing received for so long is a dead line; a slow one keeps sending
LISTEN_S = 0.25  # how soon a Cancel is heard
LEFTOVER_S = 24 * 3600  # a partial file this old belongs to nobody


def is_intact(path: Path, digest: str) -> bool:
    """Whether the file has the `digest`, "sha256:..." or "md5:..."."""
    algorithm, _, expected = digest.partition(":")
    with path.open("rb") as file:
        return hashlib.file_digest(file, _hasher(algorithm)).hexdigest() == expected


def download(
    url: str,
    path: Path,
    digest: str,
    size_bytes: int,
    report: Report,
    *,
    what: str,
    otherwise: str,
    patience_s: float = PATIENCE_S,
) -> None:
    """Fetch `url` to `path`. Each failure is its own sentence about `what`, ending with `otherwise`: what else to do.

    The environment's proxies are used and certificates are checked. `size_bytes` serves the free-space check and the
    time left until the server states a length of its own.
    """
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    abandoned = threading.Event()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        if shutil.disk_usage(path.parent).free < size_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        received: queue.Queue[Message] = queue.Queue(maxsize=32)
        receive(url, {}, patience_s, received.put, abandoned)
        hasher = _hasher(digest.partition(":")[0])()
        with partial.open("xb") as file:
            _store(received, file, hasher, size_bytes, report, what, patience_s)
            file.flush()
            os.fsync(file.fileno())
        if hasher.hexdigest() != digest.partition(":")[2]:
            raise TurnaroundError(
                f"What arrived is not {what} as it was published (its checksum differs), so it was thrown away. "
                f"Try once more; if it happens again, the place it is fetched from is at fault. {otherwise}"
            )
        partial.replace(path)
    except httpx.HTTPError as problem:
        raise TurnaroundError(f"{_explain(problem, url, what, patience_s)} {otherwise}") from problem
    except (httpx.InvalidURL, ValueError) as problem:
        raise TurnaroundError(
            f"{what} could not be fetched: its address is not a valid one. Check TURNAROUND_REMBG_URL. {otherwise}"
        ) from problem
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            text = f"The disk has no room for {what} ({megabytes(size_bytes)}). Free some space and try again."
        else:
            text = f"{what} could not be stored: {problem.strerror or 'the data folder cannot be written'}."
            text += " Check the data folder (TURNAROUND_DATA)."
        raise TurnaroundError(f"{text} {otherwise}") from problem
    finally:
        abandoned.set()
        with suppress(OSError):
            partial.unlink(missing_ok=True)


Message = httpx.Response | bytes | Exception | None  # the answer's head, a piece, what went wrong, the end


class Put(Protocol):
    """A bounded queue's `put`."""

    def __call__(self, item: Message, /, *, timeout: float) -> None: ...


def receive(url: str, headers: Mapping[str, str], patience_s: float, put: Put, abandoned: threading.Event) -> None:
    """Start to GET `url` on a thread of its own, which `put`s what it hears until it ends or is abandoned."""

    def say(message: Message) -> bool:
        while not abandoned.is_set():
            with suppress(queue.Full):
                put(message, timeout=LISTEN_S)
                return True
        return False

    def listen() -> None:
        try:
            with httpx.stream(
                "GET", url, headers=headers, follow_redirects=True, timeout=patience_s, verify=_certificates()
            ) as answer:
                answer.raise_for_status()
                if say(answer):
                    for piece in answer.iter_raw():
                        if not say(piece):
                            return
                    say(None)
        except Exception as problem:
            say(problem)

    threading.Thread(target=listen, daemon=True, name="download").start()


@cache
def _certificates() -> ssl.SSLContext:
    """Read once, until a restart: it takes longer than asking for a small file."""
    return httpx.create_ssl_context()


def _store(
    received: "queue.Queue[Message]", file, hasher, size_bytes: int, report: Report, what: str, patience_s: float
) -> None:
    done, total, start = 0, size_bytes, time.monotonic()
    while True:
        report(min(1.0, done / max(1, total)), _progress(what, done, total, time.monotonic() - start))
        try:
            message = received.get(timeout=LISTEN_S)
        except queue.Empty:
            continue
        if message is None:
            return
        if isinstance(message, Exception):
            raise message
        if isinstance(message, httpx.Response):
            total = int(message.headers.get("content-length") or 0) or total
            continue
        done += len(message)
        if done > 2 * max(size_bytes, total):
            raise httpx.RemoteProtocolError("more than was announced")
        hasher.update(message)
        file.write(message)


def _progress(what: str, done: int, total: int, elapsed_s: float) -> str:
    return f"Fetching {what}: {in_unit_of(done, total)} of {megabytes(total)}{time_left(done, total - done, elapsed_s)}"


def time_left(done: int, left: int, elapsed_s: float) -> str:
    """ ", about 40 s left", once there is something to go by."""
    if not done or elapsed_s <= 2:
        return ""
    left_s = max(0, left) * elapsed_s / done
    return f", about {left_s:.0f} s left" if left_s < 90 else f", about {left_s / 60:.0f} minutes left"


def _explain(problem: httpx.HTTPError, url: str, what: str, patience_s: float) -> str:
    host = httpx.URL(url).host or "the server"
    if isinstance(problem, httpx.HTTPStatusError):
        status = problem.response.status_code
        host = problem.response.url.host
        if status in (404, 410):
            return f"{what} is not at {host} any more (HTTP {status}). Check TURNAROUND_REMBG_URL."
        if status in (401, 403, 407):
            return f"{host} refused to send {what} (HTTP {status}). Check the network's proxy and TURNAROUND_REMBG_URL."
        if status == 429:
            return f"{host} has had too many requests and did not send {what} (HTTP 429). Try again in some minutes."
        return f"{host} could not send {what} (HTTP {status}): it is in trouble itself. Try again later."
    if words := certificate_in_words(problem, host, what):
        return words
    if isinstance(problem, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)):
        return f"{what} could not be fetched: {host} cannot be reached from here. Check the network or the proxy."
    if isinstance(problem, httpx.TimeoutException):
        return f"{what} stopped arriving: nothing came from {host} for {patience_s:g} seconds. Try again."
    if isinstance(problem, httpx.UnsupportedProtocol):
        return f"{what} could not be fetched: its address must begin with https://. Check TURNAROUND_REMBG_URL."
    return f"{what} broke off on its way from {host}. Try again."


def certificate_in_words(problem: BaseException, host: str, what: str) -> str | None:
    """The sentence, if that is the trouble: it lies below what the libraries make of it, which knows the last host."""
    below: BaseException | None = problem
    while below and not isinstance(below, ssl.SSLCertVerificationError):
        # Their `request` raises where there is none
        host = getattr(getattr(getattr(below, "_request", None), "url", None), "host", host)
        below = below.__cause__ or below.__context__
    if not below:
        return None
    return (
        f"{what} could not be fetched: {host}'s certificate could not be verified ({below.verify_message}). Behind a "
        "company's proxy, let SSL_CERT_FILE name a file with its certificates; elsewhere, check this machine's clock "
        "and the network, and try again."
    )


def _sweep(folder: Path) -> None:
    """Partial files of processes that were killed."""
    for leftover in folder.glob("*.part"):
        with suppress(OSError):
            if time.time() - leftover.stat().st_mtime > LEFTOVER_S:
                leftover.unlink()


def _hasher(algorithm: str):
    return lambda: hashlib.new(algorithm, usedforsecurity=algorithm != "md5")


def megabytes(count: int) -> str:
    unit = "GB" if count >= 1e9 else "MB" if count >= 1e6 else "kB"
    return f"{in_unit_of(count, count)} {unit}"


def in_unit_of(count: int, whole: int) -> str:
    """The number alone, in the unit in which `megabytes` tells the whole: "1.2", of 2.5 GB."""
    return f"{count / 1e9:.1f}" if whole >= 1e9 else f"{count / 1e6:.0f}" if whole >= 1e6 else f"{count / 1e3:.0f}"
