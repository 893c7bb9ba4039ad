"""From bones as triangle meshes to Hounsfield units: a cortical shell over a spongy interior.

The interior is filled by counting how often a ray along z crosses the mesh (exact along z, where a
grid is coarsest); the shell is splatted from points spread over the triangles, as deep as the
cortex, so a millimetre of cortex keeps its brightness on every grid.
"""

from dataclasses import dataclass

import numpy as np

from vertebra_ml.phantom.canvas import Array, Canvas, splat

JITTER_VOX = np.array([1.7e-4, 2.3e-4, 0.0])
"""Shift of the mesh off the grid, so that no ray meets an edge or a vertex exactly."""
PATCH_MM = 2.0
POINTS_PER_CELL = 3.5
"""Points of the cortex for each piece of surface as large as a voxel's face."""


@dataclass(frozen=True, eq=False)
class Matter:
    """What one bone is made of.

    Parameters
    ----------
    cortex_hu : HU of compact bone.
    cortex_mm : thickness of the shell, one number or one a vertex (n,).
    spongy_hu : HU of the interior.
    texture_hu : strength (standard deviation) of the interior's texture.
    """

    cortex_hu: float
    cortex_mm: Array
    spongy_hu: float
    texture_hu: float


@dataclass(frozen=True, eq=False)
class Texture:
    """Random cubes that are repeated through space, mean 0, standard deviation about 1.

    ``grain`` has a value a voxel and shades the spongy interior; ``patches`` has one every
    ``PATCH_MM`` and makes the cortex thicker and thinner from place to place.
    """

    grain: Array
    patches: Array

    def grain_of(self, x: Array, y: Array, z: Array) -> Array:
        """Return the grain of voxels by index; the three broadcast."""
        side = len(self.grain)
        found: Array = self.grain[x % side, y % side, z % side]
        return found

    def thickness_of(self, points_mm: Array) -> Array:
        """Return the factor on the cortex at points (n, 3) mm."""
        cell = np.floor(points_mm / PATCH_MM).astype(int) % len(self.patches)
        result: Array = np.exp(self.patches[tuple(cell.T)])
        return result


def paint_mesh(
    canvas: Canvas, vertices_mm: Array, faces: Array, matter: Matter, texture: Texture
) -> None:
    """Paint one closed mesh, (n, 3) mm and (m, 3), on the part of ``canvas`` that it touches."""
    box = canvas.box(vertices_mm.min(axis=0) - 1, vertices_mm.max(axis=0) + 1)
    if box is None:
        return
    part = canvas.part(box)
    x, y, filled = fill(part, vertices_mm, faces)
    z = np.arange(filled.shape[1])
    grain = texture.grain_of(x[:, None], y[:, None], z)
    columns = part.array[x, y]
    columns += filled * (matter.spongy_hu + matter.texture_hu * grain - columns)
    part.array[x, y] = columns
    if matter.cortex_hu > 0:
        points, volumes = shell(vertices_mm, faces, matter.cortex_mm, part)
        place, share = splat(part, points, volumes * texture.thickness_of(points))
        old = part.array[place]
        part.array[place] = old + share * (np.float32(matter.cortex_hu) - old)


def fill(canvas: Canvas, vertices_mm: Array, faces: Array) -> tuple[Array, Array, Array]:
    """Return columns of voxels x (n,), y (n,) and the part (n, nz) of each inside a closed mesh.

    Ray crossings along z with the even-odd rule, so the turn of the triangles does not matter. A
    ray that meets an odd number of triangles (a hole in the mesh) ignores its last crossing.
    """
    nx, ny, nz = canvas.array.shape
    corners = ((vertices_mm - canvas.origin_mm) / canvas.spacing_mm + JITTER_VOX)[faces]
    ray, height = _crossings(corners, nx, ny)
    order = np.lexsort((height, ray))
    ray, height = ray[order], height[order]
    rays, row, counts = np.unique(ray, return_inverse=True, return_counts=True)
    turn = np.arange(len(ray)) - np.repeat(np.cumsum(counts) - counts, counts)
    paired = turn < np.repeat(counts - counts % 2, counts)
    sign = np.where(turn % 2 == 0, 1.0, -1.0)
    filled = _between(row[paired], height[paired], sign[paired], (len(rays), nz))
    return rays // ny, rays % ny, filled


