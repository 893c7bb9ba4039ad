"""Bad zips of DICOM folders."""

import io
import struct
import zipfile
from functools import cache
from typing import Final

from tests.bad.dicom import whole
from tests.bad.kind import Bad, file_of

ZIP: Final = ".zip"
LOCAL, CENTRAL = b"PK\3\4", b"PK\1\2"


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive of files by name."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


@cache
def good() -> bytes:
    return zipped(whole(), zipfile.ZIP_STORED)


def renamed(prefix: str) -> bytes:
    """Return the good archive with names that would lead elsewhere."""
    return zipped({f"{prefix}{name}": data for name, data in whole().items()})


def patched(local_at: int, central_at: int, value: bytes) -> bytes:
    """Return the good archive with one field of every entry, in both its places, set anew."""
    content = bytearray(good())
    for mark, at in ((LOCAL, local_at), (CENTRAL, central_at)):
        start = content.find(mark)
        while start >= 0:
            content[start + at : start + at + len(value)] = value
            start = content.find(mark, start + 4)
    return bytes(content)


def link() -> bytes:
    """Return an archive whose one entry is a symbolic link out of it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        info = zipfile.ZipInfo("slice-0001.dcm")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "../../../etc/passwd")
    return content.getvalue()


def crowded() -> bytes:
    """Return an archive that says it has one entry more than is allowed; all are the same one."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a", b"")
    (size,) = struct.unpack("<I", content.getvalue()[-10:-6])
    (start,) = struct.unpack("<I", content.getvalue()[-6:-2])
    entry = content.getvalue()[start : start + size]
    count = 50_001
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, count * size, start, 0)
    return content.getvalue()[:start] + entry * count + end


ZIPS: Final = {
    "a broken zip": Bad(
        file_of(b"PK\3\4 and nothing more", ZIP), "an archive that cannot be read",
        content_words="zip|archive",
    ),
    "a zip cut in half": Bad(
        file_of(lambda: good()[: len(good()) // 2], ZIP), "an archive that cannot be read",
        content_words="zip|archive",
    ),
    "text as .zip": Bad(
        file_of(b"this is not a zip", ZIP), "an archive that cannot be read",
        content_words="bytes of another kind",
    ),
    "an empty zip": Bad(file_of(zipped({}), ZIP), "found", content_words="found"),
    "a zip without images": Bad(
        file_of(zipped({"notes.txt": b"none", "a/b.txt": b"none"}), ZIP), "none a DICOM image"
    ),
    "a zip in a zip": Bad(file_of(lambda: zipped({"in.zip": good()}), ZIP), "none a DICOM image"),
    "an entry above the zip": Bad(
        file_of(lambda: renamed("../"), ZIP), "an entry named '../slice-"
    ),
    "an entry deep above": Bad(
        file_of(lambda: renamed("a/../../etc/"), ZIP), "an entry named 'a/../../etc/slice-"
    ),
    "an entry from the root": Bad(
        file_of(lambda: renamed("/etc/"), ZIP), "an entry named '/etc/slice-"
    ),
    "an entry on a drive": Bad(file_of(lambda: renamed("C:/"), ZIP), "an entry named 'C:/slice-"),
    "an entry above by backslashes": Bad(
        file_of(lambda: renamed("..\\"), ZIP), "an entry named '..(\\\\|/)"
    ),
    "an entry that is a link": Bad(file_of(link, ZIP), "found"),
    "an encrypted zip": Bad(file_of(lambda: patched(6, 8, b"\1\0"), ZIP), "encrypted entries"),
    "a zip of an unknown method": Bad(file_of(lambda: patched(8, 10, b"\x63\0"), ZIP), "found"),
    "a zip with a wrong sum": Bad(
        file_of(lambda: patched(14, 16, b"abcd"), ZIP), "broken DICOM file .BadZipFile. in slice-"
    ),
    "a zip bomb": Bad(
        file_of(lambda: patched(22, 24, struct.pack("<I", 3 << 30)), ZIP), "bytes unpacked"
    ),
    "a zip of 50,001 entries": Bad(file_of(crowded, ZIP), "50,001 entries"),
    "a DICOM file cut in a zip": Bad(
        file_of(lambda: zipped({n: d[:-150] for n, d in whole().items()}), ZIP),
        "(broken|cut short).* in slice-",
    ),
}  # fmt: skip
