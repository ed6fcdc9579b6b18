"""A hub on loopback, as much of it as planning asks for, with its faults."""

import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Repositories by name, each with its files; what was asked for; and the fault that is played."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    sent: int = 0
    fault: str = ""
    late: float = 30.0
    """Seconds that a slow fault lasts."""
    only: str = ""
    """Paths that the fault is played on contain it."""
    delay: float = 0.0
    """Seconds to and from a distant hub, for each request."""
    spans: list[tuple[float, float]] = field(default_factory=list)
    """When each request was being answered."""
    ranges: bool = True
    elsewhere: str = ""
    tokens: list[str | None] = field(default_factory=list)
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    wbufsize = 2**16  # else an answer goes out in two pieces, and the second waits for the first's receipt

    def log_message(self, *_):
        pass

    def do_GET(self):
        hub = self.hub
        hub.asked.append((self.path, self.headers.get("Range")))
        hub.tokens.append(self.headers.get("Authorization"))
        time.sleep(hub.delay)
        begun = time.perf_counter()
        self._respond()
        self.wfile.flush()
        hub.spans.append((begun - hub.delay, time.perf_counter()))

    def _respond(self):
        hub = self.hub
        if hub.fault and hub.only in self.path:
            return self._refuse()
        found = re.fullmatch(r"/api/models/([^/]+/[^/?]+)(?:/revision/([^?]+))?(?:\?.*)?", self.path)
        if found:
            return self._info(found[1], found[2])
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/([^?]+)", self.path)
        data = hub.files.get(found[1], {}).get(found[3]) if found else None
        if data is None:
            return self._answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})
        if hub.elsewhere:
            return self._answer(302, b"", {"Location": f"{hub.elsewhere}{self.path}"})
        return self._send(data)

    def _info(self, name, revision):
        name = self.hub.renamed.get(name, name)
        files = self.hub.files.get(name)
        if files is None:
            return self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if revision not in (None, "main", "v1", COMMIT):
            return self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        listed = [{"rfilename": file, "size": len(data)} for file, data in files.items()]
        body = {"id": name, "modelId": name, "sha": COMMIT, "siblings": listed}
        return self._answer(200, json.dumps(body).encode())

    def _send(self, data):
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if not match or not self.hub.ranges:
            return self._answer(200, data)
        begin, end = int(match[1]), min(int(match[2]) + 1, len(data))
        return self._answer(206, data[begin:end], {"Content-Range": f"bytes {begin}-{end - 1}/{len(data)}"})

    def _refuse(self):
        fault = self.hub.fault
        if fault == "late":
            time.sleep(self.hub.late)
            return self._answer(200, b"{}")
        if fault in ("trickle", "trickled headers", "stall"):
            return self._trickle(fault)
        if fault == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"{")
            self.close_connection = True
            return None
        more = {"gated": {"X-Error-Code": "GatedRepo"}, "429": {"Retry-After": "7"}}.get(fault, {})
        return self._answer(403 if fault == "gated" else int(fault), b"{}", more)

    def _trickle(self, fault):
        """A byte now and then, of the head or what follows it; or a beginning and nothing more."""
        if fault != "trickled headers":
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
        self.close_connection = True
        ends = time.monotonic() + self.hub.late
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: " if fault == "trickled headers" else b"{")
            self.wfile.flush()
            while time.monotonic() < ends:
                time.sleep(0.02)
                if fault != "stall":
                    self.wfile.write(b"x")
                    self.wfile.flush()
        except OSError:
            pass

    def _answer(self, status, body, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
            self.hub.sent += len(body)
        except OSError:
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        """Nobody has to hear of those who go away."""


class Serving:
    """`with Serving() as hub`."""

    def __enter__(self):
        self.hub = Hub()
        handler = type("Handler", (_Handler,), {"hub": self.hub})
        self._server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.hub.url = f"http://127.0.0.1:{self._server.server_port}"
        return self.hub

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
