"""Pictures of models and kernels, in scikit-learn's convention: `display = nk.displays.XDisplay.from_estimator(...)`.

A display is made of its data, which are its attributes; `plot(ax=None)` draws them by matplotlib (the extra ``plot``)
and returns the display, with the axes as `ax_` and the figure as `figure_`. `from_estimator` computes the data of an
estimator and draws them. All colours but those of images are the style's own.

- `display`: where a display draws
- `inside`: the model inside a pipeline, a search or another estimator
- `agop`: which columns, or directions, count
- `metric_path`: how a metric was learnt
- `alpha_path`: how alpha was chosen
- `training_time`: errors along training
- `spectrum`: eigenvalues of a kernel, and where in them the targets lie
- `kernel_error`: errors of feature maps of several widths
- `coverage`: how many targets lie in intervals, and how many should
"""

from neural_kernels.displays.agop import AgopDisplay
from neural_kernels.displays.alpha_path import AlphaPathDisplay
from neural_kernels.displays.coverage import CoverageDisplay
from neural_kernels.displays.kernel_error import KernelErrorDisplay
from neural_kernels.displays.metric_path import MetricPathDisplay
from neural_kernels.displays.spectrum import SpectrumDisplay
from neural_kernels.displays.training_time import TrainingTimeDisplay

__all__ = [
    "AgopDisplay",
    "AlphaPathDisplay",
    "CoverageDisplay",
    "KernelErrorDisplay",
    "MetricPathDisplay",
    "SpectrumDisplay",
    "TrainingTimeDisplay",
]
