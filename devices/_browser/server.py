"""Serves the page, the runtimes, one model and one job on this machine alone, and takes the page's one answer."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("page")
LOOPBACK = "127.0.0.1"
LARGEST_ANSWER_BYTES = 1 << 28
POLL_S = 0.05
"""How long closing the server may take."""
TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".wasm": "application/wasm",
}
HEADERS: Mapping[str, str] = {
    "Cross-Origin-Opener-Policy": "same-origin",  # these three isolate the page: threads share memory only then,
    "Cross-Origin-Embedder-Policy": "require-corp",  # and its clock steps by 5 µs instead of 100
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Site:
    """What is served below one secret path: a page's folder, the runtimes' files by path, the model, the job as JSON data.

    Every path that is served is a key of a table, so no request can name another file.
    """

    page: Path
    runtimes: Mapping[str, Path]
    model: Path
    job: Mapping[str, Any]
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def files(self) -> dict[str, Path]:
        """The files by the path that a browser asks for."""
        page = {path.name: path for path in self.page.iterdir() if path.is_file()}
        runtimes = {f"runtimes/{name}": path for name, path in self.runtimes.items()}
        known = {**page, **runtimes, "": self.page / "index.html", "model": self.model}
        return {f"/{self.secret}/{name}": path for name, path in known.items()}


@dataclass(frozen=True, slots=True)
class Answer:
    """Where the page's answer appears: a list of at most one."""

    url: str
    result_url: str
    received: list[dict[str, Any]]


@contextmanager
def served(site: Site) -> Iterator[Answer]:
    """Serve `site` on a free port of the loopback interface while the block runs."""
    received: list[dict[str, Any]] = []
    handler = _handler(site, received)
    server = ThreadingHTTPServer((LOOPBACK, 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), name="page server", daemon=True)
    thread.start()
    base = f"http://{LOOPBACK}:{server.server_address[1]}/{site.secret}/"
    try:
        yield Answer(base, f"{base}result", received)
    finally:
        server.shutdown()
        server.server_close()


def _handler(site: Site, received: list[dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    files = site.files()

    class Handler(BaseHTTPRequestHandler):
        """Answers what stands in the table, and nothing else."""

        def do_GET(self) -> None:
            if self.path == f"/{site.secret}/job.json":
                return self._send(HTTPStatus.OK, TYPES[".json"], json.dumps(site.job).encode())
            path = files.get(self.path)
            if path is None:
                return self._send(HTTPStatus.NOT_FOUND)
            return self._send(HTTPStatus.OK, TYPES.get(path.suffix, "application/octet-stream"), path.read_bytes())

        def do_POST(self) -> None:
            if self.path != f"/{site.secret}/result" or received:
                return self._send(HTTPStatus.NOT_FOUND)
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > LARGEST_ANSWER_BYTES:
                return self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            try:
                answer = json.loads(self.rfile.read(int(length)))
            except (ValueError, RecursionError):
                return self._send(HTTPStatus.BAD_REQUEST)
            if not isinstance(answer, dict):
                return self._send(HTTPStatus.BAD_REQUEST)
            received.append(answer)
            return self._send(HTTPStatus.NO_CONTENT)

        def _send(self, status: HTTPStatus, kind: str = "text/plain", body: bytes = b"") -> None:
            self.send_response(status)
            for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: the console of the page tells what matters."""

    return Handler
