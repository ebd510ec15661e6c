"""Which method to take where the user names none."""

from __future__ import annotations

from typing import Any

from neural_kernels.features.landmarks import LayerwiseLandmarks, landmarks_suit
from neural_kernels.features.method import Method, Task
from neural_kernels.features.nystrom import Nystrom
from neural_kernels.features.random_features import RandomFeatures
from neural_kernels.features.zonal_features import ZonalFeatures, suits


def choose(task: Task, sample: Any) -> tuple[Method, str]:
    """Return the method for a task, and why: landmarks where there are data, else what needs none.

    At equal width a linear model learns more from landmarks than from features that know nothing of the data (though
    the latter may approximate the kernel better); those serve streams, and maps that have to exist before the data.

    Parameters
    ----------
    task : Task
    sample : Tensor or CSR matrix, shape (n, d), or None

    Returns
    -------
    method : Method
    reason : str
    """
    if not task.has_network:
        return Nystrom(), "not the kernel of one network: all that is known of it are its values, as at landmarks"
    if task.positions and landmarks_suit(task.network, task.positions, task.in_features):
        where = "" if sample is not None else ", drawn like natural images for want of data"
        return LayerwiseLandmarks(), f"a network on positions: landmarks of every layer among them{where}"
    if task.positions:
        return RandomFeatures(), "a network on positions with layers that take no landmarks"
    if sample is not None:
        return Nystrom(), "data to take landmarks from: at equal width a linear model learns most from them"
    if suits(task.network, task.in_features):
        return ZonalFeatures(), "no data to take landmarks from, and the kernel is a function of the angle"
    return RandomFeatures(), "no data to take landmarks from, and the kernel depends on more than the angle"
