"""Compressed DICOM frames to stored values; every codec is named, and what is not is refused."""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from vertebra_ml.readers.dicom_files import refused
from vertebra_ml.readers.dicom_header import Pixels

KNOWN: Final = frozenset(
    (
        "1.2.840.10008.1.2.4.50",  # JPEG baseline, 8 bit
        "1.2.840.10008.1.2.4.51",  # JPEG extended, 12 bit
        "1.2.840.10008.1.2.4.57",  # JPEG lossless, process 14
        "1.2.840.10008.1.2.4.70",  # the same, first-order prediction
        "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
        "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
        "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
        "1.2.840.10008.1.2.4.91",  # JPEG 2000
        "1.2.840.10008.1.2.5",  # RLE
    )
)


def frame_bytes(pixels: Pixels, offset: int, target: memoryview) -> None:
    """Fill ``target`` from the file; raises EOFError where it ends too early."""
    with pixels.entry.open() as file:
        file.seek(offset)
        done = 0
        while done < len(target):
            count = file.readinto(target[done:])  # type: ignore[attr-defined]
            if not count:
                raise EOFError
            done += count


def decoded(pixels: Pixels, frame: int, where: Path) -> NDArray[Any]:
    """Return the stored values (row, column) of one compressed frame. Raises DatasetError."""
    syntax = UID(pixels.syntax)
    if pixels.syntax not in KNOWN:
        name = syntax.name if syntax.name != pixels.syntax else "an unknown codec"
        raise refused(where, pixels.entry, f"pixels compressed as {name}")
    with pixels.entry.open() as file:
        file.seek(pixels.offset)
        content = file.read()
    frames = generate_frames(content, number_of_frames=pixels.frames)
    source = next(data for k, data in enumerate(frames) if k == frame)
    array, _ = get_decoder(syntax).as_array(
        _encapsulated(source),
        raw=True,
        index=0,
        rows=pixels.rows,
        columns=pixels.columns,
        number_of_frames=1,
        samples_per_pixel=1,
        photometric_interpretation="MONOCHROME2",
        pixel_representation=int(pixels.signed),
        bits_allocated=pixels.allocated,
        bits_stored=pixels.stored,
        pixel_keyword="PixelData",
    )
    return np.asarray(array)


def _encapsulated(frame: bytes) -> bytes:
    from pydicom.encaps import encapsulate

    return encapsulate([frame])
