"""A real HTTP server on loopback that speaks the Hub's protocol, as specs/hub.md has it, or fails in one of its ways.

A repository is a folder `<root>/<owner>/<name>/<commit>/`, and `branches` names its commits. Large files are
answered by a redirect to another origin, as the Hub does, where no token may arrive.
"""

import hashlib
import json
import math
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

LARGE_BYTES = (
    10_000  # from here on a file is kept as git LFS keeps it: named by its sha256, and sent by the other origin
)
TOKEN = "hf_of_a_tester"
_API = re.compile(r"/api/models/([^/]+/[^/]+)/(revision|tree|commits)/([^/]+)")
_RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass
class Fault:
    """What goes wrong with requests of `method` for a file whose path ends with `path`, so many times."""

    kind: str
    """A status ("429"), or a word of `_Handler._misbehave`."""
    method: str = "GET"
    path: str = ""
    times: float = math.inf
    headers: dict[str, str] = field(default_factory=dict)
    after_bytes: int = 0
    """For what breaks off: how much is sent before."""
    body: bytes = b"no"
    """Of a status."""
    delay_s: float = 0.0
    """Before a status is answered, or with "late" the right answer."""
    pause_s: float = 0.05
    """For what trickles: between two of its thirty pieces."""


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    """Of the file inside its repository."""
    repository: str
    range: str | None
    token: str | None
    other_origin: bool


class Hub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, root: Path, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scheme = "https" if tls else "http"
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.root = root
        self.branches: dict[str, dict[str, str]] = {}
        self.gated: set[str] = set()
        self.members: set[str] = set()
        """Tokens that were let through the gates; `TOKEN` itself is only known."""
        self.renamed: dict[str, str] = {}
        self.faults: list[Fault] = []
        self.asked: list[Asked] = []
        self.says: dict[str, dict[str, str]] = {}
        """Headers that replace its own, by a file's path."""
        self.commits_per_page = 1000
        self.sent_bytes: dict[str, int] = {}
        """Of bodies, by path."""
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    @property
    def other_url(self) -> str:
        return f"{self.scheme}://localhost:{self.server_address[1]}"

    def add(self, repository: str, files: dict[str, bytes], commit: str = "c" * 40) -> str:
        """A commit of the repository, and the newest of its main branch."""
        for path, content in files.items():
            place = self.root / repository / commit / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        self.branches.setdefault(repository, {})["main"] = commit
        return commit

    def gets(self, path: str = "") -> list[Asked]:
        """The requests for a file's content, redirections not counted."""
        return [a for a in self.asked if a.method == "GET" and a.path.endswith(path) and a.path and not _redirected(a)]

    def handle_error(self, request, client_address) -> None:
        """Clients that hang up are part of the tests."""


def _redirected(asked: Asked) -> bool:
    return not asked.other_origin and asked.path.endswith((".safetensors", ".bin"))


