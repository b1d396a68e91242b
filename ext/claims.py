"""What ties the pages to the claims: links between formula, proof and code, the page of all claims, and the quiz.

- The output of `verify(...)` leads to the claim's entry on the page of all claims and to the function that implements it.
- `eq-...` in a docstring becomes the equation's number, which leads to the chapter.
- `{claims}` lists the claims, `{spot-the-mistake}` makes a quiz of their near misses.
"""

from __future__ import annotations

import inspect
import json
import random
import re
import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

from diffcourse.algebra import CHAPTERS, CLAIMS, Claim

TIMES = Path(__file__).resolve().parents[1] / "benchmarks" / "proofs.json"
CLAIMS_PAGE = "book/claims"
SCRIPTS = {CLAIMS_PAGE: "near-misses.js", "book/spot-the-mistake": "spot-the-mistake.js"}


def chapters(env: BuildEnvironment) -> Iterator[tuple[str, tuple[Claim, ...]]]:
    """(page, claims) of each chapter that is in the book and has claims."""
    for stem, module in CHAPTERS.items():
        if module.CLAIMS and f"book/{stem}" in env.found_docs:
            yield f"book/{stem}", module.CLAIMS


def link(domain: str, kind: str, target: str, docname: str, text: str = "") -> addnodes.pending_xref:
    """A link that Sphinx completes when it knows all pages; a target that does not exist fails the build."""
    options = {"refdomain": domain, "reftype": kind, "reftarget": target, "refdoc": docname, "refwarn": True}
    return addnodes.pending_xref("", nodes.inline("", text or target), refexplicit=bool(text), **options)


# In chapters: what verify prints


def link_output(app: Sphinx, doctree: nodes.document) -> None:
    """Turn the label and the function's path in the output of a proof into links. A notebook keeps the plain text."""
    for block in list(doctree.findall(nodes.literal_block)):
        if block.astext().startswith("✓"):
            linked = nodes.literal_block(classes=["claim"])
            for line in block.astext().splitlines(keepends=True):
                linked += link_line(line, app.env)
            block.replace_self(linked)


def link_line(line: str, env: BuildEnvironment) -> list[nodes.Node]:
    if (match := re.fullmatch(r"(✓ )(eq-[\w-]+)(:.*\n?)", line)) and CLAIMS_PAGE in env.found_docs:
        target = link("std", "ref", f"claim-{match[2]}", env.docname, match[2])
    elif match := re.fullmatch(r"(  code: )([\w.]+)(\n?)", line):
        target = link("py", "obj", match[2], env.docname, match[2])
    else:
        return [nodes.Text(line)]
    return [nodes.Text(match[1]), target, nodes.Text(match[3])]


# In docstrings


