"""Draw the synthetic cohort and project it: whole trunks with every level known."""

from functools import partial
from pathlib import Path
from typing import Any

from pipelines.compact import coarse, repack
from pipelines.products import make_all, product_key
from pipelines.stage import PREPARED, VALIDATION, projection_of, run, seeds_of, write_table
from vertebra_ml import phantom
from vertebra_ml.archive import Archive, write_archive
from vertebra_ml.config import Params
from vertebra_ml.limits import PHANTOM_RULES, bind, describe_archive, gate, row_count
from vertebra_ml.phantom.cohort import Population
from vertebra_ml.prepare import project

MADE_BY = ("vertebra_ml.phantom", "vertebra_ml.prepare", "vertebra_ml.archive", "pipelines.compact")
RANGES: dict[str, Population] = {"train": "training", "validation": "unlike"}
"""Those tuned on are drawn from other bodies and scanners than those trained on."""


def main(params: Params) -> None:
    """Write ``prepared/phantoms/`` and ``prepared/phantoms.csv``, and run the gate ``phantoms``."""
    projection = projection_of(params)
    people = [
        (part, seed)
        for part in RANGES
        for seed in seeds_of(params, part, getattr(params.phantoms, part))
    ]
    names = [f"phantom-{part}-{seed}" for part, seed in people]
    tasks = {
        f"{name}.npz": partial(draw, name, seed, RANGES[part], projection)
        for name, (part, seed) in zip(names, people, strict=True)
    }
    folder = PREPARED / "phantoms"
    key = product_key(MADE_BY, projection | {"seed": params.seed})
    make_all(tasks, folder=folder, key=key, workers=params.phantoms.workers)
    rows = [
        describe_archive(folder / name, spacing_mm=projection["spacing_mm"])
        | {"part": part, "seed": seed}
        for name, (part, seed) in zip(tasks, people, strict=True)
    ]
    table = write_table(PREPARED / "phantoms.csv", rows)
    rules = (*bind(PHANTOM_RULES, params.limits.model_dump()), row_count(len(tasks), len(tasks)))
    gate({"Phantoms": (table, rules)}, name="phantoms", folder=VALIDATION)


def draw(name: str, seed: int, ranges: Population, projection: dict[str, Any], path: Path) -> None:
    """Write the MIP archive of the trunk of ``seed`` to ``path``."""
    person = phantom.trunk(seed, ranges)
    pair = coarse(project(person.volume, **projection))
    write_archive(path, Archive(name, name, "phantom", pair, person.volume.origin, person.truth))
    repack(path)


if __name__ == "__main__":
    run(main)
