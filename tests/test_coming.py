"""docs/coming.rst: its blocks run and give what other libraries' blocks gave; it names all that users of these know."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from test_examples import blocks

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "coming.rst"
RESULTS = dict(np.load(ROOT / "tests" / "data" / "coming.npz"))
PUBLIC = RESULTS.pop("public").tolist()


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
