"""Arrays of a foreign ``.npy`` file, pickled object arrays among them, without running anything.

numpy keeps an array of objects as a pickle, and a pickle is a program. Here it meets three walls:
its opcodes are read first and only those that numpy's own writers use may pass; then the names it
asks for, which are answered by stand-ins that can make arrays, dtypes, scalars and nothing else;
and each stand-in checks its numbers before it takes memory. What is left is numbers and texts.

Every fault is a ValueError of one line; the caller names the file.
"""

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

HEADER_BYTES_MAX: Final = 4096
"""numpy writes 118 bytes for an array without fields."""

AXES_MAX: Final = 4
TEXT_BYTES_MAX: Final = 4096
"""Item of a text array: an id of a thousand characters."""

OPCODES_MAX: Final = 4_000_000
"""25 a picture are usual. Each may take some 100 bytes of memory, whatever the file's size."""

_HEADER: Final = re.compile(
    r"\{'descr': '([<>|=][A-Za-z]\d{0,5})', 'fortran_order': (True|False), "
    r"'shape': \(((?:\d{1,12}, )*(?:\d{1,12},?)?)\), \}[ \n]*"
)
_TYPE: Final = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|[US]\d{1,4}|O8?)")
_OPCODES: Final = """
PROTO FRAME STOP MARK GLOBAL STACK_GLOBAL BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET NONE
NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINBYTES SHORT_BINBYTES BINBYTES8
BINUNICODE SHORT_BINUNICODE BINUNICODE8 EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST
APPEND APPENDS REDUCE BUILD
"""
"""What numpy 1 and 2 write by pickle's protocols 2 to 4. No persistent ids, no extension codes, no
buffers out of band, no bytearrays, no objects of classes, no dicts, no sets."""

_LOADING: Final = (
    pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError, ValueError,
    OverflowError, RecursionError, MemoryError,
)  # fmt: skip


def read_npy(stream: BinaryIO, size: int) -> NDArray[Any]:
    """Read an array of numbers, texts or objects from a .npy file that claims ``size`` bytes.

    Items of an object array are arrays of numbers, texts, numbers and bools. Nothing is read
    beyond ``size``; memory is taken for the file, once more for its pictures, and no more.
    """
    dtype, fortran, shape = _header(stream)
    count = math.prod(shape)
    if dtype.hasobject:
        content = stream.read(size + 1)
        if len(content) > size:
            raise ValueError("more content than it claims")
        return _unpickled(content, shape)
    wanted = count * dtype.itemsize
    if wanted > size:
        raise ValueError(f"shape {shape} of {dtype} in {size:,} bytes")
    content = stream.read(wanted + 1)
    if len(content) != wanted:
        raise ValueError(f"another number of bytes than shape {shape} of {dtype} has")
    return _shaped(content, dtype, shape, fortran=fortran)


def _header(stream: BinaryIO) -> tuple[np.dtype[Any], bool, tuple[int, ...]]:
    """Read the header by its fixed form; no part of it is evaluated."""
    start = stream.read(8)
    if start[:6] != b"\x93NUMPY" or start[6:8] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise ValueError("no .npy content")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    text = stream.read(length) if length <= HEADER_BYTES_MAX else b""
    match = _HEADER.fullmatch(text.decode("latin1"))
    if match is None:
        raise ValueError("a .npy header that is no plain array's")
    dtype = _dtype_of(match[1])
    shape = tuple(int(n) for n in match[3].replace(",", " ").split())
    if len(shape) > AXES_MAX:
        raise ValueError(f"an array of {len(shape)} axes")
    return dtype, match[2] == "True", shape


def _dtype_of(text: str) -> np.dtype[Any]:
    if _TYPE.fullmatch(text) is None:
        raise ValueError(f"an array of type {text[:16]!r}")
    dtype = np.dtype(text)
    if dtype.itemsize > TEXT_BYTES_MAX:
        raise ValueError(f"texts of {dtype.itemsize:,} bytes")
    return dtype


