"""The claims of chapter 20, formulas in circulation, and the slips that the chapter takes up.

A slip is a formula as somebody printed it. It is judged by the proof of the right formula, which may be a claim of this
chapter or of an earlier one: `diffcourse.algebra.reject` shows where the proof, or already the reader, stops.
"""

import re
from dataclasses import dataclass
from typing import Literal

import sympy as sp
from sympy import Expr, sqrt

from diffcourse.algebra.claim import Claim, ClaimError, NearMiss, Refuted, Statement, wrapped
from diffcourse.algebra.forward_process import PROCESS, E, alpha, bar, eps, noises, q, step, t, walk, x
from diffcourse.algebra.latex import Int, Over, Slope, Span, UnreadableError, read
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.algebra.proving import as_products, at, gaussian_density, integrate_gaussian, law_of, only, require, require_equal, split_last

T, noise = symbol("T"), symbol(r"\epsilon")
h, loss = family("h"), family("L")
f, p, mu_tilde = function("f"), function("p"), function(r"\tilde\mu")


def log_density_of_noises(length: int) -> Expr:
    """log q(x_1 .. x_length | x_0): a change of variables from the independent noises, whose Jacobian is triangular."""
    total = sp.Integer(0)
    for n in range(1, length + 1):
        noise_n = (x[n] - sqrt(alpha[n]) * x[n - 1]) / sqrt(1 - alpha[n])
        total += sp.log(gaussian_density(noise_n, 0, 1) / sqrt(1 - alpha[n]))
    return total


# The chain


def joint(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs.func == q and relation.lhs.args[0] == Span(x, 0, T), "not a density of x_0 .. x_T")
    data = sp.Symbol("q(x_0)", positive=True)

    def kernel(after: Expr, given: sp.Tuple | None = None) -> Expr:
        n = after.indices[0]
        if given is None:
            require(n == 0, f"q({after}) is no step of the chain")
            return data
        require(n > 0 and given == sp.Tuple(x[n - 1]), f"q({after} | {given}) is no step of the chain")
        return gaussian_density(after, sqrt(alpha[n]) * x[n - 1], 1 - alpha[n])

    for length in (1, 2, 3):
        product = at(relation.rhs, T=length)
        require(not product.has(sp.Product), "the product has no number of factors")
        rest = sp.log(product.replace(q, kernel)) - log_density_of_noises(length)
        if len(relation.lhs.args) > 1:  # x_0 is given: then the integral over x_1 .. x_T, in which the chain's part is 1, must be 1
            require_equal(sp.exp(sp.expand_log(rest, force=True)), 1, "the integral over all that is not given and 1")
        require_equal(rest, sp.log(data), f"the logarithm for T = {length}, less that of the steps, and log q(x_0)")
    require(len(relation.lhs.args) == 1, "x_0 stands on both sides of the bar")


def backwards(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == q(Span(x, 1, T), sp.Tuple(x[0])), "not the law of x_1 .. x_T given x_0")

    # With roots for letters, everything is rational.
    roots = {n: sp.Symbol(f"r_{n}", positive=True) for n in range(1, 4)}
    letters = {alpha[n]: root**2 for n, root in roots.items()}

    def simple(law: tuple[Expr, Expr]) -> tuple[Expr, Expr]:
        mean, variance = (sp.cancel(part.subs(letters)) for part in law)
        return mean, sp.factor(variance)

    def density(of: Expr, given: sp.Tuple) -> Expr:
        """q(x_n | x_0), or q(x_n | x_{n+1}, x_0) by conditioning one Gaussian on another."""
        n = int(of.indices[0])
        require(n > 0, f"a factor for {of}, which is given")
        mean, spread = simple(law_of(walk(0, n), noises(n)))
        if given == sp.Tuple(x[0]):
            return gaussian_density(of, mean, spread)
        require(given == sp.Tuple(x[n + 1], x[0]), f"q({of} | {given}) is no step back")
        ahead, variance = simple(law_of(walk(0, n + 1), noises(n + 1)))
        covariance = roots[n + 1] * spread  # x_{n+1} is sqrt(alpha) x_n and noise that x_n knows nothing of
        return gaussian_density(of, *simple((mean + covariance / variance * (x[n + 1] - ahead), spread - covariance**2 / variance)))

    for length in (1, 2, 3):
        product = at(relation.rhs, T=length)
        require(not product.has(sp.Product), "the product has no number of factors")
        logs = sp.expand_log(sp.log(product.replace(q, density)), force=True)
        # A polynomial of second degree in x_0 .. x_T, which its value and its derivatives at one point determine.
        difference = logs - log_density_of_noises(length).subs(letters)
        places = [x[n] for n in range(length + 1)]
        origin = {place: sp.Integer(0) for place in places}
        require_equal(sp.cancel(sp.exp(2 * difference.subs(origin))), 1, f"right over left, squared, at 0 for T = {length}, and 1")
        for i, a in enumerate(places):
            for b in [None, *places[i:]]:
                slope = sp.diff(difference, a).subs(origin) if b is None else sp.diff(difference, a, b)
                require_equal(sp.cancel(slope), 0, f"the logarithm of right over left for T = {length} along {a} and {b or 'no other'}, and 0")


