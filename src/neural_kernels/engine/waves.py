r"""A row of value and slope of damped waves, :math:`\sigma(x) = e^{-\beta x^2} \sin(b x + c)`, at any norm.

With :math:`k = p q \rho` the covariance of units of standard deviations p and q, :math:`\Delta = (p q)^2 (1 - \rho^2)`
and :math:`D = 1 + 2 \beta (p^2 + q^2) + 4 \beta^2 \Delta`, Gaussian integrals are

.. math::

    u, w = D^{-1/2} \exp\left(-b^2 [(p \mp q)^2 + 2 p q (1 \mp \rho) + 4 \beta \Delta] / 2 D\right)
    \quad\text{with}\quad (p \mp q)^2 + 2 p q (1 \mp \rho) = p^2 + q^2 \mp 2 k, \\
    \kappa = (u - w) / 2 + \sin^2(c)\, w, \qquad \mu = (u - w) / 2 + \cos^2(c)\, w, \\
    \text{slope} = 4 \beta k\, [\beta / D + b^2 (1 + \beta (p^2 + q^2)) / D^2]\, \kappa
    + b^2\, [1 / D + 8 \beta^2 k^2 / D^2]\, \mu,

the slope by Price's theorem, as the derivative of the value by k.
"""

from __future__ import annotations

import math

from neural_kernels.runtime.jit import compiled

_COINCIDENT = 1e-30  # what rounding leaves of the distance of equal rows, squared


@compiled
def waves(delta, opposite, row, column, vector, constants, left, right, value, slope):
    """Value and slope (one minus their correlations) for the columns of one row, good to rounding of 1.

    Constants are beta, b^2, sin(c)^2 and the square of the amplitude; vectors are the standard deviations of units,
    values and slopes.
    """
    beta, square, sine, power = constants[0], constants[1], constants[2], constants[3]
    p, stop = left[vector, row], column + delta.size
    others, values, slopes = right[vector, column:stop], right[vector + 1, column:stop], right[vector + 2, column:stop]
    own_value, own_slope = left[vector + 1, row], left[vector + 2, row]
    for c in range(delta.size):
        q, d, o = others[c], min(max(delta[c], 0.0), 2.0), min(max(opposite[c], 0.0), 2.0)
        product, both = p * q, p * p + q * q
        k, spread = product * (1 - d), 4 * beta * (product * d) * (product * o)
        scale = 1 + 2 * beta * both + beta * spread
        apart = (p - q) * (p - q) + spread
        ahead = k >= 0
        nearer = math.exp(-square * (apart + 2 * product * (d if ahead else o)) / (2 * scale)) / math.sqrt(scale)
        gap = -nearer * math.expm1(-2 * square * abs(k) / scale)  # u - w but for its sign, of which u or w is known
        half, w = (gap / 2, nearer - gap) if ahead else (-gap / 2, nearer)
        kappa, mu = half + sine * w, half + (1 - sine) * w
        even = 4 * beta * k * (beta + square * (1 + beta * both) / scale) / scale
        odd = square * (1 + 8 * (beta * k / scale) * (beta * k)) / scale
        scales, slope_scales = own_value * values[c], own_slope * slopes[c]
        one = power * kappa / scales if scales > 0 else 0.0
        other = power * (even * kappa + odd * mu) / slope_scales if slope_scales > 0 else 0.0
        same = d < _COINCIDENT and p == q
        value[c] = 0.0 if same else min(max(1 - one, 0.0), 2.0)
        slope[c] = 0.0 if same else min(max(1 - other, 0.0), 2.0)