def _shaped(
    content: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], *, fortran: bool
) -> NDArray[Any]:
    """View bytes as an array, without a copy; their number must agree."""
    if len(content) != math.prod(shape) * dtype.itemsize or not content:
        raise ValueError(f"{len(content):,} bytes for shape {shape} of {dtype}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


def _unpickled(content: bytes, shape: tuple[int, ...]) -> NDArray[Any]:
    """Load a pickled object array of ``shape``; see the module for what may pass."""
    _scan(content)
    try:
        array = _Unpickler(io.BytesIO(content), fix_imports=False).load()
    except _LOADING as error:
        raise ValueError(f"a pickle that is refused ({str(error)[:120]})") from None
    if not isinstance(array, _Array) or array.shape != shape:
        raise ValueError("a pickle that is not the array of its header")
    return array.objects()


def _scan(content: bytes) -> None:
    """Refuse a pickle with any opcode that numpy does not write, before one of them is run."""
    known = frozenset(_OPCODES.split())
    most = {"PROTO": 4, "FRAME": len(content), "BINPUT": len(content), "LONG_BINPUT": len(content)}
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(content)):
            if number >= OPCODES_MAX:
                raise ValueError(f"more than {OPCODES_MAX:,} opcodes")
            if opcode.name not in known:
                raise ValueError(f"the opcode {opcode.name}")
            # A place far up in the memo would be memory for all places below it.
            if opcode.name in most and int(argument or 0) > most[opcode.name]:
                raise ValueError(f"{opcode.name} {argument:,}")
    except _LOADING as error:
        raise ValueError(f"a pickle that is refused ({str(error)[:120]})") from None


class _Unpickler(pickle.Unpickler):
    """Knows the names under which numpy 1 and 2 pickle arrays, dtypes and scalars; no others."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"it asks for {f'{module}.{name}'[:80]!a}")
        return _NAMES[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it asks for a persistent id")


class _Type:
    """Stands in for a numpy dtype while it is unpickled."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.dtype = _dtype_of(text)

    def __setstate__(self, state: Any) -> None:
        plain = isinstance(state, tuple) and len(state) == 8 and state[2:5] == (None, None, None)
        if not plain or type(state[1]) is not str or state[1] not in ("<", ">", "|", "="):
            raise ValueError("a dtype with fields")
        self.dtype = _dtype_of(state[1] + self._text.lstrip("<>|="))


class _Array:
    """Stands in for a numpy array while it is unpickled; it holds no memory of its own."""

    shape: tuple[int, ...] = ()
    numbers: NDArray[Any] | None = None
    items: list[Any]

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise ValueError("an array without state")
        _, shape, kind, fortran, content = state
        if not isinstance(shape, tuple) or len(shape) > AXES_MAX or not isinstance(kind, _Type):
            raise ValueError("an array without shape or type")
        if not all(type(n) is int and 0 <= n < 2**40 for n in shape):
            raise ValueError("an array of no shape")
        self.shape = shape
        if not kind.dtype.hasobject:
            if type(content) is not bytes:
                raise ValueError("numbers that are no bytes")
            self.numbers = _shaped(content, kind.dtype, shape, fortran=fortran is True)
        elif type(content) is list and len(content) == math.prod(shape):
            self.items = content
        else:
            raise ValueError("objects that are no list of the array's length")

    def objects(self) -> NDArray[Any]:
        """Return the array of objects, or of numbers, that was described."""
        if self.numbers is not None:
            return self.numbers
        result = np.empty(len(self.items), dtype=object)
        for place, item in enumerate(self.items):
            result[place] = _item(item)
        return result.reshape(self.shape)


def _item(item: Any) -> Any:
    if isinstance(item, _Array) and item.numbers is not None:
        return item.numbers
    if type(item) in (str, int, float, bool):
        return item
    raise ValueError(
        f"an object array that holds a value of type {type(item).__name__.strip('_').lower()}"
    )


_NDARRAY: Final = "numpy.ndarray"
"""Stands in for the class, which is only handed on and never called."""


def _reconstruct(kind: Any, shape: Any, code: Any) -> _Array:
    if (kind, shape, code) != (_NDARRAY, (0,), b"b"):
        raise ValueError("an array that is not made as numpy makes it")
    return _Array()


def _dtype(text: Any, align: Any = False, copy: Any = True) -> _Type:
    if type(text) is not str:
        raise ValueError("a dtype that is no text")
    return _Type(text)


def _scalar(kind: Any, content: Any) -> Any:
    """Return one number or text; an object's scalar would be a pickle within the pickle."""
    if not isinstance(kind, _Type) or kind.dtype.hasobject or type(content) is not bytes:
        raise ValueError("a scalar that is no number")
    return _shaped(content, kind.dtype, (1,), fortran=False)[0].item()


def _encode(text: Any, encoding: Any) -> bytes:
    """Return bytes as protocol 2 keeps them."""
    if type(text) is not str or encoding != "latin1":
        raise ValueError("bytes in another encoding than latin1")
    return text.encode("latin1")


_NAMES: Final[dict[tuple[str, str], Callable[..., Any] | str]] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _encode,
}
