"""A web server with one file, as good or as bad as a test wants it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FileServer:
    """What the server does; may be changed between requests.

    Attributes:
        content: The file.
        etag: Its entity tag, sent if it is one.
        modified: Its time of change, likewise.
        ranges: Whether parts of it may be asked for.
        conditions: Whether it looks at `If-Range`.
        sized: Whether it says how long the answer is.
        length: What it says of that; the truth if None.
        kind: Content type.
        cuts: Bytes after which the connections of the first requests are closed.
        stalls: Bytes after which the connections of the first requests go quiet.
        statuses: Answers of the first requests, instead of the file.
        shift: Bytes by which parts begin too late.
        requests: The headers of all requests so far.
        port: Where it listens.
    """

    content: bytes = b""
    etag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True
    conditions: bool = True
    sized: bool = True
    length: str | None = None
    kind: str = "application/octet-stream"
    cuts: list[int] = field(default_factory=list)
    stalls: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    shift: int = 0
    requests: list[dict[str, str]] = field(default_factory=list)
    port: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where the file is."""
        return f"http://127.0.0.1:{self.port}/file"

    def starts(self) -> list[int]:
        """Where each request so far wanted to begin."""
        return [int(re.sub(r"\D", "", headers.get("Range", "0"))) for headers in self.requests]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        self.requests.append(dict(handler.headers))
        if self.statuses:
            handler.send_error(self.statuses.pop(0))
            return
        start = self._start(handler)
        if start is not None and start >= len(self.content):
            handler.send_error(416)
            return
        handler.send_response(200 if start is None else 206)
        body = self.content[start or 0 :]
        headers = {"Content-Type": self.kind, "ETag": self.etag, "Last-Modified": self.modified}
        if self.sized:
            headers["Content-Length"] = self.length or str(len(body))
        if start is not None:
            first, whole = start + self.shift, len(self.content)
            headers["Content-Range"] = f"bytes {first}-{whole - 1}/{whole}"
        for name, value in headers.items():
            if value is not None:
                handler.send_header(name, value)
        handler.end_headers()
        self._send(handler, body)

    def _start(self, handler: Any) -> int | None:
        """The first byte wanted, None for all."""
        wanted, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        if wanted is None or not self.ranges or (self.conditions and condition not in (None, self.etag)):
            return None
        return int(re.sub(r"\D", "", wanted))

    def _send(self, handler: Any, body: bytes) -> None:
        if self.stalls:
            handler.wfile.write(body[: self.stalls.pop(0)])
            handler.wfile.flush()
            self.over.wait(20)
        else:
            handler.wfile.write(body[: self.cuts.pop(0)] if self.cuts else body)
        handler.close_connection = True


@contextmanager
def serving(**settings: Any) -> Iterator[FileServer]:
    """A server with these settings, as long as the context lasts."""
    state = FileServer(**settings)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
