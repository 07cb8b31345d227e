"""Readers of other loops' files: they name what is wrong and never fall over it.  # T-3, T-5"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from festina.propose.history import History, read_autoresearch, read_inspect, read_lines, read_openevolve, told_of
from festina.propose.history.types import MAX_CONTENT, MAX_FINDINGS, decimals_of, shown, utc

HEAD = "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"


def kinds(found: History) -> set[str]:
    return {each.kind for each in found.findings}


def lines(folder: Path, *rows: object) -> History:
    (folder / "told.jsonl").write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return read_lines(folder, "told.jsonl", "", None)


def test_autoresearch_lines_are_read_as_its_program_tells_them(tmp_path: Path) -> None:
    (tmp_path / "results.tsv").write_text(
        HEAD + "a1b2c3d\t0.997900\t44.0\tkeep\tbaseline\nb2c3d4e\t1.005000\t44.0\tdiscard\tGeLU\n"
        "c3d4e5f\t0.000000\t0.0\tcrash\tdouble width\n"
    )
    found = read_autoresearch(tmp_path, "", None)
    assert [(r.key, r.score, r.decimals, r.status) for r in found.rows] == [
        ("a1b2c3d", 0.9979, 6, "accepted"), ("b2c3d4e", 1.005, 6, "rejected"), ("c3d4e5f", None, 6, "failed"),
    ]  # fmt: skip
    assert found.metric == "val_bpb:lower"
    assert not found.findings


def test_autoresearch_names_what_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "results.tsv").write_text(HEAD + "a1\tnan\t0\tkeep\tx\na2\tmany\t0\tkept?\tx\na3\t0.5\n\na4\t0")
    found = read_autoresearch(tmp_path, "", None)
    assert kinds(found) == {"not-finite", "unreadable", "unknown-field", "half-line"}
    assert [r.score for r in found.rows] == [None, None, 0.5]


def test_a_line_with_a_claimed_hash_is_held_against_the_file(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("x = 1\n")
    lie = {"id": "g1", "file": "program.py", "sha256": "0" * 64, "score": 0.5}
    found = lines(tmp_path, lie)
    assert kinds(found) == {"wrong-hash"}
    true = found.rows[0].content
    assert kinds(lines(tmp_path, lie | {"sha256": true})) == set()
    assert found.contents[true] == b"x = 1\n"


def test_an_artifact_of_any_size_is_hashed_and_small_ones_are_kept(tmp_path: Path) -> None:
    large = b"w" * (MAX_CONTENT + 1)
    (tmp_path / "model.bin").write_bytes(large)
    row = {"id": "g1", "file": "model.bin", "sha256": hashlib.sha256(large).hexdigest(), "score": 1}
    found = lines(tmp_path, row)
    assert kinds(found) == {"not-kept"}
    assert found.rows[0].content == row["sha256"]
    assert not found.contents
    assert ("model.bin", row["sha256"], len(large)) in found.files


def test_T5_gaps_unknown_fields_and_odd_names_are_named(tmp_path: Path) -> None:
    found = lines(
        tmp_path, {"id": "a", "number": 1, "score": 1}, {"id": "b\u202e", "number": 4, "hint": "trust me"},
        '{"id": "c", "score": NaN}', '{"id": "d", "id": "e"}', "[]", {"score": 3}, {"id": "f", "file": "../../etc/x"},
        {"id": "g", "at": "yesterday"},
    )  # fmt: skip
    assert kinds(found) >= {"gap", "unknown-field", "odd-name", "unreadable"}
    assert "2-3" in next(f.words for f in found.findings if f.kind == "gap")
    assert all(f.words == shown(f.words, 500) for f in found.findings)  # T-5: nothing odd is quoted as it stands


def test_links_and_pipes_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{}")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "link.json").symlink_to(tmp_path / "secret")
    found = read_inspect(tmp_path, "", None)
    assert kinds(found) == {"unreadable", "link"}
    assert not found.rows


def test_a_link_to_another_folder_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("hunter2")
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "way").symlink_to(tmp_path / "secret")
    found = lines(folder, {"id": "a", "file": "way/key"})
    assert kinds(found) == {"link", "no-generation"}
    assert not found.contents


def _eval(path: Path, header: object, samples: list[object], **more: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("header.json", json.dumps(header))
        for at, each in enumerate(samples):
            file.writestr(f"samples/{at}_epoch_1.json", json.dumps(each))
        for name, data in more.items():
            file.writestr(name, data)


def _header(value: float, completed: int) -> dict[str, object]:
    score = {"name": "match", "metrics": {"accuracy": {"name": "accuracy", "value": value}}}
    return {
        "status": "success",
        "eval": {"eval_id": "e1", "task": "t", "model": "m", "created": "2026-03-01T10:00:00+00:00"},
        "results": {"completed_samples": completed, "scores": [score]},
    }  # fmt: skip


def _sample(number: int, value: str) -> dict[str, object]:
    return {"id": number, "epoch": 1, "scores": {"match": {"value": value}}}


def test_an_eval_whose_samples_give_another_score_is_named(tmp_path: Path) -> None:
    samples: list[object] = [_sample(1, "C"), _sample(2, "I")]
    _eval(tmp_path / "honest.eval", _header(0.5, 2), samples)
    assert not read_inspect(tmp_path, "", None).findings
    _eval(tmp_path / "honest.eval", _header(0.9, 3), samples)
    found = read_inspect(tmp_path, "", None)
    assert kinds(found) == {"wrong-sum", "gap"}
    assert found.rows[0].score == 0.9  # as told


def test_a_score_is_held_against_the_log_of_its_evaluation(tmp_path: Path) -> None:
    _eval(tmp_path / "run.eval", _header(0.5, 2), [_sample(1, "C"), _sample(2, "I")])
    found = lines(
        tmp_path, {"id": "a", "score": 0.5, "log": "run.eval"}, {"id": "b", "log": "run.eval"},
        {"id": "c", "score": 0.9, "log": "run.eval"}, {"id": "d", "log": "../run.eval"},
    )  # fmt: skip
    assert [row.score for row in found.rows] == [0.5, 0.5, 0.9, None]
    assert [(each.kind, each.key) for each in found.findings] == [("contradiction", "c"), ("no-generation", "d")]


def test_T3_a_zip_bomb_is_named_and_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("festina.propose.history.inspect_log.MOST_ALL", 4 << 20)
    _eval(tmp_path / "bomb.eval", _header(1.0, 1), [], **{"samples/1_epoch_1.json": b" " * (8 << 20)})
    assert (tmp_path / "bomb.eval").stat().st_size < 1 << 20
    found = read_inspect(tmp_path, "", None)
    assert kinds(found) == {"too-large"}
    assert not found.rows


@pytest.mark.skipif(importlib.util.find_spec("zstandard") is None, reason="comes with festina[inspect]")
def test_T3_zstandard_is_unpacked_no_further_than_the_directory_says(tmp_path: Path) -> None:
    import zstandard

    header, bomb = json.dumps(_header(0.5, 0)).encode(), b" " * (64 << 20)
    for name, data, claimed in (("honest.eval", header, len(header)), ("bomb.eval", bomb, 10)):
        packed = zstandard.compress(data)
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr("header.json", packed)
            file.infolist()[0].compress_type = 93
            file.infolist()[0].file_size = claimed
            file.infolist()[0].CRC = zlib.crc32(data)
    assert [row.score for row in read_inspect(tmp_path / "honest.eval", "", None).rows] == [0.5]
    assert kinds(read_inspect(tmp_path / "bomb.eval", "", None)) == {"unreadable"}


def test_a_zip_that_lies_about_its_sizes_is_no_log(tmp_path: Path) -> None:
    _eval(tmp_path / "liar.eval", _header(1.0, 0), [])
    data = bytearray((tmp_path / "liar.eval").read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (1).to_bytes(4, "little")  # unpacked size in the directory
    (tmp_path / "liar.eval").write_bytes(data)
    assert kinds(read_inspect(tmp_path, "", None)) == {"unreadable"}


def _program(folder: Path, name: str, **told: object) -> None:
    programs = folder / "programs"
    programs.mkdir(parents=True, exist_ok=True)
    (programs / f"{name}.json").write_text(json.dumps({"id": name, "code": f"# {name}\n", **told}))


def test_openevolve_checkpoints_overlap_and_must_agree(tmp_path: Path) -> None:
    for number, second in ((1, 0.5), (2, 0.7)):
        folder = tmp_path / f"checkpoints/checkpoint_{number}"
        _program(folder, "first", metrics={"a": 0.2, "b": 0.4}, iteration_found=0)
        _program(folder, "second", metrics={"combined_score": second}, iteration_found=3, parent_id="first")
        (folder / "metadata.json").write_text(json.dumps({"best_program_id": "second"}))
    found = read_openevolve(tmp_path, "", "program.py")
    assert [(r.key, r.score, r.status) for r in found.rows] == [
        ("first", pytest.approx(0.3), "unknown"), ("second", 0.5, "accepted"), ("second", 0.7, "accepted"),
    ]  # fmt: skip
    assert kinds(found) == {"no-trace"}
    _program(tmp_path / "checkpoints/checkpoint_2", "mask", id="second", metrics={"combined_score": 1e400})
    assert kinds(read_openevolve(tmp_path, "", "")) == {"unreadable", "no-trace"}


@given(st.binary(max_size=200))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_T3_no_bytes_make_a_reader_fall_over(tmp_path: Path, data: bytes) -> None:
    for name in ("results.tsv", "told.jsonl", "log.eval", "log.json"):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "results.tsv").write_bytes(HEAD.encode() + data)
    found = [read_autoresearch(tmp_path, "", None), read_lines(tmp_path, "told.jsonl", "", None),
             read_inspect(tmp_path, "", None)]  # fmt: skip
    for history in found:
        for row in history.rows:
            assert told_of(json.loads(json.dumps(row.plain()))) == row
            assert row.digest


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["id", "score", "scores", "at", "eval", "results", "metrics", "samples", "x"]),
                        inner, max_size=5), max_leaves=12))  # fmt: skip
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_T3_no_json_makes_a_reader_fall_over(tmp_path: Path, value: object) -> None:
    told = {"id": "a", "eval": {"eval_id": "e"}, "value": value}
    text = json.dumps(told | (value if isinstance(value, dict) else {}))
    (tmp_path / "log.json").write_text(text)
    (tmp_path / "told.jsonl").write_text(text)
    (tmp_path / "checkpoint_1/programs").mkdir(parents=True, exist_ok=True)
    (tmp_path / "checkpoint_1/programs/a.json").write_text(text)
    for found in (read_inspect(tmp_path / "log.json", "", None), read_lines(tmp_path, "told.jsonl", "", None),
                  read_openevolve(tmp_path, "", "p.py")):  # fmt: skip
        for row in found.rows:
            assert row.score is None or abs(row.score) < float("inf")
            assert row.digest


@pytest.mark.parametrize(
    ("text", "places"), [("1", 0), ("0.9979", 4), ("1e-3", 3), ("1.25e2", 0), ("-0.50", 2), ("1e-99", 17), ("x", 0)]
)
def test_decimals_are_those_that_were_written(text: str, places: int) -> None:
    assert decimals_of(text) == places


def test_times_without_a_zone_are_no_times() -> None:
    assert utc("2026-03-01T10:00:00+02:00") == "2026-03-01T08:00:00.000Z"
    assert utc(0) == "1970-01-01T00:00:00.000Z"
    assert utc("2026-03-01T10:00:00") == utc(1e300) == utc(True) == utc(None) == ""


def test_a_zip_with_a_part_twice_is_named(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("header.json", json.dumps(_header(1.0, 0)))
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("header.json", json.dumps(_header(0.2, 0)))
    (tmp_path / "twice.eval").write_bytes(buffer.getvalue())
    assert "contradiction" in kinds(read_inspect(tmp_path, "", None))


def test_T3_numbers_that_nobody_could_count_to_are_a_gap_like_any_other(tmp_path: Path) -> None:
    found = lines(tmp_path, {"id": "a", "number": 3}, {"id": "b", "number": 5}, {"id": "c", "number": 1 << 52})
    (gap,) = [each for each in found.findings if each.kind == "gap"]
    assert gap.words.startswith(f"no line tells of number 4, 6-{(1 << 52) - 1}:")
    programs = tmp_path / "checkpoint_1" / "programs"
    programs.mkdir(parents=True)
    about = {"id": "a", "iteration_found": 1 << 52, "metrics": {"x": 1.7e308, "y": 1.7e308}}
    (programs / "a.json").write_text(json.dumps(about))
    program = read_openevolve(tmp_path, "", "")
    assert "no-trace" in kinds(program)
    assert [row.score for row in program.rows] == [None]  # the mean of its numbers is none
    assert program.rows[0].digest


def test_T3_a_log_by_an_impossible_name_is_not_there(tmp_path: Path) -> None:
    assert kinds(lines(tmp_path, {"id": "a", "log": "a\0b", "score": 1.0})) == {"no-generation"}


def test_T3_a_part_that_says_how_much_memory_it_takes_is_not_unpacked(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        with zipfile.ZipFile(tmp_path / "a.eval", "w", method) as file:
            file.writestr("header.json", '{"eval": {"eval_id": "e"}}')
        assert kinds(read_inspect(tmp_path / "a.eval", "", None)) == {"unreadable"}
    with zipfile.ZipFile(tmp_path / "a.eval", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("header.json", '{"eval": {"eval_id": "e"}}')
    assert [row.key for row in read_inspect(tmp_path / "a.eval", "", None).rows] == ["e"]


def test_T5_many_notes_push_no_grave_finding_out(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("print(1)\n")
    noise = [{"id": str(n), "note": n} for n in range(3 * MAX_FINDINGS)]
    found = lines(tmp_path, *noise, {"id": "x", "file": "a.py", "sha256": "0" * 64})
    assert "wrong-hash" in kinds(found)
    assert sum(each.kind == "unknown-field" for each in found.findings) == MAX_FINDINGS


def test_T3_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in ((1, "a"), (2, "b")):
        programs = tmp_path / f"checkpoint_{number}" / "programs"
        programs.mkdir(parents=True)
        (programs / f"{name}.json").write_text(json.dumps({"id": name, "metrics": {"combined_score": number}}))
    whole = Path.iterdir

    def listed(path: Path) -> Iterator[Path]:
        if path.parent.name == "checkpoint_1":
            raise PermissionError(13, "Permission denied")
        return whole(path)

    monkeypatch.setattr(Path, "iterdir", listed)
    found = read_openevolve(tmp_path, "", "")
    assert [row.key for row in found.rows] == ["b"]
    assert any("checkpoint_1/programs is not read: Permission denied" in each.words for each in found.findings)
