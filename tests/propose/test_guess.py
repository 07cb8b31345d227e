"""V-10, T-6: a self-reported score is read strictly; guesses are explained or asked for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.errors import UsageError
from festina.propose.guess import direction_of, guess, parse_metric, script_of


@pytest.mark.parametrize(
    ("stdout", "value"),
    [
        (b"loss: 0.5\n", 0.5),
        (b"loss=0.5", 0.5),
        (b"  loss :  -1.5e-3 \r\n", -0.0015),
        (b"loss: 2\nloss: 1\ndone\n", 1.0),
        (b"val_bpb:          0.997900\n", None),  # another name
        (b"loss: .5\nloss:7.\n", 7.0),
        (b"", None),
        (b"loss: nan\n", None),
        (b"loss: inf\n", None),
        (b"loss: 1e999\n", None),
        (b"loss: 0.1\nloss: nan\n", None),  # an earlier, better line never steps in
        (b"loss: 0.1\nloss: 0.2 (best 0.01)\n", None),
        (b"loss: 0.1\nloss: \x1b[32m0.2\x1b[0m\n", None),
        (b"loss: 0.1\nloss: 0.2\rloss: 9\n", None),  # overprinted on a terminal
        (b"loss: 1_000\n", None),
        (b"loss: 0x10\n", None),
        (b"loss: 1,5\n", None),
        (b"loss: 1 000\n", None),
        ("loss: ٣\n".encode(), None),  # digits of another script, which float() would take
        ("loss: 0.5\u200b\n".encode(), None),
        ("loss\u200b: 0.5\n".encode(), None),
        ("l\u043ess: 0.5\n".encode(), None),
        ("loss：0.5\n".encode(), None),
        (b"myloss: 3\n", None),
        (b"loss_val: 3\n", None),
        (b"best loss: 3\n", None),
        (b"loss: " + b"1" * 5000 + b"\n", None),
        (b"loss: 0." + b"1" * 5000 + b"\n", None),
        (b"loss: 1e100\n", 1e100),
        (b"loss: -1.1e100\n", None),  # a difference that the gate refuses would end every run of its ledger
        (b"loss: --1\n", None),
        (b"loss: 1e\n", None),
        (b"\xff\xfeloss: 1\n", None),
        (b"loss: 1\x00\n", None),
        (b"loss:\n0.5\n", None),
    ],
)
def test_T6_the_last_line_of_the_name_counts_and_only_if_it_is_exactly_a_number(stdout, value):
    assert parse_metric(stdout, "loss") == value


def test_a_name_is_matched_literally():
    assert parse_metric(b"a.b: 1\n", "a.b") == 1.0
    assert parse_metric(b"axb: 1\n", "a.b") is None
    assert parse_metric(b"val loss: 2\n", "val loss") == 2.0
    assert parse_metric(b": 1\n", "") is None


@given(st.binary(max_size=200), st.floats(-1e100, 1e100))
def test_T6_any_bytes_may_come_before_and_the_value_comes_back_exactly(noise, number):
    value = parse_metric(noise + b"\nm: " + repr(number).encode() + b"\n", "m")
    assert value == number
    other = parse_metric(noise, "m")
    assert other is None or math.isfinite(other)


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("val_bpb", "lower"), ("loss", "lower"), ("valLoss", "lower"), ("RMSE", "lower"), ("time_s", "lower"),
        ("latency_ms", "lower"), ("p99-latency", "lower"), ("peak_vram_mb", "lower"), ("test/err", "lower"),
        ("accuracy", "higher"), ("top1_acc", "higher"), ("f1", "higher"), ("macroF1", "higher"), ("reward", "higher"),
        ("tokens_per_second", "higher"), ("throughput", "higher"), ("mean_return", "higher"), ("AUC", "higher"),
        ("depth", None), ("x", None), ("loss_score", None), ("epoch", None), ("steps", None),
    ],
)  # fmt: skip
def test_a_direction_comes_from_the_words_of_a_name_or_not_at_all(name, direction):
    assert direction_of(name) == direction


@pytest.fixture
def repo(tmp_path):
    for path in (
        "train.py",
        "pkg/__init__.py",
        "pkg/__main__.py",
        "pkg/mod.py",
        "src/deep/run.py",
        "cfg/a.toml",
        "tool",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    (tmp_path / "run.sh").write_text("#!/bin/sh\npython train.py --x && python missing.py\n")
    (tmp_path / "other.sh").write_text("make all\n")
    (tmp_path / "link.py").symlink_to("/etc/hostname")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "script"),
    [
        ("python train.py", "train.py"), ("python3.11 -u ./train.py --lr 3", "train.py"), ("./train.py", "train.py"),
        ("python -m pkg.mod", "pkg/mod.py"), ("python -m pkg", "pkg/__main__.py"), ("python -m deep.run",
        "src/deep/run.py"),
        ("uv run train.py", "train.py"), ("env A=1 uv run python train.py", "train.py"), ("bash run.sh", "run.sh"),
        ("torchrun --nproc-per-node 2 train.py", "train.py"), ("./tool x", "tool"), ("make train", None),
        ("python -c 1", None),
        ("python missing.py", None), ("python link.py", None), ("python /etc/hostname", None), ("python ../x.py", None),
        ("python -m os.path", None), ("tool", None), ("", None), ("python -m ..x", None),
    ],
)  # fmt: skip
def test_the_script_is_found_in_the_command(repo, command, script):
    assert script_of(repo, command.split()) == script


def nothing(_name):
    return None


def test_everything_is_guessed_and_explained(repo):
    out = b"step 1 loss 3\ntrain_loss: 0.1\nval_bpb: 0.99\npeak_vram_mb: 4500\ndepth: 8\n"
    found = guess(repo, ["python", "train.py", "--config=cfg/a.toml"], out, find=nothing)
    assert (found.metric, found.direction, found.value) == ("val_bpb", "lower", 0.99)
    assert found.allow == ("train.py", "cfg/a.toml")
    assert found.improver == "search"
    assert set(found.why) == {"metric", "direction", "allow", "improver"}
    assert all(found.why.values())


def test_a_shell_scripts_python_files_are_the_scope(repo):
    assert guess(repo, ["bash", "run.sh"], b"acc: 1\n", find=nothing).allow == ("train.py",)
    assert guess(repo, ["sh", "other.sh"], b"acc: 1\n", find=nothing).allow == ("other.sh",)


def test_an_agent_that_costs_money_is_named_and_not_chosen(repo):
    def find(name):
        return f"/bin/{name}" if name == "codex" else None

    argv, out = ["python", "train.py"], b"acc: 1\n"
    found = guess(repo, argv, out, find=find)
    assert found.improver == "search"
    assert "codex is on PATH and can propose" in found.why["improver"]


@pytest.mark.parametrize(
    ("argv", "stdout", "options", "name", "fix"),
    [
        (["python", "train.py"], b"done\n", {}, "no-metric", "print"),
        (["python", "train.py"], b"loss: nan\n", {}, "no-metric", "print"),
        (["python", "train.py"], b"depth: 8\n", {}, "metric-direction-unknown", "--metric depth:higher"),
        (["python", "train.py"], b"x: 1\n", {"metric": "x"}, "metric-direction-unknown", "--metric x:higher"),
        (["python", "train.py"], b"x: 1\n", {"metric": "y:lower"}, "no-metric", "y: 0.123"),
        (["make", "train"], b"acc: 1\n", {}, "no-script", "--allow"),
    ],
)
def test_what_cannot_be_guessed_is_asked_for_with_the_option_to_give(repo, argv, stdout, options, name, fix):
    with pytest.raises(UsageError) as caught:
        guess(repo, argv, stdout, find=nothing, **options)
    assert caught.value.name == name
    assert fix in caught.value.fix


def test_what_the_caller_says_stands(repo):
    found = guess(repo, ["make"], b"x: 1\nloss: 2\n", metric="x:lower", allow=["pkg/**"], find=nothing)
    assert (found.metric, found.direction, found.value, found.allow) == ("x", "lower", 1.0, ("pkg/**",))
