"""The YAML beside a ``.raw``: every value is read as text, so that YAML's own guesses play no part.

    shape: [512, 512, 300]        # voxels along x, y, z; the x index runs fastest in the file
    dtype: int16                  # int8 uint8 int16 uint16 int32 uint32 float32 float64
    byte_order: little            # or big
    spacing_mm: [0.7, 0.7, 1.0]   # between voxel centres along x, y, z
    orientation: LPS              # where x, y and z point to: left, back, head
    slope: 1                      # HU = number * slope + intercept
    intercept: -1024
    offset: 0                     # optional: bytes before the first voxel; without it 0
    origin_mm: [180, 160, -900]   # optional: centre of the first voxel; without it 0, 0, 0
    frame: LPS                    # RAS or LPS, of origin_mm or affine; required with either

In place of spacing_mm, orientation and origin_mm: ``affine``, four rows of four numbers from voxel
index (centres at whole numbers) to mm.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from vertebra_ml.affines import Affine, check_affine, parse_orientation
from vertebra_ml.errors import DatasetError, GeometryError
from vertebra_ml.readers.voxels import Stored, check_count

ALWAYS = ("shape", "dtype", "byte_order", "slope", "intercept")
GRID = ("spacing_mm", "orientation")
OPTIONAL = ("offset", "origin_mm", "frame", "affine")
DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64")
BYTE_ORDERS = ("little", "big")
FRAMES = {"RAS": (1, 1, 1), "LPS": (-1, -1, 1)}
BYTES_MAX = 16_384  # ten lines and some comment
DEPTH_MAX = 3  # the rows of an affine
OFFSET_MAX = 1 << 28  # bytes of a foreign header: more than any real file carries
AXIS_MAX = 1 << 20  # voxels along one axis: keeps products within 64 bits
WHOLE = re.compile(r"[0-9]{1,12}")
NUMBER = re.compile(r"[+-]?([0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?")

Value = str | list[Any] | dict[str, Any]


@dataclass(frozen=True)
class Sidecar:
    """What a checked sidecar says: voxels (x, y, z), how they are stored, where they start, lie."""

    shape: tuple[int, int, int]
    stored: Stored
    offset: int
    affine: Affine

    @property
    def nbytes(self) -> int:
        """Bytes that the whole file must have."""
        x, y, z = self.shape
        return self.offset + x * y * z * self.stored.dtype.itemsize


def read_sidecar(path: Path, *, voxels_max: int) -> Sidecar:
    """Read and check a sidecar; no voxel is touched.

    Raises DatasetError naming the key at fault, GeometryError for a grid that no CT can have,
    LimitError above ``voxels_max`` voxels.
    """
    said = _load(path)
    _check_keys(path, said)
    x, y, z = (_whole(path, "shape", n, AXIS_MAX) for n in _list(path, "shape", said["shape"], 3))
    if min(x, y, z) < 2:
        raise _unlike(path, f"shape {[x, y, z]}", "at least 2 voxels along each axis")
    check_count((x, y, z), path, voxels_max=voxels_max)
    dtype = _one_of(path, "dtype", said["dtype"], DTYPES)
    little = _one_of(path, "byte_order", said["byte_order"], BYTE_ORDERS) == "little"
    slope, intercept = (_number(path, key, said[key]) for key in ("slope", "intercept"))
    if slope == 0:
        raise _unlike(path, "slope 0", "a slope that tells one HU from another")
    return Sidecar(
        (x, y, z),
        Stored(np.dtype(dtype).newbyteorder("<" if little else ">"), slope, intercept),
        _whole(path, "offset", said.get("offset", "0"), OFFSET_MAX),
        _affine(path, said),
    )


def _load(path: Path) -> dict[str, Value]:
    """Return the mapping of a YAML file with every scalar as text."""
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
        if len(content) > BYTES_MAX:
            raise _unlike(path, f"more than {BYTES_MAX:,} bytes", "a short description")
        text = content.decode("utf-8-sig")
        _check_plain(path, text)
        # Made of texts, lists and mappings alone: this loader knows no other type.
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise _unlike(path, f"no readable YAML{line}", "a YAML file") from None
    if not isinstance(node, yaml.MappingNode):
        raise _unlike(path, "YAML that is no mapping", "lines of key: value")
    keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
    if len(keys) < len(node.value):
        raise _unlike(path, "a key that is no word", "lines of key: value")
    twice = sorted(key for key, count in Counter(keys).items() if count > 1)
    if twice:
        raise _unlike(path, f"{_names(twice)} given twice", "each key once")
    return {key.value: _plain(value) for key, value in node.value}


def _check_plain(path: Path, text: str) -> None:
    """Refuse what lets YAML grow or act: anchors, aliases, tags, depth, a second document."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.BaseLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _unlike(path, "an anchor or alias", "plain values")
        if getattr(event, "tag", None):
            raise _unlike(path, "a tag (!...)", "plain values")
        if depth > DEPTH_MAX or documents > 1:
            raise _unlike(path, "more than one document, or lists too deep", "lines of key: value")


