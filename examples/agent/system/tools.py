"""What the agent can do beside asking: run a program in a process of its own, and read the examples in a prompt."""

import ast
import json
import re
import subprocess
import sys

CHILD = """
import ast, json, sys
work = json.load(sys.stdin)
out = sys.stdout
sys.stdout = sys.stderr
names = {"__name__": "solution"}
exec(work["source"], names)
for arguments in work["calls"]:
    try: said = repr(names[work["name"]](*ast.literal_eval(arguments)))
    except Exception as error: said = "error " + type(error).__name__
    out.write(json.dumps(said[:2000]) + "\\n"); out.flush()
"""


def run(source, name, calls, seconds=3.0):
    """What ``name`` gives back for each call, as literals; what did not come back is empty."""
    work = json.dumps({"source": source, "name": name, "calls": list(calls)})
    said = ""
    try:
        done = subprocess.run([sys.executable, "-I", "-S", "-c", CHILD], input=work, capture_output=True, text=True,
                              timeout=seconds, check=False)
        said = done.stdout
    except subprocess.TimeoutExpired as late:
        said = late.stdout.decode(errors="replace") if isinstance(late.stdout, bytes) else late.stdout or ""
    except ValueError:  # not text
        pass
    results = []
    for line in said.splitlines()[: len(calls)]:
        try:
            results.append(json.loads(line))
        except ValueError:
            break
    return results + [""] * (len(calls) - len(results))


def examples(prompt, name):
    """(arguments, result) of the prompt's own examples, such as ``>>> f(1)`` with the answer on the next line."""
    found = []
    for arguments, result in re.findall(r">>> *" + re.escape(name) + r"\((.*)\)\s*\n\s*(.+)", prompt):
        try:
            found.append((repr(ast.literal_eval(f"({arguments},)")), repr(ast.literal_eval(result.strip()))))
        except (ValueError, SyntaxError):
            continue
    return found


def keeps_examples(source, prompt, name):
    known = examples(prompt, name)
    return run(source, name, [arguments for arguments, _ in known]) == [result for _, result in known]
