"""Coding agents as data: started as they are installed, with their way to a model and nothing else.  # P-5, E-6"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import get_args

import pytest

from festina.errors import UsageError
from festina.propose.asking import Asking
from festina.propose.book import PaperBook
from festina.propose.command import CommandImprover
from festina.propose.gateway import Allowance, Gateway
from festina.propose.gateway.rules import PATHS
from festina.propose.presets import presets, ready
from festina.propose.types import Budget, NoProposal, Proposal
from festina.sandbox.job import Level
from festina.system.manifest import ImproverTable
from tests.modelserver import Bad, serving

from .boxes import box, trees, view  # noqa: F401 - fixtures

_MUCH = Allowance(10, 10_000_000)
# What opencode does with its settings, in a few lines: it reads them from its variable, asks, and edits.
FAKE = """\
#!/usr/bin/env python3
import json, os, sys, urllib.request
settings = json.loads(os.environ["OPENCODE_CONFIG_CONTENT"])
provider, name = settings["model"].split("/", 1)
assert sys.argv[1:4] == ["run", "--model", f"festina/{name}"], sys.argv
assert "What you may change" in sys.argv[4]
base = settings["provider"][provider]["options"]["baseURL"]
asked = {"model": name, "messages": [{"role": "user", "content": sys.argv[4]}]}
request = urllib.request.Request(base + "/chat/completions", json.dumps(asked).encode())
open("train.py", "w").write(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"])
"""


def installed(folder: Path) -> Path:
    """As a package manager does it: a link in ``bin`` to a file deep in ``node_modules``."""
    program = folder / "lib" / "node_modules" / "opencode-ai" / "bin" / "opencode"
    program.parent.mkdir(parents=True)
    program.write_text(FAKE)
    program.chmod(0o755)
    (folder / "bin").mkdir()
    (folder / "bin" / "opencode").symlink_to("../lib/node_modules/opencode-ai/bin/opencode")
    (folder / "secret").write_text("not shown")
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o055) if not path.is_symlink() else None
    return folder / "bin" / "opencode"


def test_E6_an_agent_runs_as_it_is_installed_and_asks_through_the_gateway(box, trees, tmp_path):  # noqa: F811
    if box.level < Level.L2:
        pytest.skip("no gateway at this level")
    program = installed(tmp_path / "prefix")
    agent = ready("opencode", "vendor/m", find=lambda name: str(program) if name == "opencode" else None)
    shown = [bind.target for bind in agent.binds]
    assert not any(Path(target) in (tmp_path / "prefix", tmp_path / "prefix" / "secret") for target in shown)
    with serving("x = 2\n") as served:
        gate = Gateway(served.url, "", ("vendor/m",), {}, 100, 20.0, PaperBook())
        improver = CommandImprover(
            box, agent.run, name="opencode", models=Asking(gate, Allowance(3, 50_000)), agent=agent
        )
        found = improver.propose(view(trees("tree", {"train.py": "x = 1\n"})), Budget(wall_s=30, cpu_s=30))
        assert isinstance(found, Proposal), (found, improver.last_error)
        assert (found.files, found.author) == ({"train.py": b"x = 2\n"}, "command:opencode")
        assert served.asked[0]["model"] == "vendor/m"
        broke = improver.propose(view(trees("tree", {})), Budget(wall_s=0.01, cpu_s=30))  # an agent that hangs
        assert isinstance(broke, NoProposal)


def test_P5_every_preset_is_complete_and_named_in_the_manifest():
    assert set(get_args(get_args(ImproverTable.model_fields["preset"].annotation)[0])) == set(presets())
    for name, preset in presets().items():
        assert preset.run[0] == preset.program
        assert preset.speaks in PATHS
        assert preset.source.startswith("https://")
        agent = ready(name, "vendor/m", find=lambda program: f"/usr/bin/{program}")
        text = " ".join([*agent.run, *agent.env.values()])
        assert "127.0.0.1:4180" in text or name == "claude"  # that one reads ANTHROPIC_BASE_URL
        assert "vendor/m" in text
        assert "{model}" not in text
        assert "{base}" not in text
        assert any("{task" in word for word in agent.run)
        assert agent.binds == ()  # below /usr every box shows it
        assert not any(key.startswith(("LD_", "BASH")) for key in agent.env)
    assert json.loads(ready("opencode", "a", find=lambda _: "/usr/bin/x").env["OPENCODE_CONFIG_CONTENT"])


def test_an_agent_that_is_not_there_is_said_so_with_what_else_there_is():
    with pytest.raises(UsageError) as caught:
        ready("codex", "m", find=lambda _: None)
    assert caught.value.name == "agent-not-found"
    assert "opencode" in caught.value.fix


def test_the_command_of_a_preset_can_be_ones_own(tmp_path):
    program = installed(tmp_path / "prefix")
    agent = ready("opencode", "m", ("opencode", "run", "{model}", "{task}"),
                  find=lambda name: str(program) if name == "opencode" else None)  # fmt: skip
    assert agent.run == (str(program.resolve()), "run", "m", "{task}")  # its own files lie beside the real one
    assert agent.env["PATH"].split(os.pathsep)[0] == str(program.resolve().parent)


def test_E6_a_program_that_lies_in_the_home_itself_shows_nothing_else_of_it(tmp_path, monkeypatch):
    home = tmp_path / "home"
    for folder, shown in ((home, home / "codex"), (tmp_path, tmp_path / "codex"), (home / "tool", home / "tool")):
        folder.mkdir(exist_ok=True)
        (folder / "codex").touch()
        monkeypatch.setenv("HOME", str(home))
        agent = ready("codex", "m", find=lambda name, at=folder: str(at / "codex") if name == "codex" else None)
        assert [bind.source for bind in agent.binds] == [shown]


def _scripted(path: str, model: str) -> bytes:
    """One turn that says something and asks for no tool, streamed in the form of each API."""
    say, spent = "Nothing to do.", {"input_tokens": 5, "output_tokens": 2}
    if path == "responses":
        item = {"type": "message", "role": "assistant", "id": "m", "content": [{"type": "output_text", "text": say}]}
        usage = {**spent, "total_tokens": 7}
        events = [{"type": "response.created", "response": {"id": "r"}},
                  {"type": "response.output_item.done", "item": item},
                  {"type": "response.completed", "response": {"id": "r", "usage": usage}}]  # fmt: skip
    elif path == "messages":
        message = {"id": "m", "type": "message", "role": "assistant", "model": model, "content": [], "usage": spent,
                   "stop_reason": None, "stop_sequence": None}  # fmt: skip
        events = [{"type": "message_start", "message": message},
                  {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                  {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": say}},
                  {"type": "content_block_stop", "index": 0},
                  {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                   "usage": {"output_tokens": 2}}, {"type": "message_stop"}]  # fmt: skip
    else:
        choice = {"index": 0, "delta": {"role": "assistant", "content": say}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
        events = [{"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice],
                   "usage": usage}]  # fmt: skip
    named = "".join(f"event: {each.get('type', 'message')}\ndata: {json.dumps(each)}\n\n" for each in events)
    return (named if path != "chat/completions" else f"data: {json.dumps(events[0])}\n\ndata: [DONE]\n\n").encode()


@pytest.mark.slow
@pytest.mark.parametrize("name", presets())
def test_E6_the_real_agent_asks_through_the_gateway_and_ends(name, box, trees):  # noqa: F811
    if box.level < Level.L2:
        pytest.skip("no gateway at this level")
    if shutil.which(presets()[name].program) is None:
        pytest.skip(f"{name} is not installed here")
    agent, path = ready(name, "m"), presets()[name].speaks
    kind = (("Content-Type", "text/event-stream"),)
    with serving(Bad("body", body=_scripted(path, "m"), headers=kind)) as served:
        gate = Gateway(served.url, "", ("m",), {}, 4000, 60.0, PaperBook())
        improver = CommandImprover(box, agent.run, name=name, models=Asking(gate, _MUCH), agent=agent)
        budget = Budget(wall_s=240, cpu_s=240, memory_bytes=4 << 30)
        found = improver.propose(view(trees("tree", {"train.py": "x = 1\n"})), budget)
        assert found.reason == "the program changed nothing", (found, improver.last_error)
        assert served.asked
