"""The errors that this library raises, drawn once.

VertebraError
|-- DatasetError   a file, a case or a label is not what its layout says
|-- GeometryError  an affine, a spacing or a shape that no scan can have
|-- LimitError     valid, but beyond a stated limit (size, field, spacing, intensity)
|-- GateError      a data check failed
`-- ModelError     a model folder, a version or a setting does not fit
"""


class VertebraError(Exception):
    """What went wrong, in one line: where, what was found, what was expected, what to do.

    Parameters
    ----------
    where : the file, case or setting concerned.
    found : what is there.
    expected : what should have been there.
    fix : what the reader can do about it.
    """

    def __init__(self, where: object, *, found: str, expected: str, fix: str) -> None:
        self.where = str(where)
        self.found = found
        self.expected = expected
        self.fix = fix
        super().__init__(where, found, expected, fix)

    def __str__(self) -> str:
        line = f"{self.where}: found {self.found}; expected {self.expected}; {self.fix}"
        return " ".join(line.split())

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling, and errors cross processes.
        return (_rebuild, (type(self), self.where, self.found, self.expected, self.fix))


def _rebuild(
    kind: type[VertebraError], where: str, found: str, expected: str, fix: str
) -> VertebraError:
    return kind(where, found=found, expected=expected, fix=fix)


class DatasetError(VertebraError, ValueError):
    """A file, a case or a label is not what its layout says."""


class GeometryError(VertebraError, ValueError):
    """An affine, a spacing or a shape that no scan can have."""


class LimitError(VertebraError, ValueError):
    """Valid input beyond a stated limit: size, field of view, spacing, intensity."""


class GateError(VertebraError):
    """A data check failed; the offending rows are named in the text."""


class ModelError(VertebraError, ValueError):
    """A model folder, a registered version or a model setting does not fit."""
