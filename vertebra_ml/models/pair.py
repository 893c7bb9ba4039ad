"""Two small networks of our kind that learn side by side and answer together.

They begin from other weights and are taught apart, on the same pictures: what they have learnt
they agree on, what they guess they guess differently. Where a scan is unlike what was learnt, the
mean of their answers is less sure than either (deep ensembles: Lakshminarayanan et al. 2017, arXiv
1612.01474; under shift Ovadia et al. 2019, arXiv 1906.02530). Both have as many weights as
``compact`` alone.
"""

from typing import Any, Final

from keras import Model, layers, ops

from vertebra_ml.models.compact import Channels
from vertebra_ml.models.compact import build as build_one

MEMBERS: Final = 2
SMALL: Final = Channels(stem=12, middle=24, deep=48, rows=76)


def build(levels: int, columns: tuple[int, int]) -> Any:
    """Build both networks as one: as ``compact``, but logits are (batch, 2, levels, rows + 1)."""
    views = [
        layers.Input((None, width, 2), name=name)
        for name, width in zip(("frontal", "sagittal"), columns, strict=True)
    ]
    answers = []
    for number in range(1, MEMBERS + 1):
        one = build_one(levels, columns, SMALL)
        answers.append(Model(one.inputs, one.outputs, name=f"member_{number}")(views)[0])
    return Model(views, ops.stack(answers, axis=1), name="pair")
