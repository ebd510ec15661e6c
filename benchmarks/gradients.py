"""What the average gradient outer product of a fitted model costs, beside the kernel of its rows; prints JSON lines.

Each ratio is the median over rounds of the seconds of ``model.agop()`` by those of ``NTK(net)(X)`` in the same round,
float64, one output, 5,000 rows of 100 columns: all pairs for both. Networks without biases have a kernel that grows
with the norm, and need fewer of its entries.

Run: ``python benchmarks/gradients.py [--rows N] [--columns D] [--rounds R]``
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from timing import ratios

import neural_kernels as nk

NETS = [nk.mlp(2), nk.mlp(2, bias_var=0.1), nk.mlp(3, bias_var=0.1), nk.mlp(2, nk.GELU(), bias_var=0.1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((given.rows, given.columns))
    y = np.sin(x[:, 0]) + x[:, 1] * x[:, 2]
    for net in NETS:
        model = nk.NeuralKernelRegressor(net, alpha=1e-2).fit(x, y)
        found = ratios(lambda net=net: nk.NTK(net)(x), {"agop": model.agop}, given.rounds)
        row = {"kernel s": found["baseline"]["seconds"], "agop s": found["agop"]["seconds"]}
        print(json.dumps({"net": repr(net)} | row | {"ratio": found["agop"]["ratio"]}), flush=True)


if __name__ == "__main__":
    main()
