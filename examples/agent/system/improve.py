"""The agent as its own improver: it asks its model for a change of its own files; what cannot be used is drawn instead.

It runs from the approved generation, with that generation's prompts, tools and settings (the working directory), and
changes the version in use ($FESTINA_VIEW/tree). A change is tried on a few public problems first, beside that version.
"""

import json
import os
import random
import re
import sys

import agent

FILES = ("settings.json", "prompts/solve.txt", "agent.py", "tools.py")
TRIED = 4  # public problems, twice
# What can be drawn where the model has no usable idea: settings, or the prompt.
DRAWS = (
    {"api": "completion"}, {"api": "chat"}, {"temperature": 0.0}, {"temperature": 0.3}, {"max_tokens": 200},
    {"tries": 3, "check_examples": True}, {"stop": ["\ndef ", "\nclass ", "\nif ", "\nprint", "\n#"]},
    {"api": "completion", "stop": ["\ndef ", "\nclass ", "\nif ", "\nprint", "\n#"]},
    {"prompt": "{prompt}"}, {"prompt": "Complete this Python function. Answer with code alone.\n\n{prompt}"},
    {"api": "completion", "prompt": "{prompt}", "stop": ["\ndef ", "\nclass ", "\nif ", "\nprint", "\n#"]},
    {"api": "completion", "prompt": "{prompt}", "temperature": 0.0},
)


def asked(tree, history, settings, seed):
    """(path, content) that the model answers with; None where it cannot be used."""
    files = "\n\n".join(f"FILE: {name}\n```\n{agent.read(name, tree)}```" for name in FILES[:2])
    told = "\n".join(f"- {row['word']}: {row['patch'][-300:]}" for row in history[-5:]) or "none"
    text = agent.read("prompts/improve.txt").replace("{files}", files).replace("{history}", told)
    said = agent.ask(text, {**settings, "api": "chat", "stop": [], "max_tokens": 400, "temperature": 0.8}, seed)
    found = re.search(r"FILE: *([\w./]+)\s*\n```\w*\n(.*?)```", said, re.DOTALL)
    if found is None or found[1] not in FILES:
        return None
    path, content = found[1], found[2]
    try:
        if path == "settings.json" and set(json.loads(content)) != set(settings):
            return None
        if path.endswith(".py"):
            compile(content, path, "exec")
    except (ValueError, TypeError, SyntaxError):
        return None
    if path.endswith(".txt") and "{prompt}" not in content:
        return None
    return None if content == agent.read(path, tree) else {path: content}


def drawn(tree, coins):
    change = dict(coins.choice(DRAWS))
    files = {}
    if "prompt" in change:
        files["prompts/solve.txt"] = change.pop("prompt") + "\n"
    if change:
        now = json.loads(agent.read("settings.json", tree))
        files["settings.json"] = json.dumps({**now, **change}, indent=2) + "\n"
    return files


def solved(tree, files, problems, seed):
    """How many public problems the changed version solves, with this generation's own hands."""
    sys.path.insert(0, tree)
    import scoring
    import tools

    settings = json.loads(files.get("settings.json") or agent.read("settings.json", tree))
    template = files.get("prompts/solve.txt") or agent.read("prompts/solve.txt", tree)
    right = 0
    for number, item in enumerate(problems):
        problem = item["input"]
        source = agent.solve(problem["prompt"], problem["name"], settings, seed + number, template)
        right += scoring.solved(item, tools.run(source, problem["name"], problem["calls"]))
    return right


def main():
    view, out = os.environ["FESTINA_VIEW"], os.environ["FESTINA_OUT"]
    tree, seed = view + "/tree", int(os.environ["FESTINA_SEED"])
    coins, settings = random.Random(seed), json.loads(agent.read("settings.json"))
    with open(view + "/history.jsonl", encoding="utf-8") as file:
        history = [json.loads(line) for line in file]
    with open(tree + "/data/public.jsonl", encoding="utf-8") as file:
        problems = coins.sample([json.loads(line) for line in file], TRIED)
    try:
        files = asked(tree, history, settings, coins.getrandbits(31))
        whose = "the model's" if files else "drawn"
        files = files or drawn(tree, coins)
        gain = solved(tree, files, problems, seed) - solved(tree, {}, problems, seed)
    except agent.Spent:
        return
    if gain < 0:
        return
    for path, content in files.items():
        target = f"{out}/files/{path}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            file.write(content)
    plan = {"rationale": f"{whose} change of {', '.join(files)}", "predicted": gain / TRIED}
    with open(out + "/proposal.json", "w", encoding="utf-8") as file:
        json.dump(plan, file)


if __name__ == "__main__":
    main()
