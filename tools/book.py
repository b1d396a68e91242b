"""Build the book into _build/html and make sure that every page is there with its outputs.

    python tools/book.py
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
HTML = BUILD / "html"
CACHE = BUILD / ".jupyter_cache"
CACHE_KEY = BUILD / ".jupyter_cache.sha256"


def main() -> None:
    start = time.monotonic()
    drop_stale_cache()
    build()
    pages = toc_pages()
    problems = [problem for page in pages for problem in check_page(page)]
    if problems:
        sys.exit("The book is incomplete: " + "; ".join(problems))
    print(f"The book has {len(pages)} pages and was built in {time.monotonic() - start:.0f} s.")
    print(f"Open {HTML / 'index.html'}")


def drop_stale_cache() -> None:
    """Forget the stored outputs when the package has changed: the cache looks at the cells alone, not at what they call."""
    key = sources_hash()
    if not CACHE_KEY.exists() or CACHE_KEY.read_text() != key:
        shutil.rmtree(CACHE, ignore_errors=True)
        BUILD.mkdir(exist_ok=True)
        CACHE_KEY.write_text(key)


def sources_hash() -> str:
    digest = hashlib.sha256()
    package = (p for p in (ROOT / "diffcourse").rglob("*") if p.suffix in {".py", ".json", ".safetensors"})
    for path in [ROOT / "requirements.txt", *sorted(package)]:
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def build() -> None:
    # Kernels inherit this environment: figures are drawn for the page, and none waits for a window. The networks are so small
    # that a second thread gains nothing, and waits for minutes when something else needs the second core.
    environment = os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "OMP_NUM_THREADS": "1"}
    # -W: a cell that fails or warns is otherwise a mere message. --all: an incremental build hides earlier warnings.
    options = ["-W", "-n", "--keep-going", "--all"]
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(ROOT), *options]
    if code := subprocess.run(command, env=environment).returncode:
        sys.exit(f"The book was not built: jupyter-book left with exit code {code}; its first warning above says why.")


def toc_pages() -> list[str]:
    """The pages of _toc.yml, such as book/07-forward-process."""
    toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    return re.findall(r"^[ -]*(?:root|file): (\S+)", toc, re.MULTILINE)


def check_page(page: str) -> Iterator[str]:
    html = HTML / f"{page}.html"
    if not html.exists():
        yield f"{page} has no page"
        return
    written = html.read_text(encoding="utf-8")
    source = (ROOT / f"{page}.md").read_text(encoding="utf-8")
    if re.search(r"^```\{code-cell\}", source, re.MULTILINE) and 'class="cell_output' not in written:
        yield f"{page} has code cells and no output"
    if "output traceback" in written or "output stderr" in written:
        yield f"{page} shows an error or a warning of a cell"


if __name__ == "__main__":
    main()
