"""What became of one scan: an answer, files, faults and notes; as text it crosses processes."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from vertebra_ml.errors import DatasetError, ModelError
from vertebra_ml.many.rows import Entry
from vertebra_ml.outputs.formats import Files


@dataclass(frozen=True)
class Outcome:
    """One scan, done.

    Parameters
    ----------
    entry : the answer as in ``slices.json``; None where there is none.
    faults : a line each.
    notes : what the library warned of meanwhile, where nobody has heard it yet.
    files : the scan's own files, by name.
    """

    entry: Entry | None
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    files: Files = field(default_factory=dict)

    def text(self) -> str:
        """Return it as JSON."""
        files = {
            name: None if content is None else base64.b64encode(content).decode("ascii")
            for name, content in self.files.items()
        }
        plain = {"entry": self.entry, "faults": self.faults, "notes": self.notes, "files": files}
        return json.dumps(plain, allow_nan=False)

    @classmethod
    def of_text(cls, text: str, case: str) -> Self:
        """Read what ``text`` or ``refusal`` made; nothing in it is run.

        Raises ModelError where the worker could not load the model, DatasetError for what is no
        such text, or holds files that are not of this case.
        """
        try:
            plain = json.loads(text)
            refused = plain.get("refused")
            if refused is None:
                faults, notes = (tuple(map(str, plain[name])) for name in ("faults", "notes"))
                files = {_named(name, case): _content(c) for name, c in plain["files"].items()}
                return cls(plain["entry"], faults, notes, files)
            words = {name: str(refused[name]) for name in ("found", "expected", "fix")}
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise DatasetError(
                case, found=f"an answer of a worker that is none ({type(error).__name__})",
                expected="text as this version writes it", fix="start the workers of this version",
            ) from error  # fmt: skip
        raise ModelError(str(refused.get("where")), **words)


def refusal(error: Mapping[str, str]) -> str:
    """Return the text of a worker that has no model to answer with."""
    return json.dumps({"refused": dict(error)})


def _named(name: str, case: str) -> str:
    """Return the name of a file if it can be one of this case; raise ValueError otherwise."""
    if Path(name).name != name or not name.startswith(case):
        raise ValueError(name)
    return name


def _content(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value, validate=True)
