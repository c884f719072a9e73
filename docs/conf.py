"""Sphinx configuration. Build with ``sphinx-build -W -n docs docs/_build``."""

from loki_twisted import __version__

project = "loki_twisted"
author = "The loki_twisted authors"
copyright = "2026, the loki_twisted authors"  # noqa: A001 (the name that Sphinx reads)
version = release = __version__

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build", "examples"]
html_theme = "alabaster"
html_theme_options = {"description": "Coding agents over HTTP and Server-Sent Events"}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
nitpick_ignore_regex = [
    # Types in signatures of other projects, whose inventories a build without network cannot read.
    (r"py:.*", r"(twisted|zope|attrs?|msgspec|treq|collections|typing|enum|pathlib|abc)\..*"),
    (r"py:class", r"(Deferred|IResource|IAgent|IReactorTime|IReactorFDSet|Mapping|Sequence).*"),
]
