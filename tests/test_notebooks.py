"""The generated notebooks are what their sources say, show nothing raw of MyST, and give nbval something to compare."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbval.plugin import get_sanitize_patterns

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import notebooks  # noqa: E402
from plain_markdown import Course, SourceError, Writer  # noqa: E402

GENERATED = sorted(path for folder in ("book", "solutions", "exercises") for path in (ROOT / folder).glob("*.ipynb"))

FRONT = """\
---
kernelspec: {display_name: Python 3, language: python, name: python3}
---
"""

BIBLIOGRAPHY = r"""
@inproceedings{ho2020, author={Ho, Jonathan and Jain, Ajay and Abbeel, Pieter}, title={D}, year={2020}}
@article{song2019, author={Song, Yang and Ermon, Stefano}, title={G}, year={2019}, url={https://arxiv.org/abs/1907.05600}}
@article{schoen2021, author={Sch{\"o}n, Thomas}, title={S}, year={2021}, doi={10.1/x}}
@article{oord2016, author={van den Oord, A{\"a}ron and others}, title={P}, year={2016}}
@misc{nobody, title={N}}
"""

CHAPTER = """\
# 7 · The forward process

$$ x_t = \\sqrt{1-\\beta_t} x_{t-1} $$ (eq-step)

:::{note}
See {eq}`eq-step`.
:::

```{code-cell} ipython3
:tags: [nbval-check-output, hide-input]
print("two", 2)
1 + 1
```

```{code-cell} ipython3
import sys
print("not stored", file=sys.stderr)
```

```{code-cell} ipython3
:tags: [nbval-check-output, raises-exception]
1 / 0
```

```{code-cell} ipython3
:tags: [nbval-check-output]
for part in "ab":
    sys.stderr.write(f"\\r{part}:  50%|#####     | 1/2 [00:00<00:00, 9.87it/s]")
print(object())
```
"""

SHEET = """\
# Sheet 7

Add one to {eq}`eq-step`.

```{code-cell} ipython3
def add(x):
    # BEGIN SOLUTION
    # STUB: y = None
    # STUB: if x:
    # STUB:     y = 0
    # STUB: return y
    return x + 1
    # END SOLUTION

# BEGIN SOLUTION
answer = 42
# END SOLUTION
```

```{code-cell} ipython3
:tags: [nbval-check-output]
print(add(1))
```

<!-- BEGIN SOLUTION -->
The answer is a secret.

```{code-cell} ipython3
print("secret")
```

Still secret.
<!-- END SOLUTION -->

The end.
"""


def repository(root: Path, **sources: str) -> Path:
    """A small repository: `book_07_name="..."` stands for book/07-name.md."""
    for folder in ("book", "solutions", "exercises", "tests"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "_config.yml").write_text('repository: {url: "https://github.com/example/diffcourse", branch: main}\n')
    (root / "references.bib").write_text(BIBLIOGRAPHY)
    shutil.copy(ROOT / "tests" / "nbval_sanitize.cfg", root / "tests")
    for name, text in sources.items():
        folder, number, slug = name.split("_", 2)
        (root / folder / f"{number}-{slug}.md").write_text(FRONT + text, encoding="utf-8")
    return root


def convert(root: Path, text: str, folder: str = "book", **sources: str) -> str:
    """The Markdown of a chapter 7 that says `text`."""
    course = Course.read(repository(root, **{f"{folder}_07_forward": text}, **sources))
    page = course.pages[f"{folder}/07-forward.md"]
    drafted = notebooks.draft(course, f"{folder}/07-forward.ipynb", page)
    return "\n\n".join(cell.source for cell in drafted.notebook.cells if cell.cell_type == "markdown")


def sheets(root: Path, text: str) -> dict[str, nbformat.NotebookNode]:
    course = Course.read(repository(root, solutions_07_forward=text))
    return {item.name.split("/")[0]: item.notebook for item in notebooks.drafts(course)}


def sources(notebook: nbformat.NotebookNode) -> str:
    return "\n".join(cell.source for cell in notebook.cells)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one chapter and one sheet, whose notebooks have been run and written."""
    root = repository(tmp_path_factory.mktemp("course"), book_07_forward=CHAPTER, solutions_07_forward=SHEET)
    assert notebooks.main([], root) == 0
    return root


@pytest.fixture
def course(written: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    return Path(shutil.copytree(written, tmp_path / "course"))


def cells(root: Path, name: str) -> list[nbformat.NotebookNode]:
    return nbformat.read(root / name, as_version=4).cells


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


# The notebooks of this repository


def test_every_notebook_is_up_to_date() -> None:
    assert notebooks.check(ROOT) == []


def raw_myst(markdown: str) -> list[str]:
    """What only MyST understands, outside of code; found by patterns, without the parser that the converter uses."""
    text = re.sub(r"(?ms)^([> ]*)(`{3,}|~{3,})(?!\s*\{)[^\n]*\n.*?^\1\2[ ]*$", "", markdown)  # fenced code
    text = re.sub(r"(?<!`)(``+)(?!`).+?(?<!`)\1(?!`)", "", text)  # code in two backticks may show a role
    patterns = {
        "role": r"\{[\w:+-]+\}`[^`]+`",
        "directive": r"(?m)^[> ]*(?:`{3,}|:{3,}|~{3,})\s*\{.*",
        "colon fence": r"(?m)^[> ]*:{3,}.*",
        "target": r"(?m)^[> ]*\([\w-]+\)=\s*$",
        "comment": r"(?m)^%.*",
        "cell break": r"(?m)^\+\+\+.*",
        "label": r"\$\$[ ]*\([\w:-]+\)[ ]*$",
    }
    return [f"{kind}: {found}" for kind, pattern in patterns.items() for found in re.findall(pattern, text)]


@pytest.mark.parametrize(
    "text",
    ["see {eq}`eq-a`", "> :::{note}", "```{note}\nx\n```", "(sec-a)=", "% no", "+++", "$$ x $$ (eq-a)", ":::\n"],
)
def test_the_search_for_raw_myst_finds_it(text: str) -> None:
    assert raw_myst(text)


def test_the_search_for_raw_myst_lets_code_be() -> None:
    assert raw_myst("```python\nx = '{eq}`a`'\n% no\n```\n\n`` {eq}`a` `` and $\\{a\\}$\n\n> ~~~\n> :::{note}\n> ~~~") == []


def test_no_notebook_shows_raw_myst() -> None:
    for path in GENERATED:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                assert raw_myst(cell.source) == [], path.name


def test_every_notebook_is_valid_and_none_of_its_cells_is_skipped() -> None:
    for path in GENERATED:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert notebook.cells[0].source.startswith("# In Colab this cell installs"), path.name
        for cell in notebook.cells:
            tags = cell.metadata.get("tags", [])
            assert set(tags) <= {"nbval-check-output", "raises-exception"}, path.name
            assert "NBVAL_" not in cell.source, path.name
            if cell.cell_type == "code":
                checked = "nbval-check-output" in tags
                assert (cell.execution_count is not None) == checked, f"{path.name}: {cell.source}"
                assert checked or not cell.outputs, f"{path.name}: {cell.source}"


def test_no_exercise_shows_a_solution_marker() -> None:
    for path in GENERATED:
        assert not re.search(r"(BEGIN|END) SOLUTION|# STUB", path.read_text("utf-8")), path.name


# Writing and checking


def test_written_notebooks_pass_the_check(written: Path, capsys: pytest.CaptureFixture) -> None:
    assert notebooks.main(["--check"], written) == 0
    assert "up to date" in capsys.readouterr().out


def test_setup_comes_first_and_names_the_repository(written: Path) -> None:
    for name in ("book", "solutions", "exercises"):
        first = cells(written, f"{name}/07-forward.ipynb")[0]
        assert first.cell_type == "code"
        assert 'if "google.colab" in sys.modules:' in first.source
        assert "git+https://github.com/example/diffcourse" in first.source
        assert "--upgrade" not in first.source and " -U" not in first.source


def test_only_text_of_checked_cells_is_stored(written: Path) -> None:
    _, shown, quiet, failing, noisy = [c for c in cells(written, "book/07-forward.ipynb") if c.cell_type == "code"]
    assert shown.metadata == {"tags": ["nbval-check-output"]}
    assert shown.execution_count == 2
    assert [output.get("text") or output.data for output in shown.outputs] == ["two 2\n", {"text/plain": "2"}]
    assert quiet.outputs == [] and quiet.execution_count is None
    assert failing.outputs[0].traceback == ["ZeroDivisionError: division by zero"]
    texts = {output.name: output.text for output in noisy.outputs}
    assert texts == {"stderr": "b: [progress bar]", "stdout": "<object object at 0x<address>>\n"}


def test_pictures_are_not_stored_and_other_rich_outputs_are_refused() -> None:
    def show(kind: str) -> list[nbformat.NotebookNode]:
        data = {"text/plain": "<x>", kind: "..."}
        return notebooks.text_outputs([nbformat.v4.new_output("display_data", data=data)], 1, [])

    assert show("image/png")[0].data == {"text/plain": "<x>"}
    for kind in ("text/html", "text/latex", "image/svg+xml"):  # nbval would miss them in the stored output
        with pytest.raises(ValueError, match=re.escape(kind)):
            show(kind)


def test_running_again_gives_the_same_bytes(course: Path) -> None:
    before = {path: path.read_bytes() for path in course.rglob("*.ipynb")}
    assert len(before) == 3
    assert notebooks.main(["--force"], course) == 0
    assert {path: path.read_bytes() for path in course.rglob("*.ipynb")} == before
    assert all(text.endswith(b"}\n") for text in before.values())


def test_an_edited_source_is_named_with_the_repair(course: Path, capsys: pytest.CaptureFixture) -> None:
    edit(course / "solutions/07-forward.md", "Add one", "Add two")
    assert notebooks.main(["--check"], course) == 1
    printed = capsys.readouterr().out
    assert "solutions/07-forward.ipynb" in printed and "exercises/07-forward.ipynb" in printed
    assert "book/07-forward.ipynb" not in printed
    assert "python tools/notebooks.py --only 07-forward" in printed


def test_a_change_of_text_keeps_the_outputs_without_a_run(course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebooks, "execute", lambda *_: pytest.fail("nothing had to be run"))
    edit(course / "book/07-forward.md", "See {eq}", "Look at {eq}")
    assert notebooks.main(["--only", "forward"], course) == 0
    assert notebooks.check(course) == []


def test_changed_code_has_to_be_run(course: Path) -> None:
    edit(course / "book/07-forward.md", "1 + 1", "1 + 2")
    kept, same = notebooks.up_to_date(notebooks.drafts(Course.read(course))[0], course, [])
    assert (kept, same) == (False, False)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda book: book["cells"][2].update(outputs=[], execution_count=None),  # a checked cell without its output
        lambda book: book["cells"][2]["outputs"][1]["data"].update({"text/html": "<b>2</b>"}),
        lambda book: book["cells"][3].update(outputs=book["cells"][2]["outputs"]),  # an output that is not checked
        lambda book: book["cells"][1].update(source="Something else"),
        lambda book: book["cells"].pop(),
        lambda book: book["metadata"].update(language_info={"name": "python", "version": "3.11.7"}),
    ],
)
def test_a_notebook_edited_by_hand_is_named(course: Path, spoil) -> None:
    path = course / "book/07-forward.ipynb"
    content = json.loads(path.read_text("utf-8"))
    spoil(content)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")
    assert [line.split()[0] for line in notebooks.check(course)] == ["book/07-forward.ipynb"]


def test_missing_broken_and_orphaned_notebooks_are_named(course: Path) -> None:
    (course / "book/07-forward.ipynb").unlink()
    (course / "exercises/07-forward.ipynb").write_text("no notebook")
    shutil.copy(course / "solutions/07-forward.ipynb", course / "exercises/08-old.ipynb")
    found = notebooks.check(course)
    assert [line.split()[0] for line in found] == [
        "book/07-forward.ipynb",
        "exercises/07-forward.ipynb",
        "exercises/08-old.ipynb",
    ]
    assert "is missing" in found[0] and "rm exercises/08-old.ipynb" in found[2]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        (":tags: [raises-exception]\n1", "was to raise an exception and raised none"),
    ],
)
def test_a_failing_cell_is_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture, code: str, message: str
) -> None:
    root = repository(tmp_path, book_07_forward=f"# 7\n\n```{{code-cell}} ipython3\n{code}\n```\n")
    assert notebooks.main([], root) == 2
    printed = capsys.readouterr().err.strip().splitlines()
    assert len(printed) == 1 and "book/07-forward.md:6:" in printed[0] and message in printed[0]
    assert not list((root / "book").glob("*.ipynb*"))


def test_pages_without_a_kernel_are_no_notebooks(tmp_path: Path) -> None:
    root = repository(tmp_path)
    (root / "book/intro.md").write_text("# Welcome\n")
    assert notebooks.drafts(Course.read(root)) == []


def test_an_unknown_chapter_is_an_error(course: Path, capsys: pytest.CaptureFixture) -> None:
    assert notebooks.main(["--check", "--only", "99"], course) == 2
    assert "--only 99" in capsys.readouterr().err


def test_a_new_cell_leaves_the_ids_of_the_others_alone(tmp_path: Path) -> None:
    cell = "```{code-cell} ipython3\nprint(1)\n```\n\n"
    before = [c.id for c in sheets(tmp_path, cell + cell)["solutions"].cells]
    after = [c.id for c in sheets(tmp_path, "New\n\n" + cell + cell)["solutions"].cells]
    assert len(set(before)) == 3 and after[0] == before[0] and after[2:] == before[1:]


def test_nbval_accepts_what_was_written_and_sees_a_changed_output(course: Path) -> None:
    edit(course / "book/07-forward.ipynb", '"two 2\\n"', '"two 3\\n"')
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env"]
    command += ["--nbval-cell-timeout", "120", "--nbval-sanitize-with", "tests/nbval_sanitize.cfg"]
    command += ["book", "exercises", "solutions"]
    printed = subprocess.run(command, cwd=course, capture_output=True, text=True).stdout
    assert "FAILED book/07-forward.ipynb::Cell 1" in printed
    assert re.search(r"1 failed, 11 passed", printed), printed


# Sheets


def test_solutions_are_cut_and_stubs_take_their_place(written: Path) -> None:
    _, _, code, _, last = cells(written, "exercises/07-forward.ipynb")
    assert code.source == (
        "def add(x):\n    y = None\n    if x:\n        y = 0\n    return y\n\n...  # your code here"
    )
    assert last.source == "The end."
    text = (written / "exercises/07-forward.ipynb").read_text("utf-8")
    assert "secret" not in text and "x + 1" not in text and "42" not in text


def test_the_solved_sheet_is_complete_without_markers(written: Path) -> None:
    solved = nbformat.read(written / "solutions/07-forward.ipynb", as_version=4)
    assert solved.cells[2].source == "def add(x):\n    return x + 1\n\nanswer = 42"
    assert "The answer is a secret." in sources(solved)


def test_the_unattempted_sheet_is_run_too(written: Path) -> None:
    printed = {
        name: [c.outputs[0].text for c in cells(written, f"{name}/07-forward.ipynb") if c.get("outputs")]
        for name in ("solutions", "exercises")
    }
    assert printed == {"solutions": ["2\n"], "exercises": ["0\n"]}


@pytest.mark.parametrize(
    "lines",
    [
        ["# BEGIN SOLUTION", "x"],
        ["# END SOLUTION"],
        ["# BEGIN SOLUTION", "# BEGIN SOLUTION", "# END SOLUTION"],
        ["# BEGIN SOLUTION", "<!-- END SOLUTION -->"],
        ["#BEGIN SOLUTION", "x", "#END SOLUTION"],
        ["# begin solution", "x", "# end solution"],
        ["# BEGIN SOLUTION 1", "x", "# END SOLUTION 1"],
        ["<!--BEGIN SOLUTION-->", "x", "<!--END SOLUTION-->"],
        ["# STUB: x = None"],
    ],
)
def test_markers_that_would_leak_a_solution_are_errors(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(SourceError, match=r"solutions/07-forward\.md:\d+: "):
        sheets(tmp_path, "\n".join(lines) + "\n")


def test_solutions_in_a_chapter_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="only sheets"):
        convert(tmp_path, "<!-- BEGIN SOLUTION -->\nx\n<!-- END SOLUTION -->")


def test_lines_of_a_sheet_are_those_of_its_source(tmp_path: Path) -> None:
    text = "<!-- BEGIN SOLUTION -->\na\n<!-- END SOLUTION -->\n\nWrong {eq}`eq-none`\n"
    with pytest.raises(SourceError, match=rf"solutions/07-forward\.md:{FRONT.count(chr(10)) + 5}: "):
        sheets(tmp_path, text)


# From MyST to plain Markdown


EQUATIONS = "$$ a $$ (eq-a)\n\n$$\nb\n$$ (eq-b)\n\n"


@pytest.mark.parametrize(
    ("myst", "markdown"),
    [
        # display formulas
        ("$$ a $$ (eq-a)", "$$ a \\tag{7.1}$$"),
        ("$$\na &= b \\\\\n&= c\n$$ (eq-a)", "$$\na &= b \\\\\n&= c\n\\tag{7.1}\n$$"),
        ("$$\na\n$$", "$$\na\n$$"),
        ("$$a$$ (eq-a)\n\n$$b$$\n\n$$c$$ (eq-c)\n\n{eq}`eq-c`", "$$a \\tag{7.1}$$\n\n$$b$$\n\n$$c \\tag{7.2}$$\n\n(7.2)"),
        ("- $$a$$ (eq-a)\n\n  $$\n  b\n  $$ (eq-b)", "- $$a \\tag{7.1}$$\n\n  $$\n  b\n  \\tag{7.2}\n  $$"),
        ("> $$\n> a\n> $$ (eq-a)", "> $$ a \\tag{7.1} $$"),
        # roles, and what only looks like one
        (EQUATIONS + "By {eq}`eq-b` and\n{eq}`eq-a`", "$$ a \\tag{7.1}$$\n\n$$\nb\n\\tag{7.2}\n$$\n\nBy (7.2) and\n(7.1)"),
        ("`{eq}` and ``{eq}`x` ``", "`{eq}` and ``{eq}`x` ``"),
        ("```python\ny = '{eq}`x`'\n:::{note}\n```", "```python\ny = '{eq}`x`'\n:::{note}\n```"),
        ("Text\n\n    {eq}`x`", "Text\n\n    {eq}`x`"),
        ("$\\{a\\}$ and $b_{x}$, \\$5 and 6", "$\\{a\\}$ and $b_{x}$, \\$5 and 6"),
        ("{cite:p}`ho2020`", "(Ho et al., 2020)"),
        ("{cite:t}`ho2020,oord2016`", "Ho et al. (2020), van den Oord et al. (2016)"),
        (
            "{cite:p}`ho2020, song2019`",
            "(Ho et al., 2020; [Song and Ermon, 2019](https://arxiv.org/abs/1907.05600))",
        ),
        ("{cite:t}`schoen2021`", "[Schön (2021)](https://doi.org/10.1/x)"),
        ("{doc}`next <08-next>`", "[next](08-next.ipynb)"),
        ("{doc}`08-next`", "[8 · Next](08-next.ipynb)"),
        ("{doc}`/solutions/08-next`", "[Sheet 8](../exercises/08-next.ipynb)"),
        ("{eq}`eq-next` {numref}`fig-next`", "(8.1) Fig. 8.1"),
        ("{eq}`eq-sheet`", "(E8.1)"),
        ("{ref}`sec-next`, {ref}`later <sec-next>`", "8 · Next, later"),
        # directives
        (":::{note}\nA {cite:t}`ho2020`\n:::", "> **Note**\n>\n> A Ho et al. (2020)"),
        ("```{warning} At once\nand then\n```", "> **Warning**\n>\n> At once\n>\n> and then"),
        (":::{admonition} Why $x$?\n:class: dropdown\n\nSo.\n:::", "> **Why $x$?**\n>\n> So."),
        (":::{dropdown} More\n---\nopen: true\n---\nSo.\n:::", "> **More**\n>\n> So."),
        ("::::{tip}\na\n\n:::{note}\nb\n:::\n::::", "> **Tip**\n>\n> a\n>\n> > **Note**\n> >\n> > b"),
        (":::{tip}\n```python\n{eq}`x`\n```\n:::", "> **Tip**\n>\n> ```python\n> {eq}`x`\n> ```"),
        (":::{tip}\n$$\na\nb\n$$ (eq-a)\n:::", "> **Tip**\n>\n> $$ a b \\tag{7.1} $$"),
        ("- a\n\n  :::{tip}\n  b\n  :::\n- c", "- a\n\n  > **Tip**\n  >\n  > b\n- c"),
        ("```{bibliography}\n:filter: docname in docnames\n```", "The references stand at the end of the book."),
        # the rest
        ("(sec-a)=\n## A\n\n{ref}`sec-a`", "## A\n\nA"),
        ("% gone\n\na\n\n% gone\n% too\n\nb 5 % of it", "a\n\nb 5 % of it"),
        ("a\n\n+++\n\nb", "a\n\nb"),
        ("A note.[^n]\n\n[^n]: With {cite:p}`ho2020`.", "A note.[^n]\n\n[^n]: With (Ho et al., 2020)."),
        ("| a | b |\n|---|---|\n| $x$ | {cite:t}`ho2020` |", "| a | b |\n|---|---|\n| $x$ | Ho et al. (2020) |"),
        ("[next](08-next.md) [sheet](../solutions/08-next.md)", "[next](08-next.ipynb) [sheet](../exercises/08-next.ipynb)"),
        ("[text](https://example.org/a.md)", "[text](https://example.org/a.md)"),
    ],
)
def test_markdown(tmp_path: Path, myst: str, markdown: str) -> None:
    following = (
        "(sec-next)=\n# 8 · Next\n\n$$ n $$ (eq-next)\n\n"
        "```{code-cell} ipython3\n---\nmystnb: {figure: {caption: C, name: fig-next}}\n---\n1\n```\n"
    )
    sheet = "# Sheet 8\n\n$$ s $$ (eq-sheet)\n"
    assert convert(tmp_path, myst, book_08_next=following, solutions_08_next=sheet) == markdown


def test_links_of_a_sheet_and_to_pages_that_are_no_notebooks(tmp_path: Path) -> None:
    root = repository(tmp_path, solutions_07_forward="{doc}`a <08-b>` {doc}`/book/intro`", solutions_08_b="# B\n")
    (root / "book/intro.md").write_text("# Welcome\n")
    for item in notebooks.drafts(Course.read(root), ["07"]):
        assert item.notebook.cells[1].source == "[a](08-b.ipynb) Welcome"


def test_figures_get_numbered_captions(tmp_path: Path) -> None:
    def figure(options: str) -> str:
        return f"```{{code-cell}} ipython3\n---\nmystnb: {{figure: {{{options}}}, image: {{alt: A}}}}\n---\n1\n```\n"

    text = figure('caption: "First"') + figure('caption: "By {eq}`eq-a`", name: fig-b')
    text += "\n$$ a $$ (eq-a)\n\n{numref}`fig-b`, {numref}`Figure %s <fig-b>`\n"
    drafted = notebooks.drafts(Course.read(repository(tmp_path, book_07_forward=text)))[0].notebook
    assert [cell.cell_type for cell in drafted.cells] == ["code", "code", "markdown", "code", "markdown", "markdown"]
    assert [drafted.cells[i].source for i in (2, 4)] == ["**Fig. 7.1.** First", "**Fig. 7.2.** By (7.1)"]
    assert drafted.cells[5].source.endswith("Fig. 7.2, Figure 7.2")
    assert all(not cell.metadata for cell in drafted.cells)


def test_hidden_cells_stay_because_others_need_them(tmp_path: Path) -> None:
    drafted = sheets(tmp_path, "```{code-cell} ipython3\n:tags: [remove-cell]\nx = 1\n```\n")["solutions"]
    assert drafted.cells[1].source == "x = 1" and not drafted.cells[1].metadata


@pytest.mark.parametrize(
    ("line", "myst", "message"),
    [
        (3, "a\n\n{foo}`x`", "unknown role {foo}"),
        (3, "a\n\n{py:func}`x`", "unknown role {py:func}"),
        (3, "a\n\n```{foo}\nx\n```", "unknown directive {foo}"),
        (3, "````{note}\n:class: x\n```{code-cell} ipython3\n1\n```\n````", "unknown directive {code-cell}"),
        (1, ":::{note}\n\n```{code-cell} ipython3\n1\n```\n:::", "code cells stand outside"),
        (5, ":::{tip} a\nb\n\nc\n{foo}`x`\n:::", "unknown role {foo}"),
        (1, ":::{note}\nnever closed", "never closed"),
        (1, ":::\nx\n:::", "is no directive"),
        (1, ":::{admonition}\nx\n:::", "needs a title"),
        (2, "a\n{eq}`eq-none`", "'eq-none', which is defined nowhere"),
        (1, "{numref}`fig-none`", "'fig-none'"),
        (1, "{ref}`sec-none`", "'sec-none'"),
        (1, "{cite:p}`none2020`", "'none2020'"),
        (1, "{cite:p}`nobody`", "no author or no year"),
        (1, "{doc}`none`", "book/none.md"),
        (3, "(sec-a)=\n\n{ref}`sec-a`", "names no heading"),
        (3, "$$ a $$ (eq-a)\n\n$$ b $$ (eq-a)", "'eq-a' is already taken"),
        (2, "Glued to a paragraph:\n$$ a $$ (eq-a)", "after an empty line"),
        (1, "$$\na\n\nb\n$$", "no empty line inside"),
        (1, "$$\na\n\nb", "ends with $$"),
        (1, "\\begin{align}\na\n\\end{align}", "between $$"),
        (1, "<div>x</div>", "raw HTML"),
        (1, "[text](08-none.md)", "book/08-none.md"),
        (1, "[text](07-forward.md#sec-a)", "{ref}"),
        (1, "[](07-forward.md)", "{doc}"),
        (1, "[](#sec-a)", "{ref}"),
        (1, "```{code-cell} ipython3\n:tags: [nbval-skip]\n1\n```", "'nbval-skip'"),
        (1, "```{code-cell} ipython3\n:tags: [skip-execution]\n1\n```", "'skip-execution'"),
        (1, "```{code-cell} ipython3\n:tags: [nbval-check-outptu]\n1\n```", "'nbval-check-outptu'"),
        (1, "```{code-cell} ipython3\n# NBVAL_SKIP\n1\n```", "with tags"),
        (1, "```{code-cell} ipython3\n---\nmystnb: {figure: {name: fig-a}}\n---\n1\n```", "caption"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, line: int, myst: str, message: str) -> None:
    with pytest.raises(SourceError) as error:
        convert(tmp_path, myst)
    assert message in str(error.value)
    assert str(error.value).startswith(f"book/07-forward.md:{line + FRONT.count(chr(10))}: ")
    assert "\n" not in str(error.value)


def test_an_error_in_a_source_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = repository(tmp_path, book_07_forward="```{foo}\n```\n")
    assert notebooks.main(["--check"], root) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and printed.err.startswith("error: book/07-forward.md:4:")


def test_an_unnumbered_file_has_no_numbered_equations(tmp_path: Path) -> None:
    root = repository(tmp_path)
    (root / "book/appendix.md").write_text(FRONT + "$$ a $$ (eq-a)\n")
    with pytest.raises(SourceError, match="NN-"):
        Course.read(root)


def test_a_repository_without_an_address_is_an_error(tmp_path: Path) -> None:
    root = repository(tmp_path, book_07_forward="a")
    (root / "_config.yml").write_text("title: x\n")
    with pytest.raises(SourceError, match="repository.url"):
        Course.read(root)


# What nbval overlooks


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("train:  50%|#####     | 1/2 [00:00<00:00, 9.87it/s]", "train: [progress bar]"),
        ("31it [00:02, 15.2it/s]", "[progress bar]"),
        ("<Net at 0x7f3a2b>", "<Net at 0x<address>>"),
        ("saved '/tmp/tmpab12/x.pt'", "saved '<temporary>'"),
        ("/private/var/folders/a/b: x", "<temporary>: x"),
        ("loss 0.1234, 50% of 100, 0x1F colours, 12 items", "loss 0.1234, 50% of 100, 0x1F colours, 12 items"),
        ("a | b | 3% | c", "a | b | 3% | c"),
        ("runs/tmp/x", "runs/tmp/x"),
    ],
)
def test_sanitizing_touches_only_what_changes_from_run_to_run(text: str, kept: str) -> None:
    patterns = get_sanitize_patterns((ROOT / "tests/nbval_sanitize.cfg").read_text("utf-8"))
    for _ in range(2):  # stored outputs are sanitized twice
        for pattern, new in patterns:
            text = re.sub(pattern, new, text)
        assert text == kept
