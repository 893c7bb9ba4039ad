"""MIP archives as the thesis code writes them, and hostile ones."""

import io
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def ragged(pictures: Sequence[Any]) -> NDArray[Any]:
    """Return what ``np.asarray`` made of pictures under numpy 1: objects unless shapes agree."""
    if len({np.shape(picture) for picture in pictures}) == 1:
        return np.asarray(pictures)
    result = np.empty(len(pictures), dtype=object)
    for place, picture in enumerate(pictures):
        result[place] = picture
    return result


def thesis_pictures(
    seed: int, rows: int, columns: int = 200, side: int = 150
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Draw a frontal and a sagittal view in HU, -1000 outside the body, a spine in each."""
    rng = np.random.default_rng(seed)
    views = []
    for width in (columns, side):
        image = np.full((rows, width), -1000, dtype=np.int16)
        image[:, width // 5 : -width // 5] = rng.integers(20, 60, (rows, width)).astype(np.int16)[
            :, width // 5 : -width // 5
        ]
        middle = width // 2
        for top in range(10, rows - 10, 34):
            image[top : top + 22, middle - 18 : middle + 18] = 400
        views.append(image)
    return views[0], views[1]


def thesis_archive(
    path: Path, count: int = 3, *, first: int = 0, **changes: Any
) -> dict[str, NDArray[Any]]:
    """Write an archive of ``count`` entries; return its arrays. A change of None leaves one out."""
    pictures = [thesis_pictures(first + i, 200 + 7 * i) for i in range(count)]
    arrays = {
        "imgs_f": ragged([frontal for frontal, _ in pictures]),
        "imgs_s": ragged([sagittal for _, sagittal in pictures]),
        "v_levels": np.array([[40 + i, 176 if i != 1 else -1] for i in range(count)]),
        "ids": np.array([f"exam{first + i}" for i in range(count)]),
        "thicks": np.array([2.0 + 0.5 * i for i in range(count)]),
        "n_mips": np.array(count),
    }
    arrays = {key: value for key, value in (arrays | changes).items() if value is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return arrays


def object_npy(content: bytes, shape: tuple[int, ...] = (1,)) -> bytes:
    """Return a .npy file of objects whose pickle is ``content``."""
    head = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, header)  # type: ignore[arg-type]
    return head.getvalue() + content


def npy(array: Any, protocol: int = 4) -> bytes:
    """Return a .npy file, objects pickled by ``protocol``."""
    array = np.asarray(array)
    if array.dtype == object:
        return object_npy(pickle.dumps(array, protocol=protocol), array.shape)
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def zip_with(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write a zip of these members."""
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def with_member(path: Path, key: str, content: bytes) -> Path:
    """Write an archive of one entry whose member ``key`` is ``content``."""
    frontal, sagittal = thesis_pictures(1, 120)
    members = {
        "imgs_f": npy(ragged([frontal])), "imgs_s": npy(ragged([sagittal])),
        "v_levels": npy([[40, 80]]), "ids": npy(["a"]), "thicks": npy([2.0]),
    }  # fmt: skip
    return zip_with(path, members | {key: content})