CHAIN = (
    Claim(
        "eq-erratum-joint",
        r"q(x_{0:T}) = q(x_0) \prod_{t=1}^{T} q(x_t \mid x_{t-1})",
        "the data's density times that of the noises, for T = 1, 2, 3",
        joint,
        (
            NearMiss(r"q(x_{0:T} \mid x_0) = q(x_0) \prod_{t=1}^{T} q(x_t \mid x_{t-1})", "x_0 given, and its density all the same"),
            NearMiss(r"q(x_{0:T}) = \prod_{t=1}^{T} q(x_t \mid x_{t-1})", "x_0 random, and no density for it"),
            NearMiss(r"q(x_{0:T}) = q(x_0) \prod_{t=0}^{T} q(x_t \mid x_{t-1})", "a factor for t = 0, which follows nothing"),
        ),
        f"{PROCESS}.q_step_moments",
    ),
    Claim(
        "eq-erratum-backwards",
        r"q(x_{1:T} \mid x_0) = q(x_T \mid x_0) \prod_{t=2}^{T} q(x_{t-1} \mid x_t, x_0)",
        "the same density as that of the steps forward, for T = 1, 2, 3",
        backwards,
        (
            NearMiss(r"q(x_{1:T} \mid x_0) = q(x_T \mid x_0) \prod_{t=0}^{T} q(x_{t-1} \mid x_t, x_0)", "factors for t = 0 and t = 1"),
            NearMiss(r"q(x_{1:T} \mid x_0) = q(x_T \mid x_0) \prod_{t=1}^{T} q(x_{t-1} \mid x_t, x_0)", "a factor for x_0, which is given"),
            NearMiss(r"q(x_{1:T} \mid x_0) = \prod_{t=2}^{T} q(x_{t-1} \mid x_t, x_0)", "nothing for x_T"),
        ),
        f"{PROCESS}.q_posterior",
    ),
)


# What is given is not integrated over


def given(statement: Statement) -> None:
    require(len(statement) == 2, "two integrals, please")
    density = gaussian_density(x[t], sqrt(bar[t]) * x[0], 1 - bar[t])
    y = sp.Symbol("y", real=True)
    for relation, variable in zip(statement, (x[t], x[0])):
        require(relation.ops == ("=",) and relation.lhs == Int(q(x[t], sp.Tuple(x[0])), variable), f"not the integral over {variable}")
        require_equal(integrate_gaussian(density.subs(variable, y), y), relation.rhs, f"the integral over {variable} and the right side")


GIVEN = (
    Claim(
        "eq-erratum-given",
        r"\int q(x_t \mid x_0)\, \mathrm{d}x_t = 1, \qquad \int q(x_t \mid x_0)\, \mathrm{d}x_0 = \frac{1}{\sqrt{\bar\alpha_t}}",
        "both integrated by completing the square",
        given,
        (
            NearMiss(
                r"\int q(x_t \mid x_0)\, \mathrm{d}x_t = 1, \qquad \int q(x_t \mid x_0)\, \mathrm{d}x_0 = 1",
                "the condition integrated over as if it were a variable",
            ),
            NearMiss(
                r"\int q(x_t \mid x_0)\, \mathrm{d}x_t = 1, \qquad \int q(x_t \mid x_0)\, \mathrm{d}x_0 = \frac{1}{\bar\alpha_t}",
                "the root lost",
            ),
            NearMiss(
                r"\int q(x_t \mid x_0)\, \mathrm{d}x_t = 1, \qquad \int q(x_t \mid x_0)\, \mathrm{d}x_0 = \sqrt{\bar\alpha_t}",
                "upside down",
            ),
        ),
    ),
)


