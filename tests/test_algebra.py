"""The claims hold, their near misses do not, and the chapters display exactly what the claims say."""

import re
import sys
from pathlib import Path

import pytest
import sympy as sp

from diffcourse import algebra
from diffcourse.algebra import CHAPTERS, CLAIMS, Claim, ClaimError, NearMiss, UnreadableError
from diffcourse.algebra.claim import Refuted
from diffcourse.algebra.latex import Grad, Int, Over, Rate, Relation, Slope, Transposed, read
from diffcourse.algebra.notation import family, function, matrix, symbol
from diffcourse.algebra.proving import as_products, at, integrate_gaussian, law_of, require_equal, split_last, vanishes

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from proofs import claim_problems, displayed, normal, prove, without_code  # noqa: E402

BOOK = Path(__file__).parents[1] / "book"
PAGES = sorted(BOOK.glob("[0-9][0-9]-*.md"))


def in_text(path: Path) -> set[str]:
    """Formulas in running text that say more than a name."""
    text = re.sub(r"\$\$.*?\$\$", "", without_code(path.read_text(encoding="utf-8")), flags=re.DOTALL)
    formulas = {normal(f) for f in re.findall(r"(?<![\\$])\$([^$]+?)\$", text)}
    telling = re.compile(r"[=<>/+]|(?<=\S) ?- ?|\\(le|ge|sim|approx|sqrt|t?frac|prod|sum|lim|exp|log|propto|in)(?![a-z])")
    return {f for f in formulas if telling.search(re.sub(r"_\{[^}]*\}", "_i", f)) and not re.fullmatch(r"t = \d+|[a-zT][-+]1", f)}


# Claims


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda claim: claim.label)
def test_claim_is_proved_and_its_near_misses_are_rejected(claim: Claim) -> None:
    prove(claim)


def test_each_label_and_each_formula_occurs_once() -> None:
    assert len(CLAIMS) == sum(len(module.CLAIMS) for module in CHAPTERS.values())
    for claim in CLAIMS.values():
        formulas = [normal(claim.latex)] + [normal(miss.latex) for miss in claim.near_misses]
        assert len(claim.near_misses) >= 2, claim.label
        assert len(set(formulas)) == len(formulas), claim.label


def test_a_false_claim_is_not_proved() -> None:
    right = CLAIMS["eq-snr"]
    false = Claim("eq-x", right.near_misses[0].latex, "", right.proof, ())
    with pytest.raises(ClaimError, match="eq-x: not proved: .* differ by"):
        false.verify()


def test_a_near_miss_that_is_true_is_reported() -> None:
    right = CLAIMS["eq-snr"]
    lenient = Claim("eq-x", right.latex, "", right.proof, (NearMiss(right.latex.replace(r"\bar\alpha", r"\bar{\alpha}"), "the same"),))
    with pytest.raises(ClaimError, match="near miss .* passes the proof"):
        lenient.verify()


def test_verify_prints_what_it_proved(capsys: pytest.CaptureFixture[str]) -> None:
    algebra.verify("eq-snr")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("✓ eq-snr: ")
    assert len(lines) == 1 + len(CLAIMS["eq-snr"].near_misses) + 1


# Chapters


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_numbered_equation_is_its_claim(path: Path) -> None:
    claims = CHAPTERS[path.stem].CLAIMS if path.stem in CHAPTERS else ()
    assert claim_problems(claims, {path.name: path.read_text(encoding="utf-8")}) == []


