"""docs/coming.rst: its blocks run and give what other libraries' blocks gave; it names all that users of these know."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import neural_kernels as nk
from test_examples import blocks

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "coming.rst"
RESULTS = dict(np.load(ROOT / "tests" / "data" / "coming.npz"))
PUBLIC = RESULTS.pop("public").tolist()
MIND = {name[5:]: RESULTS.pop(name) for name in list(RESULTS) if name.startswith("mind_")}


@pytest.fixture(scope="module")
def ours() -> dict[str, Any]:
    """The names that our blocks define."""
    names: dict[str, Any] = {}
    exec(compile(blocks(PAGE), PAGE.name, "exec"), names)
    return names


def test_same_numbers(ours: dict[str, Any]) -> None:
    assert set(RESULTS) - set(ours) == {"outputs", "estimate"}, "of networks drawn at random"
    for name in set(RESULTS) & set(ours):
        atol = 1e-7 * np.abs(RESULTS[name]).max()  # the reference's arccos near 1, on diagonals of kernels with kinks
        np.testing.assert_allclose(np.asarray(ours[name]), RESULTS[name], rtol=0, atol=atol, err_msg=name)


def test_other_agreements(ours: dict[str, Any]) -> None:
    """Random networks are near the limit, Jacobians by hand are ours, and so are GPyTorch's distances."""
    assert np.linalg.norm(ours["sampled"] - ours["ntk"]) < 0.15 * np.linalg.norm(ours["ntk"])
    torch.testing.assert_close(torch.as_tensor(ours["by_hand"]), torch.as_tensor(ours["by_layers"]))
    for theirs, kernel in ours["pairs"]:
        matrix = theirs(ours["others"]).to_dense().detach()
        torch.testing.assert_close(matrix, kernel(ours["others"]), rtol=0, atol=1e-6)  # its length scale is a float32


def kernels(x: np.ndarray, *layers: nk.Layer, x2: np.ndarray | None = None) -> np.ndarray:
    return np.stack(nk.kernels(nk.Sequential(*layers, nk.Dense()), x, x2))


def test_remarks_on_vectors() -> None:
    """What stands under "mind" on the page, of neural-tangents and of ours."""
    z, dense = RESULTS["z"], nk.Dense(1.3**2)
    close = partial(np.testing.assert_allclose, rtol=1e-7)
    close(kernels(z, dense, nk.GELU()), MIND["gelu"])
    assert not np.allclose(kernels(z, dense, nk.GELUTanh()), MIND["gelu"], rtol=1e-6)
    close(MIND["hermite"][0], nk.NNGP(dense)(z) ** 2)
    assert not np.allclose(kernels(z, dense, nk.Hermite(2))[0], MIND["hermite"][0], rtol=1e-2)
    close(kernels(z, dense, nk.NormalizedGaussian(0.7)) * np.exp(0.7 * 0.5), MIND["shift"])
    assert np.isnan(MIND["rectified"][1].diagonal()).any()
    assert np.isfinite(kernels(z, dense, nk.RectifiedMonomial(2))).all()
    dropped = dense, nk.ReLU(), nk.Dropout(0.2)
    close(kernels(z, *dropped), MIND["dropout"])
    assert not np.allclose(kernels(z, *dropped, x2=z.copy()), MIND["dropout"], rtol=1e-2)


def test_remarks_on_positions() -> None:
    images, nodes = (np.moveaxis(RESULTS[name], -1, 1) for name in ("images", "nodes"))
    close = partial(np.testing.assert_allclose, rtol=1e-7)
    conv = nk.Conv(3, padding="valid"), nk.ReLU()
    turned, as_asked = (kernels(images[..., :5], *conv, nk.Resize(shape), nk.Flatten()) for shape in ((2, 7), (7, 2)))
    close(turned, MIND["resize"])
    assert not np.allclose(as_asked, MIND["resize"], rtol=1e-2)
    close(kernels(images, *conv, nk.AvgPool(2, stride=1), nk.Flatten()), MIND["pool"])
    positions = nk.Positions("sum", 0.7**2, length=1.5, values=True)
    nngp, ntk = kernels(nodes, nk.Dense(), nk.Attention(positions=positions), nk.GlobalAvgPool())
    close(nngp, MIND["positions"][0])
    assert (ntk < 0.99 * MIND["positions"][1]).all(), "there embeddings are trained, which adds to the tangent kernel"


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_is_mapped(name: str) -> None:
    text = PAGE.read_text(encoding="utf-8").partition("torch.func\n----------")[0]
    code = "\n".join(re.findall(r"``(.+?)``", text.replace("\n", " ")))
    assert re.search(rf"(?<!\w){name}(?!\w)", code)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.rst")), ids=lambda path: path.name)
def test_only_other_libraries_blocks_are_left_out(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    captions = re.findall(r"code-block:: python\n +:caption: (.*)\n\n", text)
    run = re.findall(r"^\.\. code-block:: python\n\n", text, re.MULTILINE)
    assert len(run) + len(captions) == text.count("code-block:: python")
    assert set(captions) <= ({"neural-tangents", "scikit-ntk"} if page == PAGE else set())