# One step of the sampler


def forget_nothing(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == mu_tilde(t, x[t], x[0]) and relation.ops == ("=",), "the left side is not the mean of the step back")
    # One Gaussian conditioned on another, given x_0, at x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps.
    spread, variance = 1 - bar[t - 1], 1 - alpha[t] * bar[t - 1]
    mean = sqrt(bar[t - 1]) * x[0] + sqrt(alpha[t]) * spread / variance * sqrt(variance) * noise
    require_equal(split_last(relation.rhs, t), mean, "the formula and the mean of x_{t-1} given x_t and x_0")


def unit_data(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == E(x[t - 1], sp.Tuple(x[t])) and set(relation.ops) == {"="}, "the left side is not E[x_{t-1} | x_t]")
    # Data N(0, I) stay N(0, I). The best guess is x_t times covariance over variance.
    unit = sp.Symbol("unit", real=True)  # x_{t-1} in units of its standard deviation, which is 1
    forward = step(unit, t)
    covariance, (_, variance) = forward.coeff(unit), law_of(forward, [unit, eps[t]])
    for term in relation.terms[1:]:
        require_equal(term, covariance / variance * x[t], "this and the best guess of x_{t-1}")
    require(len(relation.terms) == 3, "the step and what it comes to, please")


SAMPLER = (
    Claim(
        "eq-erratum-share",
        r"\tilde\mu_t(x_t, x_0) = \frac{1}{\sqrt{\alpha_t}} \Big(\sqrt{\bar\alpha_t}\, x_0"
        r" + \Big(1 - \frac{1-\alpha_t}{1-\bar\alpha_t}\Big) \sqrt{1-\bar\alpha_t}\, \epsilon\Big)",
        "the mean of x_{t-1} given x_t and x_0, at the x_t that ε leads to",
        forget_nothing,
        (
            NearMiss(
                r"\tilde\mu_t(x_t, x_0) = \frac{1}{\sqrt{\alpha_t}} \Big(\sqrt{\bar\alpha_t}\, x_0"
                r" + \Big(1 - 1\Big) \sqrt{1-\bar\alpha_t}\, \epsilon\Big)",
                "all of the noise removed",
            ),
            NearMiss(
                r"\tilde\mu_t(x_t, x_0) = \frac{1}{\sqrt{\alpha_t}} \Big(\sqrt{\bar\alpha_t}\, x_0"
                r" + \Big(1 - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}\Big) \sqrt{1-\bar\alpha_t}\, \epsilon\Big)",
                "the factor of ε taken for the share of the noise that is there",
            ),
            NearMiss(
                r"\tilde\mu_t(x_t, x_0) = \sqrt{\bar\alpha_t}\, x_0 + \Big(1 - \frac{1-\alpha_t}{1-\bar\alpha_t}\Big) \sqrt{1-\bar\alpha_t}\, \epsilon",
                "not rescaled",
            ),
        ),
        f"{PROCESS}.q_posterior",
    ),
    Claim(
        "eq-erratum-unit",
        r"\mathbb{E}[x_{t-1} \mid x_t] = \frac{1}{\sqrt{\alpha_t}}"
        r" \Big(x_t - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}\, \sqrt{1-\bar\alpha_t}\, x_t\Big) = \sqrt{\alpha_t}\, x_t",
        "the covariance of x_{t-1} and x_t over the variance, for data N(0, I)",
        unit_data,
        (
            NearMiss(
                r"\mathbb{E}[x_{t-1} \mid x_t] = \frac{1}{\sqrt{\alpha_t}}"
                r" \Big(x_t - \frac{1-\alpha_t}{\sqrt{1-\alpha_t}}\, \sqrt{1-\bar\alpha_t}\, x_t\Big) = \sqrt{\alpha_t}\, x_t",
                "the bar forgotten below",
            ),
            NearMiss(
                r"\mathbb{E}[x_{t-1} \mid x_t] = \frac{1}{\sqrt{\alpha_t}} \Big(x_t - \sqrt{1-\bar\alpha_t}\, x_t\Big) = \sqrt{\alpha_t}\, x_t",
                "all of the predicted noise removed",
            ),
            NearMiss(
                r"\mathbb{E}[x_{t-1} \mid x_t] = \frac{1}{\sqrt{\alpha_t}}"
                r" \Big(x_t - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}\, \sqrt{1-\bar\alpha_t}\, x_t\Big) = \frac{1}{\sqrt{\alpha_t}}\, x_t",
                "undoing the shrinking and nothing else",
            ),
        ),
        f"{PROCESS}.q_posterior",
    ),
)


