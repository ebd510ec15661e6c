"""Empirical kernels against the Jacobian contraction of torch's tutorial on neural tangent kernels; JSON.

Float32, on one thread and on two, both in turns in one run; medians. Beside the ratios stand the share of the rate of a
large matrix product at which our counted operations ran, the time over that of a forward and backward pass of the same
examples, and memory above what the module and its examples take, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from typing import Any

import torch
from _empirical_modules import CASES
from _features import chosen, in_new_process, memory, show
from timing import ratios, seconds
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap
from torch.utils.flop_counter import FlopCounterMode

import neural_kernels as nk

KINDS = {"full": nk.EmpiricalNTK, "pseudo": nk.PseudoNTK, "trace": nk.TraceNTK}


def tutorial(module: nn.Module, kind: str) -> Callable[[Tensor], Tensor]:
    """All Jacobians by vmap(jacrev), then one contraction for every parameter."""
    parameters = {name: p.detach() for name, p in module.named_parameters()}

    def outputs(values: dict[str, Tensor], x: Tensor) -> Tensor:
        y = functional_call(module, values, (x[None],))[0]
        return y.sum()[None] / len(y) ** 0.5 if kind == "pseudo" else y

    def gram(x: Tensor) -> Tensor:
        jacobians = [part.flatten(2) for part in vmap(jacrev(outputs), (None, 0))(parameters, x).values()]
        rule = {"full": "naf,mbf->nmab", "pseudo": "naf,mbf->nm", "trace": "naf,maf->nm"}[kind]
        total = torch.stack([torch.einsum(rule, part, part) for part in jacobians]).sum(0)
        return total / jacobians[0].shape[1] if kind == "trace" else total

    return gram


def passes(module: nn.Module) -> Callable[[Tensor], object]:
    """A forward and backward pass, by all parameters at once."""

    def run(x: Tensor) -> None:
        torch.autograd.grad(module(x).sum(), list(module.parameters()))

    return run


def operations(work: Callable[[], object]) -> int:
    """Operations of matrix products and convolutions, counted; torch's counter knows neither groups nor `addmm_`.

    Nor does it see other threads of Python.
    """

    def convolution_backward(
        gradient: torch.Size, read: torch.Size, weight: torch.Size, *arguments: Any, **_: Any
    ) -> int:
        passes = sum(arguments[-1][:2])  # whether by the input, by the weight
        return 2 * passes * math.prod(gradient) * math.prod(weight[1:])

    def addmm(_: torch.Size, a: torch.Size, b: torch.Size, **__: Any) -> int:
        return 2 * a[0] * a[1] * b[1]

    aten = torch.ops.aten
    own = {aten.convolution_backward: convolution_backward, aten.addmm_: addmm}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with FlopCounterMode(display=False, custom_mapping=own) as counter:
        work()
    torch.set_num_threads(threads)
    return counter.get_total_flops()


def prepared(case: str, count: int) -> tuple[nn.Module, Tensor]:
    """The same module and examples in every process."""
    make, examples, *_ = CASES[case]
    torch.manual_seed(0)
    return make().eval(), examples(count)


def rate() -> float:
    """Operations a second of a large matrix product."""
    a = torch.randn(2048, 2048)
    a @ a
    return 2 * 2048**3 / min(seconds(lambda: a @ a) for _ in range(3))


def timed(case: str, kind: str, threads: int, rounds: int, count: int) -> dict[str, Any]:
    """One row of the table."""
    torch.set_num_threads(threads)
    module, x = prepared(case, count)
    kernel, other, floor = KINDS[kind](module), tutorial(module, kind), passes(module)
    mine, theirs = kernel(x), other(x)
    error = float((mine - theirs).norm() / theirs.norm())
    table = ratios(lambda: kernel(x), {"tutorial": lambda: other(x), "floor": lambda: floor(x)}, rounds)
    spent = table["baseline"]["seconds"]
    return {
        "n": len(x),
        "ours s": spent,
        "tutorial s": table["tutorial"]["seconds"],
        "tutorial / ours": table["tutorial"]["ratio"],
        "ours / floor": 1 / table["floor"]["ratio"],
        "of peak": operations(lambda: kernel(x)) / spent / rate(),
        "difference": error,
    }


def peak(case: str, kind: str, ours: bool, count: int) -> int:
    """Bytes at most above what stood before the call."""
    torch.set_num_threads(1)
    module, x = prepared(case, count)
    work = KINDS[kind](module) if ours else tutorial(module, kind)
    work(x[:1])
    before, _ = memory(reset=True)
    work(x)
    return memory()[1] - before


def main() -> None:
    """Print the table as it grows, and all of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few examples: a smoke test")
    parser.add_argument("--examples", type=int, help="another number of them than each case has")
    parser.add_argument("--only", help="cases, with commas")
    parser.add_argument("--kinds", help="of " + ", ".join(KINDS))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-memory", action="store_true")
    arguments = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    rounds = 1 if arguments.quick else arguments.rounds
    for case in chosen(arguments.only, CASES):
        _, _, full, few = CASES[case]
        count = arguments.examples or (few if arguments.quick else full)
        for kind in chosen(arguments.kinds, KINDS):
            for threads in map(int, arguments.threads.split(",")):
                name = f"{case}, {kind}, {threads} threads"
                results[name] = in_new_process(timed, case, kind, threads, rounds, count)
                if threads == 1 and not arguments.no_memory:
                    ours, theirs = (in_new_process(peak, case, kind, o, count) for o in (True, False))
                    results[name] |= {"MiB": ours / 2**20, "tutorial MiB": theirs / 2**20}
                show("", {name: results[name]})
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
