"""How the documentation is built."""

from pygments.lexers.configs import IniLexer

import hyperplane

project = "hyperplane"
author = "the hyperplane maintainers"
copyright = "2026, the hyperplane maintainers"
version = release = hyperplane.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}
default_role = "literal"

autodoc_typehints = "signature"
autodoc_default_options = {"members": False}

html_theme = "furo"
html_title = "hyperplane"


def setup(app):
    """Know how to colour what the standard lexers have no name for."""
    app.add_lexer("dotenv", IniLexer)
