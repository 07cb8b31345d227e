"""The agent: asks a model for a function, takes code out of what it says, and may try it on the prompt's examples."""

import json
import os
import random
import re
import urllib.error
import urllib.request

import tools

HERE = os.path.dirname(os.path.abspath(__file__))


class Spent(Exception):
    """The allowance for this run is used up."""


def read(name, folder=HERE):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return file.read()


def ask(text, settings, seed):
    """One answer of the model. Empty where the endpoint failed; Spent where nothing more may be asked."""
    body = {"model": os.environ["FESTINA_MODEL"], "temperature": settings["temperature"],
            "max_tokens": settings["max_tokens"], "seed": seed % (1 << 31)}
    if settings["stop"]:
        body["stop"] = settings["stop"]
    if settings["api"] == "chat":
        path, body["messages"] = "chat/completions", [{"role": "user", "content": text}]
    else:
        path, body["prompt"] = "completions", text
    request = urllib.request.Request(f"{os.environ['OPENAI_BASE_URL']}/{path}", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=300) as reply:
            choice = json.load(reply)["choices"][0]
    except urllib.error.HTTPError as error:
        if error.code == 402:
            raise Spent from error
        return ""
    except (OSError, ValueError, LookupError):
        return ""
    return (choice["message"]["content"] if settings["api"] == "chat" else choice["text"]) or ""


def code_of(said, prompt, name):
    """The program in an answer: a fenced block, a function of that name, or a body that goes on after the prompt."""
    fenced = re.search(r"```(?:python)?\n(.*?)(?:```|$)", said, re.DOTALL)
    text = fenced[1] if fenced else said
    if f"def {name}" in text:
        return text if prompt.count("def ") == 1 else prompt + "    pass\n\n" + text
    lines = []
    for line in text.split("\n"):  # the body: as long as it is indented
        if line.strip() and not line.startswith((" ", "\t")):
            break
        lines.append(line)
    return prompt + "\n".join(lines)


def solve(prompt, name, settings, seed, template):
    """The program for one problem: the first try, or the first that does what the prompt's own examples say."""
    coins = random.Random(seed)
    first = ""
    for _ in range(settings["tries"]):
        source = code_of(ask(template.replace("{prompt}", prompt), settings, coins.getrandbits(31)), prompt, name)
        first = first or source
        if settings["check_examples"] and tools.keeps_examples(source, prompt, name):
            return source
    return first