def write_docstring(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Our docstrings are plain text with `names`: make it reStructuredText, in which eq-labels are references."""
    shown = {claim.label for _, claims in chapters(app.env) for claim in claims}

    def write(match: re.Match[str]) -> str:
        if match["code"]:
            return f"``{match['code']}``"
        if match["label"]:
            return f":eq:`{match['label']}`" if match["label"] in shown else match["label"]
        return "\\" + match[0]

    lines[:] = [re.sub(r"`(?P<code>[^`]+)`|(?P<label>\beq-[\w-]*\w)|[*|\\]|(?<=\w)_(?!\w)", write, line) for line in lines]


def skip_field_numbers(app: Sphinx, what: str, name: str, thing: object, skip: bool, options: object) -> bool | None:
    """Python gives each field of a named tuple a docstring that says nothing."""
    return True if (inspect.getdoc(thing) or "").startswith("Alias for field number") else None


# The page of all claims


class ClaimList(SphinxDirective):
    """{claims}: every claim with its formula, its proof, its code and its near misses."""

    def run(self) -> list[nodes.Node]:
        self.seconds: dict[str, float] = {}
        self.described: set[str] = set()
        found: list[nodes.Node] = []
        if TIMES.exists():
            measured = json.loads(TIMES.read_text(encoding="utf-8"))
            self.seconds = measured["seconds"]
            found.append(nodes.paragraph("", *text(
                f"The times were measured by `{measured['command']}` on one core of a machine with {measured['cores']} cores"
                f" ({measured['processor']}), with Python {measured['python']} and SymPy {measured['sympy']}."
                " They include the rejection of the near misses."
            )))  # fmt: skip
        for page, claims in chapters(self.env):
            section = nodes.section(ids=[f"claims-of-{page.rpartition('/')[2]}"])
            heading = re.search("^# (.*)", Path(self.env.doc2path(page)).read_text(encoding="utf-8"), re.MULTILINE)
            section += nodes.title("", heading[1])
            section += [self.card(claim) for claim in claims]
            found.append(section)
        return found

    def card(self, claim: Claim) -> nodes.Node:
        card = nodes.container(classes=["claim-card"], ids=[f"claim-{claim.label}"])
        self.env.get_domain("std").anonlabels[f"claim-{claim.label}"] = self.env.docname, f"claim-{claim.label}"
        number = link("math", "eq", claim.label, self.env.docname)
        card += nodes.paragraph("", "", nodes.strong("", "", number), nodes.Text(" "), nodes.literal("", claim.label))
        card += nodes.math_block(claim.latex, claim.latex, nowrap=False, number=None, label=None)
        facts = nodes.field_list()
        took = f"{self.seconds[claim.label]:.2f} s" if claim.label in self.seconds else "not measured yet"
        facts += fact("idea", nodes.paragraph("", claim.because))
        facts += fact("proof", self.signature(claim))
        facts += fact("takes", nodes.paragraph("", took))
        if claim.implemented_by:
            code = link("py", "obj", claim.implemented_by, self.env.docname, claim.implemented_by)
            facts += fact("code", nodes.paragraph("", "", code))
        card += facts
        card += nodes.raw("", near_misses(claim), format="html")
        return card

    def signature(self, claim: Claim) -> nodes.Node:
        """The proof's name as a description of a function, to which viewcode adds the link to the source."""
        module, name = claim.proof.__module__, claim.proof.__qualname__.partition(".")[0]
        line = claim.proof.__code__.co_firstlineno
        signature = addnodes.desc_signature(module=module, fullname=name)
        if (path := f"{module}.{name}") not in self.described:  # where [docs] in the source leads back to
            signature["ids"] = [path]
            self.described.add(path)
        signature += addnodes.desc_name("", name)
        signature += nodes.inline("", f" in {module.rpartition('.')[2]}.py, line {line}")
        return addnodes.desc("", signature, domain="py", objtype="function", classes=["py"])


def text(plain: str) -> list[nodes.Node]:
    parts = plain.split("`")
    return [nodes.literal("", part) if i % 2 else nodes.Text(part) for i, part in enumerate(parts)]


def fact(name: str, body: nodes.Node) -> nodes.field:
    return nodes.field("", nodes.field_name("", name), nodes.field_body("", body))


def near_misses(claim: Claim) -> str:
    """They unfold, and assets/near-misses.js has them typeset then: all at once they would hold up the page for seconds."""
    shown = "".join(
        f'<div class="near-miss"><div class="latex">\\[{escape(rows(miss.latex))}\\]</div><p>✗ {escape(miss.mistake)}</p></div>'
        for miss in claim.near_misses
    )
    count = len(claim.near_misses)
    return f'<details class="near-misses"><summary>{count} near misses, wrong and rejected by the proof</summary>{shown}</details>'


def rows(latex: str) -> str:
    """LaTeX of several rows as Sphinx would display it."""
    return rf"\begin{{split}}{latex}\end{{split}}" if r"\\" in latex else latex


# The quiz


class Quiz(nodes.General, nodes.Element):
    """The place of the quiz in a page."""


class SpotTheMistake(SphinxDirective):
    """{spot-the-mistake}: a quiz of the claims and their near misses, and without JavaScript a list to unfold."""

    def run(self) -> list[nodes.Node]:
        return [Quiz()]


def questions(env: BuildEnvironment, uri: Any) -> list[dict[str, Any]]:
    """What the quiz asks: each claim, its near misses, and where the chapter derives it."""
    equations = env.get_domain("math").equations
    found = []
    for page, claims in chapters(env):
        for claim in claims:
            # A proof may reject a statement that is true and merely not the one to prove. Nobody can spot that.
            misses = [miss for miss in claim.near_misses if not miss.mistake.startswith("true")]
            if len(misses) < 2:
                continue
            docname, anchor = equations[claim.label][0], f"equation-{claim.label}"
            number = ".".join(map(str, env.toc_fignumbers[docname]["displaymath"][anchor]))
            found.append({
                "label": claim.label,
                "number": number,
                "chapter": env.titles[page].astext(),
                "page": uri(page),
                "href": f"{uri(docname)}#{anchor}",
                "right": rows(claim.latex),
                "because": claim.because,
                "wrong": [{"latex": rows(miss.latex), "mistake": miss.mistake} for miss in misses],
            })  # fmt: skip
    return found


def write_quiz(self: HTML5Translator, node: Quiz) -> None:
    here = self.builder.current_docname
    asked = questions(self.builder.env, lambda page: self.builder.get_relative_uri(here, page))
    data = json.dumps(asked, ensure_ascii=False).replace("<", r"\u003c")  # nothing in it may end the script element
    self.body.append(f'<div id="quiz" class="quiz"></div>\n<script type="application/json" id="quiz-data">{data}</script>\n')
    self.body.append(f"<noscript>\n{''.join(map(folded, asked))}</noscript>\n")
    raise nodes.SkipNode


def folded(question: dict[str, Any]) -> str:
    """A question whose answer unfolds, in HTML that needs no script."""
    options = [(question["right"], f"Right: {question['because']}.")]
    options += [(miss["latex"], f"Wrong: {miss['mistake']}.") for miss in question["wrong"][:2]]
    random.Random(question["label"]).shuffle(options)
    shown = "".join(f"<li>\\[{escape(latex)}\\]</li>" for latex, _ in options)
    told = "".join(f"<li>{escape(verdict)}</li>" for _, verdict in options)
    link = f'<a href="{question["href"]}">({question["number"]})</a> in {escape(question["chapter"])}'
    return f'<ol type="A">{shown}</ol><details><summary>Answer</summary><ol type="A">{told}</ol><p>It is {link}.</p></details>\n'


def add_script(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    if pagename in SCRIPTS:
        app.add_js_file(SCRIPTS[pagename], loading_method="defer")


def forget_sources(app: Sphinx) -> None:
    """viewcode keeps the page of a module that has not changed, even when it now has to lead to more of its functions."""
    shutil.rmtree(Path(app.outdir, "_modules"), ignore_errors=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("claims", ClaimList)
    app.add_directive("spot-the-mistake", SpotTheMistake)
    app.add_node(Quiz, html=(write_quiz, None))
    app.connect("builder-inited", forget_sources)
    app.connect("doctree-read", link_output)
    app.connect("autodoc-process-docstring", write_docstring, priority=400)  # before napoleon, which writes markup
    app.connect("autodoc-skip-member", skip_field_numbers)
    app.connect("html-page-context", add_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