@contextmanager
def serving(root: Path, tls: ssl.SSLContext | None = None) -> Iterator[Hub]:
    hub = Hub(root, tls)
    thread = threading.Thread(target=hub.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        hub.shutdown()
        hub.server_close()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub, path = self.server, urlsplit(self.path).path
        if match := re.fullmatch(r"/elsewhere/([^/]+/[^/]+)/([^/]+)/(.+)", path):
            repository, commit, name = (unquote(part) for part in match.groups())
            self._note(repository, name, other_origin=True)
            if not self._misbehave(repository, name):
                self._body(name, (hub.root / repository / commit / name).read_bytes(), {})
            return
        is_api = path.startswith("/api/")
        match = (_API if is_api else _RESOLVE).fullmatch(path)
        if not match:
            self._refuse(404, "", "Not Found")
            return
        repository, middle, last = (unquote(part) for part in match.groups())
        revision, name = (last, middle) if is_api else (middle, last)
        self._note(repository, "" if is_api else name)
        if repository in hub.renamed:
            self._send(307, {"Location": self.path.replace(repository, hub.renamed[repository], 1)})
            return
        if not is_api and (name.endswith(".json") or self.command == "HEAD") and self._misbehave(repository, name):
            return
        if is_api and self._misbehave(repository, name):
            return
        if self._refused_at_the_door(repository, revision, is_api):
            return
        commit = hub.branches[repository].get(revision, revision)
        folder = hub.root / repository / commit
        if is_api and name == "commits":
            self._commits(hub.root / repository, commit)
        elif is_api:
            self._about(repository, folder, as_tree=name == "tree")
        else:
            self._file(repository, commit, folder, name)

    def _note(self, repository: str, path: str, other_origin: bool = False) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        asked = Asked(self.command, path, repository, self.headers.get("Range"), token, other_origin)
        self.server.asked.append(asked)

    def _refused_at_the_door(self, repository: str, revision: str, is_api: bool) -> bool:
        hub = self.server
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        known = token == TOKEN or token in hub.members
        if token and not known:
            self._refuse(401, "", "Invalid credentials in Authorization header")
        elif repository not in hub.branches:  # the Hub tells nobody whether a private repository exists
            self._refuse(404 if known else 401, "RepoNotFound", "Repository not found")
        elif revision not in hub.branches[repository] and not (hub.root / repository / revision).is_dir():
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif repository in hub.gated and token not in hub.members and not is_api:
            self._refuse(403 if known else 401, "GatedRepo", f"Access to model {repository} is restricted.")
        else:
            return False
        return True

    def _commits(self, folder: Path, newest: str) -> None:
        commits = sorted((path.name for path in folder.iterdir()), key=lambda name: (name != newest, name))
        told = {"authors": [], "date": "2026-01-01T00:00:00.000Z", "title": "", "message": ""}
        url, size = urlsplit(self.path), self.server.commits_per_page
        page = int(url.query.removeprefix("p=") or 0)
        headers = {"Content-Type": "application/json"}
        if len(commits) > (page + 1) * size:
            headers["Link"] = f'<{self.server.url}{url.path}?p={page + 1}>; rel="next"'
        here = commits[page * size : (page + 1) * size]
        self._send(200, headers, json.dumps([{"id": c, **told} for c in here]).encode())

    def _about(self, repository: str, folder: Path, as_tree: bool) -> None:
        """The same of every file, under other names: as a list, or inside what is said of the whole repository."""
        path_key, name_key, lfs_key = ("path", "oid", "oid") if as_tree else ("rfilename", "blobId", "sha256")
        entries = []
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            content = path.read_bytes()
            name = path.relative_to(folder).as_posix()
            entry = {"type": "file", path_key: name, "size": len(content), name_key: git_sha1(content)}
            if len(content) >= LARGE_BYTES:
                entry["lfs"] = {lfs_key: sha256(content), "size": len(content), "pointerSize": 134}
            entries.append(entry)
        gated = "auto" if repository in self.server.gated else False
        about = {"id": repository, "sha": folder.name, "gated": gated, "private": False, "siblings": entries}
        told = entries if as_tree else about
        self._send(200, {"Content-Type": "application/json"}, json.dumps(told).encode())

    def _file(self, repository: str, commit: str, folder: Path, name: str) -> None:
        path = folder / name
        if not path.is_file():
            self._refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
            return
        content, about = path.read_bytes(), {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        other = self.server.says.get(name, {})
        if len(content) < LARGE_BYTES:
            self._body(name, content, about | {"ETag": f'"{git_sha1(content)}"'} | other)
            return
        about |= {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{sha256(content)}"'} | other
        there = f"{self.server.other_url}/elsewhere/{repository}/{commit}/{quote(name)}"
        self._send(302, about | {"Location": there})

    def _body(self, name: str, content: bytes, headers: dict[str, str]) -> None:
        start, status = 0, 200
        if match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            start, status = int(match[1]), 206
            if start >= len(content):
                self._send(416, {"Content-Range": f"bytes */{len(content)}"})
                return
            headers = headers | {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        self._send(status, headers, content[start:], name)

    def _refuse(self, status: int, code: str, message: str, more: dict[str, str] | None = None) -> None:
        headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(more or {})}
        self._send(status, headers, json.dumps({"error": message}).encode())

    def _send(self, status: int, headers: dict[str, str], body: bytes = b"", name: str = "") -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self._write(body, name)

    def _write(self, body: bytes, name: str) -> None:
        self.wfile.write(body)
        self.wfile.flush()
        self.server.sent_bytes[name] = self.server.sent_bytes.get(name, 0) + len(body)

    # --- What goes wrong ----------------------------------------------------------------------------------------------

    def _misbehave(self, repository: str, name: str) -> bool:
        """Whether the answer was given by a fault."""
        faults = (f for f in self.server.faults if f.times > 0 and f.method == self.command and name.endswith(f.path))
        fault = next(faults, None)
        if fault is None:
            return False
        fault.times -= 1
        if fault.delay_s:
            self.server.closing.wait(fault.delay_s)
        if fault.kind == "late":
            return False
        if fault.kind.isdigit():
            self._send(int(fault.kind), fault.headers, fault.body)
        elif fault.kind == "silent":
            self.server.closing.wait(30)
            self.close_connection = True
        elif fault.kind == "html":
            self._send(200, {"Content-Type": "text/html"}, b"<html>Please log in to this network</html>")
        else:
            self._spoil(fault, name, next((self.server.root / repository).glob(f"*/{name}")).read_bytes())
        return True

    def _spoil(self, fault: Fault, name: str, content: bytes) -> None:
        if fault.kind == "other bytes":
            self._body(name, bytes(byte ^ 1 for byte in content), {})
            return
        if fault.kind == "no ranges":
            self._send(200, {}, content, name)
            return
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.close_connection = True
        if fault.kind == "trickle":
            piece = len(content) // 30 + 1
            for position in range(start, len(content), piece):
                self._write(content[position : position + piece], name)
                if self.server.closing.wait(fault.pause_s):
                    return
        self._write(content[start : start + fault.after_bytes], name)
        if fault.kind == "stall":
            self.server.closing.wait(30)
        else:
            assert fault.kind in ("cut", "trickle"), fault.kind
            time.sleep(0.05)  # what was sent shall arrive before the connection breaks
