"""Which model is asked for what: plain values that cross to another process, and there load it."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, Self

from vertebra_ml.agreement import LIMIT_MM
from vertebra_ml.bounds import OUTSIDE
from vertebra_ml.errors import ModelError
from vertebra_ml.landmarks import ModelIdentity
from vertebra_ml.many.marks import code_mark, digest
from vertebra_ml.models import Localiser, load_model

Files = Mapping[str, bytes]


class Recipe(Protocol):
    """What a process makes its model of. It is known by its mark, and made once a process."""

    @property
    def mark(self) -> str:
        """Return what tells it from another."""

    def build(self) -> Localiser:
        """Return the model, ready to answer. Raises ModelError."""


@dataclass(frozen=True)
class Model:
    """A model folder and who it is, where it came from the registry."""

    folder: Path
    identity: ModelIdentity | None = None

    @property
    def mark(self) -> str:
        """A digest of who it is and of its files."""
        contents = {name: hashlib.sha256(file).hexdigest() for name, file in self.files().items()}
        return digest(asdict(self.identity) if self.identity else str(self.folder), contents)

    def files(self) -> Files:
        """Return the content of its files by path below it, those of a model that it carries too.

        None where it is no folder.
        """
        try:
            paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
            return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in paths}
        except OSError:
            return {}


@dataclass(frozen=True)
class Asked:
    """One model, asked for some of its levels or all (none named), perhaps beside another.

    ``outside`` says what is done with a scan outside their limits, see ``models.load_model``.
    """

    model: Model
    levels: tuple[str, ...] = ()
    beside: Model | None = None
    beside_mm: float = LIMIT_MM
    outside: str = OUTSIDE[0]

    @property
    def mark(self) -> str:
        """A digest of the models and of what they are asked."""
        second = self.beside.mark if self.beside else ""
        apart = self.beside_mm if second else ""
        return digest(self.model.mark, self.levels, second, apart, self.outside)

    def build(self) -> Localiser:
        """Load the models from their folders. Raises ModelError."""
        return self.ask(lambda each: load_model(each.folder, each.identity, outside=self.outside))

    def ask(self, load: Callable[[Model], Localiser]) -> Localiser:
        """Return the model as it is asked, by what loads one. Raises ModelError."""
        from vertebra_ml.asking import Beside, Only

        asked = load(self.model)
        if self.levels:
            asked = Only(asked, self.levels)
        return Beside(asked, load(self.beside), self.beside_mm) if self.beside else asked


@dataclass(frozen=True)
class Packed:
    """A recipe with the models' files in it, for a machine that need not see their folders."""

    asked: Asked
    mark: str
    code: str
    files: tuple[Files, ...]

    @classmethod
    def of(cls, asked: Asked) -> Self:
        """Read the models' files. Raises ModelError where there are none."""
        models = [asked.model, *([asked.beside] if asked.beside else [])]
        contents = tuple(model.files() for model in models)
        for model, files in zip(models, contents, strict=True):
            if not files:
                load_model(model.folder, model.identity)  # says what is wrong with it
        return cls(asked, asked.mark, code_mark(), contents)

    def build(self) -> Localiser:
        """Load the models from files of this process's own. Raises ModelError."""
        if self.code != code_mark():
            raise ModelError(
                "a worker of the cluster",
                found=f"vertebra-ml with the code {code_mark()[:8]}",
                expected=f"the same as here, {self.code[:8]}",
                fix="install the same version of vertebra-ml for the workers, start them again",
            )
        with TemporaryDirectory(prefix="vertebra-ml-") as scratch:
            return self.asked.ask(lambda model: self._loaded(model, Path(scratch)))

    def _loaded(self, model: Model, scratch: Path) -> Localiser:
        number = 0 if model is self.asked.model else 1
        folder = scratch / str(number)
        for name, content in self.files[number].items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return load_model(folder, model.identity, outside=self.asked.outside)
