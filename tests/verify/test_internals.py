"""Looking into trained models: hostile files are refused, and what moved is seen where it moved."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.verify import internals, tensors
from festina.verify.internals import Model


def file_of(parts: dict[str, np.ndarray], kinds: dict[str, str] | None = None) -> bytes:
    header, body = {}, b""
    for name, values in parts.items():
        raw = values.tobytes()
        kind = (kinds or {}).get(name, {"f4": "F32", "f8": "F64", "u2": "BF16", "i8": "I64"}[values.dtype.str[1:]])
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header | {"__metadata__": {"by": "a test"}}).encode()
    return len(text).to_bytes(8, "little") + text + body


def test_V9_a_safetensors_file_is_read_to_the_last_byte() -> None:
    parts = {
        "w": np.arange(6, dtype="<f4").reshape(2, 3), "b": np.array([1.5], "<f8"), "n": np.array([-7], "<i8"),
        "half": np.array([0x3F80, 0xC000], "<u2"),
    }  # fmt: skip
    found = tensors.read(file_of(parts))
    assert found["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (found["b"].tolist(), found["n"].tolist(), found["half"].tolist()) == ([1.5], [-7], [1.0, -2.0])
    with pytest.raises(ValueError, match="behind"):
        tensors.read(file_of(parts) + b"x")


@pytest.mark.parametrize(
    "row",
    [
        ["F32", [3], [0, 8]], ["F32", [2], [4, 12]], ["F32", [2], [8, 0]], ["PICKLE", [2], [0, 8]],
        ["F32", [-2], [0, 8]], ["F32", [1 << 70], [0, 8]], ["F32", [True, 2], [0, 8]], ["F32", [2], [0, 1 << 80]],
        ["F32", [2]], ["F32", [2], [0, 8], "more"], [["F32"], [2], [0, 8]],
        ["F32", [1] * 9, [0, 4]], [],
    ],
)  # fmt: skip
def test_T5_a_header_that_lies_is_refused(row: list[object]) -> None:
    names = ("dtype", "shape", "data_offsets", "more")
    text = json.dumps({"w": dict(zip(names, row, strict=False))}).encode()
    with pytest.raises(ValueError, match=r"."):
        tensors.read(len(text).to_bytes(8, "little") + text + bytes(8))


@given(st.binary(max_size=60))
def test_T5_bytes_that_are_no_file_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        tensors.read(b"\xff" + data)
    text = data + b"}"
    with pytest.raises(ValueError, match=r"."):
        tensors.read(len(text).to_bytes(8, "little") + b"\x00" + text[1:])


def test_T5_numbers_that_are_none_and_nested_headers_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        tensors.read(file_of({"w": np.array([1.0, np.nan])}))
    deep = b'{"w":' + b"[" * 100_000
    with pytest.raises(ValueError, match="JSON"):
        tensors.read(len(deep).to_bytes(8, "little") + deep)


def model(seed: int, rows: int = 40) -> Model:
    rng = np.random.default_rng(seed)
    w = np.random.default_rng(0).normal(size=(12, 9)) + 0.05 * rng.normal(size=(12, 9))
    x = np.random.default_rng(1).normal(size=(rows, 9))
    return Model({"w": w, "b": rng.normal(size=9)}, rng.random(rows).tolist(), {"layer": np.tanh(x @ w.T)})


def test_V9_a_change_is_seen_where_it_is_made() -> None:
    reference, usual = model(10), internals.distances(model(11), model(10))
    assert list(usual) == ["behaviour", "worst behaviour", "representations", "weights"]
    other = model(12)
    rng = np.random.default_rng(3)
    narrow = other.weights["w"] + 2.0 * np.outer(rng.normal(size=12), rng.normal(size=9))
    found = internals.distances(replace(other, weights={**other.weights, "w": narrow}), reference)
    assert found["weights"] > 0.9 > 2 * usual["weights"]
    turned = replace(other, activations={"layer": rng.normal(size=(40, 12))})
    assert internals.distances(turned, reference)["representations"] > 5 * usual["representations"]
    wrong = replace(other, scores=[1.0 - s for s in reference.scores or ()])
    assert internals.distances(wrong, reference)["worst behaviour"] > usual["worst behaviour"]
    assert internals.distances(reference, reference) == {
        "behaviour": 0.0, "worst behaviour": 0.0, "representations": pytest.approx(0.0, abs=1e-9),
    }  # fmt: skip


def test_V9_T5_no_size_of_numbers_leaves_a_distance_that_is_none() -> None:
    rng = np.random.default_rng(3)
    for huge in (1e39, 1e160, 1e308):
        with pytest.raises(ValueError, match="beyond"):
            tensors.read(file_of({"w": np.array([1.0, huge], "<f8")}))
    other = Model({"w": rng.standard_normal((4, 4))}, None, {"a": rng.standard_normal((6, 3))})
    weights, rows = (np.sign(rng.standard_normal(shape)) for shape in ((4, 4), (6, 3)))
    for power in range(-320, 39):
        size = 10.0**power
        one = Model({"w": weights * size}, None, {"a": rows * size})
        pairs = ((one, other), (other, one), (one, replace(one, weights={"w": -one.weights["w"]})))
        for pair in pairs:
            assert np.isfinite([*internals.distances(*pair).values(), *(m.size for m in internals.moved(*pair))]).all()
    small, large = (internals.alignment(rows * size, other.activations["a"]) for size in (1e-60, 1e38))  # type: ignore[index]
    assert small == pytest.approx(large), "the size of a layer is not its direction"


def test_V9_what_one_of_them_does_not_lay_open_is_not_compared() -> None:
    bare = Model({"w": np.zeros((3, 3)), "x": np.zeros(2)}, None, None)
    assert internals.distances(bare, model(1)) == {}
    assert internals.unlike(bare, model(1)) == 3
    few = replace(model(1), activations={"layer": np.zeros((3, 2))})
    assert "representations" not in internals.distances(few, few)


def test_V9_the_power_iteration_and_the_alignment_are_those_of_the_textbook() -> None:
    rng = np.random.default_rng(5)
    change = rng.normal(size=(20, 30)) + 3.0 * np.outer(rng.normal(size=20), rng.normal(size=30))
    singular = np.linalg.svd(change, compute_uv=False)
    one, other = Model({"w": change}, None, None), Model({"w": np.zeros((20, 30))}, None, None)
    assert internals.distances(one, other)["weights"] == pytest.approx(singular[0] ** 2 / (singular**2).sum(), rel=1e-6)
    assert internals.moved(one, other)[0].size == 1.0
    x = rng.normal(size=(50, 6))
    turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    assert internals.alignment(x, 3.0 * x @ turn) == pytest.approx(1.0)
    assert abs(internals.alignment(x, rng.normal(size=(50, 6)))) < 0.25
    assert internals.alignment(x, np.zeros((50, 2))) == 0.0