# Averages


def average(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs.has(E), "not an expectation")
    for length in (3, 1, 2, 5):

        def drawn(what: Expr, over: Expr) -> Expr:
            """The expectation when each of the steps 1 .. T is drawn with the same probability."""
            require(over == Over(t), f"an average over {over}, not over t")
            return sum(sp.Rational(1, length) * what.subs(t, n) for n in range(1, length + 1))

        # The average comes first: what it returns no longer knows t, and a sum over t around it only counts.
        left, right = (at(term.replace(E, drawn), T=length) for term in relation.terms)
        require_equal(left, right, f"the two sides for T = {length}")


AVERAGES = (
    Claim(
        "eq-erratum-average",
        r"\mathbb{E}_{t}[L_t] = \frac{1}{T} \sum_{t=1}^{T} L_t",
        "every step drawn with the same probability, for T = 1, 2, 3, 5",
        average,
        (
            NearMiss(r"\sum_{t=2}^{T} \mathbb{E}_{t}[L_t] = \frac{1}{T} \sum_{t=1}^{T} L_t", "summed and averaged at once"),
            NearMiss(r"\mathbb{E}_{t}[L_t] = \sum_{t=1}^{T} L_t", "a sum for a mean"),
            NearMiss(r"\mathbb{E}_{t}[L_t] = \frac{1}{T} \sum_{t=0}^{T} L_t", "counted from 0"),
            NearMiss(r"\mathbb{E}_{t}[L_t] = \frac{1}{T} \sum_{t=2}^{T} L_t", "without the first step"),
        ),
        "diffcourse.diffusion.loss.draw_steps",
    ),
)


# Flows


def cubic(n: int, y: Expr) -> Expr:
    """An invertible layer whose slope depends on where it is taken; every second one is falling."""
    return (-1) ** n * (n * y - 2 * y + 3 * y + y**3)


def flow(statement: Statement) -> None:
    require(len(statement) == 2, "the density and the layers, please")
    relation, layer = statement
    j, n = symbol("j"), symbol("n")
    require((layer.lhs, layer.ops, layer.rhs) == (h[j], ("=",), f(j, h[j - 1])), "the second relation is not that of a layer")
    require(relation.lhs == sp.log(p(h[0])) and relation.ops == ("=",), "the left side is not log p of the data")
    start, y = sp.Symbol("h_0", real=True), sp.Dummy("y", real=True)

    def slope(called: Expr) -> Expr:
        number, place = called.args
        return sp.diff(cubic(number, y), y).subs(y, place)

    for length in (1, 2):
        inputs = {h[0]: start}
        for m in range(1, length + 1):
            inputs[h[m]] = cubic(m, inputs[h[m - 1]])
        end = inputs[h[length]]
        # The change of variables for the whole flow, whose slope is that of the composition.
        truth = gaussian_density(end, 0, 1) * sp.Abs(sp.expand(sp.diff(end, start)))
        formula = at(relation.rhs, n=length).replace(Slope, slope).replace(f, cubic)
        formula = formula.replace(p, lambda z: gaussian_density(z, 0, 1)).subs(inputs)
        ratio = sp.exp(sp.expand_log(formula, force=True)) / truth
        require_equal(sp.simplify(sp.powsimp(ratio)), 1, f"the density over that of the whole flow, for {length} layers, and 1")


