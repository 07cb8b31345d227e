"""Real HTTP services on loopback, and a split in front of two of them."""

from __future__ import annotations

import http.client
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from festina.watch.split import Seen, Split, Target


@dataclass
class Service:
    """A real HTTP service that says its name; ``status`` and ``wait_s`` may be changed while it runs."""

    name: str
    status: int = 200
    wait_s: float = 0.0
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None

    def start(self) -> Target:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                service.asked.append((self.command, self.path, body))
                time.sleep(service.wait_s)
                said = f"{service.name} {self.headers.get('X-Word', '')}".encode()
                self.send_response(service.status)
                self.send_header("X-Service", service.name)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(said)

            def log_message(self, format: str, *args: object) -> None:
                return

        for method in ("GET", "POST", "HEAD", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.answer)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return Target("127.0.0.1", self.server.server_address[1])


def ask(
    port: int, method: str = "GET", path: str = "/x", body: bytes = b"", **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path, body=body or None, headers=headers)
        with connection.getresponse() as came:  # also where it is cut short: a socket left open is an error
            return came.status, came.read(), dict(came.getheaders())


def split(step: str, old: Service, new: Service, share: float = 0.0, **more: object) -> tuple[Split, int, list[Seen]]:
    seen: list[Seen] = []
    made = Split(step, new.start(), old.start(), share, seen.append, **more)  # type: ignore[arg-type]
    return made, made.serve("127.0.0.1", 0), seen
