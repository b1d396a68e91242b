"""Read the course's MyST sources and turn them into Markdown that every notebook program shows.

`Page` is a source file, `Course` all of them with the meaning of their labels, `Writer` turns one page's text into Markdown.
Whatever it does not know is an error that names file and line: nothing raw of MyST may reach a notebook.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pybtex.database
import yaml
from jupytext.myst import MystMetadataParsingError, myst_to_notebook
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from nbformat import NotebookNode
from pybtex.exceptions import PybtexError

ADMONITIONS = {name: name.capitalize() for name in ("note", "tip", "hint", "warning", "caution", "important")}
TITLED = {"admonition", "dropdown"}
REFERENCES = "The references stand at the end of the book."

# The same Markdown parser as the book's; notebooks are cut into cells by jupytext before it comes in.
PARSER = create_md_parser(MdParserConfig(enable_extensions={"dollarmath", "colon_fence", "amsmath"}), RendererHTML)
PARSER.disable("front_matter")
BLOCKS = {"fence", "colon_fence", "code_block", "html_block", "math_block", "math_block_label", "amsmath"}
BLOCKS |= {"myst_target", "myst_line_comment"}

# What matters inside a paragraph, read from left to right; none of it reaches over a blank line.
_ANY = r"(?:(?!\n[ \t]*\n)[\s\S])+?"
INLINE = re.compile(
    rf"""\\[\\`${{]                                                   # escaped: nothing starts here
    | \{{(?P<role>[\w:+-]+)\}}(?P<tick>`+)(?P<body>{_ANY})(?P=tick)   # {{eq}}`eq-label`
    | (?P<code>`+){_ANY}(?<!`)(?P=code)(?!`)                          # `code`, in which {{eq}}`x` is no role
    | <!--[\s\S]*?-->
    | \$\${_ANY}\$\$(?P<label>[ ]*\([a-z]+[-:][\w:.-]+\)[ ]*$)?       # $$ in a paragraph: the book ignores its label
    | (?P<stray>\$\$)
    | \$(?:\\.|(?!\n[ \t]*\n)[^$\\])+?\$
    | (?<!\[)\]\((?P<page>[^)\s:\#]+)\.md\)                           # [text](../solutions/07-forward-process.md)
    | (?P<link>\]\([^)\s:]*\.md[^)]*\)|\[\]\(\#[^)]*\))               # other links only MyST understands""",
    re.VERBOSE | re.MULTILINE,
)

MARKER = re.compile(r"(?P<indent>\s*)(?P<html><!--)?(?(html)|#) (?P<edge>BEGIN|END) SOLUTION(?(html) -->)\s*")
ALMOST_MARKER = re.compile(r"\s*(#|<!--).*\b(BEGIN|END)[\s_-]*SOLUTION", re.IGNORECASE)
STUB = re.compile(r"\s*# STUB: ?(?P<code>.*)")
DEFAULT_STUB = "...  # your code here"


class SourceError(Exception):
    """What is wrong in a source, in one line that says where."""


@dataclass(frozen=True)
class Page:
    """A source file as a list of lines, each with the number it has in the file (solutions may have been cut out)."""

    name: str  # "book/07-forward-process.md"
    lines: list[str]
    numbers: list[int]

    @classmethod
    def read(cls, root: Path, name: str) -> Page:
        lines = (root / name).read_text(encoding="utf-8").splitlines()
        return cls(name, lines, list(range(1, len(lines) + 1)))

    @property
    def stem(self) -> str:
        return Path(self.name).stem

    @property
    def folder(self) -> str:
        return Path(self.name).parent.as_posix()

    def error(self, line: int, message: str) -> SourceError:
        """An error at a line, counted from 0."""
        number = self.numbers[min(line, len(self.numbers) - 1)] if self.numbers else 1
        return SourceError(f"{self.name}:{number}: {message}")

    def notebook(self) -> NotebookNode:
        """The page cut into cells by jupytext, still in MyST."""
        try:
            return myst_to_notebook("\n".join(self.lines), add_source_map=True)
        except (MystMetadataParsingError, yaml.YAMLError) as problem:
            raise self.error(0, " ".join(str(problem).split())) from None

    def cells(self) -> list[tuple[NotebookNode, int]]:
        """Its cells, each with the line it starts at: the first line of a text, the opening fence of code."""
        found = []
        notebook = self.notebook()
        for cell, line in zip(notebook.cells, notebook.metadata.source_map, strict=True):
            if cell.cell_type != "markdown":
                line -= 1
            while not self.lines[line].strip():  # jupytext drops the empty lines in front of a text
                line += 1
            found.append((cell, line))
        return found

    @property
    def title(self) -> str:
        texts = (cell.source for cell, _ in self.cells() if cell.cell_type == "markdown")
        return next((line[2:].strip() for text in texts for line in text.split("\n") if line.startswith("# ")), self.stem)

    def solved(self, keep: bool) -> Page:
        """The sheet without its markers: with the solutions, or with the stubs in their place."""
        kept: list[tuple[str, int]] = []
        opened: re.Match[str] | None = None
        stubs: list[tuple[str, int]] = []
        for at, (text, number) in enumerate(zip(self.lines, self.numbers, strict=True)):
            marker, stub = MARKER.fullmatch(text), STUB.fullmatch(text)
            if marker and marker["edge"] == "BEGIN" and opened is None:
                opened, stubs = marker, []
            elif marker and marker["edge"] == "END" and opened and marker["html"] == opened["html"]:
                if not keep and not opened["html"]:
                    kept += stubs or [(opened["indent"] + DEFAULT_STUB, number)]
                opened = None
            elif ALMOST_MARKER.match(text):
                raise self.error(at, f"{text.strip()!r} is no solution marker, or does not fit the one before it")
            elif stub:
                if opened is None or opened["html"]:
                    raise self.error(at, "a stub stands between '# BEGIN SOLUTION' and '# END SOLUTION'")
                stubs.append(((opened["indent"] + stub["code"]).rstrip(), number))
            elif opened is None or keep:
                kept.append((text, number))
        if opened is not None:
            raise self.error(len(self.lines) - 1, "a solution is never closed")
        return replace(self, lines=[text for text, _ in kept], numbers=[number for _, number in kept])


@dataclass(frozen=True)
class Directive:
    name: str
    argument: str
    body: str
    line: int  # where the body starts


def blocks(page: Page, text: str, line: int) -> Iterator[tuple[Token, Directive | None, str | None]]:
    """The blocks of a Markdown text that are no paragraphs: its token, its directive, and the heading after a target."""
    tokens = PARSER.parse(text)
    lines = text.split("\n")
    done = 0
    for index, token in enumerate(tokens):
        if token.type not in BLOCKS or token.map is None or token.map[0] < done:
            continue
        start, done = token.map
        directive = heading = None
        if token.type in ("fence", "colon_fence"):
            last = lines[done - 1].lstrip("> ").rstrip()
            if done - start < 2 or set(last) != {token.markup[0]} or len(last) < len(token.markup):
                raise page.error(line + start, "this fence is never closed; code cells stand outside of all others")
            match = re.fullmatch(r"\{([^}]*)\}\s*(.*)", token.info.strip())
            if match:
                directive = _directive(match[1], match[2], token.content, line + start + 1)
            elif token.type == "colon_fence" or token.info.lstrip().startswith("{"):
                raise page.error(line + start, f"{token.info.strip()!r} is no directive")
        elif token.type == "myst_target" and index + 2 < len(tokens) and tokens[index + 1].type == "heading_open":
            heading = tokens[index + 2].content
        yield token, directive, heading


def _directive(name: str, argument: str, content: str, line: int) -> Directive:
    """A directive without its options (`:class: dropdown`, or YAML between two `---`), which steer the book's look only."""
    options = re.match(r"---[ \t]*\n[\s\S]*?\n---[ \t]*\n|(?:[ \t]*:[\w-]+:.*\n)*", content)
    skipped = options[0] if options else ""
    return Directive(name, argument, content[len(skipped) :], line + skipped.count("\n"))


def figure_label(figure: dict, page: Page, line: int) -> str:
    """A figure that nobody refers to needs no name, but it still has a number."""
    return figure.get("name") or f"{page.name}:{page.numbers[line]}"


@dataclass
class Course:
    """All sources of the repository, and what their labels stand for."""

    root: Path
    pages: dict[str, Page]  # by name; a sheet with its solutions
    originals: dict[str, Page]  # the sheets with their markers
    url: str
    equations: dict[str, str] = field(default_factory=dict)  # eq-label -> "7.3"
    figures: dict[str, str] = field(default_factory=dict)  # fig-label -> "7.2"
    sections: dict[str, str | None] = field(default_factory=dict)  # sec-label -> heading
    citations: dict[str, tuple[str, str, str]] = field(default_factory=dict)  # key -> ("Ho et al.", "2020", address)

    @classmethod
    def read(cls, root: Path) -> Course:
        config = root / "_config.yml"
        try:
            settings = yaml.safe_load(config.read_text("utf-8")) if config.exists() else None
        except yaml.YAMLError as problem:
            raise SourceError(f"_config.yml: {' '.join(str(problem).split())}") from None
        url = ((settings or {}).get("repository") or {}).get("url")
        if not url:
            raise SourceError("_config.yml:1: repository.url is missing; the setup cell installs the package from it")
        paths = (path for folder in ("book", "solutions") for path in sorted((root / folder).glob("*.md")))
        read = {name: Page.read(root, name) for name in (path.relative_to(root).as_posix() for path in paths)}
        originals = {n: page for n, page in read.items() if {"jupytext", "kernelspec"} & page.notebook().metadata.keys()}
        course = cls(root, {}, originals, url)
        for name, page in originals.items():
            if name.startswith("solutions/"):
                page = page.solved(keep=True)
            elif marker := next((i for i, text in enumerate(page.lines) if ALMOST_MARKER.match(text)), None):
                raise page.error(marker, "only sheets in solutions/ have solutions to cut")
            course.pages[name] = page
        course._read_labels()
        course._read_citations()
        return course

    def _read_labels(self) -> None:
        """Number equations and figures within their page: (7.1) in chapter 7, (E7.1) in its sheet, as the book does."""
        places: dict[str, str] = {}

        def place(label: str, page: Page, line: int) -> None:
            if label in places:
                raise page.error(line, f"the label {label!r} is already taken in {places[label]}")
            places[label] = page.name

        def number(table: dict[str, str], label: str, page: Page, line: int) -> None:
            prefix = re.match(r"(\d+)-", page.stem)
            if not prefix:
                raise page.error(line, "a file with numbered equations or figures starts with its chapter's number, NN-")
            place(label, page, line)
            chapter = ("E" if page.folder == "solutions" else "") + str(int(prefix[1]))
            earlier = sum(value.startswith(f"{chapter}.") for value in table.values())
            table[label] = f"{chapter}.{earlier + 1}"

        def walk(page: Page, text: str, line: int) -> None:
            for token, directive, heading in blocks(page, text, line):
                at = line + token.map[0]
                if token.type == "math_block_label":
                    number(self.equations, token.info, page, at)
                elif token.type == "myst_target":
                    place(token.content, page, at)
                    self.sections[token.content] = heading
                elif directive:
                    walk(page, directive.body, directive.line)

        for page in self.pages.values():
            for cell, line in page.cells():
                if cell.cell_type == "markdown":
                    walk(page, cell.source, line)
                elif figure := cell.metadata.get("mystnb", {}).get("figure"):
                    if not figure.get("caption"):
                        raise page.error(line, "a figure needs a caption")
                    number(self.figures, figure_label(figure, page, line), page, line)

    def _read_citations(self) -> None:
        path = self.root / "references.bib"
        try:
            entries = pybtex.database.parse_file(str(path), "bibtex").entries if path.exists() else {}
        except PybtexError as problem:
            raise SourceError(f"references.bib: {' '.join(str(problem).split())}") from None
        for key, entry in entries.items():
            people = entry.persons.get("author") or entry.persons.get("editor") or []
            names = [" ".join(str(part) for part in person.rich_prelast_names + person.rich_last_names) for person in people]
            if len(names) > 2 or names[-1:] == ["others"]:
                names = [f"{names[0]} et al."]
            doi = entry.fields.get("doi")
            address = f"https://doi.org/{doi}" if doi else entry.fields.get("url", "")
            self.citations[key] = " and ".join(names), entry.fields.get("year", ""), address


@dataclass(frozen=True)
class Writer:
    """Turns the MyST of one page into plain Markdown."""

    course: Course
    page: Page

    def markdown(self, text: str, line: int, quoted: bool = False) -> str:
        lines = text.split("\n")
        out: list[str] = []
        done = 0
        for token, directive, _ in blocks(self.page, text, line):
            start, end = token.map
            out += self._inline_lines(lines[done:start], line + done)
            done = end
            head = lines[start][: max(lines[start].find(token.markup), 0)] if token.markup else ""  # "> " or "- "
            if token.type == "amsmath":
                raise self.page.error(line + start, "write display formulas between $$, the book numbers no others")
            if token.type == "html_block" and not token.content.lstrip().startswith("<!--"):
                raise self.page.error(line + start, "raw HTML is not shown everywhere")
            if token.type in ("myst_target", "myst_line_comment"):
                if out and out[-1].strip():
                    out.append("")
                while done < len(lines) and not lines[done].strip():
                    done += 1
                continue
            if token.type.startswith("math_block") and re.search(r"\n\s*\n", token.content.strip()):
                raise self.page.error(line + start, "a display formula has no empty line inside")
            if directive:
                new = self._directive(directive, line + start).split("\n")
            elif token.type.startswith("math_block"):
                new = self._formula(token, lines[start:end], quoted or ">" in head)
                head = head if quoted or ">" in head else ""
            else:
                new, head = lines[start:end], ""
            rest = re.sub(r"[^>\s]", " ", head)
            out += [((rest if row else head) + part).rstrip() for row, part in enumerate(new)]
        return "\n".join(out + self._inline_lines(lines[done:], line + done)).strip("\n")

    def _directive(self, directive: Directive, line: int) -> str:
        body, title = directive.body, directive.argument
        if directive.name in ADMONITIONS:  # text beside the name belongs to the body
            title, body = ADMONITIONS[directive.name], f"{title}\n\n{body}" if title else body
        elif directive.name == "bibliography":
            return REFERENCES
        elif directive.name not in TITLED:
            raise self.page.error(line, f"unknown directive {{{directive.name}}}; notebooks.py cannot turn it into Markdown")
        elif not title:
            raise self.page.error(line, f"{{{directive.name}}} needs a title")
        start = directive.line if body is directive.body else directive.line - 2
        text = f"**{self.inline(title, line)}**\n\n{self.markdown(body, start, quoted=True)}".rstrip()
        return "\n".join(f"> {part}".rstrip() for part in text.split("\n"))

    def _formula(self, token: Token, lines: list[str], quoted: bool) -> list[str]:
        """A display formula with its number. In a block quote it stands in one line: Jupyter would set the `>` as a sign."""
        tag = f"\\tag{{{self.course.equations[token.info]}}}" if token.type == "math_block_label" else ""
        if quoted:
            content = re.sub(r"(?<!\\)%.*", "", token.content)
            return [" ".join(f"$$ {content} {tag} $$".split())]
        if not tag:
            return lines
        before = lines[-1][: lines[-1].rindex("$$")]
        if before.strip(" >"):
            return [*lines[:-1], f"{before.rstrip()} {tag}$$"]
        return [*lines[:-1], before + tag, before + "$$"]

    def _inline_lines(self, lines: list[str], line: int) -> list[str]:
        return self.inline("\n".join(lines), line).split("\n") if lines else []

    def inline(self, text: str, line: int) -> str:
        def convert(match: re.Match[str]) -> str:
            at = line + text.count("\n", 0, match.start())
            if match["role"]:
                return self._role(match["role"], " ".join(match["body"].split()), at)
            if match["label"] or match["stray"]:
                raise self.page.error(at, "a display formula starts after an empty line and ends with $$")
            if match["page"] and (link := self._link(match["page"], at)[1]):
                return f"]({link})"
            if match["page"] or match["link"]:
                raise self.page.error(at, "link to a page with {doc}`text <page>`, to a section with {ref}")
            return match[0]

        return INLINE.sub(convert, text)

    def _link(self, target: str, line: int) -> tuple[str, str]:
        """The source a page's name leads to, and its notebook seen from this page's; "" where it has none.

        A name counts from the page's folder, or from the root when it starts with /.
        """
        path = target.lstrip("/") if target.startswith("/") else os.path.normpath(f"{self.page.folder}/{target}")
        name = Path(path).as_posix() + ".md"
        if not (self.course.root / name).is_file():
            raise self.page.error(line, f"this link leads to {name}, which does not exist")
        if name not in self.course.pages:
            return name, ""
        link = os.path.relpath(name, self.page.folder).replace(os.sep, "/").removesuffix(".md") + ".ipynb"
        # A sheet's page in the book shows its solutions; a chapter's notebook sends its reader to the sheet without them.
        return name, link.replace("../solutions/", "../exercises/") if self.page.folder == "book" else link

    def _role(self, role: str, body: str, line: int) -> str:
        course = self.course
        explicit = re.fullmatch(r"(.*\S)\s*<([^<>]+)>", body)
        text, target = (explicit[1], explicit[2]) if explicit else ("", body)

        def look_up(table: dict, key: str):
            if key not in table:
                raise self.page.error(line, f"{{{role}}} refers to {key!r}, which is defined nowhere")
            return table[key]

        if role == "eq":
            return f"({look_up(course.equations, target)})"
        if role == "numref":
            return (text or "Fig. %s").replace("%s", look_up(course.figures, target))
        if role == "ref":
            heading = look_up(course.sections, target)
            if not (text or heading):
                raise self.page.error(line, f"{target!r} names no heading: write {{ref}}`text <{target}>`")
            return text or self.inline(heading, line)
        if role in ("cite:p", "cite:t"):
            found = [look_up(course.citations, key.strip()) for key in body.split(",")]
            if not all(names and year for names, year, _ in found):
                raise self.page.error(line, f"{body!r}: references.bib gives no author or no year")
            form = "{}, {}" if role == "cite:p" else "{} ({})"
            links = [(form.format(names, year), address) for names, year, address in found]  # tell Song from Song
            texts = [f"[{text}]({address})" if address else text for text, address in links]
            return f"({'; '.join(texts)})" if role == "cite:p" else ", ".join(texts)
        if role == "doc":
            name, link = self._link(target, line)
            text = text or Page.read(course.root, name).title
            return f"[{text}]({link})" if link else text
        raise self.page.error(line, f"unknown role {{{role}}}; notebooks.py cannot turn it into Markdown")
