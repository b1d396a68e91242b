"""The claims of chapter 13, sampling, in the order of the chapter.

A network that is always right stands in for the network wherever a formula says where a step should lead: then the step's
law must be the forward process's own. The methods for the probability-flow ODE are held against its true solution.
"""

from typing import Literal

import sympy as sp
from sympy import Expr, Symbol, sqrt

from diffcourse.algebra.claim import Claim, NearMiss, Statement
from diffcourse.algebra.forward_process import E, SNR, alpha, bar, beta, f, s, t, x
from diffcourse.algebra.latex import Rate, Relation
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.algebra.proving import gaussian_density, law_of, only, require, require_equal, require_positive, split_last, vanishes
from diffcourse.algebra.reverse_process import beta_tilde, posterior

eps, z, c, m, u, eta, j = (symbol(name) for name in (r"\epsilon", "z", "c", "m", "u", r"\eta", "j"))
sigma, x_hat, V = family(r"\sigma"), family(r"\hat x"), family("V")
y, r, lam, x_euler = family("y"), family("r"), family(r"\lambda"), family(r"\tilde x")
network = function(r"\epsilon_\theta")
ASKED = network(x[t], t)
SAMPLE = "diffcourse.diffusion.sample"


def equation(statement: Statement, lhs: Expr, name: str) -> Relation:
    """The statement's only relation, an equation for lhs."""
    relation = only(statement)
    require(relation.lhs == lhs and set(relation.ops) == {"="}, f"the left side is not {name}")
    return relation


def roots_out(expression: Expr) -> Expr:
    """The expression with the base of every square root in factors, so that positive ones leave it."""
    return expression.replace(lambda e: e.is_Pow and e.exp.is_Rational and e.exp.q == 2, lambda e: sp.factor(e.base) ** e.exp)


# A guess, and a small step towards it


def with_true_noise(expression: Expr) -> Expr:
    """The expression for a network that is always right about x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps."""
    return expression.subs(ASKED, (x[t] - sqrt(bar[t]) * x[0]) / sqrt(1 - bar[t]))


def guess_of_x0(statement: Statement) -> None:
    relation = equation(statement, x_hat[0], "the guess of x_0")
    require(relation.rhs.has(ASKED), "the network is not asked")
    require_equal(with_true_noise(relation.rhs), x[0], "the guess of a perfect network and x_0")


def ddpm_step(statement: Statement) -> None:
    relation = equation(statement, x[t - 1], "x_{t-1}")
    mean, _ = law_of(relation.rhs, [z])
    require_equal(sp.expand(relation.rhs).coeff(z), sigma[t], "the factor of the fresh noise and sigma_t")
    require(mean.has(ASKED), "the network is not asked")
    require_equal(split_last(with_true_noise(mean), t), posterior()[0], "the mean for a perfect network and the posterior's")


FIRST = (
    Claim(
        "eq-predict-x0",
        r"\hat x_0 = \frac{x_t - \sqrt{1-\bar\alpha_t}\, \epsilon_\theta(x_t, t)}{\sqrt{\bar\alpha_t}}",
        "a network that is right about the noise is right about the image",
        guess_of_x0,
        (
            NearMiss(r"\hat x_0 = \frac{x_t - (1-\bar\alpha_t)\, \epsilon_\theta(x_t, t)}{\sqrt{\bar\alpha_t}}", "the noise without its root"),
            NearMiss(r"\hat x_0 = \frac{x_t - \sqrt{1-\bar\alpha_t}\, \epsilon_\theta(x_t, t)}{\bar\alpha_t}", "the signal without its root"),
            NearMiss(r"\hat x_0 = x_t - \epsilon_\theta(x_t, t)", "subtracting the noise as it is"),
        ),
        "diffcourse.diffusion.process.predict_x0",
    ),
    Claim(
        "eq-ddpm-step",
        r"x_{t-1} = \frac{1}{\sqrt{\alpha_t}} \Big(x_t - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}\, \epsilon_\theta(x_t, t)\Big) + \sigma_t z",
        "for a network that is right, the mean of x_{t-1} given x_t and x_0",
        ddpm_step,
        (
            NearMiss(
                r"x_{t-1} = \frac{1}{\sqrt{\alpha_t}} \Big(x_t - \frac{1-\alpha_t}{\sqrt{1-\alpha_t}}\, \epsilon_\theta(x_t, t)\Big) + \sigma_t z",
                "the bar forgotten below",
            ),
            NearMiss(r"x_{t-1} = x_t - \epsilon_\theta(x_t, t)", "all of the predicted noise removed, as it is"),
            NearMiss(
                r"x_{t-1} = \frac{1}{\sqrt{\alpha_t}} \Big(x_t - \sqrt{1-\bar\alpha_t}\, \epsilon_\theta(x_t, t)\Big) + \sigma_t z",
                "removing all of the noise at once",
            ),
            NearMiss(
                r"x_{t-1} = x_t - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}\, \epsilon_\theta(x_t, t) + \sigma_t z",
                "the image not rescaled",
            ),
        ),
        f"{SAMPLE}.sample_ddpm",
    ),
)


# How much fresh noise


