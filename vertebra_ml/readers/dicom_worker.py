"""Decodes frames with GDCM in a process of its own: run as a script, it imports nothing else.

GDCM's JPEG decoders end the whole process on some damaged streams. Here that is a worker that
ended, and one line about one file. Requests and answers are a line of whole numbers, then bytes.
"""

import sys
from typing import Any, BinaryIO, Final

MEMORY_BYTES: Final = 4 << 30


def main(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the input ends: the bytes of a frame, or the length -1."""
    _limit_memory()
    while line := requests.readline():
        syntax, *words = line.decode("ascii").split()
        rows, columns, allocated, stored, signed, length = map(int, words)
        frame = _decode(requests.read(length), syntax, rows, columns, allocated, stored, signed)
        answers.write(b"%d\n" % (-1 if frame is None else len(frame)))
        answers.write(frame or b"")
        answers.flush()


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # not on Windows; the frame's own header was checked all the same
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _decode(
    source: bytes, syntax: str, rows: int, columns: int, allocated: int, stored: int, signed: int
) -> bytes | None:
    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(source)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    image.SetPixelFormat(gdcm.PixelFormat(1, allocated, stored, stored - 1, signed))
    frame: Any = image.GetBuffer()  # bytes as text: what no text can hold stands as surrogates
    return None if frame is None else bytes(frame.encode("utf-8", "surrogateescape"))


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
