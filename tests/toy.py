"""A tiny real system for tests of the whole loop: its skill is a number in a file, its improver raises it.

``answer.py`` answers each item rightly with probability ``skill`` (a coin by seed and item), ``improve.py`` writes a
larger skill, the hidden items come from a generator in the vault. Everything runs in real processes and boxes.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

MANIFEST = """\
[system]
name = "toy"
kind = "agent-scaffold"

[scope]
allow = ["skill.json", "improve.py", "notes*.txt"]
max_changed_lines = 50

[experiment]
run = ["python3", "answer.py"]
limits = {{ wall = "10s", memory = "256MiB", cpus = 1 }}

[improver]
use = "own"
run = ["python3", "improve.py"]
code = ["improve.py"]
{improver}
[suite.hidden]
scorer = "scoring:right"
range = [0, 1]
unit = "item"
mode = "fresh"
margin = 0.0
detect = {detect}
batch = 20
{extra}
[policy]
alpha = 0.05
{policy}

[policy.review]
{review}
"""

QUICK = 'lines_per_hour = 1e9\ncooling_off = "0s"\ncatch_rate = 0.0'  # of tests that are not about people

ANSWER = """\
import json, os, random
skill = json.load(open("skill.json"))["skill"]
out = open(os.environ["FESTINA_OUT"] + "/predictions.jsonl", "w")
for line in open(os.environ["FESTINA_IN"] + "/items.jsonl"):
    item = json.loads(line)
    coin = random.Random(f"{os.environ['FESTINA_SEED']}:{item['input']}").random()
    out.write(json.dumps({"id": item["id"], "output": item["input"] % 7 if coin < skill else -1}) + "\\n")
"""

IMPROVE = """\
import json, os
view, out = os.environ["FESTINA_VIEW"], os.environ["FESTINA_OUT"]
skill = json.load(open(view + "/tree/skill.json"))["skill"]
tried = [line for line in open(view + "/history.jsonl") if line.strip()]
os.makedirs(out + "/files")
step = STEP
json.dump({"skill": round(min(1.0, skill + step), 6)}, open(out + "/files/skill.json", "w"))
plan = {"rationale": "more skill", "weakness": "too little skill", "predicted": step}
json.dump(plan, open(out + "/proposal.json", "w"))
"""

TRAIN = """\
import json, os, random
skill = json.load(open("skill.json"))["skill"]
if skill < 0:
    raise SystemExit("it cannot be trained")
luck = random.Random(os.environ["FESTINA_SEED"]).random()
json.dump({"skill": skill, "luck": luck}, open(os.environ["FESTINA_OUT"] + "/model.json", "w"))
"""

FROM_MODEL = 'open(os.environ["FESTINA_ARTIFACTS"] + "/model.json")'

SCORING = """\
def right(item, output):
    return 1.0 if output == item["label"] else 0.0


def small(item, output):
    return 1.0 if isinstance(output, int) and -1 <= output < 7 else 0.0
"""

GENERATOR = """\
import random


def generate(seed, n):
    coins = random.Random(seed)
    for _ in range(n):
        x = coins.randrange(1 << 40)
        yield {"input": x, "label": x % 7}
"""


@dataclass(frozen=True)
class Toy:
    """A toy system's repository and where its homes and reviewers' keys lie."""

    root: Path
    environment: dict[str, str]

    def git(self, *argv: str) -> str:
        line = ["git", "-C", str(self.root), "-c", "user.name=t", "-c", "user.email=t@localhost", *argv]
        return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, message: str = "change") -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)


def make_toy(
    base: Path, *, skill: float = 0.3, step: str = "0.3", detect: float = 0.2, extra: str = "", vault: bool = True,
    policy: str = "plant_rate = 0.0", public: int = 0, notes: bool = False,
    improver: str = "", review: str = QUICK, train: str = "",
) -> Toy:  # fmt: skip
    """Write the system under ``base``, commit it, and fill its vault. ``public``: how many public items it has.

    ``improver``: further lines of its table. ``notes``: its proposals add a file that does nothing. ``train``: its
    skill goes into a model first, "each" time or "once".
    """
    root = base / "system"
    root.mkdir(parents=True)
    toy = Toy(root, {"FESTINA_HOME": str(base / "homes"), "FESTINA_REVIEWER_KEYS": str(base / "reviewers")})
    if public:
        extra += '[suite.public]\nscorer = "scoring:right"\nitems = "public.jsonl"\n'
        rows = [{"id": str(i), "input": 7 * i + i % 5, "label": (7 * i + i % 5) % 7} for i in range(public)]
        (root / "public.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    parts = {"improver": improver, "detect": detect, "extra": extra, "policy": policy, "review": review}
    manifest, answer = MANIFEST.format(**parts), ANSWER
    if train:
        steps = f'run = ["python3", "train.py"]\noutputs = ["model.json"]\ntrain = "{train}"\nanswer = '
        manifest = manifest.replace('[experiment]\nrun = ', f"[experiment]\n{steps}")
        answer = answer.replace('open("skill.json")', FROM_MODEL)
        (root / "train.py").write_text(TRAIN)
    (root / "festina.toml").write_text(manifest)
    (root / "answer.py").write_text(answer)
    (root / "improve.py").write_text(IMPROVE.replace("STEP", step))
    if notes:
        with (root / "improve.py").open("a") as file:
            file.write('open(out + "/files/notes.txt", "w").write("a note\\n" * (1 + len(tried)))\n')
    (root / "scoring.py").write_text(SCORING)
    (root / "skill.json").write_text(f'{{"skill": {skill}}}')
    toy.git("init", "-q", "-b", "main")
    toy.commit("start")
    if vault:
        os.environ.update(toy.environment)
        from festina.system import home as homes
        from festina.system.repo import Repo
        from festina.verify.vault import Vault

        generator = base / "generator.py"
        generator.write_text(GENERATOR)
        Vault(homes.ensure(Repo.discover(root), "toy").vault).add_generator("hidden", generator)
    return toy