def _plain(node: yaml.Node) -> Value:
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    return {"": ""}  # no key takes a mapping: refused where it is met


def _check_keys(path: Path, said: Mapping[str, Value]) -> None:
    unknown = sorted(said.keys() - {*ALWAYS, *GRID, *OPTIONAL})
    if unknown:
        raise _unlike(path, f"unknown {_names(unknown)}", f"{_names((*ALWAYS, *GRID, *OPTIONAL))}")
    needed = [*ALWAYS, *(["affine", "frame"] if "affine" in said else GRID)]
    if "origin_mm" in said:
        needed.append("frame")
    missing = [key for key in needed if key not in said]
    if missing:
        raise _unlike(path, f"no {_names(missing)}", "each stated: nothing is guessed")
    double = [key for key in (*GRID, "origin_mm") if key in said and "affine" in said]
    if double:
        raise _unlike(path, f"affine and {_names(double)}", "the grid described once")
    if "frame" in said and not {"affine", "origin_mm"} & said.keys():
        raise _unlike(path, "frame without origin_mm or affine", "a frame of something")


def _affine(path: Path, said: Mapping[str, Value]) -> Affine:
    with np.errstate(all="ignore"):  # odd numbers are refused by name, not warned of
        return check_affine(_stated_affine(path, said), str(path))


def _stated_affine(path: Path, said: Mapping[str, Value]) -> Affine:
    """Return the 4x4 affine voxel index -> RAS+ mm."""
    frame = FRAMES[_one_of(path, "frame", said["frame"], FRAMES)] if "frame" in said else (1, 1, 1)
    to_ras = np.diag([*frame, 1.0])
    if "affine" in said:
        rows = _list(path, "affine", said["affine"], 4)
        matrix = np.array([_numbers(path, "affine", row, 4) for row in rows], dtype=np.float64)
        return np.asarray(to_ras @ matrix)
    spacing = _numbers(path, "spacing_mm", said["spacing_mm"], 3)
    if min(spacing) <= 0:
        raise _unlike(path, f"spacing_mm {spacing}", "distances above 0")
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, (axis, up) in enumerate(_axes(path, said["orientation"])):
        affine[axis, column] = spacing[column] if up else -spacing[column]
    origin = _numbers(path, "origin_mm", said.get("origin_mm", ["0", "0", "0"]), 3)
    affine[:3, 3] = np.array(frame) * origin
    return affine


def _axes(path: Path, value: Value) -> list[tuple[int, bool]]:
    """Return for each voxel axis the world axis it runs along, and whether up that axis."""
    if isinstance(value, str):
        try:
            return parse_orientation(value)
        except GeometryError:
            pass
    raise _unlike(path, f"orientation {_short(value)}", "one letter each of L/R, P/A, I/S: LPS")


def _list(path: Path, key: str, value: Value, length: int) -> list[Any]:
    if not isinstance(value, list) or len(value) != length:
        raise _unlike(path, f"{key} {_short(value)}", f"a list of {length}")
    return value


def _numbers(path: Path, key: str, value: Value, length: int) -> list[float]:
    return [_number(path, key, item) for item in _list(path, key, value, length)]


def _number(path: Path, key: str, value: Value) -> float:
    if isinstance(value, str) and NUMBER.fullmatch(value) and np.isfinite(float(value)):
        return float(value)
    raise _unlike(path, f"{key} {_short(value)}", "finite decimal numbers")


def _whole(path: Path, key: str, value: Value, most: int) -> int:
    if isinstance(value, str) and WHOLE.fullmatch(value) and int(value) <= most:
        return int(value)
    raise _unlike(path, f"{key} {_short(value)}", f"whole numbers from 0 to {most:,}")


def _one_of(path: Path, key: str, value: Value, known: Any) -> str:
    if isinstance(value, str) and value in known:
        return value
    raise _unlike(path, f"{key} {_short(value)}", f"one of {', '.join(known)}")


def _names(keys: Any) -> str:
    return ", ".join(_short(key) for key in list(keys)[:12])


def _short(value: Value) -> str:
    text = value if isinstance(value, str) else "of another form"
    return text[:40] if text.isprintable() and text else repr(text[:40])


def _unlike(path: Path, found: str, expected: str) -> DatasetError:
    return DatasetError(
        path, found=found, expected=expected, fix="correct the file; docs/data.md shows one"
    )
