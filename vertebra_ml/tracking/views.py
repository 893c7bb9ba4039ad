"""What MLflow's pages show of our runs: a saved view a model kind, kept in the experiment's tags.

MLflow itself shows no metric and no parameter before a person has chosen each by hand. A saved
view, "Views" on the page of the runs, is such a choice: columns, order, charts. The form is that
in which MLflow 3.17 saves one; a later MLflow that reads another ignores it (tests/ui looks).
"""

import base64
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

PREFIX = "mlflow.sharedViewState."
NAME = "Which {} is better, and why"
MADE_MS = 1795305600000  # 2026-11-22; a view must say when it was saved
SECTION = "decisive"
FROM = ("gate", "git_commit", "git_state", "dvc_lock_md5", "data_hash")
"""Tags: may it be promoted, and from which code, pipeline and data is it."""


@dataclass(frozen=True)
class Question:
    """What decides between two models of a kind: the metrics, and the settings that explain them.

    The last metric is the one that runs are sorted by and parallel coordinates are coloured by.
    """

    words: str
    metrics: tuple[str, ...]
    settings: tuple[str, ...]
    curves: tuple[str, ...]


QUESTIONS = {
    "slice_spotter": Question(
        "slice spotter",
        ("presence_right", "gross_rate", "median_mm"),
        ("architecture", "loss", "learning_rate", "batch", "target_sigma_mm"),
        ("epoch/loss", "epoch/error"),
    ),
    "two_stage": Question(
        "two-stage model",
        ("named.id_rate", "named.off_by_one_rate", "gross_rate", "named.mean_mm"),
        ("architecture", "detection.learning_rate", "identification.learning_rate",
         "identification.batch", "identification.epochs"),
        ("epoch/identification_loss", "epoch/identification_error"),
    ),
}  # fmt: skip


def views() -> dict[str, str]:
    """Return the tags of an experiment that hold a view of each kind."""
    return {f"{PREFIX}{kind}": _packed(kind, asked) for kind, asked in QUESTIONS.items()}


def _packed(kind: str, asked: Question) -> str:
    state = json.dumps(_state(kind, asked), separators=(",", ":")).encode()
    packed = base64.b64encode(zlib.compress(state, 9)).decode()
    return json.dumps(
        {
            "name": NAME.format(asked.words),
            "createdAt": MADE_MS,
            "updatedAt": MADE_MS,
            "state": f"deflate;{packed}",
        }
    )


def _state(kind: str, asked: Question) -> dict[str, Any]:
    columns = [
        *_named("attributes", ("User", "Models")),
        *_named("metrics", reversed(asked.metrics)),
        *_named("params", asked.settings),
        *_named("tags", FROM),
    ]
    return {
        "searchFilter": f"tags.kind = '{kind}'",
        "orderByKey": f"metrics.`{asked.metrics[-1]}`",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": [],
        "columnWidths": {},
        "runsHiddenMode": "FIRST_20_RUNS",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,  # ours stays first
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {
            "xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": "",
        },
        "compareRunCharts": list(_charts(asked)),
        "compareRunSections": [_section(SECTION, "Which is better, and why")],
    }  # fmt: skip


def _named(group: str, names: Iterable[str]) -> list[str]:
    return [f"{group}.`{name}`" for name in names]


def _charts(asked: Question) -> Iterable[dict[str, Any]]:
    yield _chart(
        "parallel", "PARALLEL", selectedParams=list(asked.settings),
        selectedMetrics=list(asked.metrics), showAllRuns=True,
    )  # fmt: skip
    for name in reversed(asked.metrics):
        yield _chart(name, "BAR", metricKey=name, displayName=name)
    for name in asked.curves:
        yield _chart(
            name, "LINE", metricKey=name, displayName=name, selectedMetricKeys=[name],
            lineSmoothness=0, xAxisScaleType="linear", scaleType="linear", xAxisKey="step",
            yAxisKey="metric", yAxisExpressions=[], range={}, selectedXAxisMetricKey="",
            ignoreOutliers=False, useGlobalXaxisKey=True, useGlobalLineSmoothing=True,
        )  # fmt: skip


def _chart(key: str, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "uuid": f"{SECTION}-{key}", "type": kind, "runsCountToCompare": 20, "deleted": False,
        "metricSectionId": SECTION, "isGenerated": False, **more,
    }  # fmt: skip


def _section(key: str, name: str) -> dict[str, Any]:
    return {
        "uuid": key, "name": name, "display": True, "isReordered": False, "deleted": False,
        "isGenerated": False,
    }  # fmt: skip
