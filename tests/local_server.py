"""A small HTTP server in a thread, which can continue files, break off, ignore ranges, refuse, redirect and lie."""

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """What the server holds and how it behaves; what it was asked."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    broken_after: dict[str, int] = field(default_factory=dict)  # path -> bytes sent before the line is cut, once
    stalled_after: dict[str, int] = field(default_factory=dict)  # path -> bytes sent before silence, once
    status: dict[str, int] = field(default_factory=dict)  # path -> what is answered instead of the file
    redirects: dict[str, str] = field(default_factory=dict)  # path -> another address
    headers: dict[str, dict[str, str]] = field(default_factory=dict)  # path -> instead of the true ones
    ranges: bool = True
    delay_s: float = 0.0
    etag: str = '"1"'
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    woken: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"


def _handler(server: Server):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path, wanted = self.path.lstrip("/"), self.headers.get("Range")
            server.requests.append((path, wanted))
            time.sleep(server.delay_s)
            if path in server.redirects:
                self.send_response(302)
                self.send_header("Location", server.redirects[path])
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if path in server.status or path not in server.files:
                self.send_error(server.status.get(path, 404))
                return
            body, start = server.files[path], 0
            if_range = self.headers.get("If-Range")
            if wanted and server.ranges and if_range in (None, server.etag):
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(body):
                    self.send_error(416)
                    return
            self._answer(path, body, start)

        def _answer(self, path, body, start):
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            headers = {"Content-Length": len(body) - start, "ETag": server.etag}
            headers |= {"Last-Modified": formatdate(0, usegmt=True)} | server.headers.get(path, {})
            for name, value in headers.items():
                self.send_header(name, str(value))
            self.end_headers()
            end = server.broken_after.pop(path, len(body))
            if path in server.stalled_after:
                end = server.stalled_after.pop(path)
                self.wfile.write(body[start:end])
                server.woken.wait(timeout=30)
                return
            self.wfile.write(body[start:end])
            server.sent.append(end - start)
            if end < len(body):
                self.wfile.flush()
                self.connection.close()

        def log_message(self, *_):
            pass

    return Handler


@contextmanager
def serve():
    server = Server()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    httpd.daemon_threads = True
    server.address = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.woken.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join()
