"""Random features of images, sequences and volumes, against the exact kernels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import neural_kernels as nk

SHAPE = 3, 6, 6
HEAD = nk.GlobalAvgPool(), nk.Dense()
FLAT = nk.Flatten(), nk.Dense()

ONE_ACTIVATION = {
    "flatten": nk.Sequential(nk.Conv(3), nk.ReLU(), *FLAT),
    "pool-bias": nk.Sequential(nk.Conv(3, bias_var=0.1), nk.ReLU(), nk.GlobalAvgPool(), nk.Dense(bias_var=0.1)),
    "gelu": nk.Sequential(nk.Conv(3, bias_var=0.1), nk.GELU(), nk.GlobalSumPool(), nk.Dense()),
    "stride-valid": nk.Sequential(nk.Conv(3, stride=2, padding="valid"), nk.Erf(), *FLAT),
    "circular-dilation": nk.Sequential(nk.Conv(3, padding="circular", dilation=2), nk.Abs(), nk.AvgPool(2), *FLAT),
    "padding-even": nk.Sequential(nk.Conv((2, 4), padding=(1, 0)), nk.ReLU(), nk.SumPool(3), *FLAT),
    "transpose": nk.Sequential(nk.ConvTranspose(2, stride=2), nk.ReLU(), *HEAD),
    "local": nk.Sequential(nk.LocalConv(3), nk.ReLU(), *HEAD),
    "norm": nk.Sequential(nk.Conv(3), nk.LayerNorm(), nk.ReLU(), *HEAD),
    "resize": nk.Sequential(nk.Conv(3), nk.ReLU(), nk.Resize((3, 4)), *FLAT),
    "pointwise": nk.Sequential(nk.Dense(), nk.Concat(nk.ReLU(), nk.Abs()), *HEAD),
}
DEEP = {
    "one": (ONE_ACTIVATION["flatten"], SHAPE),
    "two": (nk.Sequential(nk.Conv(3), nk.ReLU(), nk.Conv(3, weight_var=2.0), nk.ReLU(), *HEAD), SHAPE),
    "pool-between": (nk.Sequential(nk.Conv(3), nk.ReLU(), nk.AvgPool(2), nk.Conv(3), nk.GELU(), *FLAT), SHAPE),
    "circular": (
        nk.Sequential(nk.Conv(3, padding="circular", dilation=2), nk.ReLU(), nk.Conv(2), nk.Abs(), *FLAT),
        SHAPE,
    ),
    "strides": (nk.Sequential(nk.Conv(3, stride=2), nk.Erf(), nk.Conv(2, padding="valid"), nk.ReLU(), *HEAD), SHAPE),
    "local": (nk.Sequential(nk.Conv(3), nk.ReLU(), nk.LocalConv(3), nk.ReLU(), *HEAD), SHAPE),
    "transpose": (nk.Sequential(nk.Conv(3, stride=2), nk.ReLU(), nk.ConvTranspose(2), nk.ReLU(), *FLAT), SHAPE),
    "residual": (
        nk.Sequential(nk.Conv(3), nk.Residual(nk.Sequential(nk.ReLU(), nk.Conv(3))), nk.ReLU(), *HEAD),
        SHAPE,
    ),
    "norm": (nk.Sequential(nk.Conv(3), nk.ReLU(), nk.Conv(3), nk.LayerNorm(), nk.ReLU(), *FLAT), SHAPE),
    "cnn": (nk.cnn(2), SHAPE),
    "sequence": (nk.Sequential(nk.Conv(3), nk.ReLU(), nk.Conv(4, bias_var=0.1), nk.GELU(), *HEAD), (4, 10)),
    "volume": (nk.Sequential(nk.Conv(2), nk.ReLU(), nk.Conv(2), nk.ReLU(), *FLAT), (2, 2, 3, 3)),
}
BOTH = "two", "pool-between"  # of which both kernels are tested each time
ONE = "local", "residual", "sequence", "volume"  # the NTK alone
TINY = nk.Sequential(nk.Conv(2, bias_var=0.1), nk.GELU(), nk.AvgPool(2), nk.Conv(2), nk.GELU(), *HEAD)


def images(shape=SHAPE, seed=0):
    """Six, the last two like the first two, of RMS 0.3 to 3."""
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.normal(size=(4, *shape)))
    x = torch.cat([x, x[:2] + 0.3 * torch.from_numpy(rng.normal(size=(2, *shape)))])
    size = torch.tensor([0.3, 3.0, 1.0, 0.6, 0.5, 2.0], dtype=torch.float64) / x.flatten(1).square().mean(1).sqrt()
    return x * size.view(-1, *[1] * len(shape))


def build(net, n_components=200, seed=0, kernel="ntk"):
    return nk.feature_map(net, kernel, n_components, nk.RandomFeatures(), seed)


def exact(net, kernel, x):
    return (nk.NTK if kernel == "ntk" else nk.NNGP)(net)(x)


def errors(net, kernel, x, width, seeds):
    """Of every product, as a share of the two lengths."""
    expected = exact(net, kernel, x)
    size = expected.diagonal().sqrt()
    features = torch.stack([build(net, width, seed, kernel)(x) for seed in range(seeds)])
    return (features @ features.mT - expected) / (size[:, None] * size)


def case(name, kernel, often):
    """Left to the long run, unless `often`."""
    return pytest.param(name, kernel, marks=[] if often else [pytest.mark.slow])


@pytest.mark.parametrize(
    ("name", "kernel"),
    [case(name, "ntk", True) for name in ONE_ACTIVATION]
    + [case(name, "nngp", name in ("pool-bias", "local", "norm")) for name in ONE_ACTIVATION],
)
def test_one_activation_is_unbiased(name, kernel):
    error = errors(ONE_ACTIVATION[name], kernel, images(), 200, 24)
    standard = error.std(0) / 24**0.5
    assert float((error.mean(0).abs() / (standard + 1e-3)).max()) < 4.5  # of 11 nets, 2 kernels, 21 entries


@pytest.mark.parametrize(
    ("name", "kernel"),
    [case(name, "ntk", name in (*BOTH, *ONE)) for name in DEEP] + [case(name, "nngp", name in BOTH) for name in DEEP],
)
def test_error_falls_as_the_root_of_the_width(name, kernel):
    net, shape = DEEP[name]
    few, many = (errors(net, kernel, images(shape), width, 6) for width in (256, 2048))
    sizes = [float(error.square().mean().sqrt()) for error in (few, many)]
    assert 1.7 < sizes[0] / sizes[1] < 9  # 2.8, give or take 0.5 with 6 draws; more, where parts become exact
    bias = float(many.mean(0).square().mean().sqrt())
    assert bias < 2 * sizes[1] / 6**0.5  # once if all is chance; a bias alone would make it 2.4 times


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
@pytest.mark.parametrize("name", DEEP)
def test_many_columns_are_close_at_length(name, kernel):
    net, shape = DEEP[name]
    error = errors(net, kernel, images(shape, 1), 2048, 40)
    standard = error.std(0) / 40**0.5
    assert float((error.mean(0).abs() / (standard + 2e-3)).max()) < 4.5
    assert float(error.square().mean().sqrt()) < 0.04


def test_dropout_between_different_images():
    """What it adds to the diagonal no features have, but nothing else is lost."""
    net = nk.Sequential(nk.Conv(3), nk.ReLU(), nk.Dropout(0.7), *FLAT)
    error = errors(net, "ntk", images(), 500, 12)[:, ~torch.eye(6, dtype=torch.bool)]
    standard = error.std(0) / 12**0.5
    assert float((error.mean(0).abs() / (standard + 3e-3)).max()) < 4.5
    with pytest.raises(nk.UnsuitableError, match=r"behind nk\.Dropout"):
        errors(
            nk.Sequential(nk.Conv(3), nk.ReLU(), nk.Dropout(0.7), nk.Conv(2), nk.ReLU(), *FLAT), "ntk", images(), 9, 1
        )


@pytest.mark.parametrize("sampler", ["gaussian", "leverage"])
def test_samplers_agree_on_images(sampler):
    net, x = ONE_ACTIVATION["pool-bias"], images()
    expected = exact(net, "ntk", x)
    z = nk.feature_map(net, n_components=2000, method=nk.RandomFeatures(sampler))(x)
    assert float(torch.linalg.norm(z @ z.T - expected) / torch.linalg.norm(expected)) < 0.02


def test_differences_from_a_wrong_kernel_show():
    """The criterion of these tests is sharp enough for a padding that is not the net's."""
    net, other = (nk.Sequential(nk.Conv(3, padding=padding), nk.ReLU(), *HEAD) for padding in ("same", "circular"))
    x = images()
    error = errors(net, "ntk", x, 200, 40)
    expected = exact(net, "ntk", x)
    size = expected.diagonal().sqrt()
    wrong = error + (expected - exact(other, "ntk", x)) / (size[:, None] * size)
    assert float((wrong.mean(0).abs() / (error.std(0) / 40**0.5 + 1e-3)).max()) > 9


