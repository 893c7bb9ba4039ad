"""Draw every phantom once for both stages that want it: ``python -m pipelines.draw``.

The stages `phantoms` (MIPs) and `samples` (what the two-stage model learns from) want the same
people, and drawing one takes most of the time of both. This is no stage: it leaves each product
where its stage looks for what is finished, made by that stage's own functions. Killed, it goes on.
"""

import os
from functools import partial
from pathlib import Path
from typing import Any

from pipelines import phantoms, samples
from pipelines.learnable import of_person, phantom_key
from pipelines.people import Person, people_of
from pipelines.products import CACHE, make_missing, product_key
from pipelines.stage import projection_of, run
from vertebra_ml.config import Params
from vertebra_ml.errors import DatasetError
from vertebra_ml.two_stage.architectures import architecture

DONE = CACHE / "drawn"


def main(params: Params) -> None:
    """Fill the caches of both stages. Raises DatasetError naming who could not be drawn."""
    address = architecture(params.models.two_stage.architecture).cut
    projection = projection_of(params)
    seed = {"seed": params.seed}
    mips_key = product_key(phantoms.MADE_BY, projection | seed)
    samples_key = phantom_key(params, address.partition(":")[0])
    both = [people_of(params, cohort) for cohort in (params.phantoms, params.samples.phantoms)]
    tasks = {
        DONE / f"{mips_key}-{samples_key}-{person.name}": partial(
            draw, person, projection, address,
            mips_key if person in both[0] else "", samples_key if person in both[1] else "",
        )
        for person in sorted({*both[0], *both[1]}, key=lambda person: person.name)
    }  # fmt: skip
    faults = make_missing(tasks, workers=params.phantoms.workers, title="people")
    if faults:
        raise DatasetError(
            DONE, found=" | ".join(sorted(faults.values())), expected="everybody drawn",
            fix="mend or drop these; the finished ones are kept",
        )  # fmt: skip


def draw(
    person: Person,
    projection: dict[str, Any],
    address: str,
    mips_key: str,
    samples_key: str,
    path: Path,
) -> None:
    """Draw a person, leave what is wanted (an empty key: nothing) and say so at ``path``."""
    made = person.draw()
    if mips_key:
        place = CACHE / "phantoms" / f"{mips_key}-{person.name}.npz"
        _put(place, partial(phantoms.write_drawn, person, made, projection))
    if samples_key:
        item = of_person(person, samples_key, made)
        name = f"{samples_key}-{person.name}.npz"
        other = CACHE / samples.STAGES[1] / name
        _put(CACHE / samples.STAGES[0] / name, partial(samples.write_both, item, address, other))
    path.write_text("", encoding="utf-8")


def _put(place: Path, write: Any) -> None:
    if place.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{os.getpid()}-{place.name}")
    write(part)
    part.replace(place)


if __name__ == "__main__":
    run(main)
