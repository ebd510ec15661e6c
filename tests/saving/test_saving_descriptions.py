"""What users describe goes into files and comes out equal; every class that is exported does."""

import inspect

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator

import neural_kernels as nk
from neural_kernels.algebra import Layer
from neural_kernels.exact import Kernel
from neural_kernels.features import Method
from neural_kernels.solvers.protocol import Solver
from saved_samples import ACTIVATIONS, KERNELS, LAYERS, METHODS, SKETCHES, SOLVERS

DESCRIPTIONS = [*LAYERS, *ACTIVATIONS, *KERNELS, *METHODS, *SOLVERS]
# Exported, but no values of this library alone: their modules are the user's.
REFUSED = {"EmpiricalNTK", "TraceNTK", "PseudoNTK"}


def _trip(obj, path, **options):
    nk.save(obj, path / "saved", **options)
    return nk.load(path / "saved", **options)


def _exported(*kinds):
    homes = (nk, nk.solvers, nk.sketches)
    values = [getattr(home, name) for home in homes for name in home.__all__]
    classes = {value for value in values if isinstance(value, type) and not inspect.isabstract(value)}
    return {kind.__name__ for kind in classes if issubclass(kind, kinds)} - REFUSED


def _classes_in(value):
    """Names of the classes of a description and of all that it holds."""
    if isinstance(value, tuple):
        return set().union(*map(_classes_in, value))
    held = vars(value).values() if isinstance(value, (Layer, Kernel, Method, Solver)) else ()
    return {type(value).__name__}.union(*map(_classes_in, held))


def test_samples_are_of_every_exported_class():
    """A class that is added must have a sample, and so be read from files."""
    sampled = set().union(*map(_classes_in, DESCRIPTIONS))
    assert _exported(Layer, Kernel, Method, Solver) - sampled == set()
    assert _exported(torch.nn.Module) - {type(sketch).__name__ for sketch in SKETCHES} == {"FeatureMap"}


def _same(one, other):
    """Equal, where equality of what they hold is not that of identity, such as of the arrays of a metric."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if type(one).__module__.startswith("neural_kernels"):
        return type(one) is type(other) and _same(tuple(vars(one).values()), tuple(vars(other).values()))
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("described", DESCRIPTIONS, ids=lambda described: type(described).__name__)
def test_descriptions_come_back(described, tmp_path):
    again = _trip(described, tmp_path)
    assert _same(described, again)
    assert again == described or "metric" in repr(described)
    assert repr(again) == repr(described)
    assert (tmp_path / "saved").stat().st_size < 20_000


@pytest.mark.parametrize("sketch", SKETCHES, ids=lambda sketch: type(sketch).__name__)
def test_sketches_come_back(sketch, tmp_path):
    again = _trip(sketch, tmp_path)
    assert type(again) is type(sketch)
    for one, other in zip(sketch.buffers(), again.buffers(), strict=True):
        assert torch.equal(one, other)


def test_several_objects_share_what_they_hold(tmp_path):
    net = nk.mlp(2)
    again = _trip({"ntk": nk.NTK(net), "all": [net, (nk.NNGP(net), None)]}, tmp_path)
    assert again == {"ntk": nk.NTK(net), "all": [net, (nk.NNGP(net), None)]}
    assert again["ntk"].net is again["all"][0]


def test_functions_of_the_user_go_by_name(tmp_path):
    def bump(x):
        return torch.exp(-x * x)

    def linear(x1, x2):
        return x1 @ x2.T

    for held in (nk.Elementwise(bump), nk.NTK(nk.mlp(1)) + linear):
        with pytest.raises(nk.SaveError, match=r"files hold no code.*named="):
            nk.save(held, tmp_path / "refused")
        assert not list(tmp_path.glob("*refused*"))
        named = {"bump": bump, "linear": linear}
        nk.save(held, tmp_path / "saved", named=named)
        with pytest.raises(nk.LoadError, match="which it does not hold"):
            nk.load(tmp_path / "saved")
        assert nk.load(tmp_path / "saved", named=named) == held


def test_what_is_not_of_this_library_is_refused(tmp_path):
    module = torch.nn.Linear(3, 2)
    for foreign in (
        nk.EmpiricalNTK(module),
        module,
        object(),
        {"a": b"bytes"},
        [np.array([object()])],
        BaseEstimator(),
    ):
        with pytest.raises(nk.SaveError, match="files hold no"):
            nk.save(foreign, tmp_path / "refused")
    with pytest.raises(nk.SaveError, match="state_dict"):
        nk.save(nk.LinearizedPredictor(module), tmp_path / "refused")
    loop = []
    loop.append(loop)
    with pytest.raises(nk.SaveError, match="circle"):
        nk.save(loop, tmp_path / "refused")
    assert list(tmp_path.iterdir()) == []


ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(12.0).reshape(3, 4)[::2, ::-1],
    np.array(2.5),
    np.zeros((0, 3)),
    np.array([True, False]),
    np.array([2**63, 1], dtype=np.uint64),
    np.array([-(2**63)]),
    np.array([1, 2], dtype=">i2"),
    np.array([[1 + 2j, -0.0]], dtype=np.complex64),
    np.array([["a", "äß"], ["", "\N{GRINNING FACE}"]]),
    np.array(["", ""]),
    np.array(["b", 1, None, 2.5, True], dtype=object),
    np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324]),
    np.array([1, 2], dtype=np.float16),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype.str}-{array.shape}")
def test_arrays_come_back_to_the_bit(array, tmp_path):
    again = _trip([array], tmp_path)[0]
    assert again.shape == array.shape
    assert again.dtype.kind == array.dtype.kind
    assert again.dtype.itemsize == array.dtype.itemsize
    assert again.tolist() == array.tolist() or np.isnan(array).any()
    if array.dtype.kind not in "OU":
        assert again.tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes()
        if array.flags.forc:
            assert again.flags.f_contiguous == array.flags.f_contiguous


def test_numbers_come_back(tmp_path):
    values = [None, True, 0, -(2**70), 0.1, 5e-324, "text", (1,), {1, 2}, frozenset({"a"}), {(1, "a"): [2]}]
    values += [np.float32(0.1), np.int64(7), np.bool_(True), np.dtype("float32"), torch.float64]
    for one, other in zip(values, _trip(values, tmp_path), strict=True):
        assert type(one) is type(other)
        assert one == other
    random_state = np.random.RandomState(3)
    random_state.normal()
    again = _trip(random_state, tmp_path)
    assert again.normal() == random_state.normal()
