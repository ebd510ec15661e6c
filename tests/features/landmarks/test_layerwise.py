"""Landmarks layer by layer against the exact kernel: equal where the sample holds every unit, near elsewhere."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import neural_kernels as nk
from neural_kernels.features.natural import natural_images
from some_images import images, natural

ALL = nk.LayerwiseLandmarks(landmarks=4000, values=4000, windows=4000)
MEAN = nk.GlobalAvgPool(), nk.Dense()
BLOCK = nk.Residual(nk.Sequential(nk.Erf(), nk.Conv(3)))
GATE = nk.Product(nk.Conv(3), nk.Sequential(nk.Conv(3), nk.Sigmoid()))
STANDARD = {"parametrization": "standard", "width": 4}
NETS = {
    "plain": nk.cnn(2, nk.Erf()),
    "biases": nk.cnn(3, nk.GELU(), bias_var=0.1),
    "pool": nk.Sequential(nk.Conv(3), nk.Erf(), nk.AvgPool(2, stride=1), *MEAN),
    "sum pool": nk.Sequential(nk.Conv(3), nk.Erf(), nk.SumPool(2), nk.GlobalSumPool(), nk.Dense()),
    "padded pool of constants": nk.Sequential(nk.Conv(3, bias_var=0.2), nk.AvgPool(2, padding="same"), nk.Erf(), *MEAN),
    "strided": nk.Sequential(nk.Conv(3, stride=2), nk.Erf(), nk.Conv(2, padding="valid"), nk.GELU(), *MEAN),
    "dilated": nk.Sequential(nk.Conv(2, dilation=2), nk.Erf(), *MEAN),
    "circular": nk.Sequential(nk.Conv(3, padding="circular", dilation=2), nk.Erf(), nk.Conv(2), nk.Erf(), *MEAN),
    "uneven": nk.Sequential(nk.Conv((1, 2), padding=((0, 1), (2, 0))), nk.Erf(), *MEAN),
    "transposed": nk.Sequential(nk.Conv(3), nk.Erf(), nk.ConvTranspose(3, stride=2), nk.GELU(), *MEAN),
    "resized": nk.Sequential(nk.Conv(3), nk.Erf(), nk.Resize((5, 5)), *MEAN),
    "nearest": nk.Sequential(nk.Conv(3), nk.Erf(), nk.Resize((5, 5), method="nearest"), nk.Conv(3), nk.Erf(), *MEAN),
    "residual": nk.Sequential(nk.Conv(3), BLOCK, BLOCK, nk.GELU(), *MEAN),
    "no activation behind a sum": nk.Sequential(nk.Conv(3), BLOCK, *MEAN),
    "resnet": nk.resnet((1, 1), nk.Erf()),
    "product": nk.Sequential(nk.Conv(3), nk.Erf(), GATE, *MEAN),
    "concat": nk.Sequential(nk.Conv(3), nk.Concat(nk.Erf(), nk.GELU(), weights=(2, 1)), nk.Conv(3), nk.Erf(), *MEAN),
    "norms": nk.Sequential(
        nk.Conv(3), nk.LayerNorm(), nk.Erf(), nk.Dense(bias_var=0.3), nk.LayerNorm("all"), nk.GELU(), *MEAN
    ),
    "last bias": nk.Sequential(nk.Conv(3), nk.Erf(), nk.GlobalAvgPool(), nk.Dense(bias_var=0.5)),
    "untrained": nk.cnn(2, nk.Erf(), readout_trained=False),
    "head": nk.Sequential(nk.Conv(3), nk.Erf(), nk.GlobalAvgPool(), nk.Dense(), nk.GELU(), nk.Dense()),
    "linear end": nk.Sequential(nk.Conv(3), nk.Erf(), nk.Conv(3), *MEAN),
    "linear": nk.Sequential(nk.Conv(3, bias_var=0.1), nk.Conv(3), *MEAN),
    "flat inside": nk.Sequential(nk.Conv(3), nk.Erf(), nk.Flatten(), nk.Dense(), nk.Erf(), nk.Dense()),
    "flat": nk.cnn(2, nk.Erf(), pooling="flatten"),
    "flat pool": nk.Sequential(nk.Conv(3), nk.Erf(), nk.AvgPool(2), nk.Flatten(), nk.Dense()),
    "local": nk.Sequential(nk.LocalConv(3), nk.Erf(), nk.LocalConv(2), nk.Erf(), nk.Flatten(), nk.Dense()),
    "standard": nk.Sequential(nk.Conv(3, bias_var=0.1, **STANDARD), nk.Erf(), nk.Conv(3, **STANDARD), nk.Erf(), *MEAN),
    "kink off the origin": nk.cnn(1, nk.HardTanh()),
    "ramp": nk.Sequential(nk.Conv(3), nk.LeakyReLU(0.3), *MEAN),
}


def error(features, kernel):
    """Largest error of the kernel, relative to its largest entry."""
    return np.abs(features @ features.T - kernel).max() / np.abs(kernel).max()


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
@pytest.mark.parametrize("name", NETS)
def test_exact_where_the_sample_has_every_unit(name, kernel):
    x, net = images(), NETS[name]
    z = nk.feature_map(net, kernel, 4000, ALL).fit(x)(x)
    exact = nk.NTK(net)(x) if kernel == "ntk" else nk.NNGP(net)(x)
    assert error(z, exact) < 5e-8


@pytest.mark.parametrize(("kernel", "bound"), [("ntk", 1e-6), ("nngp", 1e-10)])
def test_the_cusp_of_relu_costs_the_root_of_rounding(kernel, bound):
    x, net = images(), nk.cnn(2)
    z = nk.feature_map(net, kernel, 4000, ALL).fit(x)(x)
    assert error(z, nk.NTK(net)(x) if kernel == "ntk" else nk.NNGP(net)(x)) < bound


@pytest.mark.parametrize("shape", [(2, 7), (1, 2, 3, 4), (3, 1, 1), (5,)], ids=str)
def test_any_number_of_axes(shape):
    layers = nk.Conv(2), nk.Erf(), nk.Conv(2), nk.Erf(), *MEAN
    net = nk.mlp(2, nk.Erf()) if len(shape) == 1 else nk.Sequential(*layers)
    x = images(shape=shape)
    assert error(nk.feature_map(net, n_components=4000, method=ALL).fit(x)(x), nk.NTK(net)(x)) < 1e-8


def test_dropout_is_in_the_diagonal_alone():
    x = images()
    net = nk.Sequential(nk.Conv(3), nk.Erf(), nk.Dropout(0.3), nk.Conv(3), nk.GELU(), *MEAN)
    z = nk.feature_map(net, n_components=4000, method=ALL).fit(x)(x)
    difference = np.abs(z @ z.T - nk.NTK(net)(x))
    np.fill_diagonal(difference, 0)
    assert difference.max() < 1e-8


ACTIVATIONS = [nk.ReLU(), nk.Abs(), nk.GELU(), nk.Erf(), nk.Tanh(), nk.ELU(), nk.Softplus(), nk.HardTanh()]
BIASED = [nk.cnn(2, activation, bias_var=0.1) for activation in ACTIVATIONS]
SOME = [*BIASED[:4], *(pytest.param(net, marks=pytest.mark.slow) for net in BIASED[4:])]


SINGLE = [(net, np.float32) for net in [*BIASED[:4], nk.myrtle(5), nk.resnet((1, 1))]]
SINGLE += [pytest.param(net, np.float32, marks=pytest.mark.slow) for net in BIASED[4:]]
DOUBLE = [(net, np.float64) for net in [nk.cnn(2), nk.cnn(2, nk.GELU(), bias_var=0.1), nk.resnet((1, 1))]]


@pytest.mark.parametrize(("net", "dtype"), SINGLE + DOUBLE, ids=repr)
def test_near_the_kernel_on_other_images(net, dtype):
    x = natural(80).astype(dtype)
    phi = nk.feature_map(net, n_components=512).fit(x[:60])
    assert isinstance(phi.method_, nk.LayerwiseLandmarks)
    z = phi(x[60:])
    exact = nk.NTK(net)(x[60:].astype(np.float64))
    off = ~np.eye(20, dtype=bool)
    assert z.dtype == dtype
    assert np.linalg.norm((z @ z.T - exact)[off]) < 0.04 * np.linalg.norm(exact[off])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("net", [*SOME, nk.cnn(2, pooling="flatten"), nk.myrtle(5)], ids=repr)
def test_differentiable_path_is_the_compiled_one(net, dtype):
    x = torch.from_numpy(natural(30)).to(dtype)
    phi = nk.feature_map(net, n_components=96).fit(x)
    wanting = x[:7].clone().requires_grad_()
    z = phi(wanting)
    # Compiled series leave a thousandth of the slope's variance to their last powers, in float32 alone.
    tolerance = 1e-8 if dtype == torch.float64 else 2e-3
    torch.testing.assert_close(phi(x[:7]), z.detach(), rtol=0, atol=tolerance * float(z.detach().abs().max()))
    z.square().sum().backward()
    assert wanting.grad is not None
    assert bool(wanting.grad.isfinite().all())


@pytest.mark.parametrize("pooling", ["avg", "flatten"])
def test_gradients_pass_what_was_kept_in_inference_mode(pooling):
    x = torch.from_numpy(natural(12, size=5))
    net = nk.Sequential(nk.Conv(3, padding="circular"), *nk.cnn(2, pooling=pooling).layers)
    phi = nk.feature_map(net, n_components=16).fit(x)
    with torch.inference_mode():
        phi(x)
    wanting = x.clone().requires_grad_()
    phi(wanting).sum().backward()
    assert wanting.grad is not None
    assert bool(wanting.grad.isfinite().all())


def test_gradients_are_differences():
    x = torch.from_numpy(natural(12, size=4))
    phi = nk.feature_map(nk.cnn(2, nk.GELU(), bias_var=0.1), n_components=6).fit(x)
    torch.autograd.gradcheck(phi, (x[:2].clone().requires_grad_(),), eps=1e-6, atol=1e-5, nondet_tol=1e-8)


@pytest.mark.parametrize("net", [nk.cnn(2), nk.myrtle(5), nk.cnn(2, pooling="flatten")], ids=repr)
def test_any_batch_and_number_of_threads(net):
    x = natural(37).astype(np.float32)
    phi = nk.feature_map(net, n_components=64).fit(x)
    whole, threads = phi(x), torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        more = phi(x)
    finally:
        torch.set_num_threads(threads)
    parts = np.concatenate([phi(x[:1]), phi(x[1:20]), phi(x[20:])])
    for other in (more, parts):
        np.testing.assert_allclose(other, whole, rtol=0, atol=2e-4 * np.abs(whole).max())


def test_seeds_copies_and_pickles():
    x, net = natural(30), nk.resnet((1,))
    first, again, other = (nk.feature_map(net, n_components=32, seed=seed).fit(x) for seed in (0, 0, 1))
    assert np.array_equal(first(x), again(x))
    assert not np.allclose(first(x), other(x))
    for twin in (pickle.loads(pickle.dumps(first)), copy.deepcopy(first)):
        assert np.array_equal(first(x), twin(x))
    assert np.array_equal(first(x), nk.feature_map(net, n_components=32).fit(x[::-1].copy())(x))


def test_other_sizes_of_image():
    x, net = natural(40, size=10), nk.myrtle(5)
    phi = nk.feature_map(net, n_components=256).fit(x)
    small = natural(9, size=8, seed=1)
    z, exact = phi(small), nk.NTK(net)(small)
    assert np.linalg.norm(z @ z.T - exact) < 0.2 * np.linalg.norm(exact)
    with pytest.raises(ValueError, match="which the map was built"):
        phi(natural(9, size=8, channels=2))
    with pytest.raises(ValueError, match="which the map was built"):
        nk.feature_map(nk.cnn(1, pooling="flatten"), n_components=64).fit(x)(small)


def test_without_data_natural_images_are_drawn():
    x = natural_images(30, 3, (8, 8), seed=7).numpy()
    phi = nk.feature_map(nk.cnn(2), n_components=512)
    z, exact = phi(x), nk.NTK(nk.cnn(2))(x)
    assert "natural images" in phi.reason_
    assert np.linalg.norm(z @ z.T - exact) < 0.06 * np.linalg.norm(exact)
    assert np.array_equal(z, nk.feature_map(nk.cnn(2), n_components=512)(x))


def test_without_data_maps_are_near_on_real_images():
    x = load_digits().images[:80, None] / 16
    z, exact = nk.feature_map(nk.cnn(2), n_components=512)(x), nk.NTK(nk.cnn(2))(x)
    assert np.linalg.norm(z @ z.T - exact) < 0.006 * np.linalg.norm(exact)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_drawn_images_have_edges_at_all_places(axes):
    x = natural_images(400, 2, (24, 18, 12)[:axes], seed=3)
    assert float(x.square().mean()) == pytest.approx(1)
    square = x.square().mean((0, 1))
    assert float(square.max() / square.min()) < 1.5
    step = x.diff(dim=2).abs()
    assert float((step > 1e-9).double().mean()) < 0.5  # flat nearly everywhere
    assert float(step.amax((0, 1)).min()) > 0.5  # edges at every place


def test_a_map_computes_in_the_precision_of_its_sample():
    x, net = natural(30), nk.cnn(2)
    single, double = (nk.feature_map(net, n_components=64).fit(x.astype(kind)) for kind in (np.float32, np.float64))
    assert single(x.astype(np.float64)).dtype == np.float64
    assert double(x.astype(np.float32)).dtype == np.float32
    assert np.array_equal(single(x.astype(np.float32).astype(np.float64)), single(x.astype(np.float32)))
    assert np.allclose(double(x.astype(np.float32)), double(x.astype(np.float64)), atol=1e-5)
    weights = np.ones((64, 2), np.float32)
    assert np.allclose(double.project(x.astype(np.float32), weights), double(x).astype(np.float32) @ weights, atol=1e-4)
    rows = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    single(rows).sum().backward()
    assert rows.grad.dtype == torch.float64


def test_the_error_falls_with_the_widths():
    x, net = natural(100), nk.cnn(3)
    exact = nk.NTK(net)(x[80:])
    errors = []
    for landmarks in (16, 64, 256):
        method = nk.LayerwiseLandmarks(landmarks=landmarks)
        z = nk.feature_map(net, n_components=1024, method=method).fit(x[:80])(x[80:])
        errors.append(np.linalg.norm(z @ z.T - exact) / np.linalg.norm(exact))
    assert errors[0] > 1.3 * errors[1] > 1.3 * errors[2]


def test_a_wanted_error_doubles_the_widths():
    x, net = natural(100), nk.cnn(2)
    loose, tight = (nk.LayerwiseLandmarks(landmarks=8, error=error) for error in (0.5, 0.004))
    maps = [nk.feature_map(net, n_components=512, method=method).fit(x) for method in (loose, tight)]
    widths = [phi.map.widths.landmarks for phi in maps]
    assert widths[0] == 8 < widths[1]
    z, exact = maps[1](x[:30]), nk.NTK(net)(x[:30])
    assert np.linalg.norm(z @ z.T - exact) < 0.02 * np.linalg.norm(exact)


def test_more_landmarks_than_columns_come_nearer():
    x, net = natural(100, size=6), nk.cnn(2)
    exact = nk.NTK(net)(x[80:])
    errors = []
    for last in (None, 512):
        phi = nk.feature_map(net, n_components=24, method=nk.LayerwiseLandmarks(last=last)).fit(x[:80])
        z = phi(x[80:])
        errors.append(np.linalg.norm(z @ z.T - exact) / np.linalg.norm(exact))
    sizes = (phi(x) ** 2).sum(0)
    assert z.shape == (20, 24)
    assert errors[1] < 0.7 * errors[0]
    assert sizes[0] > sizes[5] > sizes[20]


def test_residual_columns_make_the_small_eigenvalues_right():
    x, net = natural(200, size=6), nk.cnn(2)
    exact = nk.NTK(net)(x)
    centre = np.eye(len(x)) - 1 / len(x)
    wanted = np.linalg.eigvalsh(centre @ exact @ centre)[::-1]
    rows = []
    for residual in (0, 400):
        method = nk.LayerwiseLandmarks(landmarks=512, residual=residual)
        z = nk.feature_map(net, n_components=64 + residual, method=method).fit(x)(x)
        rows.append(np.linalg.eigvalsh(centre @ z @ z.T @ centre)[::-1])
    assert rows[0][40] < 0.7 * wanted[40]
    assert rows[1][40] == pytest.approx(wanted[40], rel=0.25)


def test_residual_columns_are_unbiased():
    x, net = natural(8, size=4), nk.cnn(1, nk.GELU(), bias_var=0.1)
    exact = nk.NTK(net)(x)
    sums = 0
    for seed in range(20):
        method = nk.LayerwiseLandmarks(landmarks=500, residual=500)
        z = nk.feature_map(net, n_components=504, method=method, seed=seed).fit(x)(x)
        sums = sums + z @ z.T / 20
    assert np.linalg.norm(sums - exact) < 0.02 * np.linalg.norm(exact)


def test_flat_columns_are_the_best_of_a_cosine_transform():
    x, net = natural(60), nk.cnn(2, pooling="flatten")
    exact = nk.NTK(net)(x)
    errors = []
    for columns in (64, 512):
        z = nk.feature_map(net, n_components=columns).fit(x)(x)
        assert np.median((z * z).sum(1) / exact.diagonal()) == pytest.approx(1, abs=1e-4)
        errors.append(np.linalg.norm(z @ z.T - exact) / np.linalg.norm(exact))
    assert errors[1] < 0.5 * errors[0]
    assert errors[1] < 0.2