FLOWS = (
    Claim(
        "eq-erratum-flow",
        r"\log p(h_0) = \log p(h_n) + \sum_{j=1}^{n} \log \lvert f'_j(h_{j-1}) \rvert, \qquad h_j = f_j(h_{j-1})",
        "the change of variables of the whole flow at once, for 1 and 2 cubic layers",
        flow,
        (
            NearMiss(
                r"\log p(h_0) = \log p(h_n) + \sum_{j=1}^{n} \log \lvert f'_j(h_0) \rvert, \qquad h_j = f_j(h_{j-1})",
                "every layer's slope taken at the data",
            ),
            NearMiss(
                r"\log p(h_0) = \log p(h_n) + \sum_{j=1}^{n} \log \lvert f'_j(h_j) \rvert, \qquad h_j = f_j(h_{j-1})",
                "every layer's slope taken at its output",
            ),
            NearMiss(
                r"\log p(h_0) = \log p(h_n) - \sum_{j=1}^{n} \log \lvert f'_j(h_{j-1}) \rvert, \qquad h_j = f_j(h_{j-1})",
                "the slopes of the inverse",
            ),
            NearMiss(
                r"\log p(h_0) = \log p(h_n) + \sum_{j=1}^{n} \log f'_j(h_{j-1}), \qquad h_j = f_j(h_{j-1})",
                "no absolute value",
            ),
        ),
    ),
)

CLAIMS: tuple[Claim, ...] = CHAIN + SAMPLER + AVERAGES + GIVEN + FLOWS


# Slips

BLOG, NOTES, ARTICLE, SLIDES = "a blog post", "lecture notes", "an article", "lecture slides"


@dataclass(frozen=True)
class Slip:
    """A formula as printed somewhere, in this book's letters.

    Args:
        label: the claim that says it right, and whose proof judges it.
        source: what kind of text printed it.
        latex: as printed. Either the reader refuses it, or it is a near miss of the claim.
        mistake: in a few words.
    """

    label: str
    source: str
    latex: str
    mistake: str

    def verdict(self, claim: Claim) -> str:
        """Who stopped at the formula, and where.

        Raises:
            ClaimError: if nobody did.
        """
        try:
            statement = read(self.latex)
        except UnreadableError as error:
            return f"the reader stops: {letters(str(error).partition(' at ')[0])}"
        try:
            claim.proof(statement)
        except Refuted as refuted:
            return f"the proof stops: {letters(str(refuted))}"
        raise ClaimError(f"{self.label}: the slip {self.latex!r} passes the proof")

    def report(self, claim: Claim) -> str:
        """The printed formula, its mistake and the verdict."""
        return "\n".join([wrapped(f"✗ {self.source}: {plain(self.latex)}"), f"  {self.mistake}", wrapped(f"  {self.verdict(claim)}")])


