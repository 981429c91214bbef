"""Sphinx set-up: Markdown pages and docstrings, no network."""

from importlib.metadata import version as installed

project = "Skyloom"
author = "The Skyloom developers"
release = installed("skyloom")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
exclude_patterns = ["_build"]
suppress_warnings = ["myst.xref_missing"]