def test_every_claim_is_displayed_once() -> None:
    claims = [claim for module in CHAPTERS.values() for claim in module.CLAIMS]
    assert claim_problems(claims, {path.name: path.read_text(encoding="utf-8") for path in PAGES}) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_claim_is_verified_in_its_chapter(path: Path) -> None:
    verified = {label for call in re.findall(r"^verify\((.*?)\)", path.read_text(encoding="utf-8"), re.M) for label in re.findall(r'"(.*?)"', call)}
    assert verified >= {label for label, _ in displayed(path.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("stem", CHAPTERS)
def test_formulas_in_running_text_are_known(stem: str) -> None:
    path = BOOK / f"{stem}.md"
    found, listed = in_text(path), set(CHAPTERS[stem].IN_TEXT)
    assert found - listed == set(), f"{path.name}: check these formulas and list them in IN_TEXT"
    assert listed - found == set(), f"{path.name}: listed in IN_TEXT, but not in the chapter"


@pytest.mark.parametrize("latex", [f for m in CHAPTERS.values() for f, kind in m.IN_TEXT.items() if kind == "true"])
def test_true_formulas_in_running_text_are_true(latex: str) -> None:
    (relation,) = read(latex)
    gap = as_products(split_last(relation.rhs - relation.lhs, symbol("t")))
    if relation.ops == ("=",):
        assert vanishes(gap)
    else:
        assert relation.ops == ("<=",)
        (variable,) = gap.free_symbols
        assert gap.subs(variable, 0) == 0 and sp.diff(gap, variable).subs(variable, sp.Rational(1, 3)) > 0
        assert vanishes(sp.diff(gap, variable, 2) - sp.exp(-variable))  # convex, with its lowest point at 0
        assert sp.diff(gap, variable).subs(variable, 0) == 0


# The reader


X, T, S = family("x"), symbol("t"), symbol("s")


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"x_t = \sqrt{a}\, x_{t-1}", sp.sqrt(symbol("a")) * X[T - 1]),
        (r"x_t = \frac{a}{b} x_0^2", symbol("a") / symbol("b") * X[0] ** 2),
        (r"x_t = a - b - 2 \cdot 3", symbol("a") - symbol("b") - 6),
        (r"\begin{aligned} x_t &= a \\ &\quad + b \end{aligned}", symbol("a") + symbol("b")),
        (r"x_t = -a^2", -(symbol("a") ** 2)),
        (r"x_t = a(b + 1)/2", symbol("a") * (symbol("b") + 1) / 2),
        (r"x_t = \bar{\alpha}_t", family(r"\bar\alpha")[T]),
        (r"x_t = \prod_{s=1}^{t} \alpha_s + 1", sp.Product(family(r"\alpha")[S], (S, 1, T)) + 1),
        (r"x_t = \cos^2\Big(\frac{\pi}{2}\Big)", sp.Integer(0)),
        (r"x_t = \log \frac{a}{b} + \log(a)^2", sp.log(symbol("a") / symbol("b")) + sp.log(symbol("a")) ** 2),
        (r"x_t = \log a^2 b", sp.log(symbol("a") ** 2) * symbol("b")),
        (r"x_t = \tilde\mu_t(x_t, x_0)", function(r"\tilde\mu")(T, X[T], X[0])),
        (r"x_t = \int q(x_t)\, \mathrm{d}x_t", Int(function("q")(X[T]), X[T])),
        (r"x_t = \sum_{x_t} q(x_t)", Int(function("q")(X[T]), X[T])),
        (r"x_t = \nabla_{x_t} \log q(x_t)", Grad(sp.log(function("q")(X[T])), X[T])),
        (
            r"x_t = D_{\mathrm{KL}}\big(q(x_t) \,\big\|\, p_\theta(x_t)\big)",
            function(r"D_{\mathrm{KL}}")(function("q")(X[T]), function(r"p_\theta")(X[T])),
        ),
        (
            r"x_t = \mathbb{E}_{q(x_t \mid x_0)}[x_t]",
            function(r"\mathbb{E}")(X[T], Over(function("q")(X[T], sp.Tuple(X[0])))),
        ),
        (r"x_t = x_{t, s - 1} + x_{t}", X[T, S - 1] + X[T]),
        (r"x_t = a \frac{\mathrm{d}x_t}{\mathrm{d}t}", symbol("a") * Rate(X[T], T)),
        (r"x_t = f'(x_t)", Slope(function("f")(X[T]))),
        (r"x_t = f'_s(x_t)", Slope(function("f")(S, X[T]))),
        (r"x_t = \lvert a - b \rvert", sp.Abs(symbol("a") - symbol("b"))),
        (r"x_t = a^2 \det(\Sigma_1)", symbol("a") ** 2 * function(r"\det")(matrix(r"\Sigma", 1))),
        (
            r"x_t = \boldsymbol\mu_1^\top \Sigma_2^{-1} \boldsymbol\mu_1",  # in this order
            Transposed(matrix(r"\boldsymbol\mu", 1)) * matrix(r"\Sigma", 2) ** -1 * matrix(r"\boldsymbol\mu", 1),
        ),
        (r"x_t = a \frac{\partial x_t}{\partial t}", symbol("a") * Rate(X[T], T)),
        (r"x_t = \begin{pmatrix} a & -1 \\ 0 & b/2 \end{pmatrix} x_0", sp.ImmutableMatrix([[symbol("a"), -1], [0, symbol("b") / 2]]) * X[0]),
        (r"x_t = \int_0^1 u\, \mathrm{d}u", sp.Integral(symbol("u"), (symbol("u"), 0, 1))),
    ],
)
def test_reader_reads(latex: str, expected: sp.Expr) -> None:
    assert read(latex) == (Relation((X[T], expected), ("=",)),)


