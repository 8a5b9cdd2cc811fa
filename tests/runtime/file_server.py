"""A real HTTP server on loopback that hands out one body, or fails in one of the ways servers fail."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer(ThreadingHTTPServer):
    daemon_threads = True
    body = b""
    fault = ""
    """"", a status ("404"), "truncate", "stall", "slow", "redirect" or "endless"."""

    elsewhere = "/elsewhere"
    """Where a redirect leads to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, request, client_address) -> None:
        """Clients that hang up are part of the tests."""


@contextmanager
def file_server(body: bytes = b"", fault: str = "") -> Iterator[FileServer]:
    server = FileServer()
    server.body, server.fault = body, fault
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        server = self.server
        server.asked.append(self.path)
        if server.fault.isdigit():
            self.send_error(int(server.fault))
            return
        if server.fault == "redirect" and not self.path.startswith("/elsewhere"):
            self.send_response(302)
            self.send_header("Location", self.server.elsewhere + self.path)
            self.end_headers()
            return
        self.send_response(200)
        if server.fault != "endless":
            self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        half = len(server.body) // 2
        if server.fault == "truncate":
            self.wfile.write(server.body[:half])
        elif server.fault == "stall":
            self.wfile.write(server.body[:half])
            self.wfile.flush()
            server.closing.wait(30)
        elif server.fault == "slow":
            piece = 1 + len(server.body) // 30
            for start in range(0, len(server.body), piece):
                self.wfile.write(server.body[start : start + piece])
                self.wfile.flush()
                time.sleep(0.05)
        elif server.fault == "endless":
            while not server.closing.is_set():
                self.wfile.write(server.body)
        else:
            self.wfile.write(server.body)

    def log_message(self, format: str, *args: object) -> None:
        pass
