"""Runs other libraries' blocks of docs/coming.rst and keeps their results: `python tests/coming_reference.py`.

In an environment of its own with neural-tangents and scikit-ntk, whose JAX and NumPy are old. The results kept
were made with empty modules in the place of TensorFlow, tf2jax and jax.experimental.jax2tf, which neural-tangents
imports and does not use here.
"""

import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
CAPTIONED = re.compile(r"^\.\. code-block:: python\n {4}:caption: \S.*\n\n((?: {4}.*\n|\n)+)", re.MULTILINE)


def differences(stax: Any, z: np.ndarray, images: np.ndarray, nodes: np.ndarray) -> dict[str, Any]:
    """Kernels in which a remark of the page shows: arrays (2, n, n), NNGP kernel and NTK."""
    dense, conv = stax.Dense(4, W_std=1.3), stax.Conv(4, (3, 3))
    positions = {"pos_emb_type": "SUM", "W_pos_emb_std": 0.7, "val_pos_emb": True}
    decay = {"pos_emb_decay_fn": lambda square: np.exp(-square / (2 * 1.5**2))}
    attention = stax.GlobalSelfAttention(4, 4, 4, 1, **positions, **decay)
    networks = {
        "resize": (images[:, :, :5], conv, stax.Relu(), stax.ImageResize((-1, 7, 2, -1), "linear"), stax.Flatten()),
        "pool": (images, conv, stax.Relu(), stax.AvgPool((2, 2)), stax.Flatten()),
        "positions": (nodes, stax.Dense(4), attention, stax.GlobalAvgPool()),
        "gelu": (z, dense, stax.Gelu(approximate=True)),
        "hermite": (z, dense, stax.Hermite(2)),
        "shift": (z, dense, stax.ExpNormalized(0.7, -0.5)),
        "rectified": (z, dense, stax.RectifiedMonomial(2)),
    }
    found = {}
    for name, (x, *layers) in networks.items():
        found[name] = stax.serial(*layers, stax.Dense(1))[2](x, None, ("nngp", "ntk"))
    dropout = stax.serial(dense, stax.Relu(), stax.Dropout(0.8), stax.Dense(1))
    found["dropout"] = dropout[2](z, z.copy(), ("nngp", "ntk"))
    return {f"mind_{name}": np.stack(kernels) for name, kernels in found.items()}


def main() -> None:
    """Write tests/data/coming.npz: all arrays that the blocks give a name, and the public names of neural-tangents."""
    page = (ROOT / "docs" / "coming.rst").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec("\n".join(map(textwrap.dedent, CAPTIONED.findall(page))), names)
    arrays = (np.ndarray, np.generic, names["jax"].Array)
    results = {name: np.asarray(value) for name, value in names.items() if isinstance(value, arrays)}
    results |= differences(*(names[name] for name in ("stax", "z", "images", "nodes")))
    modules = (names["stax"], names["nt"], names["nt"].predict)
    public = [name for module in modules for name, value in vars(module).items() if callable(value) and name[0] != "_"]
    np.savez_compressed(ROOT / "tests" / "data" / "coming.npz", public=sorted(set(public)), **results)


if __name__ == "__main__":
    main()
