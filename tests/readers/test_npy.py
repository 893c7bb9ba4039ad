import io
import os
import pickle
import struct
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.readers.archives import npy, object_npy
from vertebra_ml.readers import npy as module
from vertebra_ml.readers.npy import read_npy

TYPES = ("b1", "u1", "i2", ">i2", "i4", "u2", "i8", "f2", "f4", ">f4", "f8")
ITEMS = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.booleans(), st.text(max_size=9),
    hnp.arrays(st.sampled_from(TYPES).map(np.dtype), hnp.array_shapes(max_dims=3, max_side=4),
               elements={"allow_nan": False}),
)  # fmt: skip


def read(content: bytes) -> Any:
    return read_npy(io.BytesIO(content), len(content))


def objects(*items: Any) -> Any:
    array = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        array[place] = item
    return array


@settings(max_examples=80, derandomize=True)
@given(
    hnp.arrays(
        st.one_of(st.sampled_from(TYPES).map(np.dtype), st.just(np.dtype("U3"))),
        hnp.array_shapes(max_dims=4, max_side=4),
    ),
    st.booleans(),
)
def test_plain_arrays_are_read_as_numpy_reads_them(array: Any, fortran: bool) -> None:
    found = read(npy(np.asfortranarray(array) if fortran else array))
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@settings(max_examples=80, derandomize=True)
@given(st.lists(ITEMS, min_size=1, max_size=5), st.sampled_from((2, 3, 4)))
def test_object_arrays_are_read_as_numpy_reads_them(items: list[Any], protocol: int) -> None:
    found = read(npy(objects(*items), protocol))
    assert found.dtype == object
    for one, other in zip(found, items, strict=True):
        assert type(one) is type(other)
        np.testing.assert_array_equal(one, other)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype


def test_what_numpy_1_wrote_is_read() -> None:
    new = npy(objects(np.arange(6, dtype=np.int16).reshape(2, 3), np.float64(2.5)), 3)
    old = new.replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")
    assert old != new
    np.testing.assert_array_equal(read(old)[0], [[0, 1, 2], [3, 4, 5]])
    assert read(old)[1] == 2.5


def test_texts_of_numpy_scalars_are_read() -> None:
    assert read(npy(objects(np.str_("exam"), np.int32(7)))).tolist() == ["exam", 7]


def test_a_cube_of_objects_is_read() -> None:
    cube = np.arange(24.0).reshape(2, 3, 4).astype(object)
    np.testing.assert_array_equal(read(npy(cube)), cube)


