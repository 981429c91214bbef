"""Sphinx set-up: Markdown pages and docstrings, no network."""

from importlib.metadata import version as installed

project = "Skyloom"
author = "The Skyloom developers"
release = installed("skyloom")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
nb_execution_mode = "off"  # scripts/run_tutorials.py runs them and keeps what came out
exclude_patterns = ["_build", "tutorials/*.md"]  # the text of the notebooks
suppress_warnings = ["myst.xref_missing"]
