"""The raw cases of the data, in a fixed order."""

from collections.abc import Iterable

from vertebra_ml import readers
from vertebra_ml.case import Case
from vertebra_ml.config import Params
from vertebra_ml.errors import DatasetError


def raw_cases(params: Params) -> list[Case]:
    """Find every raw case of the parameters' sources, in a fixed order; ids may repeat here."""
    found = []
    for folder, layout in params.data.sources.items():
        root = params.data.root / folder
        cases = readers.find(root, layout, voxels_max=params.limits.voxels_max)
        found += sorted(cases, key=lambda case: (case.id, case.source.as_posix()))
    return found


def cases_by_id(params: Params, wanted: Iterable[str]) -> list[Case]:
    """Return the raw cases of these ids, in their order.

    Raises DatasetError where one is not in the data.
    """
    found = {case.id: case for case in raw_cases(params)}
    lost = [case for case in wanted if case not in found]
    if lost:
        raise DatasetError(
            params.data.root, found=f"no scan {', '.join(lost)}",
            expected="every scan of prepared/index.csv", fix="run `dvc repro`",
        )  # fmt: skip
    return [found[case] for case in wanted]
