"""Images such as there are: what maps of images go by where they are given none."""

from __future__ import annotations

import torch
from torch import Tensor

_LEAVES = 64  # for an image: enough for the first ones to be covered
_SMALLEST = 0.25  # radius, in sides of the image
_ALIKE = 0.9  # correlation of channels


def natural_images(count: int, channels: int, positions: tuple[int, ...], seed: int) -> Tensor:
    """Draw dead leaves: discs of random sizes, places and colours that cover each other, of mean square 1.

    Objects that hide others are what gives natural images their statistics: edges, with little between them [1]_. Radii
    r have the density r^-3, which looks alike at all scales, from a quarter of the longest side to the whole of it; of
    smaller ones maps learn less of real images, and less still of Gaussian images with the spectrum of natural ones.
    In one dimension leaves are intervals; channels are correlated. Without positions rows are normal.

    Returns
    -------
    Tensor, shape (count, channels, *positions), float64

    References
    ----------
    .. [1] A. Lee, D. Mumford, J. Huang, "Occlusion models for natural images: a statistical study of a scale-invariant
       dead leaves model", 2001.
    """
    generator = torch.Generator().manual_seed(seed)
    if not positions:
        return torch.randn(count, channels, generator=generator, dtype=torch.float64)
    side = max(positions)
    axes = (1,) * len(positions)
    grids = torch.meshgrid(*(torch.arange(size, dtype=torch.float64) for size in positions), indexing="ij")
    images = torch.zeros(count, channels, *positions, dtype=torch.float64)
    for _ in range(_LEAVES):
        uniform = torch.rand(count, 1 + len(positions), generator=generator, dtype=torch.float64)
        noise = torch.randn(count, 1 + channels, generator=generator, dtype=torch.float64)
        radius = side * (_SMALLEST**-2 + uniform[:, 0] * (1 - _SMALLEST**-2)) ** -0.5
        square = torch.zeros(count, *positions, dtype=torch.float64)
        for grid, size, place in zip(grids, positions, uniform[:, 1:].T, strict=True):
            centre = place * (size + 2 * radius) - radius - 0.5  # all that touch the image
            square += (grid - centre.reshape(-1, *axes)).square()
        covered = (radius.reshape(-1, *axes) - square.sqrt() + 0.5).clamp(0, 1).unsqueeze(1)  # edges a pixel wide
        colour = _ALIKE**0.5 * noise[:, :1] + (1 - _ALIKE) ** 0.5 * noise[:, 1:]
        images += covered * (colour.reshape(count, channels, *axes) - images)
    return images / images.square().mean().sqrt()
