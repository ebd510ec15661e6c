"""What users call: an object into a file, and out of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neural_kernels.errors import LoadError, SaveError
from neural_kernels.saving.container import Container, write_whole
from neural_kernels.saving.decode import Decoder
from neural_kernels.saving.encode import Encoder

_BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


def save(obj: Any, path: Any, named: Mapping[str, Any] | None = None) -> None:
    """Write an object of this library to one file, which `load` reads on any machine and which holds no code.

    Parameters
    ----------
    obj : object
        A description (layers, activations), a kernel, a method or solver, a feature map, moments, or an estimator,
        fitted or not; or a list, tuple or dict of such.
    path : path-like
        The file. It takes the place of one that is there when it is complete, and not before.
    named : mapping of str to object, optional
        What the file is to name and not to hold: functions of your own, in ``nk.Elementwise(fn)`` or as kernels. Give
        the same names to `load`. Functions of torch that act entry by entry, such as ``torch.tanh``, need no name.

    Raises
    ------
    SaveError
        The object holds what a file cannot: a function without a name, a torch module, estimators of others.

    Notes
    -----
    The format is safetensors: arrays, and in its metadata the version of the format, a description in JSON and a
    SHA-256 hash of all. Sizes: a feature map that has seen no data takes some kilobytes, whatever its width, since it
    is drawn again from its seed; any other object takes what its arrays take. Time: that of writing, and of hashing,
    about a second for two gigabytes. No array is copied as a whole unless its memory has gaps.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> model = nk.NeuralKernelRegressor().fit(X, X[:, 0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nk.save(model, Path(folder) / "model.safetensors")
    ...     again = nk.load(Path(folder) / "model.safetensors")
    >>> bool((again.predict(X) == model.predict(X)).all())
    True
    """
    encoder = Encoder(named or {})
    try:
        description = json.dumps({"root": encoder.value(obj), "objects": encoder.records})
    except RecursionError as error:
        raise SaveError(f"{type(obj).__name__} holds itself, or objects in objects too deep: no circles") from error
    write_whole(Container(description, encoder.arrays), Path(path))


def load(path: Any, named: Mapping[str, Any] | None = None) -> Any:
    """Read an object that `save` has written; no code of the file is run, for there is none.

    Parameters
    ----------
    path : path-like
    named : mapping of str to object, optional
        What the file names and does not hold, as it was given to `save`.

    Returns
    -------
    object
        Equal to the one that was saved, with equal results bit for bit on a machine with the same libraries. Tensors
        are on the CPU.

    Raises
    ------
    LoadError
        No file by `save`, a damaged one, one of a newer format, or one that needs `named`. It is raised before an
        object is made of anything that does not agree with the file's length and hash.

    Notes
    -----
    A hash tells damage, not who wrote a file: another's model may predict whatever its author liked, but reading it
    runs no code but that of this library, and takes little more memory than the file is long.
    """
    try:
        container = Container.read(Path(path))
        description = json.loads(container.text)
        decoder = Decoder(description["objects"], container.arrays, named or {})
        decoder.objects()
        return decoder.value(description["root"])
    except LoadError as error:
        raise LoadError(f"{path}: {error}") from error
    except _BROKEN as error:
        raise LoadError(f"{path}: the file does not describe an object of this library: {error!r}") from error
