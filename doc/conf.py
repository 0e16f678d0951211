"""Configuration of the documentation.

Built without a network: ``python -m sphinx -W -b html doc doc/_build/html``.
"""

import skhpo

project = "skhpo"
author = "The skhpo developers"
copyright = f"2026, {author}"
version = release = skhpo.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples"]
templates_path = ["_templates"]
default_role = "literal"
# Docstrings inherited from scikit-learn refer to its glossary; we have none.
suppress_warnings = ["ref.term"]

numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    # A broken example breaks the build.
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "skhpo"
html_theme_options = {
    "logo": {"text": f"skhpo {version}"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
}
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
