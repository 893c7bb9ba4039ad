"""A .raw whose description is missing, unclear, hostile, or of another file."""

from pathlib import Path
from typing import Final

from tests.bad.kind import ON_DISK, Bad, Maker

SIDECAR: Final = """shape: [4, 3, 2]
dtype: int16
byte_order: little
spacing_mm: [0.7, 0.8, 2.5]
orientation: LPS
slope: 1
intercept: -1024
"""


def raw(text: str | None = SIDECAR, *, size: int = 48) -> Maker:
    """Return a maker of ``size`` bytes and the description ``text``; None leaves it out."""

    def make(folder: Path) -> Path:
        path = folder / f"{folder.name}.raw"
        path.write_bytes(bytes(size))
        if text is not None:
            path.with_suffix(".yaml").write_text(text, encoding="utf-8")
        return path

    return make


def said(old: str, new: str) -> Maker:
    """Return a maker of a description with one line replaced."""
    assert old in SIDECAR
    return raw(SIDECAR.replace(old, new))


RAW: Final = {
    "a raw without description": Bad(raw(None), "no description beside it", ON_DISK),
    "a raw that is cut": Bad(raw(size=40), "found 40 bytes; expected exactly 48", ON_DISK),
    "a raw that is empty": Bad(raw(size=0), "found 0 bytes; expected exactly 48", ON_DISK),
    "a raw of terabytes": Bad(
        said("[4, 3, 2]", "[30000, 30000, 30000]"), "27,000,000,000,000 voxels", ON_DISK
    ),
    "a raw without byte order": Bad(said("byte_order: little\n", ""), "no byte_order", ON_DISK),
    "a raw with a key unknown": Bad(
        said("slope: 1", "slope: 1\nvoxel: 1"), "unknown voxel", ON_DISK
    ),
    "a raw with a key twice": Bad(
        said("slope: 1", "slope: 1\nslope: 2"), "slope given twice", ON_DISK
    ),
    "a raw of an unknown orientation": Bad(said("LPS", "LPL"), "orientation LPL", ON_DISK),
    "a raw described by an alias bomb": Bad(
        raw("a: &a [x, x]\nb: [*a, *a]\n"), "an anchor or alias", ON_DISK
    ),
    "a raw described by a program": Bad(
        raw("shape: !!python/object/apply:os.system [id]\n"), "a tag", ON_DISK
    ),
    "a raw described by noise": Bad(raw("\0\1: [}"), "no readable YAML", ON_DISK),
}
"""What a .raw and its sidecar can get wrong; the whole list is tests/readers/test_raw.py's."""
