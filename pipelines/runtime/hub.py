"""Asking the Hub about files before one of them is fetched: with our own deadline, and the true cause when it says no.

The questions are huggingface_hub's own (its addresses, token, proxies, exceptions), each asked once and on a thread
that can be left behind; it would itself wait for minutes, and then blame the connection for most things.
"""

import queue
import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.download import LISTEN_S, PATIENCE_S, certificate_in_words
from pipelines.runtime.report import Report

T = TypeVar("T")
AT_ONCE = 4  # questions, and later files
PASSING = (408, 429, 500, 502, 503, 504)  # answers that may be another one soon
COMMIT = re.compile(r"[0-9a-f]{40}")
_ETAG = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")  # it becomes a file's name, so that it must lead nowhere else
MOST_PAGES = 50  # of a repository's list of commits


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a Hub in trouble; the defaults add up to half a minute. Shorter in tests."""

    silent_s: float = PATIENCE_S
    """With nothing received for so long, or nothing but trouble, it is given up."""
    pauses_s: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    """Before each further try at what may pass by itself."""
    asked_s: float = 15.0
    """The longest wait that the Hub may ask for; a longer one is told to the visitor."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A file as the Hub describes it."""

    path: str
    commit: str
    etag: str
    """The content's sha256, or for a small file the sha1 by which git calls it."""
    size_bytes: int

    @property
    def digest(self) -> str | None:
        return named_digest(self.etag)


def named_digest(etag: str) -> str | None:
    """What the Hub's name for a content says of it: "sha256:..." or "git-sha1:..."; None for a name of another kind."""
    kind = {64: "sha256", 40: "git-sha1"}.get(len(etag))
    return f"{kind}:{etag}" if kind and set(etag) <= set("0123456789abcdef") else None


class Gone(TurnaroundError):
    """This source does not have what is needed; another may. The text is the reason, in a few words."""

    def __init__(self, reason: str, *, revision: bool = False, file: bool = False) -> None:
        super().__init__(reason)
        self.revision = revision
        """Whether it is only the revision that is gone."""
        self.file = file
        """Whether it is only a file that is not there."""


class Gated(TurnaroundError):
    """Its licence has to be accepted first."""


class Unavailable(TurnaroundError):
    """The Hub as a whole cannot be asked now: there is no network, it is silent, or it has had enough of us."""


class Silent(Exception):
    """No answer within the deadline."""


def endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT


def is_offline() -> bool:
    from huggingface_hub import constants

    return constants.is_offline_mode()


def host() -> str:
    return urlsplit(endpoint()).hostname or "the Hub"


def address(repository: str, revision: str, path: str) -> str:
    from huggingface_hub import hf_hub_url

    return hf_hub_url(repository, path, revision=revision, endpoint=endpoint())


def headers(*, anonymously: bool = False) -> dict[str, str]:
    """With the token, where there is one."""
    from huggingface_hub.utils import build_hf_headers

    token = False if anonymously else None
    return {**build_hf_headers(library_name="turnaround", token=token), "accept-encoding": "identity"}


def look_up(
    repository: str, revision: str, paths: Sequence[str], what: str, report: Report, patience: Patience
) -> list[Remote]:
    """Each of the files, as the Hub describes it. `Gone` or `Gated` when it will not, else a sentence."""
    from huggingface_hub import get_hf_file_metadata

    def question(path: str) -> Callable[[], Remote]:
        def ask() -> Remote:
            url = address(repository, revision, path)
            told = get_hf_file_metadata(
                url, timeout=patience.silent_s, endpoint=endpoint(), library_name="turnaround", retry_on_errors=False
            )
            commit, etag = told.commit_hash or "", told.etag or ""
            if not (COMMIT.fullmatch(commit) and _ETAG.fullmatch(etag)) or told.size is None:
                raise _somebody_else(what)
            return Remote(path, commit, etag, told.size)

        return ask

    questions = [question(path) for path in paths]
    return persistently(questions, repository, what, report, patience)


def _somebody_else(what: str) -> TurnaroundError:
    return TurnaroundError(
        f"Something between here and {host()} answered in its place when {what} was asked for: a login "
        "page of the network, or a proxy. Open a web page to see, or set HTTPS_PROXY, and try again."
    )


@dataclass(frozen=True, slots=True)
class Overview:
    """What a repository is today."""

    repository: str
    """Its name now; another than was asked for when it was renamed."""
    commit: str
    gated: bool
    files: dict[str, Remote]


def overview(repository: str, revision: str, what: str, report: Report, patience: Patience) -> Overview:
    """All of it by one question without a token: gated repositories answer it, too."""
    from huggingface_hub import HfApi

    def ask() -> Overview:
        api = HfApi(endpoint=endpoint(), library_name="turnaround", token=False)
        told = api.model_info(repository, revision=revision, files_metadata=True, timeout=patience.silent_s)
        commit = told.sha or revision
        files = {
            f.rfilename: Remote(f.rfilename, commit, f.lfs.sha256 if f.lfs else f.blob_id or "", f.size or 0)
            for f in told.siblings or ()
        }
        return Overview(told.id, commit, bool(told.gated), files)

    return persistently([ask], repository, what, report, patience)[0]


