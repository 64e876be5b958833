"""The elementwise parts of a coupling as one kernel each, forward and backward: Triton, for GPUs.

A program works on BLOCK positions and all channels of theirs. It reads through the permutation and writes in order:
reads of a row meet in the cache, scattered writes would not. Sums over positions are kept by a fixed number of
programs and added in a fixed order: the same input gives the same bits. Biases are added here, and their gradients
summed, where the values are in registers anyway: PyTorch takes a pass over memory for each.
"""

import triton
import triton.language as tl

from fastflow.flow import SUBNET_GAIN

_GAIN = tl.constexpr(SUBNET_GAIN)


@triton.jit
def _tanh(x):
    return 1.0 - 2.0 / (tl.exp(2.0 * x) + 1.0)


@triton.jit
def forward(
    x, a, bias, before, scale, offset, order, z, log_det, seen, rows, clamp, clip,
    CHANNELS: tl.constexpr, CHANGED_AT: tl.constexpr, CHANGED: tl.constexpr,
    SEEN_AT: tl.constexpr, SEEN: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    first = tl.program_id(0).to(tl.int64) * BLOCK
    p = tl.arange(0, BLOCK)
    c = tl.arange(0, PADDED)
    channels = c < CHANNELS
    in_rows = p < rows - first
    inside = in_rows[:, None] & channels[None, :]
    source = tl.load(order + c, mask=channels, other=0).to(tl.int32)
    changed = source - CHANGED_AT
    moved = channels & (changed >= 0) & (changed < CHANGED)
    moves = in_rows[:, None] & moved[None, :]
    a_at = a + first * (2 * CHANGED) + (p[:, None] * (2 * CHANGED) + changed[None, :])
    raw = tl.load(a_at, mask=moves, other=0.0).to(tl.float32)
    shift = tl.load(a_at + CHANGED, mask=moves, other=0.0).to(tl.float32)
    value = tl.load(x + first * CHANNELS + (p[:, None] * CHANNELS + source[None, :]), mask=inside, other=0.0)
    raw += tl.load(bias + changed, mask=moved, other=0.0).to(tl.float32)[None, :]
    shift += tl.load(bias + CHANGED + changed, mask=moved, other=0.0).to(tl.float32)[None, :]
    s = clamp * _tanh(raw * _GAIN)  # 0 where nothing moves
    factor = tl.load(scale + source, mask=channels, other=0.0)[None, :]
    y = (value * tl.exp(s) + shift * _GAIN) * factor
    y += tl.load(offset + source, mask=channels, other=0.0)[None, :]
    tl.store(z + first * CHANNELS + (p[:, None] * CHANNELS + c[None, :]), y, mask=inside)
    s = tl.where(in_rows[:, None], s, 0.0)
    tl.store(
        log_det + first + p, tl.load(before + first + p, mask=in_rows, other=0.0) + tl.sum(s, axis=1), mask=in_rows
    )
    k = c - SEEN_AT
    y = tl.where(y > clip, clip, tl.where(y < -clip, -clip, y))  # NaN stays
    looked = channels & (k >= 0) & (k < SEEN)
    tl.store(seen + first * SEEN + (p[:, None] * SEEN + k[None, :]), y, mask=in_rows[:, None] & looked[None, :])


@triton.jit
def _gradients(g, value, raw, shift, factor, g_log_det, clamp):
    """By what the coupling gives, its growth, by its raw scale, and by the scale after it."""
    th = _tanh(raw * _GAIN)
    e = tl.exp(clamp * th)
    grown = value * e
    g_y = g * factor
    g_raw = (1.0 - th * th) * (g_y * grown + g_log_det) * (clamp * _GAIN)
    return g_y, e, g_raw, g * (grown + shift * _GAIN)


@triton.jit
def backward(
    x, a, bias, z, scale, back, dz, dlog_det, dseen, dx, da, sums, rows, clamp, clip,
    CHANNELS: tl.constexpr, CHANGED_AT: tl.constexpr, CHANGED: tl.constexpr,
    SEEN_AT: tl.constexpr, SEEN: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    p = tl.arange(0, BLOCK)
    c = tl.arange(0, PADDED)
    channels = c < CHANNELS
    target = tl.load(back + c, mask=channels, other=0).to(tl.int32)  # where each channel of x went in z
    k = target - SEEN_AT
    looked = channels & (k >= 0) & (k < SEEN)
    changed = c - CHANGED_AT
    moved = channels & (changed >= 0) & (changed < CHANGED)
    factor = tl.load(scale + c, mask=channels, other=0.0)[None, :]
    raw_bias = tl.load(bias + changed, mask=moved, other=0.0).to(tl.float32)[None, :]
    shift_bias = tl.load(bias + CHANGED + changed, mask=moved, other=0.0).to(tl.float32)[None, :]
    z_at = p[:, None] * CHANNELS + target[None, :]
    x_at = p[:, None] * CHANNELS + c[None, :]
    a_at = p[:, None] * (2 * CHANGED) + changed[None, :]
    seen_at = p[:, None] * SEEN + k[None, :]
    dscale = tl.zeros([BLOCK, PADDED], tl.float32)
    doffset = tl.zeros([BLOCK, PADDED], tl.float32)
    draw = tl.zeros([BLOCK, PADDED], tl.float32)
    for block in range(tl.program_id(0), tl.cdiv(rows, BLOCK), tl.num_programs(0)):
        first = tl.zeros([], tl.int64) + block * BLOCK
        in_rows = p < rows - first
        inside = in_rows[:, None] & channels[None, :]
        sees = in_rows[:, None] & looked[None, :]
        moves = in_rows[:, None] & moved[None, :]
        g = tl.load(dz + first * CHANNELS + z_at, mask=inside, other=0.0)
        g_seen = tl.load(dseen + first * SEEN + seen_at, mask=sees, other=0.0).to(tl.float32)
        z_seen = tl.load(z + first * CHANNELS + z_at, mask=sees, other=0.0)
        raw = tl.load(a + first * (2 * CHANGED) + a_at, mask=moves, other=0.0).to(tl.float32)
        shift = tl.load(a + first * (2 * CHANGED) + CHANGED + a_at, mask=moves, other=0.0).to(tl.float32)
        value = tl.load(x + first * CHANNELS + x_at, mask=inside, other=0.0)
        g_log_det = tl.load(dlog_det + first + p, mask=in_rows, other=0.0)[:, None]
        g += tl.where(tl.abs(z_seen) <= clip, g_seen, 0.0)
        doffset += g
        g_y, e, g_raw, g_scale = _gradients(g, value, raw + raw_bias, shift + shift_bias, factor, g_log_det, clamp)
        dscale += g_scale
        draw += g_raw
        tl.store(dx + first * CHANNELS + x_at, g_y * e, mask=inside)
        tl.store(da + first * (2 * CHANGED) + a_at, g_raw, mask=moves)
        tl.store(da + first * (2 * CHANGED) + CHANGED + a_at, g_y * _GAIN, mask=moves)
    mine = sums + tl.program_id(0).to(tl.int64) * (3 * CHANNELS) + c
    tl.store(mine, tl.sum(dscale, axis=0), mask=channels)
    tl.store(mine + CHANNELS, tl.sum(doffset, axis=0), mask=channels)
    tl.store(mine + 2 * CHANNELS, tl.sum(draw, axis=0), mask=channels)


@triton.jit
def bias_relu(h, bias, out, count, CHANNELS: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(h + at, mask=at < count, other=0.0).to(tl.float32)
    value += tl.load(bias + at % CHANNELS, mask=at < count, other=0.0).to(tl.float32)
    tl.store(out + at, tl.where(value < 0.0, 0.0, value), mask=at < count)  # NaN stays


@triton.jit
def bias_relu_backward(
    h, dout, dh, sums, rows, CHANNELS: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    p = tl.arange(0, BLOCK)
    c = tl.arange(0, PADDED)
    at = p[:, None] * CHANNELS + c[None, :]
    dbias = tl.zeros([BLOCK, PADDED], tl.float32)
    for block in range(tl.program_id(0), tl.cdiv(rows, BLOCK), tl.num_programs(0)):
        first = tl.zeros([], tl.int64) + block * BLOCK
        inside = (p < rows - first)[:, None] & (c < CHANNELS)[None, :]
        value = tl.load(h + first * CHANNELS + at, mask=inside, other=0.0)
        g = tl.where(value == 0.0, 0.0, tl.load(dout + first * CHANNELS + at, mask=inside, other=0.0).to(tl.float32))
        dbias += g
        tl.store(dh + first * CHANNELS + at, g, mask=inside)
    tl.store(sums + tl.program_id(0) * CHANNELS + c, tl.sum(dbias, axis=0), mask=c < CHANNELS)