@pytest.mark.parametrize(
    "latex",
    [
        r"x_t = \foo",  # unknown command
        r"x_t = w",  # unknown name
        r"x_t = \bar{\alpha_t}",  # the bar over the index: whose index is it?
        r"x_t = \sqrt a",  # no braces
        r"x_t = (a + b",
        r"x_t = a + b)",
        r"x_t = a +",
        r"x_t",
        r"x_t = a \text{ when } b",
        r"x_t = \alpha",  # a family without its index
        r"x_t = q",  # a function without arguments
        r"x_t = \frac12",
        r"x_t = a, b",
        r"x_t = x_{t",
        r"x_t = x_{t, s, t}",
        r"x_t = x_{t,}",
        r"x_t = a \cdot \cdot b",
        r"x_t = \mathcal{M}(a)",
        r"x_t = f''(a)",
        r"x_t = f'(a, b)",
        r"x_t = f'_s(a, b)",
        r"x_t = a^\top",  # a number is not transposed
        r"x_t = \Sigma",  # which of them?
        r"x_t = \lvert a",
        r"x_t = \det \Sigma_1",
        r"x_t = \prod_{x_t} q(x_t)",  # a product over values
        r"x_t = \sum_{x_t=1}^{3} q(x_t)",  # an index that does not count
        r"x_t = \begin{pmatrix} a & b \\ 0 \end{pmatrix}",
        r"x_t = \begin{pmatrix} a & b",
        r"x_t = \frac{\partial x_t}{t}",
        "",
    ],
)
def test_reader_refuses_what_it_does_not_understand(latex: str) -> None:
    with pytest.raises(UnreadableError):
        read(latex)


def test_reader_says_where_it_stopped() -> None:
    with pytest.raises(UnreadableError, match=r"unknown name 'w' at 'w \+ 1', after 'x _ t ='"):
        read("x_t = w + 1")


# The means of proof


def test_require_equal_gives_a_counterexample() -> None:
    with pytest.raises(Refuted, match=r"differ by -?[\d.]+ at .*x_\{t-1\} = "):
        require_equal(X[T - 1] ** 2, X[T - 1])


def test_require_equal_needs_a_symbolic_zero() -> None:
    tiny = sp.Rational(1, 10**60)  # equal to all digits that the numbers show, and still not equal
    with pytest.raises(Refuted, match="could not be shown equal"):
        require_equal(X[0] + tiny, X[0])


def test_integral_of_a_gaussian_against_sympy() -> None:
    y, a, b = sp.symbols("y a b", positive=True)
    line = sp.Symbol("y", real=True)
    for polynomial in (1, line, line**2 - a * line, line**4):
        integrand = polynomial * sp.exp(-((line - b) ** 2) / (2 * a))
        assert vanishes(integrate_gaussian(integrand, line) - sp.integrate(integrand, (line, -sp.oo, sp.oo)))


def test_law_of_an_affine_combination() -> None:
    eps = family(r"\epsilon")
    assert law_of(3 * X[0] + 2 * eps[1] - 5 * eps[2], [eps[1], eps[2]]) == (3 * X[0], 29)
    with pytest.raises(Refuted):
        law_of(eps[1] * eps[2], [eps[1], eps[2]])


def test_at_moves_every_index() -> None:
    alpha = family(r"\alpha")
    assert at(alpha[T] * alpha[T - 1], t=sp.Integer(4)) == alpha[4] * alpha[3]
