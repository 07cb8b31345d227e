"""What may be asked through the gateway. Pure: a request in, what is sent on or a refusal out.  # E-6

Fail closed: methods, paths, models and the keys of a body are lists of what is known and harmless; anything else is
refused by name. What is sent on is written anew from what was read, so that no second reader sees another request.

Refused above all is whatever lets the provider act on a network or remember: tools that it runs itself (search, fetch,
code, MCP), content behind an address, files, earlier conversations. And whatever breaks the bound on cost: several
answers at once, images and sound (which cost more than their bytes), dearer service. Tools make a provider put words
before a prompt that nobody sent: they are counted as ``Accepted.unseen``.
Two things are written in: the cap on the answer's length, where the request names none or a higher one, since no hard
limit on money could be kept without it; and, where a provider would keep every conversation, that it keeps none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from festina.propose.gateway.http import Refused, Request

__all__ = ["PATHS", "Accepted", "judge"]

MAX_DEPTH = 64
_SAMPLING = frozenset({"model", "temperature", "top_p", "top_k", "min_p", "seed", "stream", "stop", "user", "metadata"})
_OPENAI = frozenset({
    "max_tokens", "n", "stream_options", "presence_penalty", "frequency_penalty", "repeat_penalty",
    "repetition_penalty", "logit_bias", "logprobs", "top_logprobs", "response_format", "grammar", "json_schema",
    "cache_prompt", "typical_p",
})  # fmt: skip
_TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
_CACHE = frozenset({"prompt_cache_key", "safety_identifier", "store"})
_KEYS: Mapping[str, frozenset[str]] = {
    "chat/completions": _SAMPLING | _OPENAI | _TOOLS | _CACHE | {
        "messages", "max_completion_tokens", "reasoning_effort", "verbosity", "chat_template_kwargs", "thinking",
        "enable_thinking",
    },
    "completions": _SAMPLING | _OPENAI | {"prompt", "suffix"},
    "responses": _SAMPLING | _TOOLS | _CACHE | {
        "input", "instructions", "max_output_tokens", "reasoning", "text", "include", "truncation", "stream_options",
        "client_metadata",
    },
    "messages": _SAMPLING | _TOOLS | {
        "messages", "system", "max_tokens", "stop_sequences", "thinking", "output_config", "context_management",
    },
}  # fmt: skip
PATHS = frozenset(_KEYS)
_LENGTHS = {  # what names the answer's length; the last is sent on, the first to endpoints that know it alone
    "chat/completions": ("max_completion_tokens", "max_tokens"), "completions": ("max_tokens",),
    "responses": ("max_output_tokens",), "messages": ("max_tokens",),
}  # fmt: skip
# Parts of a prompt that are text or a client's own tools. Images, sound, files and what the provider ran are not.
_PARTS = frozenset({
    "text", "input_text", "output_text", "summary_text", "reasoning_text", "refusal", "message", "reasoning",
    "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "local_shell_call",
    "local_shell_call_output", "tool_use", "tool_result", "thinking", "redacted_thinking",
})  # fmt: skip
_OWN_TOOLS = ("function", "custom", "local_shell")  # run by the client, in the box
_SWITCHES = frozenset({"enable_thinking", "thinking", "thinking_budget", "reasoning_effort"})
_OWN_PREFIXES = ("bash_", "text_editor_")
# Tokens of the words that tools make a provider put before a prompt, twice what Anthropic's manual gives under "Tool
# use: pricing": 346 for tools at all, 245 for bash, 700 for the editor. A client's own tools are bytes of the request.
_UNSEEN_TOOLS, _UNSEEN_KNOWN = 700, 1400


@dataclass(frozen=True, slots=True)
class Accepted:
    """``path`` below the endpoint; ``body`` as it is sent on; tokens at most. ``unseen``: of what tools add to it."""

    path: str
    model: str
    body: bytes
    stream: bool
    max_output: int
    unseen: int = 0


def judge(request: Request, names: tuple[str, ...], max_output: int, *, new_length: bool = False) -> Accepted:
    """Raises ``Refused``. ``new_length``: chat endpoints that take ``max_completion_tokens`` alone."""
    path = request.path.removeprefix("/v1/")
    if path not in PATHS or path == request.path:
        raise Refused(404, "path", f"{request.path!r} is not open; these are: {', '.join(sorted(PATHS))}, models")
    if request.method != "POST":
        raise Refused(404, "path", f"{path} takes POST alone")
    body = _read(request.body)
    model = body.get("model")
    if not isinstance(model, str) or model not in names:
        raise Refused(403, "model", f"this model may not be asked; these may: {', '.join(names)}")
    for key in body:
        if key not in _KEYS[path]:
            raise Refused(400, "key", f"{key[:60]!r} may not be asked for here")
    _template(body.get("chat_template_kwargs"))
    if body.get("n", 1) != 1 or isinstance(body.get("n"), bool):
        raise Refused(400, "key", "n must be 1: one answer a request")
    if not isinstance(body.get("stream", False), bool):
        raise Refused(400, "key", "stream is true or false")
    _kept_nothing(body, path)
    unseen = _tools(body.get("tools"))
    _contexts(body.get("context_management"))
    _contents(body, path)
    length = _cap_length(body, path, max_output, new_length=new_length)
    sent = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    return Accepted(path, model, sent, bool(body.get("stream", False)), length, unseen)


def _read(data: bytes) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):  # two readers would read two requests
            raise ValueError("a key stands there twice")
        return found

    def finite(text: str) -> float:
        if math.isinf(value := float(text)):
            raise ValueError("a number is beyond the range of a float")
        return value

    def never(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    try:
        body = json.loads(data.decode("utf-8"), object_pairs_hook=once, parse_constant=never, parse_float=finite)
        if not isinstance(body, dict):
            raise ValueError("an object is needed")
    except RecursionError:
        raise Refused(400, "request", "the body is nested too deeply") from None
    except ValueError as error:
        raise Refused(400, "request", f"the body cannot be read: {str(error)[:100]}") from None
    if _deeper(body, MAX_DEPTH):
        raise Refused(400, "request", "the body is nested too deeply")
    return body


def _deeper(value: object, most: int) -> bool:
    waiting: list[tuple[object, int]] = [(value, 0)]
    while waiting:
        each, depth = waiting.pop()
        if depth > most:
            return True
        if isinstance(each, dict | list):
            waiting += [(item, depth + 1) for item in (each.values() if isinstance(each, dict) else each)]
    return False


def _template(settings: object) -> None:
    """Of a prompt template: switches alone. Some servers take a whole one here, which can repeat a word for ever."""
    plain = {} if settings is None else settings
    if not isinstance(plain, dict) or any(
        key not in _SWITCHES or not isinstance(value, str | bool | int | float) for key, value in plain.items()
    ):
        raise Refused(400, "key", f"chat_template_kwargs takes these, and plain values: {', '.join(sorted(_SWITCHES))}")


def _kept_nothing(body: dict[str, Any], path: str) -> None:
    """No conversation stays at the provider, where later requests, or people, could read it."""
    if body.get("store") not in (None, False):
        raise Refused(400, "key", "store must be false: nothing is kept at the endpoint")
    if path == "responses":  # which keeps all where nothing is said
        body["store"] = False


def _tools(tools: object, depth: int = 0) -> int:
    """Only those that the client runs itself, inside the box. Tokens that they add unseen, at most."""
    if tools is None:
        return 0
    if not isinstance(tools, list):
        raise Refused(400, "key", "tools is a list")
    unseen = _UNSEEN_TOOLS if tools and not depth else 0
    for tool in tools:
        kind = tool.get("type", "custom") if isinstance(tool, dict) else None
        if kind == "namespace" and depth < 2:  # a bundle of them
            unseen += _tools(tool.get("tools"), depth + 1)
            continue
        if not isinstance(kind, str) or not (kind in _OWN_TOOLS or kind.startswith(_OWN_PREFIXES)):
            raise Refused(403, "tool", f"a tool of type {str(kind)[:40]!r} would act outside of the box")
        unseen += 0 if kind in ("function", "custom") else _UNSEEN_KNOWN
    return unseen


def _contexts(value: object) -> None:
    """Of a context's management: leaving parts out. Anything else has a model write, which no cap counts."""
    if value is None:
        return
    edits = value.get("edits", []) if isinstance(value, dict) and set(value) <= {"edits"} else None
    if not isinstance(edits, list) or not all(
        isinstance(edit, dict) and str(edit.get("type", "")).startswith("clear_") for edit in edits
    ):
        raise Refused(400, "key", "context_management takes edits that clear")