SLIPS: tuple[Slip, ...] = (
    Slip(
        "eq-forward-chain",
        BLOG,
        r"q(x_{1:T} = \prod_{t=1}^{T} q(x_t \mid x_{t_1}))",
        "x_0 is not given, a bracket closes too late, and t_1 stands for t-1",
    ),
    Slip(
        "eq-forward-chain",
        BLOG + ", bracket and index mended",
        r"q(x_{1:T}) = \prod_{t=1}^{T} q(x_t \mid x_{t-1})",
        "the right side begins at a given x_0, the left side does not",
    ),
    Slip(
        "eq-erratum-joint",
        NOTES,
        r"q(x_{0:T} \mid x_0) = q(x_0) \prod_{t=1}^{T} q(x_t \mid x_{t-1})",
        "x_0 is given, and its density is there all the same",
    ),
    Slip(
        "eq-closed-form",
        NOTES,
        r"q(x_t \mid x_0) = \mathcal{N}\big(x_t; \sqrt{\bar\alpha}_t\, x_0, (1-\bar\alpha_t) I\big)",
        "the index t has slipped out of the root",
    ),
    Slip("eq-linear", NOTES + ", in words", r"\beta_t = \beta_0 + \frac{t}{T}\, (\beta_T - \beta_0)", "a variance for step 0, which nobody takes"),
    Slip("eq-ddpm-step", ARTICLE + ", in words", r"x_{t-1} = x_t - \epsilon_\theta(x_t, t)", "the identified noise removed, as it is, in one step"),
    Slip(
        "eq-ddpm-step",
        SLIDES,
        r"x_{t-1} = \frac{1}{\sqrt{\alpha_t}} \Big(x_t - \frac{1-\alpha_t}{\sqrt{1-\alpha_t}}\, \epsilon_\theta(x_t, t)\Big) + \sigma_t z",
        "the bar forgotten under the root",
    ),
    Slip(
        "eq-erratum-flow",
        SLIDES,
        r"\log p(h_0) = \log p(h_n) + \sum_{j=1}^{n} \log \lvert f'_j(h_0) \rvert, \qquad h_j = f_j(h_{j-1})",
        "every layer's slope taken at the data, not at the layer's own input",
    ),
    Slip(
        "eq-erratum-given",
        SLIDES + ", the integral alone",
        r"\int q(x_t \mid x_0)\, \mathrm{d}x_t = 1, \qquad \int q(x_t \mid x_0)\, \mathrm{d}x_0 = 1",
        "x_0 is given, and integrated over all the same",
    ),
    Slip(
        "eq-marginalise",
        SLIDES + ", in a line on the way",
        r"\begin{aligned}"
        r" &\mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{t-1} \mid x_t, x_0)}{p_\theta(x_{t-1} \mid x_t)}\Big] \\"
        r" &= \int \mathbb{E}_{q(x_t \mid x_0)}\Big[D_{\mathrm{KL}}\big(q(x_{t-1} \mid x_t, x_0) \,\big\|\, p_\theta(x_{t-1} \mid x_t)\big)\Big]\, \mathrm{d}x_0"
        r" \end{aligned}",
        "x_0 is given on the left, and integrated over on the right",
    ),
    Slip(
        "eq-bound-terms",
        SLIDES + ", put into the bound",
        r"\begin{aligned}"
        r" &\mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_{1:T} \mid x_0)}{p_\theta(x_{0:T})}\Big] \\"
        r" &= \mathbb{E}_{q(x_{1:T} \mid x_0)}\Big[\log \frac{q(x_T \mid x_0)}{p(x_T)} \\"
        r" &\quad + \sum_{t=0}^{T} \log \frac{q(x_{t-1} \mid x_t, x_0)}{p_\theta(x_{t-1} \mid x_t)} - \log p_\theta(x_0 \mid x_1)\Big]"
        r" \end{aligned}",
        "the sum from t = 0, where it begins at t = 2",
    ),
    Slip(
        "eq-erratum-backwards",
        SLIDES + ", the index alone",
        r"q(x_{1:T} \mid x_0) = q(x_T \mid x_0) \prod_{t=0}^{T} q(x_{t-1} \mid x_t, x_0)",
        "counted from t = 0, where the first step back is t = 2",
    ),
    Slip(
        "eq-l-simple",
        SLIDES,
        r"L_{\mathrm{simple}}(\theta) = \sum_{t=2}^{T} \mathbb{E}_{t, x_0, \epsilon}\Big[\big\lVert \epsilon -"
        r" \epsilon_\theta\big(\sqrt{\bar\alpha_t}\, x_0 + \sqrt{1-\bar\alpha_t}\, \epsilon, t\big) \big\rVert^2\Big]",
        "a sum over t around an average over t",
    ),
    Slip(
        "eq-erratum-average",
        SLIDES + ", the two averages alone",
        r"\sum_{t=2}^{T} \mathbb{E}_{t}[L_t] = \frac{1}{T} \sum_{t=1}^{T} L_t",
        "a sum over t around an average over t",
    ),
    Slip(
        "eq-sample",
        SLIDES,
        r"x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1-\bar\alpha_t}\, \epsilon, \qquad \epsilon \approx \mathcal{N}(0, I)",
        "a number is not near a law: it is drawn from it",
    ),
    Slip(
        "eq-sample",
        "a bug often seen in code",
        r"x_t = \sqrt{\alpha_t}\, x_0 + \sqrt{1-\alpha_t}\, \epsilon, \qquad \epsilon \sim \mathcal{N}(0, I)",
        "the noise of one step for that of all",
    ),
)
"""In the order of the chapter."""


def rejection(claim: Claim) -> str:
    """All slips of a claim with their verdicts, and the claim, proved, for comparison.

    Raises:
        ClaimError: if the claim is not proved, or a slip passes.
    """
    slips = [slip for slip in SLIPS if slip.label == claim.label]
    if not slips:
        raise ClaimError(f"{claim.label}: no slip is known")
    try:
        claim.proof(claim.statement())
    except Refuted as refuted:
        raise ClaimError(f"{claim.label}: not proved: {refuted}") from refuted
    return "\n".join([*(slip.report(claim) for slip in slips), wrapped(f"✓ proved: {plain(claim.latex)}")])


# Formulas as plain text


