"""Measure anew what an hour of two cores can of docs/evidence.rst: commands, one after another.

What a command prints stands in a file of its own, under the command and the time that it took; versions.txt has the
versions. A command that takes longer than its share of the hour is stopped, and its file says so. Those with data need
the folder that holds load.py; without it they are left out, and named.

Run: ``python benchmarks/evidence.py [--data FOLDER] [--only NAME ...] [--out FOLDER] [--list]``
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Command:
    """A script of this folder, the minutes that it may take, and its option for the data, if any."""

    script: str
    options: str
    minutes: float
    data: str | None = None

    def line(self, folder: Path | None) -> list[str]:
        """The arguments of the interpreter."""
        where = [] if self.data is None else [self.data, str(folder or "FOLDER")]
        return [self.script, *self.options.split(), *where]


CIFAR = "--network smooth5 --columns 1024 4096 8192 --whiten 0.5 --views flip --landmarks 192 --values 96 --windows 128"
COMMANDS = {
    "conv21": Command("exact_conv.py", "--deep", 2),
    "conv": Command("exact_conv.py", "", 3),
    "dense": Command("exact_dense.py", "", 2),
    "sparse": Command("exact_sparse.py", "", 1),
    "sketches": Command("sketches.py", "", 3),
    "modules": Command("empirical.py", "--no-memory", 5),
    "features": Command("features_accuracy.py", "--only synthetic", 4),
    "uci": Command("uci.py", "--seed 0", 6, "--data"),
    "protein": Command("large_exact.py", "--section protein", 6, "--data"),
    "folds": Command("protein_folds.py", "--methods mean landmarks", 4, "--data"),
    "fashion": Command("features_learning.py", "--data fashion --methods default --modes fixed", 4, "--folder"),
    "cifar": Command("cifar.py", CIFAR, 20, "--data"),
}


def run(name: str, command: Command, folder: Path | None, out: Path) -> str:
    """Run one, write its file, and say in a line how it ended."""
    line = command.line(folder)
    start = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, *line], cwd=HERE, capture_output=True, text=True, timeout=60 * command.minutes, check=False
        )
        end, printed = ("done" if done.returncode == 0 else f"failed ({done.returncode})"), done.stdout + done.stderr
    except subprocess.TimeoutExpired as stopped:
        end = f"stopped after its {command.minutes:g} minutes"
        printed = b"".join(part for part in (stopped.stdout, stopped.stderr) if part).decode()
    took = f"{end}, {time.perf_counter() - start:.0f} s"
    (out / f"{name}.txt").write_text(f"$ python benchmarks/{' '.join(line)}\n# {took}\n\n{printed}", encoding="utf-8")
    return took


def main() -> int:
    """Run all that is asked for; the number of those that failed or were stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="the folder that holds load.py")
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--out", type=Path, default=HERE.parent / "build" / "evidence")
    parser.add_argument("--list", action="store_true", help="the commands, and nothing else")
    options = parser.parse_args()
    folder = options.data.resolve() if options.data else None
    if options.list:
        for name in options.only:
            print(
                f"{name:<9} {COMMANDS[name].minutes:>3g} min  python benchmarks/{' '.join(COMMANDS[name].line(folder))}"
            )
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    versions = [sys.executable, "-c", "import neural_kernels as nk; nk.show_versions()"]
    report = subprocess.run(versions, capture_output=True, text=True, check=True).stdout
    (options.out / "versions.txt").write_text(report, encoding="utf-8")
    unfinished = 0
    for name in options.only:
        if COMMANDS[name].data is not None and folder is None:
            print(f"{name:<9} left out: it needs --data FOLDER", flush=True)
            continue
        took = run(name, COMMANDS[name], folder, options.out)
        unfinished += not took.startswith("done")
        print(f"{name:<9} {took}", flush=True)
    print(f"in {options.out}")
    return unfinished


if __name__ == "__main__":
    sys.exit(main())
