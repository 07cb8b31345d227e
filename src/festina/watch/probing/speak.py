"""Answer items by talking to the model behind the gateway, one conversation an item: an example to start from."""

import json
import os
import urllib.request


def say(messages: list[dict[str, str]]) -> str:
    asked = {"model": os.environ["FESTINA_MODEL"], "messages": messages, "max_tokens": 160, "temperature": 0}
    body = json.dumps(asked).encode()
    address = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        said: str = json.load(answer)["choices"][0]["message"]["content"] or ""
    return said


def converse(system: str, turns: list[str]) -> list[str]:
    messages, replies = [{"role": "system", "content": system}], list[str]()
    for turn in turns:
        messages.append({"role": "user", "content": turn})
        replies.append(say(messages))
        messages.append({"role": "assistant", "content": replies[-1]})
    return replies


def main() -> None:
    with (
        open(os.environ["FESTINA_IN"] + "/items.jsonl") as items,
        open(os.environ["FESTINA_OUT"] + "/predictions.jsonl", "w") as out,
    ):
        for line in items:
            item = json.loads(line)
            output = converse(item["input"]["system"], item["input"]["turns"])
            out.write(json.dumps({"id": item["id"], "output": output}) + "\n")


if __name__ == "__main__":
    main()
