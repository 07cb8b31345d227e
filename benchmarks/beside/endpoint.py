"""A model endpoint, real HTTP, whose answers are a stream of changes that is the same whoever asks.

Answer ``n`` is step ``n`` of the task's proposer, made to the program that the prompt shows: the loop decides what it
shows, and nothing else. The answer is one SEARCH/REPLACE block, which OpenEvolve and Festina both read as it is.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from beside.tasks import Task, step

SHOWN = ("# Current Program", "# Files that you may change")  # in OpenEvolve's prompt, and in Festina's


@dataclass
class Stream:
    """``asked`` counts requests; ``tokens`` are estimated, four characters each, as the account of all loops."""

    task: Task
    url: str = ""
    asked: int = 0
    tokens: int = 0
    shown: list[str] = field(default_factory=list)  # the programs, in order
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, prompt: str) -> str:
        with self.lock:
            number, self.asked = self.asked, self.asked + 1
            old = program_in(prompt)
            self.shown.append(old)
            new = step(self.task, old + "\n", number).removesuffix("\n")
            self.tokens += (len(prompt) + len(new)) // 4
        return (
            f"PLAN: step {number} of the stream\nWEAKNESS: it can be better\nPREDICTED: 0.01\n\n{self.task.file}\n"
            f"<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"
        )


def program_in(prompt: str) -> str:
    """The program that is to be changed, without its last line ends. Raises ``ValueError`` where none is shown."""
    for marker in SHOWN:
        at = prompt.rfind(marker)
        found = re.search(r"```\w*\n(.*?)\n?```", prompt[at:], re.DOTALL) if at >= 0 else None
        if found is not None:
            return found[1].rstrip("\n")
    raise ValueError("the prompt shows no program")


class _Handler(BaseHTTPRequestHandler):
    stream: Stream
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][-1]["content"]
        data = json.dumps(_completion(self.stream.answer(prompt), len(prompt) // 4)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def _completion(text: str, prompt: int) -> dict[str, Any]:
    used = {"prompt_tokens": prompt, "completion_tokens": len(text) // 4, "total_tokens": prompt + len(text) // 4}
    return {
        "id": "x", "object": "chat.completion", "created": 0, "model": "scripted", "usage": used,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
    }  # fmt: skip


@contextmanager
def serving(task: Task) -> Iterator[Stream]:
    """A fresh stream behind a port of the loopback."""
    stream = Stream(task)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stream": stream}))
    server.daemon_threads = True
    stream.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield stream
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
