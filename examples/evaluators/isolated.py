"""The same evaluator with the candidate out of reach: another process, without network, files or the answers.

    festina drill examples/evaluators/isolated.py:evaluate --honest examples/evaluators/sorting.py

Needs bubblewrap. The candidate sees a read-only system, its own file and the questions; its answers come back as
JSON, are checked for type and number, and what is missing, late or malformed is wrong.
"""

import json
import random
import subprocess
import sys
import tempfile

CASES, SECONDS, MOST = 50, 5, 1 << 20
DRIVER = """
import json, resource, sys, types
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
resource.setrlimit(resource.RLIMIT_NPROC, (16, 16))
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))  # of files and of the answers
cases = json.load(sys.stdin)
answers, sys.stdout = sys.stdout, sys.stderr
program = types.ModuleType("program")
exec(compile(open("/candidate.py").read(), "/candidate.py", "exec"), program.__dict__)
answers.write(json.dumps([program.sort_list(case) for case in cases]))
"""


def evaluate(program_path):
    cases = [[random.randint(-99, 99) for _ in range(random.randint(1, 30))] for _ in range(CASES)]
    answers = _ask(program_path, cases)
    pairs = zip(answers, cases, strict=True) if len(answers) == CASES else []
    right = sum(_plain(answer) and answer == sorted(case) for answer, case in pairs)
    return {"combined_score": right / CASES}  # of all that were asked


def _ask(program_path, cases):
    view = [word for path in ("/usr", sys.base_prefix) for word in ("--ro-bind", path, path)]
    links = [word for name in ("bin", "lib", "lib64") for word in ("--symlink", f"usr/{name}", f"/{name}")]
    box = [
        "bwrap", "--unshare-all", "--unshare-user", "--uid", "1234", "--die-with-parent", "--new-session", "--clearenv",
        *view, *links, "--proc", "/proc", "--dev", "/dev", "--size", str(MOST), "--tmpfs", "/tmp", "--chdir", "/tmp",
        "--ro-bind", program_path, "/candidate.py", "--remount-ro", "/",
        sys.base_prefix + "/bin/python3", "-I", "-c", DRIVER,
    ]  # fmt: skip
    with tempfile.TemporaryFile() as out:
        try:
            done = subprocess.run(
                box, input=json.dumps(cases).encode(), stdout=out, stderr=subprocess.DEVNULL, timeout=SECONDS,
                check=False,
            )
            out.seek(0)
            answers = json.loads(out.read(MOST)) if done.returncode == 0 else []
        except (subprocess.TimeoutExpired, ValueError, RecursionError):
            return []
    return answers if isinstance(answers, list) else []


def _plain(answer):
    return isinstance(answer, list) and all(type(value) is int for value in answer)
