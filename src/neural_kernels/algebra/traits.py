"""The static check: is the description still a network whose kernel the recursion gives?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from neural_kernels.errors import ArchitectureError


@dataclass(frozen=True)
class Traits:
    """What is known of the units at one place of the network, in the limit of infinite width.

    Parameters
    ----------
    gaussian : bool
        Their joint distribution over the weights is normal: an affine map came last, then only sums and position maps.
    centred : bool
        Their mean is 0.
    fresh : bool
        A new affine map lies between the place where the network branched and here.
    wide : bool
        An affine map came before, so the units are many; the input's are not.
    data : bool
        They are the input itself.
    """

    gaussian: bool
    centred: bool
    fresh: bool
    wide: bool
    data: bool = False

    @classmethod
    def of_input(cls) -> Traits:
        """Give what is known of the data themselves: nothing."""
        return cls(gaussian=False, centred=False, fresh=False, wide=False, data=True)

    def affine(self) -> Traits:
        """Give the traits after a new affine map, which hold whatever came before."""
        return Traits(gaussian=True, centred=True, fresh=True, wide=True)

    def mixed(self) -> Traits:
        """Give the traits after something neither affine nor a sum: dropout, concatenation, flattening, product."""
        return replace(self, gaussian=False, data=False)

    def branch(self) -> Traits:
        """Give the traits at the head of a branch, where no affine map is its own yet."""
        return replace(self, fresh=False, data=False)

    def activated(self, owner: object, centred: bool) -> Traits:
        """Give the traits after an activation, whose units have mean 0 if it is `centred` (odd).

        Raises
        ------
        ArchitectureError
            The units before it are not Gaussian; the message names ``owner``, the layer that asks.
        """
        if not self.gaussian:
            raise ArchitectureError(
                f"{owner!r} needs Gaussian input, but the layer before it is not affine (the input itself, an "
                "activation, Dropout, Concat or Product come without a new affine map). Put a Dense in front of it."
            )
        return replace(self, gaussian=False, centred=centred)

    def normalized(self, owner: object) -> Traits:
        """Give the traits after a normalisation by the variance.

        Raises
        ------
        ArchitectureError
            The units before it are not Gaussian of mean 0; the message names ``owner``, the layer that asks.
        """
        if not (self.gaussian and self.centred):
            raise ArchitectureError(
                f"{owner!r} needs Gaussian input of mean 0: its kernel divides by the second moment, which is the "
                "variance only there. Put a Dense in front of it: Dense, LayerNorm, ReLU, not Dense, ReLU, LayerNorm."
            )
        return self

    def dropped(self, owner: object) -> Traits:
        """Give the traits after dropout.

        Raises
        ------
        ArchitectureError
            The units before it are few, those of the input; the message names ``owner``, the layer that asks.
        """
        if not self.wide:
            raise ArchitectureError(
                f"{owner!r} stands on the input, whose few units make the kernel depend on the masks drawn. Put a "
                "Dense in front of it."
            )
        return self.mixed()


def independent(owner: object, branches: Sequence[Traits]) -> None:
    """Raise unless every pair of branches is independent: all of them but one `fresh`."""
    stale = [k for k, traits in enumerate(branches) if not traits.fresh]
    if len(stale) > 1:
        raise ArchitectureError(
            f"branches {stale} of {owner!r} see the same units without a new affine map in between, so they are "
            "correlated and the kernel is not a sum or product of theirs. Put a Dense into all of them but one."
        )


def uncorrelated(owner: object, branches: Sequence[Traits]) -> None:
    """Raise unless the cross terms of a sum vanish: the branches are independent, all of them but one centred."""
    independent(owner, branches)
    for (i, first), (j, second) in combinations(enumerate(branches), 2):
        if not (first.centred or second.centred):
            raise ArchitectureError(
                f"branches {i} and {j} of {owner!r} both have units of non-zero mean, so their cross term does not "
                "vanish and the kernel is not the sum of theirs. End one of them with a Dense."
            )


def joined(before: Traits, branches: Sequence[Traits], gaussian: bool) -> Traits:
    """Give the traits where branches that left at ``before`` come together again."""
    return Traits(
        gaussian=gaussian,
        centred=all(traits.centred for traits in branches),
        fresh=before.fresh or all(traits.fresh for traits in branches),
        wide=before.wide or all(traits.wide for traits in branches),
    )
