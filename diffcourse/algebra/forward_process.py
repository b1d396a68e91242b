"""The claims of chapter 7, the forward process, in the order of the chapter.

The proofs know the chain only through `step` and `walk`, which are written here once, in Python, and not read from LaTeX.
Everything else must follow from them.
"""

from typing import Literal

import sympy as sp
from sympy import Expr, sqrt

from diffcourse.algebra.claim import Claim, NearMiss, Statement
from diffcourse.algebra.latex import Lim, Relation, Span
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.algebra.proving import (
    as_products,
    at,
    conditional,
    gaussian_density,
    in_betas,
    integrate_gaussian,
    law_of,
    normal,
    only,
    require,
    require_equal,
    require_positive,
    split_last,
    standard_noise,
)

x, beta, alpha, bar = family("x"), family(r"\beta"), family(r"\alpha"), family(r"\bar\alpha")
eps, eps_bar = family(r"\epsilon"), family(r"\bar\epsilon")
t, s, T = symbol("t"), symbol("s"), symbol("T")
q, N, E, Var, SNR = (function(name) for name in ("q", r"\mathcal{N}", r"\mathbb{E}", r"\operatorname{Var}", r"\operatorname{SNR}"))
f, g, rate = function("f"), function("g"), function(r"\rho")
PROCESS, SCHEDULE, EXACT = (f"diffcourse.diffusion.{module}" for module in ("process", "schedule", "exact"))


def step(before: Expr, n: Expr) -> Expr:
    """x_n from x_{n-1}: the definition of the chain."""
    return sqrt(alpha[n]) * before + sqrt(1 - alpha[n]) * eps[n]


def walk(start: int, end: int) -> Expr:
    """x_end from x_start, one step at a time."""
    here = x[start]
    for n in range(start + 1, end + 1):
        here = step(here, sp.Integer(n))
    return here


def noises(end: int) -> list[Expr]:
    """epsilon_1 .. epsilon_end."""
    return [eps[n] for n in range(1, end + 1)]


# The toy: one number, the same beta in every step


def toy_step(statement: Statement) -> None:
    relation = only(statement)
    b = symbol(r"\beta")
    require(relation.lhs == x[t] and relation.ops == ("=",), "the left side is not x_t")
    mean, variance = law_of(relation.rhs, [eps[t]])
    require_equal(sp.expand(relation.rhs).coeff(eps[t]), sqrt(b), "the noise's factor and the root of beta")
    require_equal(mean.coeff(x[t - 1]) * x[t - 1], mean, "the mean and a multiple of x_{t-1}")
    require_equal(mean.coeff(x[t - 1]) ** 2 + variance, 1, "the variance after the step and 1")
    require_positive(mean.coeff(x[t - 1]), "the pull")


def toy_moments(statement: Statement) -> None:
    b = symbol(r"\beta")
    require(len(statement) == 2, "mean and variance, please")
    require(statement[0].lhs == E(x[t], sp.Tuple(x[0])), "the first is not the mean of x_t given x_0")
    require(statement[1].lhs == Var(x[t], sp.Tuple(x[0])), "the second is not the variance of x_t given x_0")
    kept = sp.Symbol("kept", positive=True)  # 1 - beta; SymPy collects powers of a symbol, not of a difference
    mean, variance = (relation.rhs.subs(b, 1 - kept) for relation in statement)
    require_equal(mean.subs(t, 0), x[0], "the mean before the first step and x_0")
    require_equal(variance.subs(t, 0), 0, "the variance before the first step and 0")
    require_equal(mean, sqrt(kept) * mean.subs(t, t - 1), "the mean and its recursion")
    require_equal(variance, kept * variance.subs(t, t - 1) + 1 - kept, "the variance and its recursion")


TOY = (
    Claim(
        "eq-toy-step",
        r"x_t = \sqrt{1-\beta}\, x_{t-1} + \sqrt{\beta}\, \epsilon_t",
        "adds variance β and keeps a variance of one",
        toy_step,
        (
            NearMiss(r"x_t = (1-\beta)\, x_{t-1} + \sqrt{\beta}\, \epsilon_t", "1-β without its root: the variance shrinks"),
            NearMiss(r"x_t = x_{t-1} + \sqrt{\beta}\, \epsilon_t", "no shrinking: the variance grows without end"),
            NearMiss(r"x_t = \sqrt{1-\beta}\, x_{t-1} + \beta\, \epsilon_t", "β in place of √β"),
        ),
        f"{PROCESS}.q_step",
    ),
    Claim(
        "eq-toy-moments",
        r"\mathbb{E}[x_t \mid x_0] = (1-\beta)^{t/2}\, x_0, \qquad \operatorname{Var}[x_t \mid x_0] = 1 - (1-\beta)^t",
        "true at t = 0, and each step keeps it true",
        toy_moments,
        (
            NearMiss(
                r"\mathbb{E}[x_t \mid x_0] = (1-\beta)^{t}\, x_0, \qquad \operatorname{Var}[x_t \mid x_0] = 1 - (1-\beta)^t",
                "the exponent t in place of t/2",
            ),
            NearMiss(
                r"\mathbb{E}[x_t \mid x_0] = (1-\beta)^{t/2}\, x_0, \qquad \operatorname{Var}[x_t \mid x_0] = t \beta",
                "adding up the variances t β, as if nothing shrank",
            ),
            NearMiss(
                r"\mathbb{E}[x_t \mid x_0] = (1-\beta)^{t/2}\, x_0, \qquad \operatorname{Var}[x_t \mid x_0] = 1 - (1-\beta)^{t-1}",
                "an index off by one",
            ),
        ),
        f"{PROCESS}.q_moments",
    ),
)


# The chain


def forward_kernel(statement: Statement) -> None:
    mean, variance = conditional(only(statement), x[t], x[t - 1])
    require_equal(variance, beta[t], "the added variance and beta_t")
    factor = sp.expand(mean).coeff(x[t - 1])
    require_equal(mean, factor * x[t - 1], "the mean and a multiple of x_{t-1}")
    require_equal(factor**2 + variance, 1, "the variance after the step and 1")
    require_positive(factor, "the factor of x_{t-1}")


