"""Expectations as sums over angles of radial integrals in tables (`activations.expectations.rays`)."""

from __future__ import annotations

import math

from neural_kernels.runtime.jit import compiled

_TINY = 1e-300


@compiled
def angular_sums(
    std1, std2, widths, above, below, lowest, starts, edges, counts, coefficients, rule, breaks, memory, value, slope
):  # fmt: skip
    """Value and slope for pairs of X and Y.

    `widths` are the angles of the wedges of equal and of opposite signs; `above` and `below` the kinks on either side,
    as positive numbers; the rule is that of a unit interval: places, their distances from the end, weights.
    """
    for k in range(len(value)):
        value[k] = slope[k] = 0.0
        for signs in range(4):
            first, second = (below if signs in (1, 3) else above), (below if signs in (1, 2) else above)
            width = widths[k, signs // 2]
            for c in range(_cut(std1[k], std2[k], width, first, second, breaks)):
                length, before = breaks[c + 1] - breaks[c], width - breaks[c + 1]
                for m in range(len(rule)):
                    s = std1[k] * math.sin(breaks[c] + length * rule[m, 0])
                    t = std2[k] * math.sin(before + length * rule[m, 1])
                    large, kind = (s, signs) if s >= t else (t, 5 - signs if signs > 1 else signs)
                    large = max(large, _TINY)
                    cell = _place(large, min(s, t) / large, lowest, starts[kind], edges, memory)
                    weight = length * rule[m, 2] / (2 * math.pi)
                    value[k] += weight * _sum(counts[cell, 0], coefficients[cell, 0], memory)
                    slope[k] += weight * _sum(counts[cell, 1], coefficients[cell, 1], memory)


@compiled
def _cut(p, q, width, first, second, breaks):
    """Write the ends of intervals within a wedge, in between the angles where kinks meet; how many intervals."""
    breaks[0], count = 0.0, 1
    for a in first:
        for b in second:
            at = math.atan2(a * q * math.sin(width), b * p + a * q * math.cos(width))
            place = count
            while place > 1 and breaks[place - 1] > at:
                breaks[place] = breaks[place - 1]
                place -= 1
            breaks[place] = at
            count += 1
    breaks[count] = width
    return count


@compiled
def _place(large, ratio, lowest, starts, edges, memory):
    """The cell of two numbers; the polynomials there of their ratio, and behind them of the larger, go to memory."""
    power = math.log2(large) - lowest
    octave = min(max(math.ceil(power), 0), len(starts) - 1)
    x = 2 * (large * 2.0**-lowest if octave == 0 else power - (octave - 1)) - 1
    cell = starts[octave]
    while 0 < edges[cell + 1] <= ratio:  # an octave's last cell is followed by the 0 of the next, and goes up to 1
        cell += 1
    count = memory.size // 2
    low, high = edges[cell], edges[cell + 1] if edges[cell + 1] > 0 else 1.0
    y = 2 * (ratio - low) / (high - low) - 1
    memory[0], memory[1] = 1.0, y
    memory[count], memory[count + 1] = 1.0, x
    for n in range(2, count):
        memory[n] = 2 * y * memory[n - 1] - memory[n - 2]
        memory[count + n] = 2 * x * memory[count + n - 1] - memory[count + n - 2]
    return cell


@compiled
def _sum(counts, coefficients, memory):
    total = 0.0
    for i in range(counts[0]):
        line = 0.0
        for j in range(counts[1]):
            line += coefficients[i, j] * memory[j]
        total += line * memory[memory.size // 2 + i]
    return total
