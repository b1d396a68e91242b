#!/usr/bin/env python3
"""Write and check every generated notebook.

    python tools/notebooks.py                    write what is not up to date
    python tools/notebooks.py --only 07 --force  run chapter 7 and its sheet again and write them
    python tools/notebooks.py --check            run nothing; exit with 1 and name what is not up to date

    book/NN-slug.md       ->  book/NN-slug.ipynb
    solutions/NN-slug.md  ->  solutions/NN-slug.ipynb   complete
                          ->  exercises/NN-slug.ipynb   solutions cut out, stubs in their place

A source is MyST-Markdown, which Colab cannot show, so a notebook gets plain Markdown: admonitions become block quotes,
references become the number or the name they stand for, labelled equations get a \\tag. The only outputs kept are the text
outputs of cells tagged `nbval-check-output`; everything else in a notebook follows from its source alone.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbval.plugin import coalesce_streams, get_sanitize_patterns
from plain_markdown import Course, Page, SourceError, Writer, figure_label
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "python tools/notebooks.py"
SANITIZE = "tests/nbval_sanitize.cfg"  # what nbval overlooks when it compares outputs is not stored either
TIMEOUT = 120  # seconds a cell may take

CHECKED = "nbval-check-output"
NOT_COMPARED = {"image/png", "image/jpeg", "application/vnd.jupyter.widget-view+json"}  # by nbval
KEPT_TAGS = {CHECKED, "raises-exception"}
BOOK_TAGS = {f"{verb}-{what}" for verb in ("hide", "remove") for what in ("input", "output", "cell")}
BOOK_TAGS |= {"remove-stdout", "remove-stderr", "scroll-output", "full-width", "margin"}

SETUP = """\
# In Colab this cell installs the course's package; anywhere else it does nothing.
import sys

if "google.colab" in sys.modules:
    %pip install --quiet "git+{url}"
