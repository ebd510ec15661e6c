r"""Which part of a factor gets how many columns.

A part whose kernel has the share g of the diagonal, sketched with m columns, has an error of about :math:`g / \sqrt m`
in every entry, of rows with no correlation. So sketched parts take columns in proportion to g, with the squared error
:math:`(\sum g)^2 / M` in all; a part that is exact at w columns is kept so if :math:`(\sum g - g_b)^2 / (M - w)` is
less than that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

_STEPS = 1 << 14  # to which shares are rounded, so that rounding errors of data decide nothing
_RESERVE = 0.125  # of all columns, left to parts that cannot be exact


@dataclass(frozen=True)
class Part:
    """What one part of a factor counts, and with how many columns it would be exact.

    Parameters
    ----------
    share : float
        Its part of the kernel's diagonal, in any unit.
    exact : int or None
        Columns with which it is exact; None where no number is enough.
    copies : int
        How many times the columns appear in the result.
    """

    share: float
    exact: int | None = None
    copies: int = 1


def allot(parts: Sequence[Part], columns: int) -> list[int]:
    """Divide columns among parts, so that the error of the whole is least.

    Parameters
    ----------
    parts : sequence of Part
    columns : int
        How many there are; all parts together, each times its copies, take no more.

    Returns
    -------
    list of int
        Columns of one copy of each part; 0 for a part without share, or if there are too few columns for all.

    Raises
    ------
    OverflowError
        Shares that are not finite, of examples that are too large.
    """
    total = sum(part.share for part in parts) or 1.0
    if not math.isfinite(total):
        raise OverflowError("features of the rows to fit are not finite: they are too large. Scale them down")
    parts = [replace(part, share=max(1, round(part.share / total * _STEPS)) if part.share else 0) for part in parts]
    reserve = _RESERVE * columns if any(part.exact is None and part.share for part in parts) else 0
    rest, left = sum(part.share for part in parts), columns
    result = [0] * len(parts)
    sketched = [k for k, part in enumerate(parts) if part.share]
    for k in sorted(sketched, key=lambda k: parts[k].share / (parts[k].exact or math.inf), reverse=True):
        part = parts[k]
        if part.exact is None:
            continue
        after, others = left - part.exact * part.copies, rest - part.share
        if after >= reserve and others**2 * left <= rest**2 * after:
            result[k], rest, left = part.exact, others, after
            sketched.remove(k)
    for k in sorted(sketched, key=lambda k: parts[k].share):  # what rounding up costs, the larger ones pay
        part = parts[k]
        wanted = max(1, int(left * part.share / rest / part.copies))
        result[k] = min(wanted, part.exact or wanted, left // part.copies)
        rest, left = rest - part.share, left - result[k] * part.copies
    return result
