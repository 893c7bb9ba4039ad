"""What is asked of a model: only some of its levels, or a second model's opinion as well."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from vertebra_ml.agreement import LIMIT_MM, disagreements, subject
from vertebra_ml.errors import ModelError, VertebraError
from vertebra_ml.landmarks import ModelIdentity, Prediction
from vertebra_ml.mip import MipPair
from vertebra_ml.models import Localiser
from vertebra_ml.volume import Source, Volume

log = logging.getLogger(__name__)


class _Asked:
    """A model that is asked in another way; what it is stays what it was."""

    def __init__(self, model: Localiser) -> None:
        self._model = model

    @property
    def kind(self) -> str:
        """The model family."""
        return self._model.kind

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels it answers."""
        return self._model.levels

    @property
    def identity(self) -> ModelIdentity:
        """Which model this is, as its answers say."""
        return self._model.identity


class Only(_Asked):
    """A model of whose answers a few levels are taken.

    Raises ModelError for levels that it does not answer, naming those that it does.
    """

    def __init__(self, model: Localiser, levels: Sequence[str]) -> None:
        super().__init__(model)
        unknown = [level for level in levels if level not in model.levels]
        if unknown or not levels:
            raise ModelError(
                _name(model),
                found=f"{', '.join(unknown) or 'no level'} asked for",
                expected=f"levels that this model answers: {', '.join(model.levels)}",
                fix="ask for these, or give another model",
            )
        self._levels = tuple(level for level in model.levels if level in set(levels))

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels asked for, head to foot."""
        return self._levels

    def locate(self, volume: Volume, case: str) -> Prediction:
        """Answer for a CT."""
        return only(self._model.locate(volume, case), self._levels)

    def locate_mips(self, pair: MipPair, source: Source, case: str) -> Prediction:
        """Answer for MIPs."""
        return only(self._model.locate_mips(pair, source, case), self._levels)


class Beside(_Asked):
    """A model beside which another is asked; its answer is the first's, with what they differ on.

    Parameters
    ----------
    model, second : whose answers are compared.
    limit_mm : how far apart two places of one level may lie.

    Raises ModelError where no level is answered by both.
    """

    def __init__(self, model: Localiser, second: Localiser, limit_mm: float = LIMIT_MM) -> None:
        super().__init__(model)
        self._second, self._limit_mm = second, limit_mm
        if not set(model.levels) & set(second.levels):
            raise ModelError(
                _name(second),
                found=f"a second model for {', '.join(second.levels)} alone",
                expected=f"one that answers some of {', '.join(model.levels)}",
                fix="give another second model, or ask for other levels",
            )

    def locate(self, volume: Volume, case: str) -> Prediction:
        """Answer for a CT."""
        answer = self._model.locate(volume, case)
        return self._compared(answer, partial(self._second.locate, volume, case))

    def locate_mips(self, pair: MipPair, source: Source, case: str) -> Prediction:
        """Answer for MIPs."""
        answer = self._model.locate_mips(pair, source, case)
        return self._compared(answer, partial(self._second.locate_mips, pair, source, case))

    def _compared(self, answer: Prediction, ask: Callable[[], Prediction]) -> Prediction:
        """Return the answer with its doubts; where the second cannot answer, that is one."""
        try:
            other = ask()
        except VertebraError as error:
            lines: tuple[str, ...] = (
                f"{_name(self._second)} was asked too and cannot answer: found {error.found}",
            )
            seconds = 0.0
        else:
            lines, seconds = disagreements(answer, other, self._limit_mm), other.seconds
        for line in lines:
            log.warning("%s: %s", answer.case, line)
        warnings = (*answer.warnings, *lines)
        return replace(answer, warnings=warnings, seconds=answer.seconds + seconds)


def only(prediction: Prediction, levels: Sequence[str]) -> Prediction:
    """Return what is said of ``levels``; warnings about another level alone are left out."""
    marks = prediction.landmarks
    kept = [number for number, label in enumerate(marks.labels) if label in levels]
    gone = [number for number, label in enumerate(prediction.missing) if label in levels]
    scores = prediction.absent_scores
    return replace(
        prediction,
        landmarks=marks.select(levels),
        slices=tuple(prediction.slices[number] for number in kept),
        missing=tuple(prediction.missing[number] for number in gone),
        absent_scores=tuple(scores[number] for number in gone) if scores else (),
        untold={label: score for label, score in prediction.untold.items() if label in levels},
        warnings=tuple(line for line in prediction.warnings if subject(line) in {"", *levels}),
    )


def _name(model: Localiser) -> str:
    return f"{model.kind} {model.identity.version}".strip()