def full_commit(
    repository: str, short: str, what: str, report: Report, patience: Patience, *, anonymously: bool = False
) -> str:
    """The commit that starts with these digits: the Hub itself knows commits by all forty only.

    Its list is read page by page. huggingface_hub's own way to read it would sleep through whatever it is told to.
    """
    from huggingface_hub.utils import get_session, hf_raise_for_status

    def question(url: str) -> Callable[[], tuple[list[str], str | None]]:
        def ask() -> tuple[list[str], str | None]:
            answer = get_session().get(url, headers=headers(anonymously=anonymously), timeout=patience.silent_s)
            hf_raise_for_status(answer)
            try:
                commits = [str(commit["id"]) for commit in answer.json()]
            except (ValueError, LookupError, TypeError):
                raise _somebody_else(what) from None
            return commits, answer.links.get("next", {}).get("url")

        return ask

    url = f"{endpoint()}/api/models/{repository}/commits/main"
    for _ in range(MOST_PAGES):
        (commits, further), *_ = persistently([question(url)], repository, what, report, patience)
        found = [commit for commit in commits if commit.startswith(short) and COMMIT.fullmatch(commit)]
        if len(found) == 1:
            return found[0]
        url = urljoin(url, further or "")
        if found or not further or urlsplit(url)[:2] != urlsplit(endpoint())[:2]:  # the token is for the Hub alone
            break
    raise Gone("the revision is gone", revision=True)


def persistently(
    questions: Sequence[Callable[[], T]], repository: str, what: str, report: Report, patience: Patience
) -> list[T]:
    """Each question's answer, asked again while its failure may pass, for `silent_s` at most; then that in words."""
    answers: dict[int, T] = {}
    end = time.monotonic() + patience.silent_s
    trouble: Exception | None = None
    for pause_s in (*patience.pauses_s, None):
        try:
            message = f"Asking {host()} about {what}"
            _answers(questions, answers, message, report, max(0.0, end - time.monotonic()))
            return [answers[number] for number in range(len(questions))]
        except TurnaroundError:
            raise
        except Exception as problem:
            trouble = trouble if trouble and isinstance(problem, Silent) else problem
            wait_s = wait_before_retry(problem, pause_s, patience)
            if wait_s is None or time.monotonic() + wait_s > end:
                raise in_words(trouble, repository, what, patience) from problem
        pause(wait_s, f"{host()} is busy; asking again about {what}", report)
    raise AssertionError("the last round returns or raises")


def wait_before_retry(problem: Exception, pause_s: float | None, patience: Patience) -> float | None:
    """How long to wait before another try; None when there is no point in one."""
    import httpx
    import httpx2

    if pause_s is None or isinstance(problem, Silent):
        return None
    if isinstance(problem, (httpx2.NetworkError, httpx2.RemoteProtocolError, httpx.NetworkError, httpx.ProtocolError)):
        return None if isinstance(problem, (httpx2.ConnectError, httpx.ConnectError)) else pause_s
    response = getattr(problem, "response", None)
    if getattr(response, "status_code", None) not in PASSING:
        return None
    asked_s = _asked_wait_s(response)
    if asked_s is None:
        return pause_s
    return asked_s if asked_s <= patience.asked_s else None


def pause(seconds: float, message: str, report: Report) -> None:
    """Wait, with an ear for Cancel."""
    end = time.monotonic() + seconds
    while (left_s := end - time.monotonic()) > 0:
        report(0.0, f"{message} in {left_s:.0f} s")
        time.sleep(min(left_s, LISTEN_S))


def _answers(
    questions: Sequence[Callable[[], T]], answers: dict[int, T], message: str, report: Report, silent_s: float
) -> None:
    """Ask what is not answered yet, some at once; the first failure ends it. Nobody waits for a silent one."""
    inbox: queue.Queue[tuple[int, Any, Exception | None]] = queue.Queue()
    left = [(number, question) for number, question in enumerate(questions) if number not in answers]
    next_one, given_up = threading.Lock(), threading.Event()

    def ask() -> None:
        while not given_up.is_set():
            with next_one:
                if not left:
                    return
                number, question = left.pop(0)
            try:
                inbox.put((number, question(), None))
            except Exception as problem:
                inbox.put((number, None, problem))
                return

    for _ in range(min(AT_ONCE, len(left))):
        threading.Thread(target=ask, daemon=True, name="hub").start()
    heard = time.monotonic()
    try:
        while len(answers) < len(questions):
            report(0.0, message)
            try:
                number, answer, problem = inbox.get(timeout=min(LISTEN_S, silent_s / 4))
            except queue.Empty:
                if time.monotonic() - heard > silent_s:
                    raise Silent from None
                continue
            if problem:
                raise problem
            answers[number], heard = answer, time.monotonic()
    finally:
        given_up.set()