def sigma_range(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("<=", "<="), "not a number between two others")
    # x_{t-1} has the variance V_{t-1}, and x_t = sqrt(alpha_t) x_{t-1} + noise of variance 1 - alpha_t. Condition on x_t.
    spread = bar[t - 1] * c**2 + 1 - bar[t - 1]
    after = alpha[t] * spread + 1 - alpha[t]
    exact = spread - alpha[t] * spread**2 / after

    def told(expression: Expr) -> Expr:
        known = {V[t - 1]: spread, V[t]: after, beta[t]: 1 - alpha[t], beta_tilde[t]: posterior()[1]}
        return split_last(expression.xreplace(known), t)

    low, middle, high = relation.terms
    require_equal(told(middle), exact, "the variance in the middle and that of x_{t-1} given x_t")
    require_equal(told(low), exact.subs(c, 0), "the lower end and the variance for data of one point")
    require_equal(told(high), exact.subs(c, 1), "the upper end and the variance for data of variance one")
    kept, survived = sp.symbols("p q", positive=True)  # any alpha_t and abar_{t-1} between 0 and 1
    slope = sp.factor(sp.diff(exact.subs({alpha[t]: 1 / (1 + kept), bar[t - 1]: 1 / (1 + survived)}), c))
    require(bool(slope.is_positive), "the variance does not grow with that of the data")


def sigma_learned(statement: Statement) -> None:
    formula = equation(statement, sigma[t] ** 2, "sigma_t squared").rhs
    require_equal(formula.subs(u, 0), beta_tilde[t], "the variance at u = 0 and beta-tilde_t")
    require_equal(formula.subs(u, 1), beta[t], "the variance at u = 1 and beta_t")
    require_equal(sp.diff(sp.expand_log(sp.log(formula), force=True), u, 2), 0, "the bend of the logarithm and 0")


NOISE = (
    Claim(
        "eq-sigma-range",
        r"\tilde\beta_t \le \frac{V_{t-1}}{V_t}\, \beta_t \le \beta_t",
        "the exact variance grows with that of the data; its ends are one point and variance one",
        sigma_range,
        (
            NearMiss(r"\beta_t \le \frac{V_{t-1}}{V_t}\, \beta_t \le \tilde\beta_t", "the two ends exchanged"),
            NearMiss(r"\tilde\beta_t \le \frac{V_t}{V_{t-1}}\, \beta_t \le \beta_t", "the ratio of variances upside down"),
            NearMiss(
                r"\tilde\beta_t \le \frac{V_{t-1}}{V_t}\, \beta_t \le 1-\bar\alpha_t",
                "true as an inequality, but not the end that is reached",
            ),
        ),
    ),
    Claim(
        "eq-sigma-learned",
        r"\sigma_t^2 = \exp\big(u \log \beta_t + (1-u) \log \tilde\beta_t\big)",
        "the logarithm runs in a straight line from one end to the other",
        sigma_learned,
        (
            NearMiss(r"\sigma_t^2 = \exp\big((1-u) \log \beta_t + u \log \tilde\beta_t\big)", "the two ends exchanged"),
            NearMiss(r"\sigma_t^2 = u\, \beta_t + (1-u)\, \tilde\beta_t", "a straight line in the variances, not in their logarithms"),
            NearMiss(r"\sigma_t = \exp\big(u \log \beta_t + (1-u) \log \tilde\beta_t\big)", "the variance where its root is due"),
        ),
        f"{SAMPLE}.sample_ddpm",
    ),
)


# Fewer steps


def ddim_step(statement: Statement) -> None:
    relation = equation(statement, x[s], "x_s")
    # For a perfect network the guess is x_0 and the prediction eps; then x_s must have the law of q(x_s | x_0).
    perfect = relation.rhs.subs({ASKED: eps, x_hat[0]: x[0]})
    require(not perfect.has(x[t]) and perfect.has(eps), "the prediction does not take part")
    mean, variance = law_of(perfect, [eps, z])
    require_equal(mean, sqrt(bar[s]) * x[0], "the mean and that of q(x_s | x_0)")
    require_equal(variance, 1 - bar[s], "the variance and that of q(x_s | x_0)")
    require_equal(perfect.coeff(z, 1), sigma[t], "the factor of the fresh noise and sigma_t")
    few = {sigma[t]: 0, bar[s]: sp.Rational(1, 4)}
    require_positive(perfect.coeff(eps, 1).subs(few), "the factor of the predicted noise")


def ddim_sigma(statement: Statement) -> None:
    formula = equation(statement, sigma[t] ** 2, "sigma_t squared").rhs
    # q(x_s | x_t, x_0), by conditioning: x_t is sqrt(jump) x_s and noise of variance 1 - jump.
    spread, jump = 1 - bar[s], bar[t] / bar[s]
    variance = spread - jump * spread**2 / (jump * spread + 1 - jump)
    require_equal(formula, eta**2 * variance, "the formula and eta squared times the posterior's variance")