"""


@dataclass
class Draft:
    """A notebook as it follows from its source, and where in the source each of its cells starts."""

    name: str  # "exercises/07-forward-process.ipynb"
    page: Page
    notebook: NotebookNode
    lines: list[int]


def draft(course: Course, name: str, page: Page) -> Draft:
    """Build a notebook without outputs."""
    writer = Writer(course, page)
    cells = [nbformat.v4.new_code_cell(SETUP.format(url=course.url).rstrip())]
    lines = [0]
    for cell, line in page.cells():
        new: list[NotebookNode] = []
        if cell.cell_type == "markdown":
            if text := writer.markdown(cell.source, line):
                new = [nbformat.v4.new_markdown_cell(text)]
        elif cell.cell_type == "code":
            new = [nbformat.v4.new_code_cell(cell.source)]
            tags = cell.metadata.get("tags", [])
            for tag in [tags] if isinstance(tags, str) else tags:
                if tag in KEPT_TAGS:
                    new[0].metadata.setdefault("tags", []).append(tag)
                elif tag not in BOOK_TAGS:
                    raise page.error(line, f"unknown tag {tag!r}")
            if re.search(r"^\s*#+\s*(NBVAL_|PYTEST_VALIDATE)", cell.source, re.MULTILINE):
                raise page.error(line, "tell nbval what to do with tags, not with comments")
            if figure := cell.metadata.get("mystnb", {}).get("figure"):
                number = course.figures[figure_label(figure, page, line)]
                caption = writer.inline(" ".join(figure["caption"].split()), line)
                new.append(nbformat.v4.new_markdown_cell(f"**Fig. {number}.** {caption}"))
        else:
            raise page.error(line, "raw cells are not shown in Colab")
        cells += new
        lines += [line] * len(new)
    seen: dict[str, int] = {}
    for cell in cells:  # an id follows from the text, so that a new cell does not change the others'
        key = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[key] = seen.get(key, 0) + 1
        cell.id = key if seen[key] == 1 else f"{key}-{seen[key]}"
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.nbformat_minor = 5
    notebook.metadata.kernelspec = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook.metadata.language_info = {"name": "python"}
    return Draft(name, page, notebook, lines)


def drafts(course: Course, only: list[str] | None = None) -> list[Draft]:
    """All notebooks the sources ask for, or those of some chapters ("07", "forward-process" or "07-forward-process")."""
    chosen = set()
    for slug in only or []:
        fits = {page.stem for page in course.pages.values() if slug in (page.stem, *page.stem.split("-", 1))}
        if not fits:
            raise SourceError(f"--only {slug}: no source in book/ or solutions/ has this number or name")
        chosen |= fits
    found = []
    for name, page in course.pages.items():
        if only and page.stem not in chosen:
            continue
        found.append(draft(course, f"{page.folder}/{page.stem}.ipynb", page))
        if page.folder == "solutions":
            found.append(draft(course, f"exercises/{page.stem}.ipynb", course.originals[name].solved(keep=False)))
    return found


def orphans(course: Course) -> list[str]:
    """Notebooks in our folders that no source asks for."""
    wanted = {item.name for item in drafts(course)}
    folders = (course.root / folder for folder in ("book", "solutions", "exercises"))
    found = {path.relative_to(course.root).as_posix() for folder in folders for path in folder.glob("*.ipynb")}
    return sorted(found - wanted)


def text_outputs(outputs: list[NotebookNode], count: int, patterns: list[tuple[str, str]]) -> list[NotebookNode]:
    """What a notebook stores of a checked cell's outputs: its text. Pictures are left out, nbval does not compare them."""

    def clean(text: str) -> str:
        for pattern, new in patterns:
            text = re.sub(pattern, new, text)
        return text

    found = []
    for output in coalesce_streams(copy.deepcopy(outputs)):
        if output.output_type == "stream":
            found.append(nbformat.v4.new_output("stream", name=output.name, text=clean(output.text)))
        elif output.output_type == "error":
            text = f"{output.ename}: {clean(output.evalue)}"
            found.append(nbformat.v4.new_output("error", ename=output.ename, evalue=clean(output.evalue), traceback=[text]))
        else:
            if rich := sorted(output.data.keys() - NOT_COMPARED - {"text/plain"}):
                raise ValueError(f"a checked cell shows only text, this one shows {', '.join(rich)}: print() it")
            data = {"text/plain": clean(output.data.get("text/plain", ""))}
            extra = {"execution_count": count} if output.output_type == "execute_result" else {}
            found.append(nbformat.v4.new_output(output.output_type, data=data, **extra))
    return found


def take_outputs(item: Draft, run: NotebookNode, patterns: list[tuple[str, str]]) -> bool:
    """Give the checked cells the outputs they have in `run`; False when that has not run the same code."""

    def identity(notebook: NotebookNode) -> list[tuple]:
        return [(cell.source, cell.metadata.get("tags")) for cell in notebook.cells if cell.cell_type == "code"]

    if identity(item.notebook) != identity(run):
        return False
    done = (cell for cell in run.cells if cell.cell_type == "code")
    count = 0
    for cell, line in zip(item.notebook.cells, item.lines, strict=True):
        if cell.cell_type == "code":
            count, ran = count + 1, next(done)
            if CHECKED in cell.metadata.get("tags", []):
                if ran.execution_count is None:
                    return False
                try:
                    cell.outputs = text_outputs(ran.outputs, count, patterns)
                except ValueError as problem:
                    raise item.page.error(line, f"{item.name}: {problem}") from None
                cell.execution_count = count  # nbval compares only cells that have one
    return True