def forward_chain(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == q(Span(x, 1, T), sp.Tuple(x[0])), "not the law of x_1 .. x_T given x_0")

    def kernel(after: Expr, given: sp.Tuple) -> Expr:
        """The Gaussian density of one step, if `after` does follow `given`."""
        n = after.indices[0]
        require(n > 0 and given == sp.Tuple(x[n - 1]), f"q({after} | {given}) is no step of the chain")
        return gaussian_density(after, sqrt(alpha[n]) * x[n - 1], 1 - alpha[n])

    for length in (1, 2, 3):
        # Change of variables from the independent noises to x_1 .. x_T; the Jacobian is triangular.
        joint = sp.Integer(1)
        for n in range(1, length + 1):
            noise = (x[n] - sqrt(alpha[n]) * x[n - 1]) / sqrt(1 - alpha[n])
            joint *= gaussian_density(noise, 0, 1) / sqrt(1 - alpha[n])
        product = at(relation.rhs, T=length)
        require(not product.has(sp.Product), "the product has no number of factors")
        bare = [e for e in product.atoms(q) if len(e.args) != 2]
        require(not bare, f"{bare} is no step of the chain")
        product = product.replace(q, kernel)
        require_equal(sp.log(product), sp.log(joint), f"the logarithms for T = {length}")


def alpha_definition(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == alpha[t] and relation.ops == ("=",), "the left side is not alpha_t")
    # step() writes the kernel in alphas: the added variance there is 1 - alpha_t, in betas it is beta_t.
    _, variance = law_of(step(x[t - 1], t), [eps[t]])
    require_equal(variance.subs(alpha[t], relation.rhs), beta[t], "the added variance and beta_t")


def forward_step(statement: Statement) -> None:
    require(len(statement) == 2, "the step and the noise's law, please")
    relation, noise = statement
    require(relation.lhs == x[t] and relation.ops == ("=",), "the left side is not x_t")
    standard_noise(noise, eps[t])
    # x_t has the density of the noise that leads to it, divided by the stretching.
    stretch = sp.expand(relation.rhs).coeff(eps[t])
    mean = relation.rhs.subs(eps[t], 0)
    density = gaussian_density((x[t] - mean) / stretch, 0, 1) / stretch
    kernel = gaussian_density(x[t], sqrt(1 - beta[t]) * x[t - 1], beta[t])
    require_equal(sp.log(in_betas(density)), sp.log(kernel), "the logarithms of the densities")


CHAIN = (
    Claim(
        "eq-forward-kernel",
        r"q(x_t \mid x_{t-1}) = \mathcal{N}\big(x_t; \sqrt{1-\beta_t}\, x_{t-1}, \beta_t I\big)",
        "the one Gaussian step that adds variance β_t and keeps a variance of one",
        forward_kernel,
        (
            NearMiss(r"q(x_t \mid x_{t-1}) = \mathcal{N}\big(x_t; (1-\beta_t)\, x_{t-1}, \beta_t I\big)", "the mean without its root"),
            NearMiss(r"q(x_t \mid x_{t-1}) = \mathcal{N}\big(x_t; \sqrt{1-\beta_t}\, x_{t-1}, \beta_t^2 I\big)", "the variance squared"),
            NearMiss(r"q(x_t \mid x_{t-1}) = \mathcal{N}\big(x_t; \sqrt{1-\beta_t}\, x_t, \beta_t I\big)", "x_t on both sides"),
        ),
        f"{PROCESS}.q_step_moments",
    ),
    Claim(
        "eq-forward-chain",
        r"q(x_{1:T} \mid x_0) = \prod_{t=1}^{T} q(x_t \mid x_{t-1})",
        "the density of independent noises after a change of variables, for T = 1, 2, 3",
        forward_chain,
        (
            NearMiss(r"q(x_{1:T} \mid x_0) = \prod_{t=0}^{T} q(x_t \mid x_{t-1})", "a factor for t = 0, which follows nothing"),
            NearMiss(r"q(x_{1:T} \mid x_0) = q(x_0) \prod_{t=1}^{T} q(x_t \mid x_{t-1})", "a factor q(x_0), although x_0 is given"),
            NearMiss(r"q(x_{1:T} \mid x_0) = \prod_{t=1}^{T} q(x_t \mid x_0)", "every step from x_0"),
            NearMiss(r"q(x_{1:T}) = \prod_{t=1}^{T} q(x_t \mid x_{t-1})", "x_0 given on the right only"),
        ),
        f"{PROCESS}.q_step",
    ),
    Claim(
        "eq-alpha",
        r"\alpha_t = 1 - \beta_t",
        "the share of the variance that a step keeps",
        alpha_definition,
        (
            NearMiss(r"\alpha_t = 1 + \beta_t", "the wrong sign"),
            NearMiss(r"\alpha_t = \sqrt{1 - \beta_t}", "a root too many"),
        ),
        f"{SCHEDULE}.Schedule.alpha",
    ),
    Claim(
        "eq-forward-step",
        r"x_t = \sqrt{\alpha_t}\, x_{t-1} + \sqrt{1-\alpha_t}\, \epsilon_t, \qquad \epsilon_t \sim \mathcal{N}(0, I)",
        "has the density of the kernel, by a change of variables",
        forward_step,
        (
            NearMiss(
                r"x_t = \sqrt{\alpha_t}\, x_{t-1} + (1-\alpha_t)\, \epsilon_t, \qquad \epsilon_t \sim \mathcal{N}(0, I)",
                "the noise without its root",
            ),
            NearMiss(
                r"x_t = \alpha_t\, x_{t-1} + \sqrt{1-\alpha_t}\, \epsilon_t, \qquad \epsilon_t \sim \mathcal{N}(0, I)",
                "the signal without its root",
            ),
            NearMiss(
                r"x_t = \sqrt{1-\alpha_t}\, x_{t-1} + \sqrt{\alpha_t}\, \epsilon_t, \qquad \epsilon_t \sim \mathcal{N}(0, I)",
                "signal and noise exchanged",
            ),
        ),
        f"{PROCESS}.q_step",
    ),
)


# Many steps in one


def two_steps(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == x[t] and relation.ops == ("=",), "the left side is not x_t")
    require_equal(relation.rhs, step(step(x[t - 2], t - 1), t))


