"""Sphinx configuration."""

import re
import sys
from pathlib import Path

import neural_kernels as nk

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import rooms  # noqa: E402

project = "neural-kernels"
author = "The neural-kernels developers"
copyright = "the neural-kernels developers, Apache-2.0"
release = version = nk.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
html_title = "neural-kernels"
html_theme_options = {"show_prev_next": False, "secondary_sidebar_items": ["page-toc"]}

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
suppress_warnings = ["ref.ref"]  # labels of scikit-learn's guide in inherited docstrings
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": "plot_",
    "ignore_pattern": r"(demo|small_images|graphs_mutag|fashion_pntk)\.py",
    "show_memory": False,
    "write_computation_times": False,
    "capture_repr": ("_repr_html_",),  # no addresses of legends
}


def escape_bars(app, what, name, obj, options, lines):
    """Escape |x| outside of code and formulas: reST takes it for a substitution."""
    for k, line in enumerate(lines):
        if "math::" not in line:
            parts = re.split(r"(`+[^`]*`+)", line)
            parts[::2] = [re.sub(r"\|([\w -]+)\|", r"\\|\1\\|", part) for part in parts[::2]]
            lines[k] = "".join(parts)


def draw_rooms(app):
    """Draw the picture of the design page from the imports of today."""
    rooms.draw(HERE / "rooms.svg")


def setup(app):
    """Register the hooks."""
    app.connect("builder-inited", draw_rooms)
    app.connect("autodoc-process-docstring", escape_bars)
