"""Runs other libraries' blocks of docs/coming.rst and keeps their results: `python tests/coming_reference.py`.

In an environment of its own with neural-tangents and scikit-ntk, whose JAX and NumPy are old; it imports nothing else.
"""

import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
CAPTIONED = re.compile(r"^\.\. code-block:: python\n {4}:caption: \S.*\n\n((?: {4}.*\n|\n)+)", re.MULTILINE)


def main() -> None:
    """Write tests/data/coming.npz: all arrays that the blocks give a name, and the public names of neural-tangents."""
    page = (ROOT / "docs" / "coming.rst").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec("\n".join(map(textwrap.dedent, CAPTIONED.findall(page))), names)
    arrays = (np.ndarray, np.generic, names["jax"].Array)
    results = {name: np.asarray(value) for name, value in names.items() if isinstance(value, arrays)}
    modules = (names["stax"], names["nt"], names["nt"].predict)
    public = [name for module in modules for name, value in vars(module).items() if callable(value) and name[0] != "_"]
    np.savez_compressed(ROOT / "tests" / "data" / "coming.npz", public=sorted(set(public)), **results)


if __name__ == "__main__":
    main()