def _contents(body: Mapping[str, Any], path: str) -> None:
    if path == "completions":
        if not isinstance(body.get("prompt"), str):
            raise Refused(400, "content", "prompt is one text")
        return
    for key, depth in (("messages", 0), ("input", 0), ("system", 1)):
        _parts(body.get(key), depth)
    if not isinstance(body.get("instructions", ""), str | None):
        raise Refused(400, "content", "instructions is one text")


def _parts(value: object, depth: int) -> None:
    """Messages, their contents and the contents of tools' results."""
    if not isinstance(value, list):
        if value is not None and not isinstance(value, str):
            raise Refused(400, "content", "messages and their contents are texts or lists")
        return
    for part in value:
        if not isinstance(part, dict):
            raise Refused(400, "content", "messages and their parts are objects")
        kind = part.get("type", None if depth else "message")  # servers read a part without one by its other keys
        if not isinstance(kind, str) or kind not in _PARTS:
            raise Refused(403, "content", f"content of type {str(kind)[:40]!r} is not text")
        if depth < 4:
            _parts(part.get("content"), depth + 1)
        elif part.get("content") is not None:
            raise Refused(400, "content", "contents are nested too deeply")
        _parts(part.get("output"), depth + 1)


def _cap_length(body: dict[str, Any], path: str, most: int, *, new_length: bool) -> int:
    """The answer's length in tokens at most, written into ``body`` by the one key that the endpoint knows.

    By that one alone: a server that does not know the other would leave an answer without an end.
    """
    keys = _LENGTHS[path]
    for key in keys:
        value = body.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise Refused(400, "key", f"{key} is a whole number from 1")
    length: int = min([most, *(value for key in keys if (value := body.pop(key, None)) is not None)])
    body[keys[0] if new_length else keys[-1]] = length
    return length