def ddim_ddpm(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    low, said = posterior()[1], Symbol("said", real=True)
    means = [guess_put_in(side).subs({ASKED: said, beta_tilde[t]: low}) for side in relation.terms]
    means = [split_last(mean, t) for mean in means]
    # The root on the left is that of a complete square, once alpha_t and abar_{t-1} are written as fractions.
    kept, survived = sp.symbols("p q", positive=True)
    whole = {alpha[t]: 1 / (1 + kept), bar[t - 1]: 1 / (1 + survived)}
    left, right = (sp.expand(roots_out(mean.subs(whole))) for mean in means)
    for name, of in (("x_t", x[t]), ("the prediction", said)):
        one, other = left.coeff(of, 1), right.coeff(of, 1)
        require_equal(one, other, f"the factors of {name}")
    # And it is DDPM's mean indeed.
    require_equal(means[1].subs(said, true_noise()), posterior()[0], "the right side for a perfect network and the posterior's mean")


def true_noise() -> Expr:
    """The noise in x_t, with abar_t split into alpha_t abar_{t-1}."""
    return split_last((x[t] - sqrt(bar[t]) * x[0]) / sqrt(1 - bar[t]), t)


def guess_put_in(expression: Expr) -> Expr:
    """The guess of x_0 written out, as eq-predict-x0 has it."""
    return expression.subs(x_hat[0], (x[t] - sqrt(1 - bar[t]) * ASKED) / sqrt(bar[t]))


FEWER = (
    Claim(
        "eq-ddim-step",
        r"x_s = \sqrt{\bar\alpha_s}\, \hat x_0 + \sqrt{1-\bar\alpha_s-\sigma_t^2}\, \epsilon_\theta(x_t, t) + \sigma_t z",
        "for a network that is right, x_s has the law q(x_s | x_0), whatever σ_t",
        ddim_step,
        (
            NearMiss(
                r"x_s = \sqrt{\bar\alpha_s}\, \hat x_0 + \sqrt{1-\bar\alpha_s}\, \epsilon_\theta(x_t, t) + \sigma_t z",
                "the fresh noise on top of the old: the variance is too large",
            ),
            NearMiss(
                r"x_s = \sqrt{\bar\alpha_s}\, \hat x_0 + \sqrt{1-\bar\alpha_t-\sigma_t^2}\, \epsilon_\theta(x_t, t) + \sigma_t z",
                "the noise level of t, where s is meant",
            ),
        ),
        f"{SAMPLE}.sample_ddim",
    ),
    Claim(
        "eq-ddim-sigma",
        r"\sigma_t^2 = \eta^2\, \frac{1-\bar\alpha_s}{1-\bar\alpha_t} \Big(1 - \frac{\bar\alpha_t}{\bar\alpha_s}\Big)",
        "η² times the variance of x_s when x_t and x_0 are both known",
        ddim_sigma,
        (
            NearMiss(
                r"\sigma_t^2 = \eta\, \frac{1-\bar\alpha_s}{1-\bar\alpha_t} \Big(1 - \frac{\bar\alpha_t}{\bar\alpha_s}\Big)",
                "η is a factor of the standard deviation",
            ),
            NearMiss(
                r"\sigma_t^2 = \eta^2\, \frac{1-\bar\alpha_s}{1-\bar\alpha_t} (1 - \alpha_t)",
                "α of a single step, where the jump may be longer",
            ),
            NearMiss(
                r"\sigma_t^2 = \eta^2\, \frac{1-\bar\alpha_t}{1-\bar\alpha_s} \Big(1 - \frac{\bar\alpha_t}{\bar\alpha_s}\Big)",
                "the two noise levels exchanged",
            ),
        ),
        f"{SAMPLE}.sample_ddim",
    ),
    Claim(
        "eq-ddim-ddpm",
        r"\begin{aligned} &\sqrt{\bar\alpha_{t-1}}\, \hat x_0 + \sqrt{1-\bar\alpha_{t-1}-\tilde\beta_t}\, \epsilon_\theta(x_t, t) \\"
        r" &= \frac{1}{\sqrt{\alpha_t}} \Big(x_t - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}\, \epsilon_\theta(x_t, t)\Big) \end{aligned}",
        "the same factors of x_t and of the prediction, for any network",
        ddim_ddpm,
        (
            NearMiss(
                r"\begin{aligned} &\sqrt{\bar\alpha_{t-1}}\, \hat x_0 + \sqrt{1-\bar\alpha_{t-1}}\, \epsilon_\theta(x_t, t) \\"
                r" &= \frac{1}{\sqrt{\alpha_t}} \Big(x_t - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}\, \epsilon_\theta(x_t, t)\Big) \end{aligned}",
                "the step without noise, η = 0",
            ),
            NearMiss(
                r"\begin{aligned} &\sqrt{\bar\alpha_{t-1}}\, \hat x_0 + \sqrt{1-\bar\alpha_{t-1}-\beta_t}\, \epsilon_\theta(x_t, t) \\"
                r" &= \frac{1}{\sqrt{\alpha_t}} \Big(x_t - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}\, \epsilon_\theta(x_t, t)\Big) \end{aligned}",
                "the other variance, β_t",
            ),
        ),
    ),
)


# The curve behind it


def scaled(statement: Statement) -> None:
    require(len(statement) == 2, "the scaled image and its noise, please")
    image, level = statement
    require(image.lhs == y[t] and set(image.ops) == {"="}, "the first is not y_t")
    require(level.lhs == r[t] and level.ops == ("=",), "the second is not r_t")
    noisy = sqrt(bar[t]) * x[0] + sqrt(1 - bar[t]) * eps
    one, other = (term.subs({x[t]: noisy, r[t]: level.rhs}) for term in image.terms[1:])
    require_equal(one, other, "x_t, scaled, and x_0 with its noise")
    require_equal(level.rhs**2, (1 - bar[t]) / bar[t], "r_t squared and 1/SNR")


PLACE, LEVEL, POINT = Symbol("place", real=True), Symbol("level", positive=True), Symbol("point", real=True)
"""y_t and r_t as plain symbols that can be differentiated by, and one point of the data."""


def flow(statement: Statement) -> None:
    velocity = equation(statement, Rate(y[t], r[t]), "the rate of y_t with r_t").rhs
    guess = Symbol("guess", real=True)
    velocity = velocity.subs(E(eps, sp.Tuple(x[t])), guess).subs({y[t]: PLACE, r[t]: LEVEL})
    require_equal(sp.diff(velocity, guess, 2), 0, "the bend of the velocity in the guess and 0")
    # What density q loses at a place has flowed away: dq/dr = -d(q velocity)/dy. Data are points, or sums and integrals of
    # points. q is the sum of their densities, q E[eps | y] the sum of each density times the noise that its point means, so
    # both sides are sums over the points, and it is enough that they agree for each.
    density = gaussian_density(PLACE, POINT, LEVEL**2)
    carried = density * velocity.subs(guess, (PLACE - POINT) / LEVEL)
    gap = (sp.diff(density, LEVEL) + sp.diff(carried, PLACE)) / density
    require_equal(sp.simplify(gap), 0, "what the density loses and what flows away")


def gauss_noise(place: Expr, level: Expr) -> Expr:
    """E[eps | y] for y = x_0 + r eps with x_0 ~ N(m, c^2): where the joint density of eps and y is highest."""
    noise = Symbol("noise", real=True)
    exponent = -(noise**2) / 2 - (place - level * noise - m) ** 2 / (2 * c**2)
    return sp.solve(sp.diff(exponent, noise), noise)[0]


def gauss_flow(statement: Statement) -> None:
    there = equation(statement, y[s], "y_s").rhs
    require_equal(there.subs(r[s], r[t]), y[t], "the curve at its start and y_t")
    there = there.subs(r[s], LEVEL)
    require_equal(sp.diff(there, LEVEL), gauss_noise(there, LEVEL), "the slope of the curve and the best guess of the noise")


def ddim_euler(statement: Statement) -> None:
    there = equation(statement, y[s], "y_s").rhs
    level = {r[n]: sqrt(1 - bar[n]) / sqrt(bar[n]) for n in (s, t)}
    without_noise = guess_put_in(sqrt(bar[s]) * x_hat[0] + sqrt(1 - bar[s]) * ASKED)
    require(there.has(ASKED), "the network is not asked")
    gap = there.subs({y[t]: x[t] / sqrt(bar[t]), **level}) - without_noise / sqrt(bar[s])
    require_equal(gap.subs(ASKED, Symbol("said", real=True)), 0, "the difference of Euler's step and DDIM's and 0")


STEP = Symbol("h", positive=True)
"""The length of a step."""


def slope_near(place: Expr, level: Expr) -> Expr:
    """Any smooth slope, as a function of y - y_t and r - r_t: its Taylor polynomial with free coefficients."""
    return sum(Symbol(f"c_{a}{b}", real=True) * place**a * level**b for a in range(3) for b in range(3 - a))


def heun(statement: Statement) -> None:
    there = equation(statement, y[s], "y_s").rhs
    first, second = slope_near(sp.S.Zero, sp.S.Zero), network(x_euler[s], s)
    require(there.has(ASKED) and there.has(second), "the network is not asked at both ends of the step")
    moved = there.subs({second: slope_near(STEP * first, STEP), ASKED: first, r[s]: r[t] + STEP}) - y[t]
    require(not moved.has(network), "the network is asked somewhere else")
    # The truth: y' = F, and y'' = dF/dr + F dF/dy by the chain rule.
    bend = Symbol("c_01", real=True) + first * Symbol("c_10", real=True)
    truth = STEP * first + STEP**2 / 2 * bend
    gap = sp.expand(moved - truth)
    for power in range(3):
        require_equal(gap.coeff(STEP, power), 0, f"the error's term in the {('zeroth', 'first', 'second')[power]} power of the step")


CURVE = (
    Claim(
        "eq-scaled",
        r"y_t = \frac{x_t}{\sqrt{\bar\alpha_t}} = x_0 + r_t\, \epsilon, \qquad r_t = \frac{\sqrt{1-\bar\alpha_t}}{\sqrt{\bar\alpha_t}}",
        "eq-sample divided by the factor of the image",
        scaled,
        (
            NearMiss(
                r"y_t = \frac{x_t}{\sqrt{\bar\alpha_t}} = x_0 + r_t\, \epsilon, \qquad r_t = \frac{1-\bar\alpha_t}{\bar\alpha_t}",
                "the variance in place of the standard deviation",
            ),
            NearMiss(
                r"y_t = \frac{x_t}{\sqrt{\bar\alpha_t}} = x_0 + r_t\, \epsilon, \qquad r_t = \frac{\sqrt{\bar\alpha_t}}{\sqrt{1-\bar\alpha_t}}",
                "the ratio upside down",
            ),
            NearMiss(
                r"y_t = \frac{x_t}{\bar\alpha_t} = x_0 + r_t\, \epsilon, \qquad r_t = \frac{\sqrt{1-\bar\alpha_t}}{\sqrt{\bar\alpha_t}}",
                "the signal without its root",
            ),
        ),
    ),
    Claim(
        "eq-ode",
        r"\frac{\mathrm{d}y_t}{\mathrm{d}r_t} = \mathbb{E}[\epsilon \mid x_t]",
        "what the density loses has flowed away: true for each point of data, and linear in them",
        flow,
        (
            NearMiss(r"\frac{\mathrm{d}y_t}{\mathrm{d}r_t} = -\mathbb{E}[\epsilon \mid x_t]", "the wrong way"),
            NearMiss(r"\frac{\mathrm{d}y_t}{\mathrm{d}r_t} = \frac{1}{2}\, \mathbb{E}[\epsilon \mid x_t]", "half the speed"),
            NearMiss(r"\frac{\mathrm{d}y_t}{\mathrm{d}r_t} = r_t\, \mathbb{E}[\epsilon \mid x_t]", "the noise in x_t scaled twice"),
        ),
    ),
    Claim(
        "eq-gauss-flow",
        r"y_s = m + (y_t - m) \frac{\sqrt{c^2 + r_s^2}}{\sqrt{c^2 + r_t^2}}",
        "its slope is the best guess of the noise, and it starts at y_t",
        gauss_flow,
        (
            NearMiss(r"y_s = m + (y_t - m) \frac{c^2 + r_s^2}{c^2 + r_t^2}", "the ratio of variances: standard deviations are kept in step"),
            NearMiss(r"y_s = m + (y_t - m) \frac{r_s}{r_t}", "right for data of one point only"),
            NearMiss(r"y_s = y_t \frac{\sqrt{c^2 + r_s^2}}{\sqrt{c^2 + r_t^2}}", "shrunk towards zero, not towards the mean of the data"),
        ),
    ),
    Claim(
        "eq-ddim-euler",
        r"y_s = y_t + (r_s - r_t)\, \epsilon_\theta(x_t, t)",
        "DDIM's step without noise, divided by √ᾱ_s, for any network",
        ddim_euler,
        (
            NearMiss(r"y_s = y_t + (r_t - r_s)\, \epsilon_\theta(x_t, t)", "towards more noise"),
            NearMiss(r"y_s = y_t + r_s\, \epsilon_\theta(x_t, t)", "the noise of s added, that of t not removed"),
            NearMiss(r"y_s = y_t + (r_s^2 - r_t^2)\, \epsilon_\theta(x_t, t)", "variances in place of standard deviations"),
        ),
        f"{SAMPLE}.sample_ddim",
    ),
    Claim(
        "eq-heun",
        r"y_s = y_t + \frac{r_s - r_t}{2}\, \big(\epsilon_\theta(x_t, t) + \epsilon_\theta(\tilde x_s, s)\big)",
        "agrees with the curve up to the second power of the step, whatever the slopes",
        heun,
        (
            NearMiss(
                r"y_s = y_t + (r_s - r_t)\, \big(\epsilon_\theta(x_t, t) + \epsilon_\theta(\tilde x_s, s)\big)",
                "the sum of the slopes in place of their mean",
            ),
            NearMiss(r"y_s = y_t + (r_s - r_t)\, \epsilon_\theta(x_t, t)", "the slope at the start alone: Euler's method"),
            NearMiss(
                r"y_s = y_t + \frac{r_s - r_t}{2}\, \big(\epsilon_\theta(x_t, t) + \epsilon_\theta(\tilde x_s, t)\big)",
                "the network told the wrong time at the far end",
            ),
            NearMiss(
                r"y_s = y_t + \frac{r_s - r_t}{3}\, \big(\epsilon_\theta(x_t, t) + 2 \epsilon_\theta(\tilde x_s, s)\big)",
                "weights that add up to one, but are not equal",
            ),
        ),
        f"{SAMPLE}.sample_heun",
    ),
)


# A straight line through two guesses


def half_log_snr(statement: Statement) -> None:
    formula = equation(statement, lam[t], "lambda_t").rhs.subs(SNR(t), bar[t] / (1 - bar[t]))
    require_equal(sp.exp(2 * formula), bar[t] / (1 - bar[t]), "the exponential of twice it and 1/r_t^2")


def at_half_log_snr(value: Expr) -> Expr:
    """alpha_bar where half the log-SNR has this value."""
    return 1 / (1 + sp.exp(-2 * value))


def exponential(statement: Statement) -> None:
    there = equation(statement, x[s], "x_s").rhs
    here, end, done = Symbol("here", real=True), Symbol("end", real=True), sp.Function("done")
    there = there.subs({bar[n]: at_half_log_snr(lam[n]) for n in (s, t)}).subs({lam[t]: here, lam[s]: end})
    (integral,) = there.atoms(sp.Integral) or (None,)
    require(integral is not None, "nothing is integrated")
    body, (variable, low, high) = integral.function, integral.limits[0]
    require((low, high) == (here, end), "the integral does not run from lambda_t to lambda_s")
    there = there.subs(integral, done(end))  # known by its start, zero, and by its slope
    require_equal(there.subs(end, here).subs(done(here), 0), x[t], "the formula at s = t and x_t")
    bar_s, guess = at_half_log_snr(end), f(end)
    slope = sp.diff(there / sqrt(bar_s), end) / sp.diff(sp.exp(-end), end)  # of y_s with r_s = exp(-lambda_s)
    slope = slope.subs(sp.diff(done(end), end), body.subs(variable, end))
    noise = (there - sqrt(bar_s) * guess) / sqrt(1 - bar_s)
    stand_in = {guess: Symbol("guess", real=True), done(end): Symbol("gathered", real=True)}
    require_equal(sp.simplify(slope.subs(stand_in)), sp.simplify(noise.subs(stand_in)), "the slope of y_s and the noise that goes with the guess")


def dpm_solver(statement: Statement) -> None:
    there = equation(statement, x[s], "x_s").rhs
    start, ratio = sp.symbols("l k", positive=True)  # exp(lambda_t); the length of the step before, over this one's
    level, tilt, so_far = sp.symbols("a b tau", real=True)
    # A guess that is linear in lambda: level at lambda_t, and level - tilt k h at lambda_j, a step of length k h before.
    there = there.subs({f(lam[t]): level, f(lam[j]): level - tilt * ratio * STEP})
    there = there.subs({lam[s]: lam[t] + STEP, lam[j]: lam[t] - ratio * STEP}).subs(lam[t], sp.log(start))
    require(not there.has(f), "a guess is made somewhere else")
    signal = {bar[n]: over**2 / (1 + over**2) for n, over in ((t, start), (s, start * sp.exp(STEP)))}  # over noise: exp(lambda)
    integral = sp.integrate(sp.expand(start * sp.exp(so_far) * (level + tilt * so_far)), (so_far, 0, STEP))
    truth = sqrt(1 - bar[s]) / sqrt(1 - bar[t]) * x[t] + sqrt(1 - bar[s]) * integral
    gap = sp.expand(roots_out(((there - truth) / sqrt(1 - bar[s])).subs(signal)))
    require_equal(gap.subs(tilt, 0), 0, "the step for a guess that does not change and the integral")
    for power in range(3):
        term = sp.diff(gap, STEP, power).subs(STEP, 0)
        require_equal(term, 0, f"the error's term in the {('zeroth', 'first', 'second')[power]} power of the step")


def dpm_solver_eta(statement: Statement) -> None:
    there = equation(statement, x[s], "x_s").rhs
    over_t, step, noisy, fresh, image = sp.symbols("k h epsilon zeta a", positive=True)
    require(there.has(eta) and there.has(z), "the fresh noise and its share are missing")
    # For a guess that is right, image a: what remains of the image, of the noise in x_t, and what is fresh.
    signal = {bar[n]: over**2 / (1 + over**2) for n, over in ((t, over_t), (s, over_t * sp.exp(step)))}  # over noise: exp(lambda)
    there = there.subs({x[t]: sqrt(bar[t]) * image + sqrt(1 - bar[t]) * noisy, f(lam[t]): image, z: fresh})
    there = roots_out(sp.expand(there.subs(lam[s], lam[t] + step)).subs(signal))
    of_image, of_noise, of_fresh = (sp.diff(there, part) for part in (image, noisy, fresh))
    require_equal(sp.simplify(of_image - roots_out(sqrt(bar[s]).subs(signal))), 0, "what is left of the image and the root of alpha-bar_s")
    variance = sp.simplify(sp.expand(of_noise**2 + of_fresh**2))
    require_equal(sp.simplify(variance - (1 - bar[s]).subs(signal)), 0, "the variance of all noise and that of x_s")
    posterior = (1 - bar[s]) / (1 - bar[t]) * (1 - bar[t] / bar[s])  # of x_s given x_t and x_0: eq-ddim-sigma with eta = 1
    added = sp.simplify((of_fresh**2).subs(eta, 1) - posterior.subs(signal))
    require_equal(added, 0, "the variance of the fresh noise with eta = 1 and DDPM's")
    require_equal(of_fresh.subs(eta, 0), 0, "the fresh noise with eta = 0")


LINE = (
    Claim(
        "eq-half-log-snr",
        r"\lambda_t = \frac{1}{2} \log \operatorname{SNR}(t)",
        "its exponential is signal over noise, 1/r_t",
        half_log_snr,
        (
            NearMiss(r"\lambda_t = \log \operatorname{SNR}(t)", "the half forgotten"),
            NearMiss(r"\lambda_t = -\frac{1}{2} \log \operatorname{SNR}(t)", "the logarithm of r_t, which falls on the way to the image"),
        ),
    ),
    Claim(
        "eq-exponential",
        r"x_s = \sqrt{\frac{1-\bar\alpha_s}{1-\bar\alpha_t}}\, x_t"
        r" + \sqrt{1-\bar\alpha_s} \int_{\lambda_t}^{\lambda_s} \exp(\lambda)\, f(\lambda)\, \mathrm{d}\lambda",
        "starts at x_t, and moves as the ODE says",
        exponential,
        (
            NearMiss(
                r"x_s = \sqrt{\frac{1-\bar\alpha_s}{1-\bar\alpha_t}}\, x_t"
                r" + \sqrt{1-\bar\alpha_s} \int_{\lambda_t}^{\lambda_s} f(\lambda)\, \mathrm{d}\lambda",
                "the exponential forgotten",
            ),
            NearMiss(
                r"x_s = \sqrt{\frac{\bar\alpha_s}{\bar\alpha_t}}\, x_t"
                r" + \sqrt{1-\bar\alpha_s} \int_{\lambda_t}^{\lambda_s} \exp(\lambda)\, f(\lambda)\, \mathrm{d}\lambda",
                "the ratio of the signals, where that of the noises is due",
            ),
            NearMiss(
                r"x_s = \sqrt{\frac{1-\bar\alpha_s}{1-\bar\alpha_t}}\, x_t"
                r" + \sqrt{\bar\alpha_s} \int_{\lambda_t}^{\lambda_s} \exp(\lambda)\, f(\lambda)\, \mathrm{d}\lambda",
                "the factor of the image in front of the integral",
            ),
        ),
    ),
    Claim(
        "eq-dpm-solver",
        r"\begin{aligned} x_s &= \sqrt{\frac{1-\bar\alpha_s}{1-\bar\alpha_t}}\, x_t \\ &\quad + \sqrt{\bar\alpha_s}\, \big(1 - \exp(\lambda_t - \lambda_s)\big)"
        r" \Big(f(\lambda_t) + \frac{\lambda_s - \lambda_t}{2 (\lambda_t - \lambda_j)}\, \big(f(\lambda_t) - f(\lambda_j)\big)\Big) \end{aligned}",
        "the integral up to the second power of the step for a guess on a line; all of it for one that stays",
        dpm_solver,
        (
            NearMiss(
                r"\begin{aligned} x_s &= \sqrt{\frac{1-\bar\alpha_s}{1-\bar\alpha_t}}\, x_t \\ &\quad + \sqrt{\bar\alpha_s}\, \big(1 - \exp(\lambda_t - \lambda_s)\big)"
                r" \Big(f(\lambda_t) + \frac{\lambda_s - \lambda_t}{\lambda_t - \lambda_j}\, \big(f(\lambda_t) - f(\lambda_j)\big)\Big) \end{aligned}",
                "the line followed to its end: its middle counts",
            ),
            NearMiss(
                r"\begin{aligned} x_s &= \sqrt{\frac{1-\bar\alpha_s}{1-\bar\alpha_t}}\, x_t \\"
                r" &\quad + \sqrt{\bar\alpha_s}\, \big(1 - \exp(\lambda_t - \lambda_s)\big)\, f(\lambda_t) \end{aligned}",
                "the last guess alone: first order",
            ),
            NearMiss(
                r"\begin{aligned} x_s &= \sqrt{\frac{1-\bar\alpha_s}{1-\bar\alpha_t}}\, x_t \\ &\quad + \sqrt{\bar\alpha_s}\, \big(1 - \exp(\lambda_s - \lambda_t)\big)"
                r" \Big(f(\lambda_t) + \frac{\lambda_s - \lambda_t}{2 (\lambda_t - \lambda_j)}\, \big(f(\lambda_t) - f(\lambda_j)\big)\Big) \end{aligned}",
                "the sign of the exponent",
            ),
            NearMiss(
                r"\begin{aligned} x_s &= \sqrt{\frac{1-\bar\alpha_s}{1-\bar\alpha_t}}\, x_t \\ &\quad + \sqrt{\bar\alpha_s}\, \big(1 - \exp(\lambda_t - \lambda_s)\big)"
                r" \Big(f(\lambda_t) + \frac{1}{2}\, \big(f(\lambda_t) - f(\lambda_j)\big)\Big) \end{aligned}",
                "right only if this step is as long as the last",
            ),
        ),
        f"{SAMPLE}.sample_dpm_solver",
    ),
    Claim(
        "eq-dpm-solver-eta",
        r"\begin{aligned} x_s &= \sqrt{\frac{1-\bar\alpha_s}{1-\bar\alpha_t}}\, \exp\big(\eta^2 (\lambda_t - \lambda_s)\big)\, x_t \\"
        r" &\quad + \sqrt{\bar\alpha_s}\, \big(1 - \exp\big((1 + \eta^2) (\lambda_t - \lambda_s)\big)\big)\, f(\lambda_t) \\"
        r" &\quad + \sqrt{1-\bar\alpha_s}\, \sqrt{1 - \exp\big(2 \eta^2 (\lambda_t - \lambda_s)\big)}\; z \end{aligned}",
        "for a guess that is right the image and all noise are those of x_s; with η = 1 the fresh noise is DDPM's",
        dpm_solver_eta,
        (
            NearMiss(
                r"\begin{aligned} x_s &= \sqrt{\frac{1-\bar\alpha_s}{1-\bar\alpha_t}}\, \exp\big(\eta^2 (\lambda_t - \lambda_s)\big)\, x_t \\"
                r" &\quad + \sqrt{\bar\alpha_s}\, \big(1 - \exp\big((1 + \eta^2) (\lambda_t - \lambda_s)\big)\big)\, f(\lambda_t) \\"
                r" &\quad + \sqrt{1-\bar\alpha_s}\, \sqrt{1 - \exp\big(\eta^2 (\lambda_t - \lambda_s)\big)}\; z \end{aligned}",
                "half the exponent of the fresh noise: it does not fill up what is missing",
            ),
            NearMiss(
                r"\begin{aligned} x_s &= \sqrt{\frac{1-\bar\alpha_s}{1-\bar\alpha_t}}\, \exp\big((\lambda_t - \lambda_s)\big)\, x_t \\"
                r" &\quad + \sqrt{\bar\alpha_s}\, \big(1 - \exp\big((1 + \eta^2) (\lambda_t - \lambda_s)\big)\big)\, f(\lambda_t) \\"
                r" &\quad + \sqrt{1-\bar\alpha_s}\, \sqrt{1 - \exp\big(2 \eta^2 (\lambda_t - \lambda_s)\big)}\; z \end{aligned}",
                "the old noise shrunk by as much for any share of fresh noise",
            ),
            NearMiss(
                r"\begin{aligned} x_s &= \sqrt{\frac{1-\bar\alpha_s}{1-\bar\alpha_t}}\, \exp\big(\eta^2 (\lambda_t - \lambda_s)\big)\, x_t \\"
                r" &\quad + \sqrt{\bar\alpha_s}\, \big(1 - \exp\big(\eta^2 (\lambda_t - \lambda_s)\big)\big)\, f(\lambda_t) \\"
                r" &\quad + \sqrt{1-\bar\alpha_s}\, \sqrt{1 - \exp\big(2 \eta^2 (\lambda_t - \lambda_s)\big)}\; z \end{aligned}",
                "too little of the guess: the image fades",
            ),
            NearMiss(
                r"\begin{aligned} x_s &= \sqrt{\frac{1-\bar\alpha_s}{1-\bar\alpha_t}}\, \exp\big(\eta (\lambda_t - \lambda_s)\big)\, x_t \\"
                r" &\quad + \sqrt{\bar\alpha_s}\, \big(1 - \exp\big((1 + \eta) (\lambda_t - \lambda_s)\big)\big)\, f(\lambda_t) \\"
                r" &\quad + \sqrt{1-\bar\alpha_s}\, \sqrt{1 - \exp\big(\eta (\lambda_t - \lambda_s)\big)}\; z \end{aligned}",
                "the share in place of its square, and half of it: the noise adds up to too much",
            ),
        ),
        f"{SAMPLE}.sample_dpm_solver",
    ),
)

CLAIMS: tuple[Claim, ...] = FIRST + NOISE + FEWER + CURVE + LINE

IN_TEXT: dict[str, Literal["true", "setting"]] = {
    r"1-\bar\alpha_s": "setting",
    r"1-\bar\alpha_t": "setting",
    r"1-\bar\alpha_{t-1}": "setting",
    r"1/r_t": "setting",
    r"[-1, 1]": "setting",
    r"\alpha_t (1-\bar\alpha_{t-1})": "setting",
    r"\alpha_t/(1-\bar\alpha_t)": "setting",
    r"\bar\alpha_t/\bar\alpha_s": "setting",
    r"\beta_t V_{t-1}/V_t": "setting",
    r"\eta = 0": "setting",
    r"\eta = 0.6": "setting",
    r"\eta = 1": "setting",
    r"\eta = 1.2": "setting",
    r"\exp(\lambda)": "setting",
    r"\exp(\lambda_t)": "setting",
    r"\lambda = \infty": "setting",
    r"\sigma_t = 0": "setting",
    r"\sigma_t^2 = \beta_t": "setting",
    r"\sigma_t^2 = \tilde\beta_t": "setting",
    r"\sqrt{1-\bar\alpha_s}": "setting",
    r"\sqrt{1-\bar\alpha_t}": "setting",
    r"\sqrt{\alpha_t}\, (1-\bar\alpha_{t-1})/\sqrt{1-\bar\alpha_t}": "setting",
    r"\sqrt{\bar\alpha_s}": "setting",
    r"\sqrt{\bar\alpha_t}": "setting",
    r"c = 0": "setting",
    r"c = 1": "setting",
    r"c \le 1": "setting",
    r"r = 0": "setting",
    r"s = 0": "setting",
    r"s = t - 20": "setting",
    r"s = t-1": "setting",
    r"x_0 + r\, \epsilon": "setting",
    r"z = 0": "setting",
}
"""See `forward_process.IN_TEXT`."""