# --- The true cause, in words -----------------------------------------------------------------------------------------


def in_words(
    problem: Exception, repository: str, what: str, patience: Patience, *, of_a_body: bool = False
) -> TurnaroundError:
    """What the failure means to a person; `Gone` and `Gated` where another source may help."""
    import httpx
    import httpx2
    from huggingface_hub import errors

    page = f"{endpoint()}/{repository}"
    if words := certificate_in_words(problem, host(), what):
        return Unavailable(words)
    match problem:
        case errors.GatedRepoError():
            return Gated(
                f"{what} has a licence that must be accepted once, at {page}. Log in with `hf auth login`, accept it "
                "there with the same account, and try again."
            )
        case errors.RepositoryNotFoundError():
            return Gone("the repository was removed, renamed or made private")
        case errors.DisabledRepoError():
            return Gone("the repository has been disabled")
        case errors.RevisionNotFoundError():
            return Gone("the revision is gone", revision=True)
        case errors.EntryNotFoundError():
            url = str(getattr(getattr(problem, "response", None), "url", ""))
            missing = url.partition("/resolve/")[2].partition("/")[2]
            return Gone(f"it has no {missing}" if missing else "a file is missing there", file=True)
        case errors.HFValidationError():
            return Gone("that is no name of a repository; check TURNAROUND_SOURCES")
        case Silent() | httpx2.TimeoutException() | httpx.TimeoutException():
            nothing = f"nothing came from {host()} for {patience.silent_s:g} seconds"
            if of_a_body:
                nothing = f"{what} stopped arriving: {nothing}. What has arrived is kept."
            else:
                nothing = f"{what} could not be asked for: {nothing}."
            return Unavailable(f"{nothing} Check the network and try again.")
        case errors.OfflineModeIsEnabled():
            return TurnaroundError(f"{what} is not here, and HF_HUB_OFFLINE forbids fetching it. Unset it to fetch.")
        case httpx.HTTPStatusError() if problem.response.status_code in (404, 410):
            return Gone(f"what it lists is not there (HTTP {problem.response.status_code})")
        case errors.HfHubHTTPError() | httpx.HTTPStatusError():
            return _status_in_words(problem.response, what, page)
        case httpx2.ConnectError() | httpx2.ProxyError() | httpx.ConnectError() | httpx.ProxyError():
            return Unavailable(
                f"{what} could not be fetched: {host()} cannot be reached from here. Check the network, the proxy "
                "(HTTPS_PROXY) or HF_ENDPOINT, and try again."
            )
        case httpx2.HTTPError() | httpx.HTTPError():
            kept = "What has arrived is kept; try" if of_a_body else "Try"
            return TurnaroundError(f"{what} broke off on its way from {host()}, again and again. {kept} later.")
        case OSError():
            return TurnaroundError(
                f"{what} could not be asked for: {problem.strerror or 'the system refused'}. Check that the Hub's "
                "token and settings (HF_TOKEN_PATH, HF_HOME) can be read, and try again."
            )
    raise problem


def _status_in_words(response: Any, what: str, page: str) -> TurnaroundError:
    status = response.status_code
    if status == 401:
        return TurnaroundError(
            f"{host()} does not accept this machine's token, so it did not send {what} (HTTP 401). "
            "Log in anew with `hf auth login`, or remove HF_TOKEN, and try again."
        )
    if status in (403, 407, 451):
        return TurnaroundError(
            f"{host()}, or a proxy on the way, refused to send {what} (HTTP {status}). Look whether {page} opens in a "
            "browser on this network, and whether the token may read it."
        )
    if status == 429:
        asked_s = _asked_wait_s(response)
        when = "in some minutes" if asked_s is None else f"in {_duration(asked_s)}, as it asks"
        return Unavailable(
            f"{host()} has had too many requests from here and did not send {what} (HTTP 429). Try again {when}; "
            "logged in (`hf auth login`), more requests are allowed."
        )
    if status in PASSING or status >= 500:
        return TurnaroundError(
            f"{host()} is in trouble itself and could not send {what} (HTTP {status}), though it was asked several "
            "times. Try again later."
        )
    return TurnaroundError(f"{host()} did not send {what}: it answered HTTP {status}. Try again later.")


def _asked_wait_s(response: Any) -> float | None:
    """How long the server asks to wait, in either of the ways in which the Hub says so."""
    from huggingface_hub.utils import parse_ratelimit_headers

    asked = response.headers.get("retry-after", "")
    if asked.strip().isdigit():
        return float(asked)
    with suppress(TypeError, ValueError):  # or a time of day (RFC 9110, section 10.2.3)
        return max(0.0, (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds())
    limit = parse_ratelimit_headers(response.headers)
    return float(limit.reset_in_seconds) if limit and limit.remaining == 0 else None


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
