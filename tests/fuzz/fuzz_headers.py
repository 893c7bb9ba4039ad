"""Fuzz the readers of headers: NIfTI, DICOM, zips of it, MIP archives ours and published, .raw."""

from tests.fuzz.fuzzer import main

if __name__ == "__main__":
    main("headers")
