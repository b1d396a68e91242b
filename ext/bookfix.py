"""What the course asks of Jupyter Book 1.x beyond its options: numbers by chapter and links that lead somewhere."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def chapter_prefix(docname: str) -> str | None:
    """`book/07-forward-process` -> "7", its sheet `solutions/07-forward-process` -> "E7", any other page -> None."""
    match = re.fullmatch(r"(book|solutions)/(\d+)-[^/]+", docname)
    return match and ("" if match[1] == "book" else "E") + str(int(match[2]))


def number_by_chapter(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Number equations and figures (7.1), (7.2), ... within their chapter.

    Sphinx has just counted them through the whole book and takes the numbers, in place and in references, from this
    one table, whose entries stand in order of appearance. tools/notebooks.py numbers alike.
    """
    for docname, kinds in env.toc_fignumbers.items():
        if (prefix := chapter_prefix(docname)) is not None:
            for numbers in kinds.values():
                numbers.update({anchor: (prefix, k) for k, anchor in enumerate(numbers, start=1)})
    return []


def drop_markers(app: Sphinx, docname: str, source: list[str]) -> None:
    """A page shows solutions without the lines that mark them for tools/notebooks.py."""
    if docname.startswith("solutions/"):
        source[0] = re.sub(r"^[ \t]*# (?:(?:BEGIN|END) SOLUTION[ \t]*|STUB:.*)\n", "", source[0], flags=re.MULTILINE)


def mend_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    # sphinx-thebe adds its scripts twice even when it is off, and the second copy throws.
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in str(script.filename or "") and "THEBE" not in str(script.attributes.get("body", ""))
    ]
    # A reader of the solutions who wants to work opens the sheet without them.
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if "colab" in button.get("url", ""):
                button["url"] = button["url"].replace("/solutions/", "/exercises/")


def write_index(app: Sphinx, exception: Exception | None) -> None:
    """Lead from index.html to the first page. The redirect written otherwise has no title and asks for an icon in vain."""
    if exception is None and app.builder.name == "html":
        first, title = f"{app.config.root_doc}.html", escape(app.config.html_title)
        Path(app.outdir, "index.html").write_text(
            f"""<!doctype html>
<html lang="{app.config.language}">
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={first}">
<link rel="icon" href="data:,">
<title>{title}</title>
<p><a href="{first}">{title}</a></p>
</html>
""",
            encoding="utf-8",
        )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("env-get-updated", number_by_chapter, priority=900)
    app.connect("source-read", drop_markers)
    app.connect("html-page-context", mend_page, priority=900)
    app.connect("build-finished", write_index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