def _crossings(corners: Array, nx: int, ny: int) -> tuple[Array, Array]:
    """Return ray numbers and heights (voxels) where rays along z meet triangles (m, 3, 3)."""
    low = np.maximum(np.ceil(corners[:, :, :2].min(axis=1)), 0).astype(np.int64)
    high = np.minimum(np.floor(corners[:, :, :2].max(axis=1)), [nx - 1, ny - 1]).astype(np.int64)
    spans = high - low + 1
    kept = (spans > 0).all(axis=1)
    corners, low, spans = corners[kept], low[kept], spans[kept]
    counts = spans.prod(axis=1)
    which = np.repeat(np.arange(len(counts)), counts)
    turn = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    x = low[which, 0] + turn % spans[which, 0]
    y = low[which, 1] + turn // spans[which, 0]
    a, b, c = (corners[:, i] for i in range(3))
    area = _cross(b - a, c - a)
    area = np.where(area == 0, np.inf, area)[which]  # an upright triangle is met by no ray
    ray = np.stack([x, y], axis=1)
    u = _cross(ray - a[which, :2], (c - a)[which]) / area
    v = _cross((b - a)[which], ray - a[which, :2]) / area
    hit = (u >= 0) & (v >= 0) & (u + v < 1)
    z = a[which, 2] + u * (b - a)[which, 2] + v * (c - a)[which, 2]
    return (x * ny + y)[hit], z[hit]


def _cross(p: Array, q: Array) -> Array:
    result: Array = p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
    return result


def _between(row: Array, height: Array, sign: Array, shape: tuple[int, int]) -> Array:
    """Sum signed steps at ``height`` along z: 1 between entry and exit, exact in cut voxels."""
    count, nz = shape
    inside = np.clip(height + 0.5, 0, nz)
    voxel = np.minimum(inside.astype(np.int64), nz - 1)
    covered = voxel + 1 - inside
    index = row * (nz + 1) + voxel
    size = count * (nz + 1)
    steps = np.bincount(index, sign * covered, size)
    steps += np.bincount(index + 1, sign * (1 - covered), size)
    filled = np.cumsum(steps.reshape(count, nz + 1), axis=1)[:, :nz]
    return np.clip(filled, 0, 1).astype(np.float32)


def shell(
    vertices_mm: Array, faces: Array, thickness_mm: Array, canvas: Canvas
) -> tuple[Array, Array]:
    """Return points (n, 3) mm through the cortex of a mesh and the volume (n,) mm3 of each.

    Points lie closer than a voxel of ``canvas``, at all depths from the surface inwards. Triangles
    off the canvas are left out.
    """
    step = float(canvas.spacing_mm.min())
    thickness = np.broadcast_to(np.asarray(thickness_mm, float), len(vertices_mm))
    corners, depth = _near(vertices_mm[faces], thickness[faces].mean(axis=1), canvas)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    twice = np.linalg.norm(normal, axis=1)
    corners, depth, normal, twice = (v[twice > 0] for v in (corners, depth, normal, twice))
    inward = -normal / twice[:, None] * _outwardness(vertices_mm, faces)
    area = twice / 2
    owner, places = _scattered(area, step)
    points = (corners[owner] * places[:, :3, None]).sum(axis=1)
    volumes = (area * depth / np.bincount(owner, minlength=len(area)).clip(1))[owner]
    return points + inward[owner] * (depth[owner] * places[:, 3])[:, None], volumes


def _near(corners: Array, depth: Array, canvas: Canvas) -> tuple[Array, Array]:
    reach = 2 * canvas.spacing_mm + 6
    low = canvas.origin_mm - reach
    high = canvas.origin_mm + canvas.spacing_mm * canvas.array.shape + reach
    kept = ((corners.max(axis=1) > low) & (corners.min(axis=1) < high)).all(axis=1)
    return corners[kept], depth[kept]


def _outwardness(vertices: Array, faces: Array) -> float:
    """Return 1 where triangles turn outwards (positive enclosed volume), -1 where inwards."""
    centred = vertices - vertices.mean(axis=0)
    a, b, c = (centred[faces[:, i]] for i in range(3))
    return 1.0 if (a * np.cross(b, c)).sum() >= 0 else -1.0


def _scattered(area: Array, step: float) -> tuple[Array, Array]:
    """Spread points: return the triangle of each (n,) and (n, 4) barycentric and depth parts.

    An additive recurrence (R3, the powers of the root of x^4 = x + 1) fills every triangle and its
    depth more evenly than chance does.
    """
    counts = np.ceil(POINTS_PER_CELL * area / step**2).astype(int)
    owner = np.repeat(np.arange(len(area)), counts)
    parts = (np.arange(len(owner))[:, None] * np.array([0.8191725, 0.6710436, 0.5497005])) % 1
    folded = parts[:, 0] + parts[:, 1] > 1
    parts[folded, :2] = 1 - parts[folded, :2]
    rest = 1 - parts[:, :1] - parts[:, 1:2]
    return owner, np.concatenate([parts[:, :2], rest, parts[:, 2:]], axis=1)
