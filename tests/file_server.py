"""A file server on loopback that can break off, and that answers as the Hugging Face hub does."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class FileServer(ThreadingHTTPServer):
    """Serves the files of a folder, and remembers what it was asked for.

    Attributes:
        requests: (method, path, Range header or None) of each request.
        after_break: called after each of them.
        ignore_ranges: answer with the whole file, whatever part is asked for.
        break_off: how many more answers end halfway, although their headers promise everything.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.requests: list[tuple[str, str, str | None]] = []
        self.break_off = 0
        self.ignore_ranges = False
        self.after_break: Callable[[], object] = int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FileServer
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        wanted = self.headers.get("Range")
        self.server.requests.append((self.command, self.path, wanted))
        path = self.server.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        if self.server.ignore_ranges or self.headers.get("If-Range", etag) != etag:
            wanted = None
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", etag)
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        if with_body and self.server.break_off:
            self.server.break_off -= 1
            self.wfile.write(content[start : (start + len(content)) // 2])
            self.server.after_break()
            self.close_connection = True
        elif with_body:
            self.wfile.write(content[start:])

    def log_message(self, format: str, *args: object) -> None:
        """The test's output is not the place."""


@contextmanager
def serve(folder: Path) -> Iterator[FileServer]:
    """A server of `folder`, for as long as the block takes."""
    with FileServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