_LETTERS = {
    r"\bar\alpha": "ᾱ", r"\bar\epsilon": "ε̄", r"\tilde\mu": "μ̃", r"\tilde\beta": "β̃", r"\alpha": "α", r"\beta": "β", r"\epsilon": "ε",
    r"\hat x": "x̂", r"\tanh": "tanh", r"\exp": "exp", r"\operatorname{SNR}": "SNR", r"\operatorname{Var}": "Var", r"\sigma": "σ", r"\theta": "θ", r"\mu": "μ", r"\mathcal{N}": "N", r"\mathbb{E}": "E", r"\mathrm{d}": "d", r"D_{\mathrm{KL}}": "KL",
    r"L_{\mathrm{simple}}": "L_simple", r"\prod": "∏", r"\sum": "∑", r"\int": "∫", r"\sim": "~", r"\approx": "≈", r"\mid": "|", r"\cdot": "·",
    r"\|": "‖", r"\log": "log", r"\quad": " ", r"\qquad": " ", r"\,": " ", r"\begin{aligned}": "",
    r"\end{aligned}": "", r"\\": " ",
}  # fmt: skip
_GROUP = r"\{((?:[^{}]|(?<=[_^])\{[^{}]*\})*)\}"


def plain(latex: str) -> str:
    """A formula in letters that a terminal can show: `\\sqrt{\\bar\\alpha_t}` becomes √ᾱ_t.

    Raises:
        UnreadableError: if a command is left over.
    """
    text = re.sub(r"\\(?:[bB]igg?[lr]?|left|right)(?![a-zA-Z])", "", latex)
    text = re.sub(r"\\l(vert|Vert)\s*|\s*\\r(vert|Vert)", lambda m: "|" if "vert" in m.groups() else "‖", text)
    for command, letter in sorted(_LETTERS.items(), key=lambda item: -len(item[0])):
        text = re.sub(re.escape(command) + ("(?![a-zA-Z])" if command[-1].isalpha() else ""), letter, text)

    def bracket(inside: str) -> str:
        inside = inside.strip()
        return inside if re.fullmatch(r"√?\w̃?̄?(_\w|_\{[^{}]*\})?|√\([^()]*\)|\w(_\w)?\([^()]*\)", inside) else f"({inside})"

    before = ""
    while before != text:  # from the inside out
        before = text
        text = re.sub(rf"\\sqrt{_GROUP}(?=_)", lambda m: f"(√{bracket(m[1])})", text)  # an index outside the root
        text = re.sub(rf"\\sqrt{_GROUP}", lambda m: "√" + bracket(m[1]), text)
        text = re.sub(rf"\\t?frac{_GROUP}{_GROUP}", lambda m: f"{bracket(m[1])}/{bracket(m[2])}", text)
    if "\\" in text:
        raise UnreadableError(f"no plain letters for {text!r}")
    text = re.sub(r"_\{(\w)\}", r"_\1", text.replace("&", ""))
    return re.sub(r"\( | (?=[,;)])", lambda m: m[0].strip(), " ".join(text.split()))


def letters(message: str) -> str:
    """A message of the reader or of a proof with Greek letters in place of their names."""
    message = message.replace(r"\\", "\\").replace(r"\bar\alpha", "ᾱ")  # the reader's own words, in which a repr doubles backslashes
    for name, letter in (("alphabar", "ᾱ"), ("alpha", "α"), ("betatilde", "β̃"), ("beta", "β"), ("epsilon", "ε"), ("sigma", "σ")):
        message = re.sub(rf"(?<![a-zA-Z]){name}(?![a-zA-Z])", letter, message)
    message = message.replace("~~", "≈")
    message = re.sub(r"(?<![a-zA-Z])([xhL])\[([^\]]+)\]", r"\1_{\2}", message)  # SymPy's x[t - 1]
    return re.sub(r"_\{(\w)\}", r"_\1", message)


IN_TEXT: dict[str, Literal["true", "setting"]] = {
    r"1-\alpha_t": "setting",
    r"1-\bar\alpha_t": "setting",
    r"\sim": "setting",
    r"\sqrt{1-\bar\alpha_t}": "setting",
    r"\sqrt{1-\bar\alpha_t}\, x_t": "setting",
    r"\sqrt{\alpha_t}": "setting",
    r"\sqrt{\bar\alpha_t}": "setting",
    r"\sqrt{\bar\alpha_t}\, x_t": "setting",
    r"s = 1": "setting",
    r"t = T": "setting",
    r"w = 1": "setting",
    r"x_0 \sim \mathcal{N}(0, I)": "setting",
}
"""See `forward_process.IN_TEXT`."""
