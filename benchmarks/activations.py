"""What activations cost against ReLU, by the norms of the rows, and a grid over activations on digits; prints JSON.

Every figure is the median ratio of seconds within one run, of ``NTK(mlp(2, activation, bias_var=0.1))(X)`` to the same
call with ReLU; the first call of each, which computes tables, is apart. `--only NAME ...` takes some activations,
`--float32` that precision instead of float64, `--quick` sizes for a smoke test.
"""

from __future__ import annotations

import argparse
import json
import math

import torch
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler
from timing import ratios, seconds

import neural_kernels as nk


def raised_tanh(x: torch.Tensor) -> torch.Tensor:
    """A curved piece and a kink off the origin."""
    return torch.tanh(x).clamp(min=0.5)


def clipped_sinh(x: torch.Tensor) -> torch.Tensor:
    """Two of them."""
    return torch.sinh(x.clamp(-math.asinh(3), math.asinh(3)))


TABULATED = [nk.Tanh(), nk.Sigmoid(), nk.Softplus(), nk.SiLU(), nk.Mish(), nk.LogSigmoid(), nk.Tanhshrink()]
TABULATED += [nk.GELUTanh(), nk.GELU(), nk.Erf(), nk.ELU(), nk.SELU(), nk.CELU(2.0), nk.Softsign()]
TABULATED += [nk.Elementwise(torch.atan), nk.Elementwise(raised_tanh, kinks=[math.atanh(0.5)])]
TABULATED += [nk.Elementwise(clipped_sinh, kinks=[-math.asinh(3), math.asinh(3)])]
OTHERS = [nk.HardTanh(), nk.HardSigmoid(), nk.HardSwish(), nk.ReLU6(), nk.SoftShrink(), nk.HardShrink(1.0)]
OTHERS += [nk.Sin(), nk.Cos(), nk.RBF(), nk.Gaussian(), nk.Gabor(), nk.NormalizedGaussian()]
OTHERS += [nk.LeakyReLU(0.1), nk.Abs(), nk.RectifiedMonomial(2), nk.Sign(), nk.Step()]
OTHERS += [nk.Monomial(3), nk.Polynomial((0.5, 1.0, 0.2)), nk.Hermite(2)]
GRID = [nk.ReLU(), nk.Tanh(), nk.Sigmoid(), nk.Softplus(), nk.SiLU(), nk.Mish(), nk.GELU(), nk.ELU(), nk.SELU()]


def kernel(activation) -> nk.NTK:
    """Two hidden layers."""
    return nk.NTK(nk.mlp(2, activation, bias_var=0.1))


def inputs(n: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Rows of root mean squares 1, between 1e-3 and 1e3, and 1e6."""
    x = torch.randn(n, 64, dtype=torch.float64)
    mixed = 10 ** torch.empty(n, 1, dtype=torch.float64).uniform_(-3, 3)
    return {"1": x.to(dtype), "1e-3 to 1e3": (mixed * x).to(dtype), "1e6": (1e6 * x).to(dtype)}


def against_relu(activations, n: int, rounds: int, dtype: torch.dtype) -> dict:
    """Ratios by activation and norms, with the seconds of the first call."""
    table = {}
    for name, x in inputs(n, dtype).items():
        for activation in activations:
            call = kernel(activation)
            first = seconds(lambda call=call, x=x: call(x))
            row = ratios(lambda x=x: kernel(nk.ReLU())(x), {"it": lambda call=call, x=x: call(x)}, rounds)["it"]
            table.setdefault(repr(activation), {})[name] = {"first": first, **row}
            print(activation, name, f"first {first:.2f} s, ratio {row['ratio']:.1f}", flush=True)
    return table


def digits() -> dict[str, float]:
    """Seconds of the first kernel of standardised digits for each activation of a grid, and of the second one."""
    x = StandardScaler().fit_transform(load_digits(return_X_y=True)[0])
    seconds_of = {}
    for activation in GRID:
        call = kernel(activation)
        first, again = (seconds(lambda call=call: call(x)) for _ in range(2))
        seconds_of[repr(activation)] = {"first": first, "again": again}
        print("digits", activation, f"first {first:.2f} s, again {again:.2f} s", flush=True)
    return seconds_of


def main() -> None:
    """Run all and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--float32", action="store_true")
    parser.add_argument("--only", nargs="*", help="names of activations")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    chosen = [a for a in TABULATED + OTHERS if not arguments.only or type(a).__name__ in arguments.only]
    dtype = torch.float32 if arguments.float32 else torch.float64
    results = {
        "threads": torch.get_num_threads(),
        "dtype": str(dtype),
        "digits": digits(),
        "ratio to ReLU": against_relu(chosen, *((200, 1) if arguments.quick else (2000, 3)), dtype),
    }
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