def complete_square(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    a, b, y, z = (symbol(name) for name in "abyz")
    # The exponent of the product of the two densities, times -2.
    exponent = sp.expand_log(sp.log(gaussian_density(y, 0, a**2) * gaussian_density(z - y, 0, b**2)), force=True)
    exponent = -2 * (exponent - exponent.subs({y: 0, z: 0}))
    require_equal(relation.lhs, exponent, "the left side and the exponent")
    require_equal(relation.rhs, exponent, "the right side and the exponent")
    require(relation.rhs.func == sp.Add and any(not term.has(y) for term in relation.rhs.args), "the square is not completed")


def merge(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("~",), "not a statement about a law")
    mean, variance = normal(relation.rhs)
    a, b = (relation.lhs.coeff(noise) for noise in noises(2))
    require_equal(relation.lhs, a * eps[1] + b * eps[2], "the left side and a sum of two noises")
    require(a.is_positive and b.is_positive, "both noises must take part")
    z, y = sp.symbols("z y", real=True)
    convolution = integrate_gaussian(gaussian_density(y, 0, a**2) * gaussian_density(z - y, 0, b**2), y)
    require_equal(sp.log(convolution), sp.log(gaussian_density(z, mean, variance)), "the logarithms of the densities")


def merge_variance(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    _, variance = law_of(step(step(x[t - 2], t - 1), t), [eps[t - 1], eps[t]])
    for term in relation.terms:
        require_equal(term, variance, "this and the variance of two steps")


def two_steps_merged(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == x[t] and relation.ops == ("=",), "the left side is not x_t")
    mean, variance = law_of(relation.rhs, [eps_bar[t]])
    require_positive(sp.expand(relation.rhs).coeff(eps_bar[t]), "the merged noise's factor")
    true_mean, true_variance = law_of(step(step(x[t - 2], t - 1), t), [eps[t - 1], eps[t]])
    require_equal(mean, true_mean, "the means")
    require_equal(variance, true_variance, "the variances")


def alpha_bar_definition(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == bar[t] and relation.ops == ("=",), "the left side is not alpha_bar_t")
    for n in (1, 2, 3, 4):
        signal, _ = law_of(walk(0, n), noises(n))
        require_equal(at(relation.rhs, t=n), (signal / x[0]) ** 2, f"the product and the share of the signal after {n} steps")


def induction(statement: Statement) -> None:
    relation = only(statement)
    require(len(relation.terms) == 4 and relation.ops == ("=",) * 3, "three equalities, please")
    left, first, second, third = relation.terms
    require(left == x[t], "the left side is not x_t")
    require_equal(first, step(x[t - 1], t), "the first line and a step of the chain")
    hypothesis = sqrt(bar[t - 1]) * x[0] + sqrt(1 - bar[t - 1]) * eps_bar[t - 1]
    require_equal(second, first.subs(x[t - 1], hypothesis), "the second line and the first with the hypothesis put in")
    require_equal(split_last(third, t), second, "the third line and the second")


def induction_variance(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    hypothesis = sqrt(bar[t - 1]) * x[0] + sqrt(1 - bar[t - 1]) * eps_bar[t - 1]
    _, variance = law_of(step(hypothesis, t), [eps_bar[t - 1], eps[t]])
    for term in relation.terms:
        require_equal(split_last(term, t), variance, "this and the variance after one step more")


def closed_form(statement: Statement) -> None:
    mean, variance = conditional(only(statement), x[t], x[0])
    first_mean, first_variance = law_of(walk(0, 1), noises(1))
    require_equal(as_products(at(mean, t=1)), first_mean, "the means at t = 1")
    require_equal(as_products(at(variance, t=1)), first_variance, "the variances at t = 1")
    require_equal(split_last(mean, t), sqrt(alpha[t]) * at(mean, t=t - 1), "the means, from t - 1 to t")
    require_equal(split_last(variance, t), alpha[t] * at(variance, t=t - 1) + 1 - alpha[t], "the variances, from t - 1 to t")


def sample(statement: Statement) -> None:
    require(len(statement) == 2, "the sample and the noise's law, please")
    relation, noise = statement
    require(relation.lhs == x[t] and relation.ops == ("=",), "the left side is not x_t")
    standard_noise(noise, symbol(r"\epsilon"))
    mean, variance = law_of(relation.rhs, [symbol(r"\epsilon")])
    density = N(x[t], mean, variance * symbol("I"))
    closed_form((Relation((q(x[t], sp.Tuple(x[0])), density), ("=",)),))
    require_positive(sp.expand(relation.rhs).coeff(symbol(r"\epsilon")), "the noise's factor")


def jump(statement: Statement) -> None:
    mean, variance = conditional(only(statement), x[t], x[s])
    after_one_mean, after_one_variance = law_of(step(x[s], s + 1), [eps[s + 1]])
    require_equal(split_last(at(mean, t=s + 1), s + 1), after_one_mean, "the means at t = s + 1")
    require_equal(split_last(at(variance, t=s + 1), s + 1), after_one_variance, "the variances at t = s + 1")
    require_equal(split_last(mean, t), sqrt(alpha[t]) * at(mean, t=t - 1), "the means, from t - 1 to t")
    require_equal(split_last(variance, t), alpha[t] * at(variance, t=t - 1) + 1 - alpha[t], "the variances, from t - 1 to t")


JUMPS = (
    Claim(
        "eq-two-steps",
        r"x_t = \sqrt{\alpha_t \alpha_{t-1}}\, x_{t-2} + \sqrt{\alpha_t (1-\alpha_{t-1})}\, \epsilon_{t-1} + \sqrt{1-\alpha_t}\, \epsilon_t",
        "one step put into the next",
        two_steps,
        (
            NearMiss(
                r"x_t = \sqrt{\alpha_t \alpha_{t-1}}\, x_{t-2} + \sqrt{1-\alpha_{t-1}}\, \epsilon_{t-1} + \sqrt{1-\alpha_t}\, \epsilon_t",
                "the older noise does not shrink",
            ),
            NearMiss(
                r"x_t = \sqrt{\alpha_t \alpha_{t-1}}\, x_{t-2} + \sqrt{\alpha_{t-1} (1-\alpha_t)}\, \epsilon_{t-1} + \sqrt{1-\alpha_t}\, \epsilon_t",
                "the indices of the older noise exchanged",
            ),
        ),
        f"{PROCESS}.q_step",
    ),
    Claim(
        "eq-complete-square",
        r"\frac{y^2}{a^2} + \frac{(z-y)^2}{b^2} ="
        r" \frac{a^2+b^2}{a^2 b^2} \Big(y - \frac{a^2 z}{a^2+b^2}\Big)^2 + \frac{z^2}{a^2+b^2}",
        "multiplied out, both sides are the exponent of the two densities",
        complete_square,
        (
            NearMiss(
                r"\frac{y^2}{a^2} + \frac{(z-y)^2}{b^2} ="
                r" \frac{a^2+b^2}{a^2 b^2} \Big(y - \frac{b^2 z}{a^2+b^2}\Big)^2 + \frac{z^2}{a^2+b^2}",
                "the square around the wrong centre",
            ),
            NearMiss(
                r"\frac{y^2}{a^2} + \frac{(z-y)^2}{b^2} ="
                r" \frac{a^2+b^2}{a^2 b^2} \Big(y - \frac{a^2 z}{a^2+b^2}\Big)^2 + \frac{z^2}{a^2 b^2}",
                "the wrong remainder",
            ),
        ),
        f"{PROCESS}.q_jump",
    ),
    Claim(
        "eq-merge",
        r"a\, \epsilon_1 + b\, \epsilon_2 \sim \mathcal{N}\big(0, (a^2 + b^2) I\big)",
        "the convolution of the two densities, integrated by completing the square",
        merge,
        (
            NearMiss(r"a\, \epsilon_1 + b\, \epsilon_2 \sim \mathcal{N}\big(0, (a + b)^2 I\big)", "adding standard deviations"),
            NearMiss(r"a\, \epsilon_1 + b\, \epsilon_2 \sim \mathcal{N}\big(0, (a + b) I\big)", "adding factors"),
            NearMiss(r"a\, \epsilon_1 + b\, \epsilon_2 \sim \mathcal{N}\big(a + b, (a^2 + b^2) I\big)", "a mean that is not zero"),
        ),
        f"{PROCESS}.q_jump",
    ),
    Claim(
        "eq-merge-variance",
        r"\alpha_t (1-\alpha_{t-1}) + (1-\alpha_t) = 1 - \alpha_t \alpha_{t-1}",
        "both sides are the variance of two steps",
        merge_variance,
        (
            NearMiss(r"\alpha_t (1-\alpha_{t-1}) + (1-\alpha_t) = 1 - \alpha_{t-1}", "a factor lost"),
            NearMiss(r"\alpha_{t-1} (1-\alpha_t) + (1-\alpha_t) = 1 - \alpha_t \alpha_{t-1}", "the indices exchanged"),
        ),
        f"{PROCESS}.q_jump",
    ),
    Claim(
        "eq-two-steps-merged",
        r"x_t = \sqrt{\alpha_t \alpha_{t-1}}\, x_{t-2} + \sqrt{1 - \alpha_t \alpha_{t-1}}\, \bar\epsilon_t",
        "the mean and the variance of two steps",
        two_steps_merged,
        (
            NearMiss(
                r"x_t = \sqrt{\alpha_t \alpha_{t-1}}\, x_{t-2} + \big(\sqrt{\alpha_t (1-\alpha_{t-1})} + \sqrt{1-\alpha_t}\big)\, \bar\epsilon_t",
                "adding the factors of two independent noises",
            ),
            NearMiss(
                r"x_t = \sqrt{\alpha_t \alpha_{t-1}}\, x_{t-2} + (1 - \alpha_t \alpha_{t-1})\, \bar\epsilon_t",
                "the noise without its root",
            ),
        ),
        f"{PROCESS}.q_jump",
    ),
    Claim(
        "eq-alpha-bar",
        r"\bar\alpha_t = \prod_{s=1}^{t} \alpha_s",
        "the squared factor of x_0 after 1, 2, 3, 4 steps",
        alpha_bar_definition,
        (
            NearMiss(r"\bar\alpha_t = \prod_{s=1}^{t-1} \alpha_s", "a factor missing at the end"),
            NearMiss(r"\bar\alpha_t = \prod_{s=0}^{t} \alpha_s", "a factor for s = 0, which is no step"),
            NearMiss(r"\bar\alpha_t = \sum_{s=1}^{t} \alpha_s", "a sum"),
        ),
        f"{SCHEDULE}.Schedule.alpha_bar",
    ),
    Claim(
        "eq-induction",
        r"\begin{aligned}"
        r" x_t &= \sqrt{\alpha_t}\, x_{t-1} + \sqrt{1-\alpha_t}\, \epsilon_t \\"
        r" &= \sqrt{\alpha_t}\, \big(\sqrt{\bar\alpha_{t-1}}\, x_0 + \sqrt{1-\bar\alpha_{t-1}}\, \bar\epsilon_{t-1}\big) + \sqrt{1-\alpha_t}\, \epsilon_t \\"
        r" &= \sqrt{\bar\alpha_t}\, x_0 + \sqrt{\alpha_t (1-\bar\alpha_{t-1})}\, \bar\epsilon_{t-1} + \sqrt{1-\alpha_t}\, \epsilon_t"
        r" \end{aligned}",
        "each line follows from the one before",
        induction,
        (
            NearMiss(
                r"\begin{aligned}"
                r" x_t &= \sqrt{\alpha_t}\, x_{t-1} + \sqrt{1-\alpha_t}\, \epsilon_t \\"
                r" &= \sqrt{\alpha_t}\, \big(\sqrt{\bar\alpha_{t-1}}\, x_0 + \sqrt{1-\bar\alpha_{t-1}}\, \bar\epsilon_{t-1}\big) + \sqrt{1-\alpha_t}\, \epsilon_t \\"
                r" &= \sqrt{\bar\alpha_t}\, x_0 + \sqrt{\alpha_t (1-\bar\alpha_t)}\, \bar\epsilon_{t-1} + \sqrt{1-\alpha_t}\, \epsilon_t"
                r" \end{aligned}",
                "an index off by one in the last line",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" x_t &= \sqrt{\alpha_t}\, x_{t-1} + \sqrt{1-\alpha_t}\, \epsilon_t \\"
                r" &= \sqrt{\alpha_t}\, \big(\sqrt{\bar\alpha_{t-1}}\, x_0 + (1-\bar\alpha_{t-1})\, \bar\epsilon_{t-1}\big) + \sqrt{1-\alpha_t}\, \epsilon_t \\"
                r" &= \sqrt{\bar\alpha_t}\, x_0 + \sqrt{\alpha_t}\, (1-\bar\alpha_{t-1})\, \bar\epsilon_{t-1} + \sqrt{1-\alpha_t}\, \epsilon_t"
                r" \end{aligned}",
                "the hypothesis without its root",
            ),
        ),
        f"{PROCESS}.q_step",
    ),
    Claim(
        "eq-induction-variance",
        r"\alpha_t (1-\bar\alpha_{t-1}) + (1-\alpha_t) = 1 - \bar\alpha_t",
        "both sides are the variance after one step more",
        induction_variance,
        (
            NearMiss(r"\alpha_t (1-\bar\alpha_{t-1}) + (1-\alpha_t) = 1 - \bar\alpha_{t-1}", "an index off by one"),
            NearMiss(r"\alpha_t (1-\bar\alpha_{t-1}) + (1-\alpha_t) = 1 - \alpha_t", "α in place of ᾱ"),
        ),
        f"{PROCESS}.q_moments",
    ),
    Claim(
        "eq-closed-form",
        r"q(x_t \mid x_0) = \mathcal{N}\big(x_t; \sqrt{\bar\alpha_t}\, x_0, (1-\bar\alpha_t) I\big)",
        "induction: true at t = 1, and from t-1 to t",
        closed_form,
        (
            NearMiss(r"q(x_t \mid x_0) = \mathcal{N}\big(x_t; \bar\alpha_t\, x_0, (1-\bar\alpha_t) I\big)", "the mean without its root"),
            NearMiss(r"q(x_t \mid x_0) = \mathcal{N}\big(x_t; \sqrt{\alpha_t}\, x_0, (1-\alpha_t) I\big)", "α in place of ᾱ"),
            NearMiss(r"q(x_t \mid x_0) = \mathcal{N}\big(x_t; \sqrt{\bar\alpha_t}\, x_0, \sqrt{1-\bar\alpha_t}\, I\big)", "the standard deviation in place of the variance"),
            NearMiss(r"q(x_t \mid x_0) = \mathcal{N}\big(x_t; \sqrt{\bar\alpha_t}\, x_0, (1-\bar\alpha_{t-1}) I\big)", "an index off by one"),
        ),
        f"{PROCESS}.q_moments",
    ),
    Claim(
        "eq-sample",
        r"x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1-\bar\alpha_t}\, \epsilon, \qquad \epsilon \sim \mathcal{N}(0, I)",
        "has the mean and the variance of the closed form",
        sample,
        (
            NearMiss(
                r"x_t = \sqrt{\bar\alpha_t}\, x_0 + (1-\bar\alpha_t)\, \epsilon, \qquad \epsilon \sim \mathcal{N}(0, I)",
                "the noise without its root",
            ),
            NearMiss(
                r"x_t = \sqrt{\alpha_t}\, x_0 + \sqrt{1-\alpha_t}\, \epsilon, \qquad \epsilon \sim \mathcal{N}(0, I)",
                "α in place of ᾱ",
            ),
            NearMiss(
                r"x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1-\bar\alpha_t}\, \epsilon, \qquad \epsilon \approx \mathcal{N}(0, I)",
                "≈ for ∼: a number near a law",
            ),
        ),
        f"{PROCESS}.q_sample",
    ),
    Claim(
        "eq-jump",
        r"q(x_t \mid x_s) = \mathcal{N}\Big(x_t; \sqrt{\frac{\bar\alpha_t}{\bar\alpha_s}}\, x_s, \Big(1 - \frac{\bar\alpha_t}{\bar\alpha_s}\Big) I\Big)",
        "induction: true at t = s+1, and from t-1 to t",
        jump,
        (
            NearMiss(
                r"q(x_t \mid x_s) = \mathcal{N}\Big(x_t; \sqrt{\frac{\bar\alpha_t}{\bar\alpha_s}}\, x_s, (\bar\alpha_s - \bar\alpha_t) I\Big)",
                "the difference of the ᾱ: a variance seen from x_0, not from x_s",
            ),
            NearMiss(
                r"q(x_t \mid x_s) = \mathcal{N}\Big(x_t; \sqrt{\bar\alpha_t}\, x_s, (1 - \bar\alpha_t) I\Big)",
                "the closed form from x_0",
            ),
        ),
        f"{PROCESS}.q_jump",
    ),
)


# What remains of the data


def variance_of_xt(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == Var(x[t]) and relation.ops == ("=",), "the left side is not the variance of x_t")
    # Independent parts: a step multiplies the variance so far by alpha_t and adds 1 - alpha_t.
    require_equal(relation.rhs.subs(bar[t], 1), Var(x[0]), "the variance before the first step and that of the data")
    before = at(relation.rhs, t=t - 1)
    require_equal(split_last(relation.rhs, t), alpha[t] * before + 1 - alpha[t], "the variance and its recursion")


def signal_to_noise(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == SNR(t) and relation.ops == ("=",), "the left side is not SNR(t)")
    for n in (1, 2, 3):
        signal, noise = law_of(walk(0, n), noises(n))
        ratio = (signal / x[0]) ** 2 / noise
        require_equal(as_products(at(relation.rhs, t=n)), ratio, f"the ratio after {n} steps")


def two_points(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == q(x[t]) and relation.ops == ("=",), "the left side is not q(x_t)")
    mixture = relation.rhs.replace(N, gaussian_density)
    halves = [gaussian_density(x[t], sqrt(bar[t]) * point, 1 - bar[t]) / 2 for point in (-1, 1)]
    require_equal(mixture, sum(halves), "the density and the average over the two points")


def which_point(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == E(x[0], sp.Tuple(x[t])) and relation.ops == ("=",), "the left side is not E[x_0 | x_t]")
    low, high = (gaussian_density(x[t], sqrt(bar[t]) * point, 1 - bar[t]) for point in (-1, 1))
    bayes = (high - low) / (high + low)
    require_equal(relation.rhs.rewrite(sp.exp), bayes, "the formula and Bayes' rule")


def limit_bound(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == bar[T] and relation.ops == ("=", "<="), "alpha_bar_T, = and ≤, please")
    _, product, bound = relation.terms
    b = sp.Symbol("b", positive=True)
    slack = -sp.log(1 - b) - b  # of one factor: log of e^-b over 1 - b
    require_equal(slack.subs(b, 0), 0, "the slack at 0 and 0")
    require_equal(sp.diff(slack, b), b / (1 - b), "the slack's slope and b/(1-b), which is positive")
    for n in (1, 2, 3):
        factors = [beta[i] for i in range(1, n + 1)]
        require_equal(at(product, T=n), sp.prod([1 - factor for factor in factors]), f"the product for T = {n}")
        gap = sp.log(at(bound, T=n)) - sp.log(at(product, T=n))
        require_equal(gap, sum(slack.subs(b, factor) for factor in factors), f"the logarithm of bound over product for T = {n}")


def limit(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == Lim(q(x[T], sp.Tuple(x[0])), T, sp.oo) and relation.ops == ("=",), "the left side is not the limit")
    mean, variance = normal(relation.rhs, x[T])
    # One beta for all steps: alpha_bar_T = (1 - beta)^T = exp(-rate T) with rate = -log(1 - beta) > 0.
    rate, steps = sp.symbols("rate steps", positive=True)
    kept = sp.exp(-rate * steps)
    require_equal(mean, sp.limit(sqrt(kept) * x[0], steps, sp.oo), "the mean and its limit")
    require_equal(variance, sp.limit(1 - kept, steps, sp.oo), "the variance and its limit")


def continuous(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs.func == Lim, "the left side is not a limit")
    product, counter, end = relation.lhs.args
    require((counter, end) == (T, sp.oo) and product.func == sp.Product, "not the limit of a product as T grows")
    require(product.limits == ((t, 1, T),), "the product does not run over t = 1 .. T")
    z = sp.Symbol("z", positive=True)
    upper, lower = sp.log(1 - z) + z, sp.log(1 - z) + z + z**2
    for gap, slope in ((upper, -z / (1 - z)), (lower, z * (1 - 2 * z) / (1 - z))):  # below and above 0 for z < 1/2
        require_equal(gap.subs(z, 0), 0, "the gap at z = 0 and 0")
        require_equal(sp.diff(gap, z), slope, "the gap's slope, which has one sign for z < 1/2")
    c = sp.symbols("c:3", positive=True)
    parabola = sp.Lambda(z, c[0] + c[1] * z + c[2] * z**2)
    number = sp.Symbol("number", integer=True, positive=True)
    added = sp.expand((1 - product.function).replace(rate, parabola).subs(T, number))
    for power, value in ((2, sp.Integer(0)), (1, -sp.log(relation.rhs.replace(rate, parabola).doit()))):
        total = sp.limit(sp.summation(sp.expand(added**power), (t, 1, number)), number, sp.oo)
        require_equal(sp.expand_log(value, force=True), total, f"the limit of the sum of z_t^{power}")


WHAT_REMAINS = (
    Claim(
        "eq-variance",
        r"\operatorname{Var}[x_t] = \bar\alpha_t \operatorname{Var}[x_0] + (1-\bar\alpha_t)",
        "true at t = 0, and each step keeps it true",
        variance_of_xt,
        (
            NearMiss(r"\operatorname{Var}[x_t] = \sqrt{\bar\alpha_t} \operatorname{Var}[x_0] + (1-\bar\alpha_t)", "a root too many"),
            NearMiss(r"\operatorname{Var}[x_t] = \bar\alpha_t \operatorname{Var}[x_0] + \bar\alpha_t", "the noise's share wrong"),
        ),
        f"{PROCESS}.q_variance",
    ),
    Claim(
        "eq-snr",
        r"\operatorname{SNR}(t) = \frac{\bar\alpha_t}{1-\bar\alpha_t}",
        "squared signal over noise variance after 1, 2, 3 steps",
        signal_to_noise,
        (
            NearMiss(r"\operatorname{SNR}(t) = \sqrt{\frac{\bar\alpha_t}{1-\bar\alpha_t}}", "amplitudes in place of powers"),
            NearMiss(r"\operatorname{SNR}(t) = \frac{\alpha_t}{1-\alpha_t}", "α in place of ᾱ"),
            NearMiss(r"\operatorname{SNR}(t) = \frac{1-\bar\alpha_t}{\bar\alpha_t}", "upside down"),
        ),
        f"{SCHEDULE}.Schedule.snr",
    ),
    Claim(
        "eq-two-points",
        r"q(x_t) = \tfrac{1}{2}\, \mathcal{N}\big(x_t; -\sqrt{\bar\alpha_t}, 1-\bar\alpha_t\big)"
        r" + \tfrac{1}{2}\, \mathcal{N}\big(x_t; \sqrt{\bar\alpha_t}, 1-\bar\alpha_t\big)",
        "the closed form, averaged over the two points",
        two_points,
        (
            NearMiss(
                r"q(x_t) = \tfrac{1}{2}\, \mathcal{N}\big(x_t; -\bar\alpha_t, 1-\bar\alpha_t\big)"
                r" + \tfrac{1}{2}\, \mathcal{N}\big(x_t; \bar\alpha_t, 1-\bar\alpha_t\big)",
                "means without their roots",
            ),
            NearMiss(r"q(x_t) = \mathcal{N}\big(x_t; 0, 1\big)", "the Gaussian of the same mean and variance"),
        ),
        f"{EXACT}.GaussianMixture.log_prob",
    ),
    Claim(
        "eq-which-point",
        r"\mathbb{E}[x_0 \mid x_t] = \tanh\Big(\frac{\sqrt{\bar\alpha_t}\, x_t}{1-\bar\alpha_t}\Big)",
        "Bayes' rule for the two points",
        which_point,
        (
            NearMiss(r"\mathbb{E}[x_0 \mid x_t] = \tanh\Big(\frac{\sqrt{\bar\alpha_t}\, x_t}{\sqrt{1-\bar\alpha_t}}\Big)", "the standard deviation in place of the variance"),
            NearMiss(r"\mathbb{E}[x_0 \mid x_t] = \frac{x_t}{\sqrt{\bar\alpha_t}}", "undoing the shrinking and ignoring the noise"),
        ),
        f"{EXACT}.GaussianMixture.posterior_mean",
    ),
    Claim(
        "eq-limit-bound",
        r"\bar\alpha_T = \prod_{t=1}^{T} (1-\beta_t) \le \exp\Big(-\sum_{t=1}^{T} \beta_t\Big)",
        "1-β ≤ exp(-β): equal at β = 0, and the gap's slope β/(1-β) is positive",
        limit_bound,
        (
            NearMiss(r"\bar\alpha_T = \prod_{t=1}^{T} (1-\beta_t) \ge \exp\Big(-\sum_{t=1}^{T} \beta_t\Big)", "the wrong way round"),
            NearMiss(r"\bar\alpha_T = \prod_{t=1}^{T} (1-\beta_t) \le 1 - \sum_{t=1}^{T} \beta_t", "the product expanded to first order"),
        ),
        f"{SCHEDULE}.Schedule.alpha_bar",
    ),
    Claim(
        "eq-limit",
        r"\lim_{T \to \infty} q(x_T \mid x_0) = \mathcal{N}(x_T; 0, I)",
        "the limits of the closed form's mean and variance for a constant β",
        limit,
        (
            NearMiss(r"\lim_{T \to \infty} q(x_T \mid x_0) = \mathcal{N}(x_T; x_0, I)", "the data still there"),
            NearMiss(r"\lim_{T \to \infty} q(x_T \mid x_0) = \mathcal{N}(x_T; 0, 2 I)", "a variance above one"),
        ),
        f"{PROCESS}.q_moments",
    ),
    Claim(
        "eq-continuous",
        r"\lim_{T \to \infty} \prod_{t=1}^{T} \Big(1 - \frac{1}{T}\, \rho\Big(\frac{t}{T}\Big)\Big) = \exp\Big(-\int_0^1 \rho(u)\, \mathrm{d}u\Big)",
        "log(1-z) lies between -z-z² and -z; sums for any parabola ρ",
        continuous,
        (
            NearMiss(
                r"\lim_{T \to \infty} \prod_{t=1}^{T} \Big(1 - \rho\Big(\frac{t}{T}\Big)\Big) = \exp\Big(-\int_0^1 \rho(u)\, \mathrm{d}u\Big)",
                "steps that do not get smaller: nothing is left",
            ),
            NearMiss(
                r"\lim_{T \to \infty} \prod_{t=1}^{T} \Big(1 - \frac{1}{T}\, \rho\Big(\frac{t}{T}\Big)\Big) = \exp(-\rho(1))",
                "the last rate in place of their integral",
            ),
            NearMiss(
                r"\lim_{T \to \infty} \prod_{t=1}^{T} \Big(1 - \frac{1}{T}\, \rho\Big(\frac{t}{T}\Big)\Big) = 1 - \int_0^1 \rho(u)\, \mathrm{d}u",
                "the product expanded to first order",
            ),
        ),
        f"{SCHEDULE}.Schedule.alpha_bar",
    ),
)


# Schedules


def linear(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == beta[t] and relation.ops == ("=",), "the left side is not beta_t")
    rhs = relation.rhs
    require(rhs.atoms(sp.Indexed) <= {beta[1], beta[T]}, "beta_t must follow from its two ends")
    require_equal(rhs.subs(t, 1), beta[1], "the start and beta_1")
    require_equal(rhs.subs(t, T), beta[T], "the end and beta_T")
    require_equal(sp.diff(rhs.subs({beta[1]: sp.Symbol("b_1"), beta[T]: sp.Symbol("b_T")}), t, 2), 0, "the second difference and 0")


def beta_from_alpha_bar(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == beta[t] and relation.ops == ("=",), "the left side is not beta_t")
    require_equal(in_betas(split_last(relation.rhs, t)), beta[t])


def _curve(statement: Statement, shape: type[sp.Function]) -> tuple[Expr, Relation]:
    """alpha_bar_t with the curve's definition, the statement's second relation, put in."""
    require(len(statement) == 2, "alpha_bar_t and the curve, please")
    relation, definition = statement
    require(relation.lhs == bar[t] and relation.ops == ("=",), "the left side is not alpha_bar_t")
    require(definition.lhs.func == shape and definition.ops == ("=",), f"the second relation does not define {shape}")
    (argument,) = definition.lhs.args
    return relation.rhs.replace(shape, lambda z: definition.rhs.subs(argument, z)), definition


def cosine(statement: Statement) -> None:
    curve, definition = _curve(statement, f)
    require_equal(curve.subs(t, 0), 1, "alpha_bar at t = 0 and 1")
    require_equal(curve.subs(t, T), 0, "alpha_bar at t = T and 0")
    # f is the arc of 1/2 + 1/2 cos whose top lies at -delta and whose foot lies at 1: these three pin it.
    u, delta = symbol("u"), symbol(r"\delta")
    arc = definition.rhs
    require_equal(arc.subs(u, -delta), 1, "the curve's top at u = -delta and 1")
    require_equal(sp.diff(arc, u).subs(u, -delta), 0, "the curve's slope at u = -delta and 0")
    frequency = sp.pi / (1 + delta)
    require_equal(sp.diff(arc, u, 2), -(frequency**2) * (arc - sp.Rational(1, 2)), "the curve's bend and that of the arc")
    require_equal(curve.subs(t, T / 2), arc.subs(u, sp.Rational(1, 2)) / arc.subs(u, 0), "alpha_bar half way and f(1/2)/f(0)")


def sigmoid(statement: Statement) -> None:
    curve, definition = _curve(statement, g)
    (z,) = definition.lhs.args
    logistic = definition.rhs
    require_equal(logistic.subs(z, 0), sp.Rational(1, 2), "the logistic function at 0 and 1/2")
    require_equal(sp.diff(logistic, z), logistic * (1 - logistic), "the logistic function's slope")
    require_equal(curve.subs(t, 0), 1, "alpha_bar at t = 0 and 1")
    require_equal(curve.subs(t, T), 0, "alpha_bar at t = T and 0")
    left, right, tau = symbol(r"\ell"), symbol("r"), symbol(r"\tau")
    top, bottom = logistic.subs(z, right / tau), logistic.subs(z, left / tau)
    here = top - (top - bottom) * curve
    require_equal(sp.diff(here, t), here * (1 - here) * (right - left) / (tau * T), "the piece's slope and the logistic function's")


SCHEDULES = (
    Claim(
        "eq-linear",
        r"\beta_t = \beta_1 + \frac{t-1}{T-1}\, (\beta_T - \beta_1)",
        "starts at β_1, ends at β_T, in equal steps",
        linear,
        (
            NearMiss(r"\beta_t = \beta_1 + \frac{t}{T}\, (\beta_T - \beta_1)", "counting from 0: the first step is not β_1"),
            NearMiss(r"\beta_t = \beta_0 + \frac{t}{T}\, (\beta_T - \beta_0)", "a variance for step 0, which nobody takes"),
            NearMiss(r"\beta_t = \beta_1 + \frac{t-1}{T}\, (\beta_T - \beta_1)", "the last step is not β_T"),
            NearMiss(r"\beta_t = \beta_1 - \frac{t-1}{T-1}\, (\beta_T - \beta_1)", "falling"),
        ),
        f"{SCHEDULE}.linear",
    ),
    Claim(
        "eq-beta-from-alpha-bar",
        r"\beta_t = 1 - \frac{\bar\alpha_t}{\bar\alpha_{t-1}}",
        "the last factor of the product",
        beta_from_alpha_bar,
        (
            NearMiss(r"\beta_t = 1 - \frac{\bar\alpha_{t-1}}{\bar\alpha_t}", "upside down"),
            NearMiss(r"\beta_t = \bar\alpha_{t-1} - \bar\alpha_t", "a difference in place of the ratio"),
        ),
        f"{SCHEDULE}.from_alpha_bar",
    ),
    Claim(
        "eq-cosine",
        r"\bar\alpha_t = \frac{f(t/T)}{f(0)}, \qquad f(u) = \cos^2\Big(\frac{u + \delta}{1 + \delta} \cdot \frac{\pi}{2}\Big)",
        "from 1 to 0 along the one cosine arc with its top at -δ",
        cosine,
        (
            NearMiss(
                r"\bar\alpha_t = f(t/T), \qquad f(u) = \cos^2\Big(\frac{u + \delta}{1 + \delta} \cdot \frac{\pi}{2}\Big)",
                "not divided by f(0): ᾱ_0 is not 1",
            ),
            NearMiss(
                r"\bar\alpha_t = \frac{f(t/T)}{f(0)}, \qquad f(u) = \cos\Big(\frac{u + \delta}{1 + \delta} \cdot \frac{\pi}{2}\Big)",
                "the cosine not squared",
            ),
            NearMiss(
                r"\bar\alpha_t = \frac{f(t/T)}{f(0)}, \qquad f(u) = \cos^2\Big(\frac{u}{1 + \delta} \cdot \frac{\pi}{2}\Big)",
                "the offset missing above: ᾱ_T is not 0",
            ),
        ),
        f"{SCHEDULE}.cosine_alpha_bar",
    ),
    Claim(
        "eq-sigmoid",
        r"\begin{aligned}"
        r" \bar\alpha_t &= \frac{g(r/\tau) - g((\ell + (r - \ell)\, t/T)/\tau)}{g(r/\tau) - g(\ell/\tau)} \\"
        r" g(z) &= \frac{1}{1 + \exp(-z)}"
        r" \end{aligned}",
        "from 1 to 0 along a piece of the logistic curve",
        sigmoid,
        (
            NearMiss(
                r"\begin{aligned}"
                r" \bar\alpha_t &= \frac{g(r/\tau) - g((\ell + (r - \ell)\, t/T)/\tau)}{g(r/\tau)} \\"
                r" g(z) &= \frac{1}{1 + \exp(-z)}"
                r" \end{aligned}",
                "not stretched: ᾱ_0 is not 1",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" \bar\alpha_t &= \frac{g(r/\tau) - g((\ell + (r - \ell)\, t/T)/\tau)}{g(r/\tau) - g(\ell/\tau)} \\"
                r" g(z) &= \frac{1}{1 + \exp(z)}"
                r" \end{aligned}",
                "the logistic curve mirrored",
            ),
        ),
        f"{SCHEDULE}.sigmoid_alpha_bar",
    ),
)

CLAIMS: tuple[Claim, ...] = TOY + CHAIN + JUMPS + WHAT_REMAINS + SCHEDULES

IN_TEXT: dict[str, Literal["true", "setting"]] = {
    r"(1-\beta) \cdot 1 + \beta = 1": "true",
    r"1-\beta \le \exp(-\beta)": "true",
    r"\alpha_t \bar\alpha_{t-1} = \bar\alpha_t": "true",
    r"\bar\alpha_1 = \alpha_1": "true",
    r"\bar\alpha_t + (1-\bar\alpha_t) = 1": "true",
    r"-\tfrac{1}{2}": "setting",
    r"1 - v_t": "setting",
    r"1-\bar\alpha_1": "setting",
    r"\sqrt{1-\beta}": "setting",
    r"a = \sqrt{\alpha_t (1-\alpha_{t-1})}": "setting",
    r"b = \sqrt{1-\alpha_t}": "setting",
    r"v_t = (1-\beta)\, v_{t-1} + \beta": "setting",
    r"v_0 = 0": "setting",
    r"\beta_T = 1": "setting",
    r"\delta = 0.008": "setting",
    r"\ell = -3": "setting",
    r"r = 3": "setting",
    r"s < t": "setting",
    r"u = t/T": "setting",
    r"1/T": "setting",
    r"1/T^2": "setting",
    r"\beta_t = \rho(t/T)/T": "setting",
    r"0.1/1000": "setting",
    r"20/1000": "setting",
    r"1-z": "setting",
    r"T = 1000": "setting",
    r"+1": "setting",
    r"1-\beta": "setting",
    r"1-\beta_t": "setting",
    r"\sqrt{1-\bar\alpha_{t-1}}\, \bar\epsilon_{t-1}": "setting",
    r"\sqrt{\bar\alpha_{t-1}}\, x_0": "setting",
    r"a^2 + b^2": "setting",
    r"z - y": "setting",
    r"t = T": "setting",
    r"\exp(z) + \exp(-z)": "setting",
    r"\exp(z) - \exp(-z)": "setting",
    r"\bar\alpha_0 = 1": "setting",
    r"z = \sqrt{\bar\alpha_t}\, x_t/(1-\bar\alpha_t)": "setting",
}
"""Formulas in the chapter's running text that are no part of a claim. What is "true" is proved by the tests; a "setting"
(an assumption, a number, a name) is pinned here word for word, so that nobody changes it unnoticed."""