class Does:
    """Pickles as a call of any function."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> Any:
        return self.call, self.arguments


def hostile(marker: Path) -> dict[str, bytes]:
    """Return pickles that would leave ``marker`` behind."""
    write = f"import pathlib; pathlib.Path({str(marker)!r}).touch()"
    inner = pickle.dumps(Does(exec, write))
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    return {
        "os.system": pickle.dumps(objects(Does(os.system, f"touch {marker}")), 4),
        "os.system, protocol 2": pickle.dumps(objects(Does(os.system, f"touch {marker}")), 2),
        "exec at the top": inner,
        "eval": pickle.dumps(objects(Does(eval, f"exec({write!r})")), 4),
        "a pickle within a scalar": pickle.dumps(objects(Does(scalar, np.dtype("O"), inner)), 4),
        "numpy's own evaluator": b"\x80\x04cnumpy.f2py.crackfortran\nmyeval\nX"
        + struct.pack("<I", len(f"exec({write!r})"))
        + f"exec({write!r})".encode()
        + b"\x85R.",
        "text opcodes": f"cos\nsystem\n(S'touch {marker}'\ntR.".encode(),
        "after the array": pickle.dumps(objects(1), 4)[:-1] + b"0" + inner[2:],
    }


def test_each_bomb_is_met_by_name() -> None:
    assert SAYS.keys() == BOMBS.keys()


@pytest.mark.parametrize("kind", sorted(hostile(Path("m"))))
def test_a_malicious_pickle_does_not_run(kind: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    content = object_npy(hostile(marker)[kind])
    if kind == "os.system":  # the attack is real: numpy itself would run it
        np.load(io.BytesIO(content), allow_pickle=True)
        assert marker.exists()
        marker.unlink()
    with pytest.raises(
        ValueError, match=r"asks for '[a-z0-9.]+'|no number|the opcode (STRING|POP)"
    ):
        read(content)
    assert not marker.exists()


ARRAY = b"\x80\x04cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
TYPE_O = (
    b"cnumpy\ndtype\n\x8c\x02O8\x89\x88\x87R(K\x03\x8c\x01|NNN" + b"J\xff\xff\xff\xff" * 2 + b"K?tb"
)
TYPE_F = TYPE_O.replace(b"\x02O8", b"\x02f8").replace(b"\x01|", b"\x01<")
MADE = ARRAY + b"K\0\x85C\x01b\x87R"
"""An array as numpy begins it, before its state."""

TERA = b"\x8a\x06" + (10**12).to_bytes(6, "little") + b"\x85"
BOMBS = {
    "a terabyte of nothing": ARRAY + TERA + b"C\x01b\x87R.",
    "a terabyte of state": MADE + b"(K\x01" + TERA + TYPE_F + b"\x89C\x08\0\0\0\0\0\0\0\0tb.",
    "a terabyte of objects": MADE + b"(K\x01" + TERA + TYPE_O + b"\x89]tb.",
    "bytes that are not there": b"\x80\x04\x8e" + (2**60).to_bytes(8, "little") + b"abc.",
    "a text that is not there": b"\x80\x04\x8d" + (2**60).to_bytes(8, "little") + b"abc.",
    "a frame that is not there": b"\x80\x04\x95" + (2**60).to_bytes(8, "little") + b"N.",
    "a giant bytearray": b"\x80\x05\x96" + (2**60).to_bytes(8, "little") + b"abc.",
    "a place far up in the memo": b"\x80\x04]r" + struct.pack("<I", 2**32 - 1) + b".",
    "deep nesting": b"\x80\x04N" + b"\x85" * 300_000 + b".",
    "nested lists that double": b"\x80\x04]\x94" + b"".join(
        b"]\x94(h" + bytes([i]) + b"h" + bytes([i]) + b"e" for i in range(60)
    ) + b".",
    "objects within objects": pickle.dumps(objects(objects(1, 2)), 4),
    "a persistent id": b"\x80\x04NQ.",
    "an extension code": b"\x80\x04\x82\x01.",
    "a buffer from outside": b"\x80\x05\x97.",
    "an instance": b"\x80\x04cnumpy\nndarray\n)\x81.",
    "a class by its args": b"\x80\x04(cnumpy\nndarray\nK\x01o.",
    "another protocol": b"\x80\x09N.",
    "a dict": pickle.dumps(objects({"a": 1}), 4),
    "bytes as an item": pickle.dumps(objects(b"abc"), 4),
    "an array of another kind": b"\x80\x04cnumpy.core.multiarray\n_reconstruct\n\x8c\x03str"
    b"K\0\x85C\x01b\x87R.",
    "numbers of too few bytes": MADE + b"(K\x01K\x09\x85" + TYPE_F + b"\x89C\x02abtb.",
    "a shape below nothing": MADE + b"(K\x01J\xff\xff\xff\xff\x85" + TYPE_O + b"\x89]tb.",
    "no stop": b"\x80\x04N",
    "nothing": b"",
    "another shape than the header's": pickle.dumps(objects(1, 2), 4),
    "complex numbers": pickle.dumps(objects(np.array([1j])), 4),
    "dates": pickle.dumps(objects(np.array(["2020-01-01"], "M8[D]")), 4),
    "fields": pickle.dumps(objects(np.zeros(1, [("a", "i2")])), 4),
}  # fmt: skip


SAYS = {
    "a terabyte of nothing": "not made as numpy makes it",
    "a terabyte of state": "8 bytes for shape",
    "a terabyte of objects": "no list of the array's length",
    "bytes that are not there": "expected 1152921504606846976 bytes",
    "a text that is not there": "expected 1152921504606846976 bytes",
    "a frame that is not there": "FRAME 1,152",
    "a giant bytearray": "PROTO 5",
    "a place far up in the memo": "LONG_BINPUT 4,294,967,295",
    "deep nesting": "not the array of its header",
    "nested lists that double": "not the array of its header",
    "objects within objects": "of type array",
    "a persistent id": "the opcode BINPERSID",
    "an extension code": "the opcode EXT1",
    "a buffer from outside": "PROTO 5",
    "an instance": "the opcode NEWOBJ",
    "a class by its args": "the opcode OBJ",
    "another protocol": "PROTO 9",
    "a dict": "the opcode EMPTY_DICT",
    "bytes as an item": "of type bytes",
    "an array of another kind": "not made as numpy makes it",
    "numbers of too few bytes": "2 bytes for shape",
    "a shape below nothing": "an array of no shape",
    "no stop": "exhausted",
    "nothing": "exhausted",
    "another shape than the header's": "not the array of its header",
    "complex numbers": "type 'c16'",
    "dates": "type 'M8'",
    "fields": "the opcode EMPTY_DICT",
}
"""Which of the walls each meets: the first that can see it."""


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_takes_no_memory(kind: str) -> None:
    content = object_npy(BOMBS[kind])
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=SAYS[kind]) as caught:
            read(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40_000_000
    assert "\n" not in str(caught.value)


HEADERS = {
    "a terabyte": b"{'descr': '<i2', 'fortran_order': False, 'shape': (1000000, 1000000), }",
    "a shape below nothing": b"{'descr': '<i2', 'fortran_order': False, 'shape': (-1,), }",
    "five axes": b"{'descr': '<i2', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1), }",
    "fields": b"{'descr': [('a', '<i2')], 'fortran_order': False, 'shape': (1,), }",
    "a call": b"{'descr': __import__('os').getcwd(), 'fortran_order': False, 'shape': (1,), }",
    "void": b"{'descr': '|V8', 'fortran_order': False, 'shape': (1,), }",
    "huge texts": b"{'descr': '<U99999', 'fortran_order': False, 'shape': (1,), }",
    "deep nesting": b"(" * 4000,
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_header_is_not_believed(kind: str) -> None:
    text = HEADERS[kind]
    content = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + b"ab"
    with pytest.raises(ValueError, match=r"no plain array|axes|in \d+ bytes|array of type"):
        read(content)


def test_too_many_opcodes_are_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    content = npy(objects(*range(500)))
    assert len(read(content)) == 500
    monkeypatch.setattr(module, "OPCODES_MAX", 400)
    with pytest.raises(ValueError, match="more than 400 opcodes"):
        read(content)


def test_content_is_neither_missing_nor_left_over() -> None:
    whole = npy(np.arange(9))
    for content in (whole[:-1], whole + b"x", npy(objects(1))[:-3]):
        with pytest.raises(ValueError, match=r"bytes|refused"):
            read(content)


def test_numpy_is_not_asked_to_unpickle(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    content = npy(objects(np.arange(3)))
    for name in ("load", "loads"):
        monkeypatch.setattr(pickle, name, never)
    assert sys.modules["numpy"] is np
    assert read(content)[0].tolist() == [0, 1, 2]
