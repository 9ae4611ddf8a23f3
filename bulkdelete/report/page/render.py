"""A page as HTML: one text that contains its style, its scripts and its data, and loads nothing.

All that came from a server or a file is text: the template escapes it, the data in the page holds numbers, and the page's Content
Security Policy admits no script and no style but those that stand in it, by their hashes.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from importlib import resources
from typing import TYPE_CHECKING

from bulkdelete.report.page.graphs import Graphs
from bulkdelete.report.page.view import View

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["embedded_json", "page_html"]

_FILES = resources.files(__package__)
_SCRIPTS = ("uplot/uPlot.iife.min.js", "templates/page.js")
_STYLES = ("uplot/uPlot.min.css", "templates/page.css")
_POLICY = (
    "default-src 'none'; script-src {scripts}; style-src {styles}; base-uri 'none'; form-action 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)


def page_html(view: View, graphs: Graphs | None) -> str:
    """The whole page."""
    scripts = [_file(name) for name in _SCRIPTS] if graphs is not None else []  # nothing was refused, either
    style = "\n".join(map(_file, _STYLES))
    return _template().render(
        view=view,
        graphs=graphs,
        data=embedded_json(None if graphs is None else graphs.data()),
        scripts=scripts,
        style=style,
        policy=_POLICY.format(scripts=" ".join(map(_source, scripts)) or "'none'", styles=_source(style)),
    )


def embedded_json(value: object) -> str:
    """JSON that can stand in a script element: nothing in it ends the element, opens a comment, or is a line's end for JavaScript."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)  # it has ASCII only
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _source(text: str) -> str:
    """The hash by which a policy admits this script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@functools.cache
def _file(name: str) -> str:
    return _FILES.joinpath(name).read_text(encoding="ascii")


@functools.cache
def _template() -> Template:
    """jinja2 is imported here: nothing else of the program needs it."""
    from jinja2 import DictLoader, Environment, StrictUndefined

    names = ("page.html", "charts.html")
    templates = DictLoader({name: _file(f"templates/{name}") for name in names})
    environment = Environment(
        loader=templates,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = lambda n: f"{n:,}"
    return environment.get_template("page.html")
