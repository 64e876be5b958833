"""The elementwise part of a coupling as one native loop, forward and backward: numba, for CPUs.

Legend: P positions (images x height x width), C channels; rows are positions, as channels-last memory has them. Of a
row, `kept` channels from `kept_at` on condition, the others, from `changed_at` on, are transformed by `a` (P, 2 x
changed), the subnet's output. What plain PyTorch does in some twenty passes over memory happens here in one;
`fastflow.flow` is the readable definition, and tests hold the two together.

Each worker takes an even share of the rows. Compiled code is kept in __pycache__, like Python's own.
"""

from typing import Any

import numba
import numpy as np
from numba import njit, prange

from fastflow.flow import SUBNET_GAIN

# No assumption that NaN cannot be: a loss that is NaN must stay one.
_MATH = {"contract", "reassoc", "arcp", "nsz", "afn"}
_OPTIONS: dict[str, Any] = {"fastmath": _MATH, "error_model": "numpy", "cache": True}
_f = np.float32
_GAIN = _f(SUBNET_GAIN)
_LARGEST = _f(87.0)  # exp of more overflows


def use_workers(count: int) -> int:
    """Has kernels share the threads that PyTorch uses, where the two can; returns how many workers there will be."""
    numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]  # type: ignore[attr-defined]
    count = min(count, numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    numba.set_num_threads(count)
    return count


@njit(inline="always", **_OPTIONS)
def _exp(x):
    """exp(x), relative error below 2e-7: 2^n times a polynomial of the rest (Cephes, expf)."""
    if x > _LARGEST:
        x = _LARGEST
    if x < -_LARGEST:
        x = -_LARGEST
    n = np.floor(x * _f(1.44269504) + _f(0.5))
    r = x - n * _f(0.693359375)
    r = r - n * _f(-2.12194440e-4)
    p = _f(1.9875691500e-4)
    p = p * r + _f(1.3981999507e-3)
    p = p * r + _f(8.3334519073e-3)
    p = p * r + _f(4.1665795894e-2)
    p = p * r + _f(1.6666665459e-1)
    p = p * r + _f(5.0000001201e-1)
    p = p * r * r + r + _f(1.0)
    power = (np.int32(n) + np.int32(127)) << np.int32(23)
    return p * np.int32(power).view(np.float32)


@njit(inline="always", **_OPTIONS)
def _tanh(x):
    """tanh(x), relative error below 5e-7: a quotient of polynomials in x^2 (Eigen, generic_fast_tanh)."""
    if x > _f(7.905):
        x = _f(7.905)
    if x < _f(-7.905):
        x = _f(-7.905)
    x2 = x * x
    p = _f(-2.76076847742355e-16)
    p = p * x2 + _f(2.00018790482477e-13)
    p = p * x2 + _f(-8.60467152213735e-11)
    p = p * x2 + _f(5.12229709037114e-08)
    p = p * x2 + _f(1.48572235717979e-05)
    p = p * x2 + _f(6.37261928875436e-04)
    p = p * x2 + _f(4.89352455891786e-03)
    q = _f(1.19825839466702e-06)
    q = q * x2 + _f(1.18534705686654e-04)
    q = q * x2 + _f(2.26843463243900e-03)
    q = q * x2 + _f(4.89352518554385e-03)
    return x * p / q


@njit(**_OPTIONS)
def _forward_rows(
    low, high, x, a, before, scale, offset, order, kept_at, changed_at, clamp, clip, seen_at, z, log_det, seen
):
    changed = a.shape[1] // 2
    kept = x.shape[1] - changed
    y = np.empty(x.shape[1], np.float32)
    y_kept, y_changed = y[kept_at : kept_at + kept], y[changed_at : changed_at + changed]
    scale_kept, scale_changed = scale[kept_at : kept_at + kept], scale[changed_at : changed_at + changed]
    offset_kept, offset_changed = offset[kept_at : kept_at + kept], offset[changed_at : changed_at + changed]
    for p in range(low, high):
        x_kept, x_changed = x[p, kept_at : kept_at + kept], x[p, changed_at : changed_at + changed]
        a_scale, a_shift = a[p, :changed], a[p, changed:]
        for c in range(kept):
            y_kept[c] = x_kept[c] * scale_kept[c] + offset_kept[c]
        total = before[p]
        for c in range(changed):
            s = clamp * _tanh(_GAIN * a_scale[c])
            total += s
            y_changed[c] = (x_changed[c] * _exp(s) + _GAIN * a_shift[c]) * scale_changed[c] + offset_changed[c]
        log_det[p] = total
        z_row, seen_row = z[p], seen[p]
        for c in range(y.shape[0]):
            z_row[c] = y[order[c]]
        z_seen = z_row[seen_at : seen_at + seen_row.shape[0]]
        for c in range(seen_row.shape[0]):
            v = z_seen[c]
            if v > clip:
                v = clip
            if v < -clip:
                v = -clip
            seen_row[c] = v


@njit(**_OPTIONS)
def _backward_rows(
    low, high, x, a, z, scale, back, kept_at, changed_at, clamp, clip, seen_at, dz, dlog_det, dseen,
    dx, da, dscale, doffset,
):  # fmt: skip
    changed = a.shape[1] // 2
    kept = x.shape[1] - changed
    g_z, g = np.empty(x.shape[1], np.float32), np.empty(x.shape[1], np.float32)
    g_seen = g_z[seen_at : seen_at + dseen.shape[1]]
    g_kept, g_changed = g[kept_at : kept_at + kept], g[changed_at : changed_at + changed]
    scale_kept, scale_changed = scale[kept_at : kept_at + kept], scale[changed_at : changed_at + changed]
    dscale_kept, dscale_changed = dscale[kept_at : kept_at + kept], dscale[changed_at : changed_at + changed]
    doffset_kept, doffset_changed = doffset[kept_at : kept_at + kept], doffset[changed_at : changed_at + changed]
    for p in range(low, high):
        x_kept, x_changed = x[p, kept_at : kept_at + kept], x[p, changed_at : changed_at + changed]
        a_scale, a_shift, da_scale, da_shift = a[p, :changed], a[p, changed:], da[p, :changed], da[p, changed:]
        dx_kept, dx_changed = dx[p, kept_at : kept_at + kept], dx[p, changed_at : changed_at + changed]
        dz_row, dseen_row, z_seen = dz[p], dseen[p], z[p, seen_at : seen_at + dseen.shape[1]]
        for c in range(g.shape[0]):
            g_z[c] = dz_row[c]
        for c in range(dseen_row.shape[0]):
            g_seen[c] += dseen_row[c] if abs(z_seen[c]) <= clip else _f(0)
        for c in range(g.shape[0]):
            g[c] = g_z[back[c]]
        for c in range(kept):
            doffset_kept[c] += g_kept[c]
            dscale_kept[c] += g_kept[c] * x_kept[c]
            dx_kept[c] = g_kept[c] * scale_kept[c]
        g_log_det = dlog_det[p]
        for c in range(changed):
            th = _tanh(_GAIN * a_scale[c])
            e = _exp(clamp * th)
            grown = x_changed[c] * e
            doffset_changed[c] += g_changed[c]
            dscale_changed[c] += g_changed[c] * (grown + _GAIN * a_shift[c])
            g_y = g_changed[c] * scale_changed[c]
            dx_changed[c] = g_y * e
            da_shift[c] = _GAIN * g_y
            da_scale[c] = _GAIN * clamp * (_f(1) - th * th) * (g_y * grown + g_log_det)


@njit(parallel=True, **_OPTIONS)
def forward(workers, x, a, before, scale, offset, order, kept_at, changed_at, clamp, clip, seen_at, z, log_det, seen):
    """Of positions: x (P, C), a, and `before` (P,) give z (P, C), log_det (P,) and `seen` (P, K)."""
    rows = x.shape[0]
    for w in prange(workers):
        _forward_rows(
            rows * w // workers, rows * (w + 1) // workers,
            x, a, before, scale, offset, order, kept_at, changed_at, clamp, clip, seen_at, z, log_det, seen,
        )  # fmt: skip


@njit(parallel=True, **_OPTIONS)
def backward(
    workers, x, a, z, scale, back, kept_at, changed_at, clamp, clip, seen_at, dz, dlog_det, dseen,
    dx, da, dscale, doffset,
):  # fmt: skip
    """The gradients; of scale and offset a row a worker (workers, C), which start from zero."""
    rows = x.shape[0]
    for w in prange(workers):
        _backward_rows(
            rows * w // workers, rows * (w + 1) // workers,
            x, a, z, scale, back, kept_at, changed_at, clamp, clip, seen_at, dz, dlog_det, dseen,
            dx, da, dscale[w], doffset[w],
        )  # fmt: skip
