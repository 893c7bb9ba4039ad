"""Scans projected by the workers of a cluster: MIP archives come back, and are written here."""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vertebra_ml.archive import write_archive
from vertebra_ml.case import Case
from vertebra_ml.errors import DatasetError, VertebraError
from vertebra_ml.many.crew import Crew, CrewError, Job, Lost, work_off
from vertebra_ml.many.marks import code_mark
from vertebra_ml.outputs.files import replace_bytes
from vertebra_ml.projected import project_case


def project_afar(
    cases: Mapping[Path, Case], projection: Mapping[str, Any], crew: Crew
) -> Iterator[tuple[Path, str]]:
    """Write the MIP archive of each case to its path; yield the path, and a line if it failed.

    Each is on disk, whole, when it is yielded. ``projection`` holds the keyword arguments of
    ``prepare.project``. Raises CrewError where no worker is left, or one has other code.
    """
    paths = list(cases)
    shared = {"projection": dict(projection), "code": code_mark()}
    jobs = [Job(number, archived, (cases[path],), shared) for number, path in enumerate(paths)]
    for job, result in work_off(jobs, crew):
        path = paths[job.number]
        try:
            replace_bytes(path, _archive(result, cases[path]))
        except DatasetError as error:
            yield path, str(error)
        else:
            yield path, ""


def archived(shared: Mapping[str, Any], case: Case) -> str:
    """Project one case in a worker; return the archive or what went wrong, as JSON."""
    if shared["code"] != code_mark():
        return json.dumps({"other": code_mark()})
    try:
        with TemporaryDirectory(prefix="vertebra-ml-") as scratch:
            path = Path(scratch) / f"{case.id}.npz"
            write_archive(path, project_case(case, shared["projection"]))
            return json.dumps({"archive": base64.b64encode(path.read_bytes()).decode("ascii")})
    except VertebraError as error:
        return json.dumps({"fault": {**vars(error)}})
    except Exception as error:  # noqa: BLE001 - whatever one scan does, the others are done
        return json.dumps({"fault": _words(case, f"{type(error).__name__}")})


def _archive(result: str | Exception, case: Case) -> bytes:
    """Return the bytes of an archive. Raises DatasetError, CrewError for a worker of other code."""
    if isinstance(result, Lost):
        raise DatasetError(**_words(case, "a scan during which two workers ended"))
    if isinstance(result, Exception):
        raise CrewError(
            "a worker", found=f"code that cannot be run there ({result})",
            expected="the same version of vertebra-ml as here",
            fix="install it for the workers, and start them again",
        ) from result  # fmt: skip
    plain = json.loads(result)
    if "other" in plain:
        raise CrewError(
            "a worker", found="other code of vertebra-ml there", expected="the same as here",
            fix="install it for the workers, and start them again",
        )  # fmt: skip
    if "fault" in plain:
        raise DatasetError(**{str(name): str(text) for name, text in plain["fault"].items()})
    return base64.b64decode(plain["archive"], validate=True)


def _words(case: Case, found: str) -> dict[str, str]:
    return {
        "where": str(case.source), "found": found, "expected": "a CT that can be read",
        "fix": "open it in a viewer to see what is wrong",
    }  # fmt: skip
