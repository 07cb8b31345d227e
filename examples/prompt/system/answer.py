"""One trial: every question of ``$FESTINA_IN/items.jsonl`` to the model behind the gateway. Out of proposals' reach."""

import json
import os
import urllib.request
from pathlib import Path

from solver import solve


def ask(text):
    """What the model says, at temperature 0; nothing where the endpoint fails or the trial's calls are used up."""
    body = {
        "model": os.environ["FESTINA_MODEL"], "temperature": 0, "max_tokens": 60,
        "messages": [{"role": "user", "content": str(text)}],
    }  # fmt: skip
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.load(reply)["choices"][0]["message"]["content"] or ""
    except (OSError, ValueError, LookupError):
        return ""


if __name__ == "__main__":
    template = Path("prompt.txt").read_text()
    lines = Path(os.environ["FESTINA_IN"], "items.jsonl").read_text().splitlines()
    with open(os.environ["FESTINA_OUT"] + "/predictions.jsonl", "w") as file:
        for item in map(json.loads, lines):
            said = str(solve(item["input"], template, ask))
            file.write(json.dumps({"id": item["id"], "output": said}) + "\n")
