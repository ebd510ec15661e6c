"""What a fresh installation must be able to do, with the wheel and what it requires alone: `make smoke`."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_diabetes, load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import neural_kernels as nk


def regression() -> str:
    """Three lines on a table: better than the mean by far."""
    x, y = load_diabetes(return_X_y=True)
    model = make_pipeline(StandardScaler(), nk.NeuralKernelRegressor(nk.mlp(depth=3))).fit(x[:300], y[:300])
    score = model.score(x[300:], y[300:])
    assert score > 0.4, score
    return f"R2 on diabetes {score:.3f}"


def features() -> str:
    """Inner products of features are the kernel, nearly."""
    x = StandardScaler().fit_transform(load_digits().data)[:400]
    net = nk.mlp(depth=2)
    phi = nk.feature_map(net, n_components=256).fit(x)(x)
    kernel = nk.NTK(net)(x)
    error = np.linalg.norm(phi @ phi.T - kernel) / np.linalg.norm(kernel)
    assert error < 0.2, error
    return f"{phi.shape[1]} columns, relative error of the kernel {error:.4f}"


def images() -> str:
    """The compiled loops of convolutional networks."""
    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, 1, 8, 8) / 16 - 0.3
    model = nk.NeuralKernelClassifier(nk.cnn(2), alpha=1e-4).fit(x[:60], y[:60])
    score = model.score(x[60:160], y[60:160])
    assert score > 0.7, score
    return f"accuracy on digits {score:.3f}"


def files() -> str:
    """A model comes back as it was."""
    x, y = load_digits(return_X_y=True)
    model = nk.NeuralFeatureClassifier(n_components=128, random_state=0).fit(x[:500], y[:500])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        nk.save(model, path)
        size = path.stat().st_size
        again = nk.load(path)
    np.testing.assert_array_equal(again.predict_proba(x[500:600]), model.predict_proba(x[500:600]))
    return f"{size / 2**20:.1f} MiB"


def modules() -> str:
    """The kernel of a torch module is the product of its Jacobians."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(5, 32), torch.nn.GELU(), torch.nn.Linear(32, 1)).double()
    x = torch.randn(8, 5, dtype=torch.float64)
    rows = []
    for example in x:
        grads = torch.autograd.grad(module(example).sum(), list(module.parameters()))
        rows.append(torch.cat([grad.flatten() for grad in grads]))
    jacobian = torch.stack(rows)
    torch.testing.assert_close(nk.PseudoNTK(module)(x), jacobian @ jacobian.T)
    return f"{jacobian.shape[1]} parameters"


def main() -> None:
    """Run all, and print what ran with what."""
    print("neural_kernels", nk.__version__, "in", Path(nk.__file__).parent)
    for check in (regression, features, images, files, modules):
        start = time.perf_counter()
        result = check()
        print(f"{check.__name__:<12} {result}, {time.perf_counter() - start:.1f} s")
    nk.show_versions()


if __name__ == "__main__":
    main()
