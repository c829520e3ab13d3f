"""How the documentation is built."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from docutils import nodes
from sphinx import addnodes

import interop

project = "interop"
author = "The interop developers"
project_copyright = "2026, The interop developers"
version = release = interop.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "tables",
]
root_doc = "index"
exclude_patterns = ["_build", "_ext", "measured"]
nitpicky = False

html_theme = "furo"
html_title = f"interop {version}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_copy_source = False
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "deflist", "substitution"]
myst_heading_anchors = 3
myst_substitutions = {"version": version}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
numpydoc_use_plots = False

pygments_style = "friendly"
pygments_dark_style = "one-dark"


def _headings_of_a_module(_app: Any, what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    # numpydoc leaves a module's headings alone, and two modules' "Examples" are then one label.
    if what == "module":
        for number, line in enumerate(lines[:-1]):
            if lines[number + 1] and set(lines[number + 1]) == {"-"}:
                lines[number : number + 2] = [f".. rubric:: {line}", ""]


def _shown_in_full(app: Any, doctree: Any) -> None:
    # A picture that links to its own file is to be shown by a click; Sphinx would have it downloaded.
    up = "../" * app.env.docname.count("/")
    for link in list(doctree.findall(addnodes.download_reference)):
        for picture in link.findall(nodes.image):
            shown = nodes.reference("", "", picture.deepcopy(), refuri=up + link["reftarget"])
            link.replace_self(shown)


def setup(app: Any) -> None:
    # Before Sphinx collects what is to be downloaded.
    app.connect("doctree-read", _shown_in_full, priority=100)
    app.connect("autodoc-process-docstring", _headings_of_a_module, priority=100)
