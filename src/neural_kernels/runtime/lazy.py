"""Attributes that are computed when first asked for, without a lock."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from functools import cached_property
else:

    class cached_property(functools.cached_property):  # noqa: N801
        """As Python 3.12 has it: threads that ask at once may compute twice, and all get the same object.

        Until 3.11 each such attribute has one lock for all instances of its class, and two threads that compute
        attributes which need each other, of different instances, wait for each other for ever.
        """

        def __get__(self, instance: Any, owner: Any = None) -> Any:
            if instance is None:
                return self
            values = instance.__dict__
            if self.attrname not in values:
                values.setdefault(self.attrname, self.func(instance))
            return values[self.attrname]
