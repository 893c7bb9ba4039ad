"""Which formats there are, and one batch's files of them in one folder."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vertebra_ml.errors import DatasetError
from vertebra_ml.outputs.files import replace_bytes

if TYPE_CHECKING:
    from vertebra_ml.outputs.answer import Answer

Files = Mapping[str, bytes | None]
"""Name of a file -> its content; None where an earlier run's file of that name must not stay."""

FORMATS: Final[dict[str, str]] = {
    "csv": "",
    "json": "",
    "verse": "vertebra_ml.outputs.verse:files",
    "slicer": "vertebra_ml.outputs.slicer:files",
    "png": "vertebra_ml.outputs.pictures:slices",
    "html": "vertebra_ml.outputs.page:files",
}
"""Name -> ``module:function`` from an Answer to Files; empty for the files of a whole batch."""

OVERLAY: Final = "vertebra_ml.outputs.pictures:overlay"
"""The picture of ``locate --overlay``, asked for by a switch of its own."""

DEFAULT: Final = ("csv", "json")


def check_formats(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, each once; raise DatasetError for one that is none of ``FORMATS``."""
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise DatasetError(
            "--format",
            found=", ".join(map(repr, unknown)) or "no name",
            expected=f"one or more of {','.join(FORMATS)}",
            fix="correct the names",
        )
    return tuple(dict.fromkeys(names))


class Delivery:
    """The files a case of one batch, written as the cases are answered.

    Parameters
    ----------
    folder : where they go.
    addresses : values of ``FORMATS``, or ``OVERLAY``; empty ones are passed over.
    """

    def __init__(self, folder: Path, addresses: Sequence[str]) -> None:
        self._folder = folder
        self.addresses = tuple(filter(None, addresses))
        self._taken: dict[str, str] = {}

    def write(self, address: str, answer: "Answer") -> None:
        """Write the files of one format for one case, each whole or not at all.

        Raises DatasetError where a file cannot be written, or bears the name of another case's.
        """
        module, _, name = address.partition(":")
        make: Callable[[Answer], Files] = getattr(import_module(module), name)
        for file, content in make(answer).items():
            path = self._folder / file
            if content is None:
                path.unlink(missing_ok=True)
                continue
            self._take(path, answer.case)
            replace_bytes(path, content)

    def _take(self, path: Path, case: str) -> None:
        """Keep a case ``a-L3`` from overwriting the L3 of a case ``a``."""
        first = self._taken.setdefault(path.name.casefold(), case)  # some systems ignore case
        if first != case:
            raise DatasetError(
                path,
                found=f"the name of a file of the case {first}",
                expected="names of their own",
                fix="rename one of the two scans",
            )