def execute(item: Draft, root: Path, patterns: list[tuple[str, str]]) -> float:
    """Run a notebook in its folder from top to bottom, take its outputs and return the seconds it took."""
    started = time.perf_counter()
    run = copy.deepcopy(item.notebook)
    at = 0

    def begin(cell: NotebookNode, cell_index: int) -> None:
        nonlocal at
        at = cell_index

    folder = root / Path(item.name).parent
    folder.mkdir(exist_ok=True)
    client = NotebookClient(
        run,
        timeout=TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        on_cell_start=begin,
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute(env=os.environ | {"OMP_NUM_THREADS": "1"})  # as for the book: on a busy machine two threads wait actively
    except CellExecutionError as problem:
        reason = f"{problem.ename}: {(problem.evalue.splitlines() or [''])[0]}"
    except CellTimeoutError:
        reason = f"no end after {TIMEOUT} s"
    except DeadKernelError:
        reason = "the kernel died"
    else:
        for at, cell in enumerate(run.cells):
            expected = "raises-exception" in cell.metadata.get("tags", []) and not item.name.startswith("exercises/")
            if expected and not any(output.output_type == "error" for output in cell.outputs):
                raise item.page.error(item.lines[at], f"{item.name}: this cell was to raise an exception and raised none")
        take_outputs(item, run, patterns)
        return time.perf_counter() - started
    raise item.page.error(item.lines[at], f"{item.name}: {reason}")


def dump(notebook: NotebookNode) -> str:
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def sanitizer(root: Path) -> list[tuple[str, str]]:
    path = root / SANITIZE
    return get_sanitize_patterns(path.read_text("utf-8")) if path.exists() else []


def up_to_date(item: Draft, root: Path, patterns: list[tuple[str, str]]) -> tuple[bool, bool]:
    """Whether the outputs on disk belong to this code, and whether the whole file is as it would be written."""
    path = root / item.name
    try:
        before = path.read_text("utf-8")
        kept = take_outputs(item, nbformat.reads(before, as_version=4), patterns)
    except (OSError, ValueError, AttributeError, KeyError, nbformat.ValidationError, SourceError):
        return False, False  # missing, no notebook at all, or one that stores what it must not
    return kept, kept and dump(item.notebook) == before


def check(root: Path, only: list[str] | None = None) -> list[str]:
    """One line for each notebook that is not what its source asks for; nothing is run."""
    course, patterns = Course.read(root), sanitizer(root)
    found = []
    for item in drafts(course, only):
        if not up_to_date(item, root, patterns)[1]:
            state = "differs from" if (root / item.name).exists() else "is missing, its source is"
            found.append(f"{item.name} {state} {item.page.name}: {COMMAND} --only {item.page.stem}")
    return found + [f"{name} has no source: rm {name}" for name in ([] if only else orphans(course))]


def write(root: Path, only: list[str] | None = None, force: bool = False, jobs: int = 1) -> list[str]:
    """Write what is not up to date, running the notebooks whose code has changed; return what went wrong."""
    course, patterns, problems = Course.read(root), sanitizer(root), []
    to_run: list[Draft] = []
    items = drafts(course, only)
    for item in items:
        kept, same = up_to_date(item, root, patterns)
        if force or not kept:
            to_run.append(item)
        elif not same:
            save(root / item.name, dump(item.notebook))
            print(f"{item.name}: written, its outputs kept", flush=True)
    with ThreadPoolExecutor(jobs) as pool, tqdm(total=len(to_run), unit="notebook", disable=None) as bar:
        running = {pool.submit(execute, item, root, patterns): item for item in to_run}
        for future in as_completed(running):
            item = running[future]
            try:
                seconds = future.result()
                save(root / item.name, dump(item.notebook))
                bar.write(f"{item.name}: {seconds:.1f} s")
            except SourceError as problem:
                problems.append(str(problem))
            bar.update()
    print(f"{len(items)} notebooks, {len(to_run) - len(problems)} of them run")
    return problems + [f"{name} has no source: rm {name}" for name in ([] if only else orphans(course))]


def save(path: Path, text: str) -> None:
    """Write a file in one step: nobody ever sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    os.replace(temporary, path)


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description="Write and check every generated notebook.")
    parser.add_argument("--check", action="store_true", help="run nothing; exit with 1 when a notebook is not up to date")
    parser.add_argument("--only", nargs="+", metavar="SLUG", help="only these chapters: 07, forward-process or both joined")
    parser.add_argument("--force", action="store_true", help="run notebooks again whose code has not changed")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="run N notebooks at the same time")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            found = check(root, options.only)
            print("\n".join(found) or "every notebook is up to date")
            return 1 if found else 0
        problems = write(root, options.only, options.force, max(options.jobs, 1))
    except SourceError as problem:
        problems = [str(problem)]
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 2 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
