"""Images such as there are: what a map of images learns from where it is given none."""

from __future__ import annotations

import torch
from torch import Tensor

_DECAY = 1.3  # of amplitudes by frequency
_ALIKE = 0.9  # correlation of channels


def natural_images(count: int, channels: int, positions: tuple[int, ...], seed: int) -> Tensor:
    """Draw Gaussian images whose amplitudes fall with the frequency, of mean square 1, channels correlated.

    Natural images have amplitudes of about 1 / f [1]_; with the exponent 1.3 maps learn more of real ones.

    Returns
    -------
    Tensor, shape (count, channels, *positions), float64

    References
    ----------
    .. [1] D. Field, "Relations between the statistics of natural images and the response properties of cortical cells",
       1987.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (count, channels + 1, *positions)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    if positions:
        axes = tuple(range(2, len(shape)))
        grids = torch.meshgrid(*(torch.fft.fftfreq(size, dtype=torch.float64) for size in positions), indexing="ij")
        frequency = torch.stack(grids).square().sum(0).sqrt()
        lowest = 1 / max(positions)
        noise = torch.fft.ifftn(torch.fft.fftn(noise, dim=axes) / frequency.clamp(min=lowest) ** _DECAY, dim=axes).real
    images = _ALIKE**0.5 * noise[:, :1] + (1 - _ALIKE) ** 0.5 * noise[:, 1:]
    return images / images.square().mean().sqrt()