def test_rows_do_not_see_each_other():
    x, phi = images(), build(DEEP["norm"][0])
    whole = phi(x)
    torch.testing.assert_close(torch.cat([phi(x[:1]), phi(x[1:4]), phi(x[4:])]), whole)
    torch.testing.assert_close(phi(x.flip(0)).flip(0), whole)


def test_blocks_of_rows_do_not_matter():
    x, phi = torch.cat([images(seed=k) for k in range(15)]), build(DEEP["two"][0])
    expected = phi(x)
    assert phi.map is not None
    phi.map.working_width = 1 << 20  # temporaries so wide that blocks have one row
    torch.testing.assert_close(phi(x), expected)


def test_seeds():
    x, net = images(), DEEP["two"][0]
    torch.testing.assert_close(build(net)(x), build(net)(x), rtol=0, atol=0)
    assert not torch.allclose(build(net, seed=1)(x), build(net)(x))


@pytest.mark.parametrize("name", ["pool-between", "local", "sequence", "volume"])
def test_single_precision(name):
    net, shape = DEEP[name]
    x, phi = images(shape), build(net)
    expected = phi(x)
    single = phi(x.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


def test_makes_of_arrays():
    x, phi = images(), build(DEEP["two"][0])
    expected = phi(x)
    array = phi(x.numpy())
    assert isinstance(array, np.ndarray)
    np.testing.assert_allclose(array, expected.numpy(), rtol=1e-10, atol=1e-12)
    assert phi(x.float().numpy()).dtype == np.float32
    integers = (20 * x).round()
    torch.testing.assert_close(phi(integers.to(torch.int16)), phi(integers))  # in float64, too
    strided = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    torch.testing.assert_close(phi(strided), expected)


def test_zeros_and_no_images():
    phi, zeros = build(DEEP["two"][0]), torch.zeros(2, *SHAPE, dtype=torch.float64)
    assert not phi(zeros).any()
    assert phi(zeros[:0]).shape == (0, 200)
    net = ONE_ACTIVATION["pool-bias"]
    z = build(net, 2000)(torch.cat([zeros, images()]))
    expected = exact(net, "ntk", torch.cat([zeros, images()]))
    torch.testing.assert_close(z[:2] @ z.T, expected[:2], rtol=0.1, atol=0.05 * float(expected[0, 0]))


def test_no_images_that_require_gradients():
    x = torch.zeros(0, *SHAPE, dtype=torch.float64, requires_grad=True)
    z = build(DEEP["two"][0])(x)
    assert z.shape == (0, 200)
    assert torch.autograd.grad(z.sum(), x)[0].shape == x.shape


def test_an_image_of_zeros_in_front_of_those_given_to_fit():
    x, net = images(), DEEP["two"][0]
    x[0] = 0
    z = build(net, 1000).fit(x)(x)
    torch.testing.assert_close(z.square().sum(1), exact(net, "ntk", x).diagonal(), rtol=0.3, atol=0)


def test_fitted_maps_are_as_good():
    x, net = images(), DEEP["two"][0]
    phi = build(net, 2048).fit(x)
    assert phi.kernel_error_ < 0.03
    z, expected = phi(x), exact(net, "ntk", x)
    off = ~torch.eye(6, dtype=torch.bool)
    error = torch.linalg.norm((z @ z.T - expected)[off]) / torch.linalg.norm(expected[off])
    assert phi.kernel_error_ == pytest.approx(float(error), rel=1e-9)


def test_projection_is_the_product():
    x, phi = images(), build(DEEP["two"][0])
    weights = torch.from_numpy(np.random.default_rng(1).normal(size=(200, 3)))
    torch.testing.assert_close(phi.project(x, weights), phi(x) @ weights)


def test_another_size_of_image_is_refused():
    phi = build(DEEP["two"][0])
    phi(images())
    for shape in ((3, 6, 7), (4, 6, 6), (3, 36), (3, 6, 6, 1)):
        with pytest.raises(ValueError, match="which the map was built"):
            phi(images(shape))


def test_methods_choose_and_refuse():
    x = images()
    phi = nk.feature_map(DEEP["two"][0], n_components=50).fit(x)
    assert phi.method_ == nk.LayerwiseLandmarks()
    assert "positions" in phi.reason_
    with pytest.raises(nk.UnsuitableError, match=r"RandomFeatures\(\)"):
        nk.feature_map(DEEP["two"][0], n_components=50, method=nk.ZonalFeatures())(x)
    with pytest.raises(ValueError, match="acts on positions"):
        build(DEEP["two"][0])(x.flatten(1))


def test_landmarks_serve_images():
    x, net = images(), DEEP["two"][0]
    z = nk.feature_map(net, n_components=6, method=nk.Nystrom()).fit(x)(x)
    torch.testing.assert_close(z @ z.T, exact(net, "ntk", x), rtol=1e-6, atol=1e-8)


def test_attention_is_refused_with_advice():
    net = nk.Sequential(nk.Conv(3), nk.ReLU(), nk.Attention(), *HEAD)
    with pytest.raises(nk.UnsuitableError, match=r"attention.*nk\.Nystrom\(\)"):
        build(net)(images())


@pytest.mark.parametrize("method", [None, nk.RandomFeatures()])
def test_graphs_are_refused_with_advice(method):
    net = nk.Sequential(nk.GraphAggregate(), nk.Dense(), nk.ReLU(), *HEAD)
    graphs = nk.Graphs(np.ones((2, 4, 3)), np.ones((2, 4, 4)))
    with pytest.raises(nk.UnsuitableError, match=r"graphs.*nk\.NTK"):
        nk.feature_map(net, method=method).fit(graphs)
    with pytest.raises(nk.UnsuitableError, match=r"graphs.*nk\.NTK"):
        nk.feature_map(net, method=method)(graphs)


@pytest.mark.parametrize("net", [nk.mlp(1), nk.Sequential(nk.Conv(3), nk.ReLU())], ids=repr)
def test_networks_that_keep_positions_are_refused(net):
    with pytest.raises(ValueError, match="position"):
        build(net)(images())


@pytest.mark.parametrize("make", [nk.NeuralFeatures, nk.NeuralFeatureRegressor, nk.NeuralFeatureClassifier])
def test_estimators_take_images(make):
    x, net = images().numpy(), DEEP["two"][0]
    model = make(net, n_components=50, random_state=0).fit(x, np.array([0, 1, 0, 1, 0, 1]))
    apply = model.transform if make is nk.NeuralFeatures else model.predict
    assert len(apply(x)) == 6
    with pytest.raises(ValueError, match=r"was fitted to X of shape \(n, 3, 6, 6\)"):
        apply(x.reshape(6, -1))
    with pytest.raises(ValueError, match="if its rows are flat images"):
        make(net, n_components=50).fit(x.reshape(6, -1), np.arange(6) % 2)
    with pytest.raises(TypeError, match="no feature maps"):
        make(net).fit(nk.Graphs(np.ones((2, 4, 3)), np.ones((2, 4, 4))), [0, 1])


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
def test_gradients_of_a_convolutional_net(kernel):
    phi, x = build(TINY, 40, kernel=kernel), images((2, 2, 3))[:2].clone().requires_grad_()
    torch.testing.assert_close(phi(x).detach(), phi(x.detach()))
    assert torch.autograd.gradcheck(lambda t: phi(t)[:, ::13], (x,))


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
def test_gradients_of_a_dense_net(kernel):
    phi = build(nk.mlp(2, nk.GELU(), bias_var=0.1), 60, kernel=kernel)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 4))).requires_grad_()
    torch.testing.assert_close(phi(x).detach(), phi(x.detach()))
    assert torch.autograd.gradcheck(lambda t: phi(t)[:, ::13], (x,))
