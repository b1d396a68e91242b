"""The claims of chapter 8, the reverse process, in the order of the chapter.

The proofs know three things: the chain's definition (`step`, `walk`), what a conditional density is (a joint density over a
marginal one), and how to integrate a Gaussian. Completing the square is what the chapter does; here the posterior is found
in another way, by conditioning one Gaussian on another, and the two must agree.
"""

from functools import cache
from typing import Literal

import sympy as sp
from sympy import Expr, Symbol, sqrt

from diffcourse.algebra.claim import Claim, NearMiss, Refuted, Statement
from diffcourse.algebra.forward_process import EXACT, PROCESS, E, N, Var, alpha, bar, beta, eps, noises, q, step, t, walk, x
from diffcourse.algebra.latex import Int, Lim
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.algebra.proving import (
    as_products,
    at,
    conditional,
    gaussian_density,
    integrate_gaussian,
    law_of,
    only,
    plain,
    require,
    require_equal,
    split_last,
)

noise, v, m, c = symbol(r"\epsilon"), symbol("v"), symbol("m"), symbol("c")
k, j, K = symbol("k"), symbol("j"), symbol("K")
beta_tilde, mu_tilde = family(r"\tilde\beta"), function(r"\tilde\mu")
points, weight, share, V = family("m"), family("w"), family("r"), family("V")
before = x[t - 1]


# What the proofs know


def posterior(now: Expr = x[t], start: Expr = x[0]) -> tuple[Expr, Expr]:
    """Mean and variance of x_{t-1} given x_t and x_0, by conditioning one Gaussian on another.

    Given x_0, x_{t-1} and x_t are jointly Gaussian: what x_t says about x_{t-1} is its deviation from its mean times the
    covariance over the variance.
    """
    centre, spread = sqrt(bar[t - 1]) * start, 1 - bar[t - 1]
    covariance = sqrt(alpha[t]) * spread  # x_t is sqrt(alpha_t) x_{t-1} and noise that x_{t-1} knows nothing of
    mean, variance = sqrt(alpha[t]) * centre, alpha[t] * spread + 1 - alpha[t]
    return centre + covariance / variance * (now - mean), spread - covariance**2 / variance


def reduced(expression: Expr) -> Expr:
    """Everything in alpha_t and alpha_bar_{t-1}, with the posterior's mean and variance put in where they are named."""
    expression = expression.replace(mu_tilde, lambda n, now, start: posterior(now, start)[0] if n == t else mu_tilde(n, now, start))
    expression = expression.xreplace({beta_tilde[t]: posterior()[1]})  # xreplace is subs for whole names, and much faster
    return expression.xreplace({bar[t]: alpha[t] * bar[t - 1], beta[t]: 1 - alpha[t]})


def rooted(expression: Expr) -> Expr:
    """Square roots of alpha_t and alpha_bar_{t-1} as symbols: most of the chapter then is about fractions of polynomials."""
    roots = {alpha[t]: Symbol("sqrt(alpha_t)", positive=True) ** 2, bar[t - 1]: Symbol("sqrt(abar_{t-1})", positive=True) ** 2}
    expression = reduced(expression).xreplace(roots)
    return expression.xreplace({item: plain(item) for item in expression.atoms(sp.Indexed)})


def equal(left: Expr, right: Expr, what: str) -> None:
    """`require_equal` for what is named in this chapter; a fraction of polynomials must cancel to zero."""
    difference = reduced(left - right)
    unknown = difference.atoms(mu_tilde) | {e for e in difference.atoms(sp.Indexed) if e.base == beta_tilde}
    require(not unknown, f"{unknown} is not the posterior of step t")
    difference = rooted(difference)
    somewhere = {v: sp.Rational(1, i) for i, v in enumerate(sorted(difference.free_symbols, key=str), start=3)}
    if difference.is_rational_function() and difference.xreplace(somewhere) == 0:  # else the counterexample comes faster
        difference = sp.cancel(sp.together(difference))
    require_equal(difference, 0, what)


def same_gaussian(left: Expr, right: Expr, what: str) -> None:
    """Require that two products of Gaussians are the same: their exponents, and the squares of the constants in front."""

    def parts(density: Expr) -> tuple[Expr, Expr]:
        exponent, front = sp.Integer(0), sp.Integer(1)
        for factor in sp.Mul.make_args(density):
            exponent, front = (exponent + factor.args[0], front) if isinstance(factor, sp.exp) else (exponent, front * factor)
        return exponent, front

    (left_exponent, left_front), (right_exponent, right_front) = (parts(reduced(side)) for side in (left, right))
    require(not (left_front / right_front).has(sp.exp), f"{what}: not a Gaussian")
    equal(left_exponent, right_exponent, f"the exponents of {what}")
    equal((left_front / right_front) ** 2, sp.Integer(1), f"the squared constants of {what}: their ratio and 1")


def kernel() -> Expr:
    """q(x_t | x_{t-1}) of one component."""
    return gaussian_density(x[t], *law_of(step(before, t), [eps[t]]))


def given_start(n: Expr, start: Expr = x[0]) -> Expr:
    """q(x_n | x_0) of one component: eq-closed-form of chapter 7."""
    return gaussian_density(x[n], sqrt(bar[n]) * start, 1 - bar[n])


@cache
def over_before(joint: Expr) -> Expr:
    """The integral over all x_{t-1}."""
    y = Symbol("y", real=True)
    return integrate_gaussian(joint.xreplace({before: y}), y)


def same_density(density: Expr, numerator: Expr) -> None:
    """Require that a density of x_{t-1} is the numerator divided by its integral, which is what conditioning means."""
    same_gaussian(density, numerator / over_before(numerator), "the two densities")


ABSTRACT = {name: Symbol(name, positive=True) for name in ("q(x0)", "q(xs)", "q(xt)", "q(xs|x0)", "q(xt|x0)", "q(xt|xs)")}


def joint(variables: frozenset[Expr]) -> Expr:
    """The joint density of any of x_0, x_{t-1}, x_t, whatever the data: the chain is Markov (eq-forward-chain)."""
    d, first = ABSTRACT, x[0]
    table = {
        frozenset(): sp.Integer(1),
        frozenset([first]): d["q(x0)"],
        frozenset([before]): d["q(xs)"],
        frozenset([x[t]]): d["q(xt)"],
        frozenset([first, before]): d["q(x0)"] * d["q(xs|x0)"],
        frozenset([first, x[t]]): d["q(x0)"] * d["q(xt|x0)"],
        frozenset([before, x[t]]): d["q(xs)"] * d["q(xt|xs)"],
        frozenset([first, before, x[t]]): d["q(x0)"] * d["q(xs|x0)"] * d["q(xt|xs)"],
    }
    require(variables in table, f"{set(variables)} is not among x_0, x_{{t-1}} and x_t")
    return table[variables]


def by_definition(expression: Expr) -> Expr:
    """Each q(a | b) as the joint density of a and b over that of b."""

    def density(of: Expr, *given: sp.Tuple) -> Expr:
        behind = frozenset(given[0]) if given else frozenset()
        require(of not in behind, f"{of} stands on both sides of the bar")
        return joint(behind | {of}) / joint(behind)

    return expression.replace(q, density)


@cache
def why_not_same(density: Expr, reference: Expr) -> str:
    """Where two Gaussians part; empty if they are proved to be the same."""
    try:
        same_gaussian(density, reference, "the density and the one expected here")
    except Refuted as refuted:
        return str(refuted)
    return ""


def named_densities(expression: Expr, known: dict[Symbol, Expr]) -> Expr:
    """Replace each N(...) by the symbol of the known density that it is proved to be.

    Sums of exponentials make SymPy slow; sums of symbols do not.

    Raises:
        Refuted: if some N(...) is none of the known densities.
    """

    def name(*arguments: Expr) -> Expr:
        of, mean, covariance = arguments
        variance = covariance.subs(symbol("I"), 1)
        density = gaussian_density(of, mean, variance)
        problems = {label: why_not_same(density, reference) for label, reference in known.items()}
        same = [label for label, problem in problems.items() if not problem]
        require(bool(same), "; ".join(problems.values()))
        return same[0]

    return expression.replace(N, name)


# One step backwards


def reverse_bayes(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == q(before, sp.Tuple(x[t])), "the left side is not q(x_{t-1} | x_t)")
    require(relation.rhs != relation.lhs and relation.rhs.has(q(x[t], sp.Tuple(before))), "the known step does not take part")
    require_equal(by_definition(relation.rhs), by_definition(relation.lhs))


def toy_reverse(statement: Statement) -> None:
    mean, variance = conditional(only(statement), before, x[t])
    same_density(gaussian_density(before, mean, variance), gaussian_density(before, 0, 1) * kernel())


def toy_square(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    product = sp.expand_log(sp.log(kernel() * gaussian_density(before, 0, 1) / gaussian_density(x[t], 0, 1)), force=True)
    exponent = -2 * (product - product.subs({before: 0, x[t]: 0}))
    for side in relation.terms:
        equal(side, exponent, "this and the exponent of the three Gaussians")
    require(relation.rhs.subs(before, sqrt(1 - beta[t]) * x[t]) == 0, "the square is not completed")


def marginal(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == q(x[t]) and relation.rhs.func == Int, "q(x_t) as an integral, please")
    integrand, variable = relation.rhs.args
    # Integrating a joint density over one of its variables leaves the joint density of the others.
    everything = frozenset([x[t], variable])
    require_equal(by_definition(integrand), joint(everything), "the integrand and a joint density with x_t")
    require_equal(by_definition(relation.lhs), joint(everything - {variable}), "the left side and what integrating leaves")


def data_sum(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == q(x[t]), "the left side is not q(x_t)")
    for count in (1, 2, 3):
        for n in (1, 2):
            mean, variance = law_of(walk(0, n), noises(n))
            known = {Symbol(f"D_{i}"): gaussian_density(x[n], mean.subs(x[0], points[i]), variance) for i in range(1, count + 1)}
            mixture = as_products(relation.rhs.subs(K, count).doit().subs(t, n))
            average = sum(known) / sp.Integer(count)
            require_equal(named_densities(mixture, known), average, f"the density and the average over {count} points after {n} steps")


# With x_0


def bayes_x0(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=", "="), "two equalities, please")
    left, general, markov = relation.terms
    require(left == q(before, sp.Tuple(x[t], x[0])), "the left side is not q(x_{t-1} | x_t, x_0)")
    require(general.has(q(x[t], sp.Tuple(before, x[0]))), "Bayes' rule with x_0 given everywhere comes first")
    require(markov.has(q(x[t], sp.Tuple(before))), "the last form does not use the kernel")
    for term in (general, markov):
        require_equal(by_definition(term), by_definition(left), "this and the conditional density")


def normaliser(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs.func == Int, "an integral, please")
    integrand, variable = relation.lhs.args
    densities = {q(x[t], sp.Tuple(before)): kernel(), q(before, sp.Tuple(x[0])): given_start(t - 1), q(x[t], sp.Tuple(x[0])): given_start(t)}
    require(variable == before, "the integral is not one over x_{t-1}")
    integrand, right = (side.subs(densities, simultaneous=True) for side in (integrand, relation.rhs))
    require(not (integrand * right).has(q), "a density that is not known here")
    same_gaussian(over_before(integrand), right, "the two sides")


def posterior_exponent(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == -2 * sp.log(q(before, sp.Tuple(x[t], x[0]))), "not -2 log q(x_{t-1} | x_t, x_0)")
    product = kernel() * given_start(t - 1)
    same_gaussian(sp.exp(-relation.rhs / 2), product / over_before(product), "the density and the product over its integral")


def exponent_of_pair() -> Expr:
    """-2 times the exponent of q(x_t | x_{t-1}) q(x_{t-1} | x_0)."""
    pair = sp.expand_log(sp.log(kernel()) + sp.log(given_start(t - 1)), force=True)
    return -2 * (pair - pair.subs({x[0]: 0, before: 0, x[t]: 0}))


def posterior_powers(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    for side in relation.terms:
        equal(side, exponent_of_pair(), "this and the exponent of the two Gaussians")
    terms = [[power for power in (0, 1, 2) if sp.expand(term).coeff(before, power) != 0] for term in relation.rhs.args]
    require(sorted(terms) == [[0], [0], [1], [2]], "the powers of x_{t-1} are not collected")


def posterior_precision(statement: Statement) -> None:
    relation = only(statement)
    require(set(relation.ops) == {"="} and relation.lhs == 1 / beta_tilde[t], "the left side is not 1 over beta-tilde_t")
    for term in relation.terms[1:]:
        equal(term, relation.lhs, "this and the posterior's precision")


def posterior_balance(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == mu_tilde(t, x[t], x[0]) / beta_tilde[t], "the left side is not mean over variance")
    require(not relation.rhs.has(mu_tilde), "the mean is explained by itself")
    equal(relation.rhs, relation.lhs, "the right side and the posterior's mean over its variance")


def posterior_variance(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == beta_tilde[t], "the left side is not beta-tilde_t")
    require(not relation.rhs.has(beta_tilde[t]), "the variance is explained by itself")
    equal(relation.rhs, posterior()[1], "the formula and the posterior's variance")


def posterior_mean(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == mu_tilde(t, x[t], x[0]), "the left side is not mu-tilde_t(x_t, x_0)")
    require(not relation.rhs.has(mu_tilde), "the mean is explained by itself")
    equal(relation.rhs, posterior()[0], "the formula and the posterior's mean")


def posterior_law(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == q(before, sp.Tuple(x[t], x[0])), "the left side is not q(x_{t-1} | x_t, x_0)")
    mean, covariance = relation.rhs.args[1:] if relation.rhs.func == N else (None, None)
    require(mean is not None and relation.rhs.args[0] == before, "the right side is not a Gaussian density of x_{t-1}")
    variance = sp.expand(covariance).coeff(symbol("I"), 1)
    require_equal(covariance, variance * symbol("I"), "the covariance and a multiple of I")
    same_density(reduced(gaussian_density(before, mean, variance)), kernel() * given_start(t - 1))


def leftover(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    # What the kernel and q(x_{t-1} | x_0) hold beyond the square in x_{t-1}: their exponent at its top, x_{t-1} = mu-tilde.
    top = exponent_of_pair().subs(before, posterior()[0])
    for side in relation.terms:
        equal(side, top, "this and the exponent at the top of the bell")
    alone = sp.expand_log(sp.log(given_start(t)), force=True)
    equal(relation.rhs, -2 * (alone - alone.subs({x[0]: 0, x[t]: 0})), "the right side and the exponent of q(x_t | x_0)")


def leftover_factors(statement: Statement) -> None:
    require(len(statement) == 3, "the factors of x_t^2, x_0^2 and x_t x_0, please")
    top = sp.expand(reduced(exponent_of_pair().subs(before, posterior()[0])))
    factors = [top.coeff(x[t], 2).coeff(x[0], 0), top.coeff(x[0], 2).coeff(x[t], 0), top.coeff(x[t], 1).coeff(x[0], 1)]
    for relation, factor, what in zip(statement, factors, ("x_t^2", "x_0^2", "x_t x_0")):
        require(relation.ops == ("=",), "not an equation")
        for side in relation.terms:
            equal(side, factor, f"this and the factor of {what} at the top of the bell")


# The mean in other words


def mean_in_eps(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == mu_tilde(t, x[t], x[0]), "the left side is not mu-tilde_t(x_t, x_0)")
    require(not relation.rhs.has(x[0]) and relation.rhs.has(noise), "the right side should hold epsilon and no x_0")
    equal(relation.rhs.subs(noise, (x[t] - sqrt(bar[t]) * x[0]) / sqrt(1 - bar[t])), posterior()[0], "the formula and the posterior's mean")


def _factor_of_xt(statement: Statement, start: Expr, last: Expr) -> None:
    """Every term is the factor of x_t in the posterior's mean after `start` has taken the place of x_0."""
    relation = only(statement)
    require(relation.ops == ("=", "="), "two equalities, please")
    mean = sp.expand(reduced(posterior(x[t], start)[0]))
    for term in relation.terms:
        equal(term, mean.coeff(x[t], 1), "this and the factor of x_t")
    require(relation.rhs == last, "the last form is not the simple one")


def eps_factor(statement: Statement) -> None:
    _factor_of_xt(statement, (x[t] - sqrt(1 - bar[t]) * noise) / sqrt(bar[t]), 1 / sqrt(alpha[t]))


def v_factor(statement: Statement) -> None:
    _factor_of_xt(statement, sqrt(bar[t]) * x[t] - sqrt(1 - bar[t]) * v, sqrt(alpha[t]))
    require(sp.denom(statement[0].terms[1]) == 1 - bar[t], "the common denominator is not the variance of the noise")


def _noisy() -> tuple[Expr, Expr]:
    """x_t and v of the same x_0 and eps."""
    return sqrt(bar[t]) * x[0] + sqrt(1 - bar[t]) * noise, sqrt(bar[t]) * noise - sqrt(1 - bar[t]) * x[0]


def mean_in_v(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == mu_tilde(t, x[t], x[0]), "the left side is not mu-tilde_t(x_t, x_0)")
    require(not relation.rhs.has(x[0]) and relation.rhs.has(v), "the right side should hold v and no x_0")
    now, velocity = _noisy()
    equal(relation.rhs.subs({x[t]: now, v: velocity}, simultaneous=True), posterior(now)[0], "the formula and the posterior's mean")


# How large is the noise of a step?


def below(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("<=", "<") and relation.terms == (0, beta_tilde[t], beta[t]), "0 ≤ beta-tilde_t < beta_t, please")
    small, large = posterior()[1], 1 - alpha[t]
    # alpha_t in (0, 1) and alpha_bar_{t-1} in (0, 1], written with positive numbers: every sign is then visible.
    p, r = sp.symbols("p r", positive=True)
    require(sp.factor((large - small).subs({alpha[t]: 1 / (1 + p), bar[t - 1]: 1 / (1 + r)})).is_positive, "no positive gap")
    require(sp.factor(small.subs({alpha[t]: 1 / (1 + p), bar[t - 1]: 1 / (1 + r)})).is_positive, "beta-tilde_t may be negative")
    require_equal(small.subs(bar[t - 1], 1), 0, "beta-tilde_t before any noise and 0")


def ratio(statement: Statement) -> None:
    require(len(statement) == 2, "the first step and the limit, please")
    first, last = statement
    require(first.ops == ("=",) and first.lhs == beta_tilde[1] / beta[1], "the first is not the ratio at t = 1")
    require(last.ops == ("=",) and last.lhs == Lim(beta_tilde[t] / beta[t], t, sp.oo), "the second is not the limit of the ratio")
    share_kept = posterior()[1] / (1 - alpha[t])
    require_equal(first.rhs, share_kept.subs(bar[t - 1], 1), "the ratio at t = 1, where abar_0 = 1")
    # abar goes to zero, and it does not matter what alpha_t does meanwhile.
    left, kept = sp.symbols("left kept", positive=True)
    require_equal(last.rhs, sp.limit(sp.simplify(share_kept.subs({bar[t - 1]: left, alpha[t]: kept})), left, 0), "the limit")


# The truth about q(x_{t-1} | x_t)


def component_variance(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == V[t], "the left side is not V_t")
    require_equal(relation.rhs.subs(bar[t], 1), c**2, "the variance before the first step and c^2")
    require_equal(split_last(relation.rhs, t), alpha[t] * at(relation.rhs, t=t - 1) + 1 - alpha[t], "the variance and its recursion")


def _next_variance(expression: Expr) -> Expr:
    """V_t as one step of the chain makes it from V_{t-1}."""
    return expression.xreplace({V[t]: alpha[t] * V[t - 1] + 1 - alpha[t]})


def _joint_of_component(centre: Expr) -> Expr:
    """The density of x_{t-1} and x_t for data N(centre, c^2)."""
    return gaussian_density(before, sqrt(bar[t - 1]) * centre, V[t - 1]) * kernel()


def reverse_gaussian(statement: Statement) -> None:
    mean, variance = conditional(only(statement), before, x[t])
    same_density(_next_variance(gaussian_density(before, mean, variance)), _joint_of_component(m))


def gaussian_completion(statement: Statement) -> None:
    require(len(statement) == 2, "the precision and the mean, please")
    precision, mean = statement
    require(set(precision.ops) == {"="} and mean.ops == ("=",), "not equations")
    centre, spread = sqrt(bar[t - 1]) * m, V[t - 1]
    covariance, variance = sqrt(alpha[t]) * spread, alpha[t] * spread + 1 - alpha[t]
    for term in precision.terms:
        equal(_next_variance(term), 1 / (spread - covariance**2 / variance), "this and the precision found by conditioning")
    for term in mean.terms:
        equal(_next_variance(term), centre + covariance / variance * (x[t] - sqrt(alpha[t]) * centre), "this and the mean found by conditioning")


def _mixture_densities(joints: list[Expr]) -> tuple[dict[Symbol, Expr], dict[Symbol, Expr]]:
    """For each component: the evidence q(x_t | k) as e_k, the density q(x_{t-1} | x_t, k) as p_k."""
    evidence = {Symbol(f"e_{i}", positive=True): over_before(one) for i, one in enumerate(joints, start=1)}
    given = {Symbol(f"p_{i}", positive=True): one / over_before(one) for i, one in enumerate(joints, start=1)}
    return evidence, given


def which_component(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == share[k], "the left side is not r_k")
    for count in (1, 2, 3):
        evidence, _ = _mixture_densities([_joint_of_component(points[i]) for i in range(1, count + 1)])
        total = sum(weight[i] * e for i, e in enumerate(evidence, start=1))
        for i, e in enumerate(evidence, start=1):
            formula = named_densities(_next_variance(relation.rhs.subs({K: count, k: i}).doit()), evidence)
            require_equal(formula, weight[i] * e / total, f"the share of component {i} of {count} and Bayes' rule")


def reverse_mixture(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == q(before, sp.Tuple(x[t])), "the left side is not q(x_{t-1} | x_t)")
    for count in (1, 2):
        evidence, given = _mixture_densities([_joint_of_component(points[i]) for i in range(1, count + 1)])
        total = sum(weight[i] * e for i, e in enumerate(evidence, start=1))
        bayes = {share[i]: weight[i] * e / total for i, e in enumerate(evidence, start=1)}
        formula = named_densities(_next_variance(relation.rhs.subs(K, count).doit()), given).subs(bayes)
        # The joint density of component k and both x, summed over k and divided by what is left when x_{t-1} is summed out.
        truth = sum(weight[i] * e * p for i, (e, p) in enumerate(zip(evidence, given), start=1)) / total
        require_equal(formula, truth, f"the density for {count} components")


def reverse_two_points(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == q(before, sp.Tuple(x[t])), "the left side is not q(x_{t-1} | x_t)")
    joints = [given_start(t - 1, point) * kernel() for point in (-1, 1)]
    evidence, given = _mixture_densities(joints)
    low, high = evidence
    best_guess = E(x[0], sp.Tuple(x[t]))
    formula = named_densities(reduced(relation.rhs), given).subs(best_guess, (high - low) / (high + low))
    truth = sum(e * p for e, p in zip(evidence, given)) / (high + low)
    require_equal(formula, truth, "the density and Bayes' rule over both points")


def _any_data() -> tuple[list[Expr], list[Expr]]:
    """Three points anywhere, with any probabilities given x_t, as data for statements about means and variances."""
    probability = [Symbol(f"r_{i}", positive=True) for i in (1, 2)]
    return [points[i] for i in (1, 2, 3)], [*probability, 1 - sum(probability)]


def reverse_mean(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == E(before, sp.Tuple(x[t])), "the left side is not E[x_{t-1} | x_t]")
    places, probability = _any_data()
    guess = sum(r * place for r, place in zip(probability, places))
    formula = reduced(relation.rhs).subs(E(x[0], sp.Tuple(x[t])), guess)
    equal(formula, sum(r * posterior(x[t], place)[0] for r, place in zip(probability, places)), "the mean of the mixture")


def reverse_variance(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == Var(before, sp.Tuple(x[t])), "the left side is not Var[x_{t-1} | x_t]")
    places, probability = _any_data()
    mean, square = (sum(r * place**n for r, place in zip(probability, places)) for n in (1, 2))
    formula = reduced(relation.rhs).subs(Var(x[0], sp.Tuple(x[t])), square - mean**2)
    means = [posterior(x[t], place)[0] for place in places]
    total, total_square = (sum(r * one**n for r, one in zip(probability, means)) for n in (1, 2))
    equal(formula, posterior()[1] + total_square - total**2, "the variance of the mixture")


def separation(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    gap = mu_tilde(t, x[t], sp.Integer(1)) - mu_tilde(t, x[t], sp.Integer(-1))
    require(relation.lhs == gap**2 / beta_tilde[t], "the left side is not the squared gap over the variance")
    require(not relation.rhs.has(mu_tilde), "the gap is explained by itself")
    equal(relation.rhs, relation.lhs, "the formula and the squared gap over the variance")


BACKWARDS = (
    Claim(
        "eq-reverse-bayes",
        r"q(x_{t-1} \mid x_t) = \frac{q(x_t \mid x_{t-1})\, q(x_{t-1})}{q(x_t)}",
        "both sides are the joint density of x_{t-1} and x_t over that of x_t, whatever the data",
        reverse_bayes,
        (
            NearMiss(r"q(x_{t-1} \mid x_t) = \frac{q(x_t \mid x_{t-1})\, q(x_t)}{q(x_{t-1})}", "upside down"),
            NearMiss(r"q(x_{t-1} \mid x_t) = q(x_t \mid x_{t-1})\, q(x_{t-1})", "the denominator forgotten: a joint density"),
            NearMiss(r"q(x_{t-1} \mid x_t) = \frac{q(x_t \mid x_{t-1})\, q(x_{t-1})}{q(x_t \mid x_0)}", "the denominator for one known image"),
        ),
        f"{EXACT}.GaussianMixture.reverse_conditional",
    ),
    Claim(
        "eq-toy-square",
        r"\frac{(x_t - \sqrt{1-\beta_t}\, x_{t-1})^2}{\beta_t} + x_{t-1}^2 - x_t^2 = \frac{(x_{t-1} - \sqrt{1-\beta_t}\, x_t)^2}{\beta_t}",
        "both sides are the exponent of the three Gaussians",
        toy_square,
        (
            NearMiss(
                r"\frac{(x_t - \sqrt{1-\beta_t}\, x_{t-1})^2}{\beta_t} + x_{t-1}^2 + x_t^2 = \frac{(x_{t-1} - \sqrt{1-\beta_t}\, x_t)^2}{\beta_t}",
                "the denominator's exponent with the wrong sign",
            ),
            NearMiss(
                r"\frac{(x_t - \sqrt{1-\beta_t}\, x_{t-1})^2}{\beta_t} + x_{t-1}^2 - x_t^2 = \frac{(x_{t-1} - (1-\beta_t)\, x_t)^2}{\beta_t}",
                "the root lost",
            ),
        ),
        None,
    ),
    Claim(
        "eq-toy-reverse",
        r"q(x_{t-1} \mid x_t) = \mathcal{N}\big(x_{t-1}; \sqrt{1-\beta_t}\, x_t, \beta_t I\big)",
        "Bayes' rule for data that are standard Gaussian themselves",
        toy_reverse,
        (
            NearMiss(r"q(x_{t-1} \mid x_t) = \mathcal{N}\big(x_{t-1}; \frac{x_t}{\sqrt{1-\beta_t}}, \beta_t I\big)", "undoing the pull"),
            NearMiss(
                r"q(x_{t-1} \mid x_t) = \mathcal{N}\big(x_{t-1}; \frac{x_t}{\sqrt{1-\beta_t}}, \frac{\beta_t}{1-\beta_t} I\big)",
                "the step solved for x_{t-1}, as if its noise did not depend on x_t",
            ),
            NearMiss(r"q(x_{t-1} \mid x_t) = \mathcal{N}\big(x_{t-1}; \sqrt{1-\beta_t}\, x_t, \sqrt{\beta_t}\, I\big)", "a standard deviation for the variance"),
        ),
        f"{EXACT}.GaussianMixture.reverse_conditional",
    ),
    Claim(
        "eq-marginal",
        r"q(x_t) = \int q(x_0)\, q(x_t \mid x_0)\, \mathrm{d}x_0",
        "the joint density of x_0 and x_t, with x_0 integrated out",
        marginal,
        (
            NearMiss(r"q(x_t) = \int q(x_t \mid x_0)\, \mathrm{d}x_0", "all images equally likely"),
            NearMiss(r"q(x_t) = \int q(x_0)\, q(x_t \mid x_{t-1})\, \mathrm{d}x_0", "one step in place of all"),
            NearMiss(r"q(x_t) = \int q(x_0)\, q(x_t \mid x_0)\, \mathrm{d}x_{t-1}", "integrated over the wrong variable"),
        ),
        f"{EXACT}.GaussianMixture.log_prob",
    ),
    Claim(
        "eq-data-sum",
        r"q(x_t) = \frac{1}{K} \sum_{k=1}^{K} \mathcal{N}\big(x_t; \sqrt{\bar\alpha_t}\, m_k, (1-\bar\alpha_t) I\big)",
        "walked from each of 1, 2, 3 points, one and two steps, and averaged",
        data_sum,
        (
            NearMiss(
                r"q(x_t) = \sum_{k=1}^{K} \mathcal{N}\big(x_t; \sqrt{\bar\alpha_t}\, m_k, (1-\bar\alpha_t) I\big)",
                "a sum in place of the average",
            ),
            NearMiss(
                r"q(x_t) = \frac{1}{K} \sum_{k=1}^{K} \mathcal{N}\big(x_t; \bar\alpha_t\, m_k, (1-\bar\alpha_t) I\big)",
                "the mean without its root",
            ),
            NearMiss(
                r"q(x_t) = \frac{1}{K} \sum_{k=1}^{K-1} \mathcal{N}\big(x_t; \sqrt{\bar\alpha_t}\, m_k, (1-\bar\alpha_t) I\big)",
                "the last point missing",
            ),
        ),
        f"{EXACT}.GaussianMixture.log_prob",
    ),
)

POSTERIOR = (
    Claim(
        "eq-bayes-x0",
        r"q(x_{t-1} \mid x_t, x_0) = \frac{q(x_t \mid x_{t-1}, x_0)\, q(x_{t-1} \mid x_0)}{q(x_t \mid x_0)}"
        r" = \frac{q(x_t \mid x_{t-1})\, q(x_{t-1} \mid x_0)}{q(x_t \mid x_0)}",
        "joint densities of x_0, x_{t-1}, x_t over those of what is given; the last step sees x_{t-1} only",
        bayes_x0,
        (
            NearMiss(
                r"q(x_{t-1} \mid x_t, x_0) = \frac{q(x_t \mid x_{t-1}, x_0)\, q(x_{t-1} \mid x_0)}{q(x_t \mid x_0)}"
                r" = \frac{q(x_t \mid x_{t-1})\, q(x_{t-1} \mid x_0)}{q(x_t)}",
                "the denominator without x_0",
            ),
            NearMiss(
                r"q(x_{t-1} \mid x_t, x_0) = \frac{q(x_t \mid x_{t-1}, x_0)\, q(x_{t-1} \mid x_0)}{q(x_t \mid x_0)}"
                r" = \frac{q(x_t \mid x_{t-1})\, q(x_t \mid x_0)}{q(x_{t-1} \mid x_0)}",
                "upside down",
            ),
            NearMiss(
                r"q(x_{t-1} \mid x_t, x_0) = \frac{q(x_t \mid x_{t-1}, x_0)\, q(x_{t-1})}{q(x_t)}"
                r" = \frac{q(x_t \mid x_{t-1})\, q(x_{t-1})}{q(x_t)}",
                "x_0 forgotten: this is q(x_{t-1} | x_t)",
            ),
        ),
        f"{PROCESS}.q_posterior",
    ),
    Claim(
        "eq-posterior-exponent",
        r"\begin{aligned}"
        r" &-2 \log q(x_{t-1} \mid x_t, x_0) \\"
        r" &= \frac{(x_t - \sqrt{\alpha_t}\, x_{t-1})^2}{\beta_t} + \frac{(x_{t-1} - \sqrt{\bar\alpha_{t-1}}\,"
        r" x_0)^2}{1-\bar\alpha_{t-1}} - \frac{(x_t - \sqrt{\bar\alpha_t}\, x_0)^2}{1-\bar\alpha_t} \\"
        r" &\quad + \log \frac{2 \pi \beta_t (1-\bar\alpha_{t-1})}{1-\bar\alpha_t}"
        r" \end{aligned}",
        "the logarithm of the product of the two Gaussians over its integral",
        posterior_exponent,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &-2 \log q(x_{t-1} \mid x_t, x_0) \\"
                r" &= \frac{(x_t - \sqrt{\alpha_t}\, x_{t-1})^2}{\beta_t} + \frac{(x_{t-1} - \sqrt{\bar\alpha_{t-1}}\,"
                r" x_0)^2}{1-\bar\alpha_{t-1}} + \frac{(x_t - \sqrt{\bar\alpha_t}\, x_0)^2}{1-\bar\alpha_t} \\"
                r" &\quad + \log \frac{2 \pi \beta_t (1-\bar\alpha_{t-1})}{1-\bar\alpha_t}"
                r" \end{aligned}",
                "the denominator's exponent with the wrong sign",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &-2 \log q(x_{t-1} \mid x_t, x_0) \\"
                r" &= \frac{(x_t - \sqrt{\alpha_t}\, x_{t-1})^2}{\beta_t} + \frac{(x_{t-1} - \sqrt{\bar\alpha_{t-1}}\,"
                r" x_0)^2}{1-\bar\alpha_{t-1}} - \frac{(x_t - \sqrt{\bar\alpha_t}\, x_0)^2}{1-\bar\alpha_t}"
                r" \end{aligned}",
                "the constants of the three densities forgotten",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &-2 \log q(x_{t-1} \mid x_t, x_0) \\"
                r" &= \frac{(x_t - \sqrt{\alpha_t}\, x_{t-1})^2}{\beta_t} + \frac{(x_{t-1} - \sqrt{\bar\alpha_{t-1}}\,"
                r" x_0)^2}{1-\bar\alpha_{t-1}} - \frac{(x_t - \sqrt{\bar\alpha_t}\, x_0)^2}{1-\bar\alpha_t} \\"
                r" &\quad + \log \frac{2 \pi (1-\bar\alpha_t)}{\beta_t (1-\bar\alpha_{t-1})}"
                r" \end{aligned}",
                "the constants upside down",
            ),
        ),
        f"{PROCESS}.q_posterior",
    ),
    Claim(
        "eq-posterior-powers",
        r"\begin{aligned}"
        r" &\frac{(x_t - \sqrt{\alpha_t}\, x_{t-1})^2}{\beta_t} + \frac{(x_{t-1} - \sqrt{\bar\alpha_{t-1}}\, x_0)^2}{1-\bar\alpha_{t-1}} \\"
        r" &= \Big(\frac{\alpha_t}{\beta_t} + \frac{1}{1-\bar\alpha_{t-1}}\Big)\, x_{t-1}^2 - 2 \Big(\frac{\sqrt{\alpha_t}\, x_t}{\beta_t}"
        r" + \frac{\sqrt{\bar\alpha_{t-1}}\, x_0}{1-\bar\alpha_{t-1}}\Big)\, x_{t-1} \\"
        r" &\quad + \frac{x_t^2}{\beta_t} + \frac{\bar\alpha_{t-1}\, x_0^2}{1-\bar\alpha_{t-1}}"
        r" \end{aligned}",
        "both sides are the exponent of the two Gaussians",
        posterior_powers,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &\frac{(x_t - \sqrt{\alpha_t}\, x_{t-1})^2}{\beta_t} + \frac{(x_{t-1} - \sqrt{\bar\alpha_{t-1}}\, x_0)^2}{1-\bar\alpha_{t-1}} \\"
                r" &= \Big(\frac{1}{\beta_t} + \frac{1}{1-\bar\alpha_{t-1}}\Big)\, x_{t-1}^2 - 2 \Big(\frac{\sqrt{\alpha_t}\, x_t}{\beta_t}"
                r" + \frac{\sqrt{\bar\alpha_{t-1}}\, x_0}{1-\bar\alpha_{t-1}}\Big)\, x_{t-1} \\"
                r" &\quad + \frac{x_t^2}{\beta_t} + \frac{\bar\alpha_{t-1}\, x_0^2}{1-\bar\alpha_{t-1}}"
                r" \end{aligned}",
                "the factor α_t lost in the square",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\frac{(x_t - \sqrt{\alpha_t}\, x_{t-1})^2}{\beta_t} + \frac{(x_{t-1} - \sqrt{\bar\alpha_{t-1}}\, x_0)^2}{1-\bar\alpha_{t-1}} \\"
                r" &= \Big(\frac{\alpha_t}{\beta_t} + \frac{1}{1-\bar\alpha_{t-1}}\Big)\, x_{t-1}^2 - \Big(\frac{\sqrt{\alpha_t}\,"
                r" x_t}{\beta_t} + \frac{\sqrt{\bar\alpha_{t-1}}\, x_0}{1-\bar\alpha_{t-1}}\Big)\, x_{t-1} \\"
                r" &\quad + \frac{x_t^2}{\beta_t} + \frac{\bar\alpha_{t-1}\, x_0^2}{1-\bar\alpha_{t-1}}"
                r" \end{aligned}",
                "the 2 of the mixed term lost",
            ),
        ),
        None,
    ),
    Claim(
        "eq-posterior-precision",
        r"\frac{1}{\tilde\beta_t} = \frac{\alpha_t}{\beta_t} + \frac{1}{1-\bar\alpha_{t-1}}"
        r" = \frac{\alpha_t (1-\bar\alpha_{t-1}) + \beta_t}{\beta_t (1-\bar\alpha_{t-1})}"
        r" = \frac{1-\bar\alpha_t}{\beta_t (1-\bar\alpha_{t-1})}",
        "each form is one over the variance found by conditioning",
        posterior_precision,
        (
            NearMiss(
                r"\frac{1}{\tilde\beta_t} = \frac{1}{\beta_t} + \frac{1}{1-\bar\alpha_{t-1}}"
                r" = \frac{1-\bar\alpha_{t-1} + \beta_t}{\beta_t (1-\bar\alpha_{t-1})}",
                "the precision of x_t itself, not that of x_{t-1}",
            ),
            NearMiss(
                r"\frac{1}{\tilde\beta_t} = \frac{\sqrt{\alpha_t}}{\beta_t} + \frac{1}{1-\bar\alpha_{t-1}}",
                "the factor of x_{t-1} not squared",
            ),
            NearMiss(
                r"\frac{1}{\tilde\beta_t} = \frac{\alpha_t}{\beta_t} + \frac{1}{1-\bar\alpha_t}",
                "an index off by one",
            ),
            NearMiss(r"\frac{1}{\tilde\beta_t} = \frac{\alpha_t}{\beta_t + 1 - \bar\alpha_{t-1}}", "adding variances in place of precisions"),
        ),
        f"{PROCESS}.q_posterior",
    ),
    Claim(
        "eq-posterior-balance",
        r"\frac{\tilde\mu_t(x_t, x_0)}{\tilde\beta_t} = \frac{\sqrt{\alpha_t}}{\beta_t}\, x_t + \frac{\sqrt{\bar\alpha_{t-1}}}{1-\bar\alpha_{t-1}}\, x_0",
        "the mean and the variance found by conditioning",
        posterior_balance,
        (
            NearMiss(
                r"\frac{\tilde\mu_t(x_t, x_0)}{\tilde\beta_t} = \frac{\sqrt{\alpha_t}}{\beta_t}\, x_t - \frac{\sqrt{\bar\alpha_{t-1}}}{1-\bar\alpha_{t-1}}\, x_0",
                "the wrong sign: the image pushes away",
            ),
            NearMiss(
                r"\frac{\tilde\mu_t(x_t, x_0)}{\tilde\beta_t} = \frac{\alpha_t}{\beta_t}\, x_t + \frac{\bar\alpha_{t-1}}{1-\bar\alpha_{t-1}}\, x_0",
                "the roots lost",
            ),
        ),
        None,
    ),
    Claim(
        "eq-beta-tilde",
        r"\tilde\beta_t = \frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}\, \beta_t",
        "the variance of x_{t-1} given x_t and x_0, found by conditioning",
        posterior_variance,
        (
            NearMiss(r"\tilde\beta_t = \frac{1-\bar\alpha_t}{1-\bar\alpha_{t-1}}\, \beta_t", "upside down"),
            NearMiss(r"\tilde\beta_t = \frac{1-\alpha_{t-1}}{1-\alpha_t}\, \beta_t", "the bars forgotten"),
            NearMiss(r"\tilde\beta_t = \sqrt{\frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}}\, \beta_t", "a root too many"),
        ),
        f"{PROCESS}.q_posterior",
    ),
    Claim(
        "eq-posterior-mean",
        r"\tilde\mu_t(x_t, x_0) = \frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{1-\bar\alpha_t}\, x_0"
        r" + \frac{\sqrt{\alpha_t}\, (1-\bar\alpha_{t-1})}{1-\bar\alpha_t}\, x_t",
        "the mean of x_{t-1} given x_t and x_0, found by conditioning",
        posterior_mean,
        (
            NearMiss(
                r"\tilde\mu_t(x_t, x_0) = \frac{\sqrt{\bar\alpha_t}\, \beta_t}{1-\bar\alpha_t}\, x_0"
                r" + \frac{\sqrt{\alpha_t}\, (1-\bar\alpha_{t-1})}{1-\bar\alpha_t}\, x_t",
                "an index off by one under the root",
            ),
            NearMiss(
                r"\tilde\mu_t(x_t, x_0) = \frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{1-\bar\alpha_t}\, x_0"
                r" + \frac{\sqrt{\bar\alpha_t}\, (1-\bar\alpha_{t-1})}{1-\bar\alpha_t}\, x_t",
                "ᾱ in place of α",
            ),
            NearMiss(
                r"\tilde\mu_t(x_t, x_0) = \frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{1-\bar\alpha_t}\, x_t"
                r" + \frac{\sqrt{\alpha_t}\, (1-\bar\alpha_{t-1})}{1-\bar\alpha_t}\, x_0",
                "x_0 and x_t exchanged",
            ),
        ),
        f"{PROCESS}.q_posterior",
    ),
    Claim(
        "eq-leftover",
        r"\frac{x_t^2}{\beta_t} + \frac{\bar\alpha_{t-1}\, x_0^2}{1-\bar\alpha_{t-1}} - \frac{\tilde\mu_t(x_t, x_0)^2}{\tilde\beta_t}"
        r" = \frac{(x_t - \sqrt{\bar\alpha_t}\, x_0)^2}{1-\bar\alpha_t}",
        "both sides are the exponent at the top of the bell, and the right one is that of q(x_t | x_0)",
        leftover,
        (
            NearMiss(
                r"\frac{x_t^2}{\beta_t} + \frac{\bar\alpha_{t-1}\, x_0^2}{1-\bar\alpha_{t-1}} - \tilde\mu_t(x_t, x_0)^2"
                r" = \frac{(x_t - \sqrt{\bar\alpha_t}\, x_0)^2}{1-\bar\alpha_t}",
                "the mean's square not divided by the variance",
            ),
            NearMiss(
                r"\frac{x_t^2}{\beta_t} + \frac{\bar\alpha_{t-1}\, x_0^2}{1-\bar\alpha_{t-1}} - \frac{\tilde\mu_t(x_t, x_0)^2}{\tilde\beta_t}"
                r" = \frac{(x_t - \sqrt{\alpha_t}\, x_0)^2}{1-\alpha_t}",
                "α in place of ᾱ",
            ),
            NearMiss(
                r"\frac{x_t^2}{\beta_t} + \frac{\bar\alpha_{t-1}\, x_0^2}{1-\bar\alpha_{t-1}} - \frac{\tilde\mu_t(x_t, x_0)^2}{\tilde\beta_t} = 0",
                "nothing left over",
            ),
        ),
        None,
    ),
    Claim(
        "eq-leftover-factors",
        r"\begin{aligned}"
        r" \frac{1}{\beta_t} - \tilde\beta_t\, \frac{\alpha_t}{\beta_t^2} &= \frac{1}{1-\bar\alpha_t} \\"
        r" \frac{\bar\alpha_{t-1}}{1-\bar\alpha_{t-1}} - \tilde\beta_t\, \frac{\bar\alpha_{t-1}}{(1-\bar\alpha_{t-1})^2} &= \frac{\bar\alpha_t}{1-\bar\alpha_t} \\"
        r" -2\, \tilde\beta_t\, \frac{\sqrt{\alpha_t}}{\beta_t} \cdot \frac{\sqrt{\bar\alpha_{t-1}}}{1-\bar\alpha_{t-1}} &= -2\, \frac{\sqrt{\bar\alpha_t}}{1-\bar\alpha_t}"
        r" \end{aligned}",
        "the factors of the exponent at the top of the bell",
        leftover_factors,
        (
            NearMiss(
                r"\begin{aligned}"
                r" \frac{1}{\beta_t} - \tilde\beta_t\, \frac{\alpha_t}{\beta_t^2} &= \frac{1}{1-\bar\alpha_t} \\"
                r" \frac{\bar\alpha_{t-1}}{1-\bar\alpha_{t-1}} - \tilde\beta_t\, \frac{\bar\alpha_{t-1}}{(1-\bar\alpha_{t-1})^2} &= \frac{\bar\alpha_t}{1-\bar\alpha_t} \\"
                r" -\tilde\beta_t\, \frac{\sqrt{\alpha_t}}{\beta_t} \cdot \frac{\sqrt{\bar\alpha_{t-1}}}{1-\bar\alpha_{t-1}} &= -\frac{\sqrt{\bar\alpha_t}}{1-\bar\alpha_t}"
                r" \end{aligned}",
                "the 2 of the mixed term lost on both sides",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" \frac{1}{\beta_t} - \tilde\beta_t\, \frac{\alpha_t}{\beta_t} &= \frac{1}{1-\bar\alpha_t} \\"
                r" \frac{\bar\alpha_{t-1}}{1-\bar\alpha_{t-1}} - \tilde\beta_t\, \frac{\bar\alpha_{t-1}}{1-\bar\alpha_{t-1}} &= \frac{\bar\alpha_t}{1-\bar\alpha_t} \\"
                r" -2\, \tilde\beta_t\, \frac{\sqrt{\alpha_t}}{\beta_t} \cdot \frac{\sqrt{\bar\alpha_{t-1}}}{1-\bar\alpha_{t-1}} &= -2\, \frac{\sqrt{\bar\alpha_t}}{1-\bar\alpha_t}"
                r" \end{aligned}",
                "the denominators not squared",
            ),
        ),
        None,
    ),
    Claim(
        "eq-normaliser",
        r"\int q(x_t \mid x_{t-1})\, q(x_{t-1} \mid x_0)\, \mathrm{d}x_{t-1} = q(x_t \mid x_0)",
        "the Gaussian integral over x_{t-1}, against the closed form of chapter 7",
        normaliser,
        (
            NearMiss(r"\int q(x_t \mid x_{t-1})\, q(x_{t-1} \mid x_0)\, \mathrm{d}x_{t-1} = 1", "taking the product for a density of x_{t-1}"),
            NearMiss(r"\int q(x_t \mid x_{t-1})\, \mathrm{d}x_{t-1} = q(x_t \mid x_0)", "the kernel alone: it is a density of x_t"),
        ),
        f"{PROCESS}.q_moments",
    ),
    Claim(
        "eq-posterior",
        r"q(x_{t-1} \mid x_t, x_0) = \mathcal{N}\big(x_{t-1}; \tilde\mu_t(x_t, x_0), \tilde\beta_t I\big)",
        "the product of the two Gaussians over its integral",
        posterior_law,
        (
            NearMiss(r"q(x_{t-1} \mid x_t, x_0) = \mathcal{N}\big(x_{t-1}; \tilde\mu_t(x_t, x_0), \beta_t I\big)", "the variance of a step forwards"),
            NearMiss(r"q(x_{t-1} \mid x_t, x_0) = \mathcal{N}\big(x_{t-1}; \tilde\mu_t(x_0, x_t), \tilde\beta_t I\big)", "x_0 and x_t exchanged"),
            NearMiss(r"q(x_{t-1} \mid x_t, x_0) = \mathcal{N}\big(x_{t-1}; \tilde\mu_t(x_t, x_0), \sqrt{\tilde\beta_t}\, I\big)", "a standard deviation for the variance"),
        ),
        f"{PROCESS}.q_posterior",
    ),
)

OTHER_WORDS = (
    Claim(
        "eq-eps-factor",
        r"\frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{(1-\bar\alpha_t) \sqrt{\bar\alpha_t}} + \frac{\sqrt{\alpha_t}\, (1-\bar\alpha_{t-1})}{1-\bar\alpha_t}"
        r" = \frac{\beta_t + \alpha_t (1-\bar\alpha_{t-1})}{(1-\bar\alpha_t) \sqrt{\alpha_t}} = \frac{1}{\sqrt{\alpha_t}}",
        "the factor of x_t in the mean once ε has taken the place of x_0",
        eps_factor,
        (
            NearMiss(
                r"\frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{(1-\bar\alpha_t) \sqrt{\bar\alpha_t}} + \frac{\sqrt{\alpha_t}\, (1-\bar\alpha_{t-1})}{1-\bar\alpha_t}"
                r" = \frac{\beta_t + \alpha_t (1-\bar\alpha_{t-1})}{(1-\bar\alpha_t) \sqrt{\alpha_t}} = \sqrt{\alpha_t}",
                "shrinking in place of growing",
            ),
            NearMiss(
                r"\frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{1-\bar\alpha_t} + \frac{\sqrt{\alpha_t}\, (1-\bar\alpha_{t-1})}{1-\bar\alpha_t}"
                r" = \frac{\beta_t + \alpha_t (1-\bar\alpha_{t-1})}{(1-\bar\alpha_t) \sqrt{\alpha_t}} = \frac{1}{\sqrt{\alpha_t}}",
                "not divided by the signal's factor",
            ),
        ),
        None,
    ),
    Claim(
        "eq-posterior-mean-eps",
        r"\tilde\mu_t(x_t, x_0) = \frac{1}{\sqrt{\alpha_t}} \Big(x_t - \frac{\beta_t}{\sqrt{1-\bar\alpha_t}}\, \epsilon\Big)",
        "with ε = (x_t - √ᾱ_t x_0)/√(1-ᾱ_t) it is the mean found by conditioning",
        mean_in_eps,
        (
            NearMiss(
                r"\tilde\mu_t(x_t, x_0) = \frac{1}{\sqrt{\alpha_t}} \Big(x_t - \frac{\beta_t}{\sqrt{1-\alpha_t}}\, \epsilon\Big)",
                "the bar forgotten: a √β_t too small below",
            ),
            NearMiss(
                r"\tilde\mu_t(x_t, x_0) = \frac{1}{\sqrt{\alpha_t}} \Big(x_t - \sqrt{\beta_t}\, \epsilon\Big)",
                "the step solved for x_{t-1}, as if ε were the noise of this step alone",
            ),
            NearMiss(
                r"\tilde\mu_t(x_t, x_0) = \sqrt{\alpha_t}\, x_t - \frac{\beta_t}{\sqrt{1-\bar\alpha_t}}\, \epsilon",
                "shrinking in place of growing",
            ),
        ),
        f"{PROCESS}.q_posterior",
    ),
    Claim(
        "eq-v-factor",
        r"\begin{aligned} &\frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{1-\bar\alpha_t}\, \sqrt{\bar\alpha_t} + \frac{\sqrt{\alpha_t}\, (1-\bar\alpha_{t-1})}{1-\bar\alpha_t} \\"
        r" &= \sqrt{\alpha_t}\, \frac{\bar\alpha_{t-1} \beta_t + 1 - \bar\alpha_{t-1}}{1-\bar\alpha_t} = \sqrt{\alpha_t} \end{aligned}",
        "the factor of x_t in the mean once v has taken the place of x_0",
        v_factor,
        (
            NearMiss(
                r"\begin{aligned} &\frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{1-\bar\alpha_t}\, \sqrt{\bar\alpha_t} + \frac{\sqrt{\alpha_t}\, (1-\bar\alpha_{t-1})}{1-\bar\alpha_t} \\"
                r" &= \sqrt{\alpha_t}\, \frac{\bar\alpha_t \beta_t + 1 - \bar\alpha_{t-1}}{1-\bar\alpha_t} = \sqrt{\alpha_t} \end{aligned}",
                "an index off by one above",
            ),
            NearMiss(
                r"\begin{aligned} &\frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{1-\bar\alpha_t}\, \sqrt{\bar\alpha_t} + \frac{\sqrt{\alpha_t}\, (1-\bar\alpha_{t-1})}{1-\bar\alpha_t} \\"
                r" &= \frac{\bar\alpha_{t-1} \beta_t + 1 - \bar\alpha_{t-1}}{1-\bar\alpha_t} = 1 \end{aligned}",
                "the root lost on the way",
            ),
        ),
        None,
    ),
    Claim(
        "eq-posterior-mean-v",
        r"\tilde\mu_t(x_t, x_0) = \sqrt{\alpha_t}\, x_t - \frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{\sqrt{1-\bar\alpha_t}}\, v",
        "with x_t and v made from the same x_0 and ε it is the mean found by conditioning",
        mean_in_v,
        (
            NearMiss(
                r"\tilde\mu_t(x_t, x_0) = \frac{1}{\sqrt{\alpha_t}}\, x_t - \frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{\sqrt{1-\bar\alpha_t}}\, v",
                "the factor of the other form",
            ),
            NearMiss(
                r"\tilde\mu_t(x_t, x_0) = \sqrt{\alpha_t}\, x_t + \frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{\sqrt{1-\bar\alpha_t}}\, v",
                "the wrong sign of v",
            ),
            NearMiss(
                r"\tilde\mu_t(x_t, x_0) = \sqrt{\alpha_t}\, x_t - \frac{\sqrt{\bar\alpha_t}\, \beta_t}{\sqrt{1-\bar\alpha_t}}\, v",
                "an index off by one",
            ),
        ),
        f"{PROCESS}.q_posterior",
    ),
)

HOW_LARGE = (
    Claim(
        "eq-beta-tilde-below",
        r"0 \le \tilde\beta_t < \beta_t",
        "with α_t = 1/(1+p) and ᾱ_{t-1} = 1/(1+r) both gaps are fractions of positive terms",
        below,
        (
            NearMiss(r"0 \le \beta_t < \tilde\beta_t", "the wrong way round"),
            NearMiss(r"0 < \tilde\beta_t < \beta_t", "strictly positive: not in the first step"),
        ),
        None,
    ),
    Claim(
        "eq-beta-tilde-ratio",
        r"\frac{\tilde\beta_1}{\beta_1} = 0, \qquad \lim_{t \to \infty} \frac{\tilde\beta_t}{\beta_t} = 1",
        "ᾱ_0 = 1 in the first step, and ᾱ goes to zero in the long run",
        ratio,
        (
            NearMiss(
                r"\frac{\tilde\beta_1}{\beta_1} = 1, \qquad \lim_{t \to \infty} \frac{\tilde\beta_t}{\beta_t} = 1",
                "the two variances equal in the first step too",
            ),
            NearMiss(
                r"\frac{\tilde\beta_1}{\beta_1} = 0, \qquad \lim_{t \to \infty} \frac{\tilde\beta_t}{\beta_t} = 0",
                "the backward noise vanishing in the long run",
            ),
        ),
        f"{PROCESS}.q_posterior",
    ),
)

THE_TRUTH = (
    Claim(
        "eq-component-variance",
        r"V_t = \bar\alpha_t\, c^2 + 1 - \bar\alpha_t",
        "true at t = 0, and each step keeps it true",
        component_variance,
        (
            NearMiss(r"V_t = \bar\alpha_t\, c + 1 - \bar\alpha_t", "the data's standard deviation for their variance"),
            NearMiss(r"V_t = c^2 + 1 - \bar\alpha_t", "the data not shrunk"),
        ),
        f"{PROCESS}.q_variance",
    ),
    Claim(
        "eq-gaussian-completion",
        r"\begin{aligned}"
        r" &\frac{\alpha_t}{\beta_t} + \frac{1}{V_{t-1}} = \frac{\alpha_t V_{t-1} + \beta_t}{\beta_t V_{t-1}} = \frac{V_t}{\beta_t V_{t-1}} \\"
        r" &\frac{\beta_t V_{t-1}}{V_t} \Big(\frac{\sqrt{\alpha_t}}{\beta_t}\, x_t + \frac{\sqrt{\bar\alpha_{t-1}}}{V_{t-1}}\, m\Big) \\"
        r" &\quad = \sqrt{\bar\alpha_{t-1}}\, m + \sqrt{\alpha_t}\, \frac{V_{t-1}}{V_t}\, (x_t - \sqrt{\bar\alpha_t}\, m)"
        r" \end{aligned}",
        "the precision and the mean found by conditioning",
        gaussian_completion,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &\frac{\alpha_t}{\beta_t} + \frac{1}{V_{t-1}} = \frac{\alpha_t V_{t-1} + \beta_t}{\beta_t V_{t-1}} = \frac{V_t}{\beta_t V_{t-1}} \\"
                r" &\frac{\beta_t V_{t-1}}{V_t} \Big(\frac{\sqrt{\alpha_t}}{\beta_t}\, x_t + \frac{\sqrt{\bar\alpha_{t-1}}}{V_{t-1}}\, m\Big) \\"
                r" &\quad = \sqrt{\bar\alpha_{t-1}}\, m + \sqrt{\alpha_t}\, \frac{V_{t-1}}{V_t}\, (x_t - \sqrt{\bar\alpha_{t-1}}\, m)"
                r" \end{aligned}",
                "the deviation from the mean of the wrong step",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &\frac{1}{\beta_t} + \frac{1}{V_{t-1}} = \frac{V_{t-1} + \beta_t}{\beta_t V_{t-1}} = \frac{V_t}{\beta_t V_{t-1}} \\"
                r" &\frac{\beta_t V_{t-1}}{V_t} \Big(\frac{\sqrt{\alpha_t}}{\beta_t}\, x_t + \frac{\sqrt{\bar\alpha_{t-1}}}{V_{t-1}}\, m\Big) \\"
                r" &\quad = \sqrt{\bar\alpha_{t-1}}\, m + \sqrt{\alpha_t}\, \frac{V_{t-1}}{V_t}\, (x_t - \sqrt{\bar\alpha_t}\, m)"
                r" \end{aligned}",
                "the factor α_t lost",
            ),
        ),
        None,
    ),
    Claim(
        "eq-reverse-gaussian",
        r"q(x_{t-1} \mid x_t) = \mathcal{N}\Big(x_{t-1}; \sqrt{\bar\alpha_{t-1}}\, m"
        r" + \sqrt{\alpha_t}\, \frac{V_{t-1}}{V_t}\, (x_t - \sqrt{\bar\alpha_t}\, m), \frac{V_{t-1}}{V_t}\, \beta_t I\Big)",
        "Bayes' rule for Gaussian data, integrated",
        reverse_gaussian,
        (
            NearMiss(
                r"q(x_{t-1} \mid x_t) = \mathcal{N}\Big(x_{t-1}; \sqrt{\bar\alpha_{t-1}}\, m"
                r" + \sqrt{\alpha_t}\, \frac{V_t}{V_{t-1}}\, (x_t - \sqrt{\bar\alpha_t}\, m), \frac{V_t}{V_{t-1}}\, \beta_t I\Big)",
                "the ratio of variances upside down",
            ),
            NearMiss(
                r"q(x_{t-1} \mid x_t) = \mathcal{N}\Big(x_{t-1}; \sqrt{\bar\alpha_{t-1}}\, m"
                r" + \sqrt{\alpha_t}\, \frac{V_{t-1}}{V_t}\, (x_t - m), \frac{V_{t-1}}{V_t}\, \beta_t I\Big)",
                "the mean of the data where that of x_t is due",
            ),
            NearMiss(
                r"q(x_{t-1} \mid x_t) = \mathcal{N}\Big(x_{t-1}; \sqrt{\bar\alpha_{t-1}}\, m"
                r" + \sqrt{\alpha_t}\, \frac{V_{t-1}}{V_t}\, (x_t - \sqrt{\bar\alpha_t}\, m), \beta_t I\Big)",
                "the variance of a step forwards",
            ),
        ),
        f"{EXACT}.GaussianMixture.reverse_conditional",
    ),
    Claim(
        "eq-reverse-two-points",
        r"\begin{aligned}"
        r" &q(x_{t-1} \mid x_t) \\"
        r" &= \frac{1 - \mathbb{E}[x_0 \mid x_t]}{2}\, \mathcal{N}\big(x_{t-1}; \tilde\mu_t(x_t, -1), \tilde\beta_t I\big) \\"
        r" &\quad + \frac{1 + \mathbb{E}[x_0 \mid x_t]}{2}\, \mathcal{N}\big(x_{t-1}; \tilde\mu_t(x_t, 1), \tilde\beta_t I\big)"
        r" \end{aligned}",
        "Bayes' rule over both points",
        reverse_two_points,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &q(x_{t-1} \mid x_t) \\"
                r" &= \frac{1}{2}\, \mathcal{N}\big(x_{t-1}; \tilde\mu_t(x_t, -1), \tilde\beta_t I\big) \\"
                r" &\quad + \frac{1}{2}\, \mathcal{N}\big(x_{t-1}; \tilde\mu_t(x_t, 1), \tilde\beta_t I\big)"
                r" \end{aligned}",
                "the weights from before anybody has seen x_t",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &q(x_{t-1} \mid x_t) \\"
                r" &= \frac{1 + \mathbb{E}[x_0 \mid x_t]}{2}\, \mathcal{N}\big(x_{t-1}; \tilde\mu_t(x_t, -1), \tilde\beta_t I\big) \\"
                r" &\quad + \frac{1 - \mathbb{E}[x_0 \mid x_t]}{2}\, \mathcal{N}\big(x_{t-1}; \tilde\mu_t(x_t, 1), \tilde\beta_t I\big)"
                r" \end{aligned}",
                "the weights exchanged",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &q(x_{t-1} \mid x_t) \\"
                r" &= \mathcal{N}\big(x_{t-1}; \tilde\mu_t(x_t, \mathbb{E}[x_0 \mid x_t]), \tilde\beta_t I\big)"
                r" \end{aligned}",
                "the guess taken for the truth",
            ),
        ),
        f"{EXACT}.GaussianMixture.reverse_conditional",
    ),
    Claim(
        "eq-which-component",
        r"r_k = \frac{w_k\, \mathcal{N}\big(x_t; \sqrt{\bar\alpha_t}\, m_k, V_t I\big)}{\sum_{j=1}^{K} w_j\, \mathcal{N}\big(x_t; \sqrt{\bar\alpha_t}\, m_j, V_t I\big)}",
        "Bayes' rule for 1, 2, 3 components, with x_{t-1} integrated out",
        which_component,
        (
            NearMiss(
                r"r_k = \frac{\mathcal{N}\big(x_t; \sqrt{\bar\alpha_t}\, m_k, V_t I\big)}{\sum_{j=1}^{K} w_j\, \mathcal{N}\big(x_t; \sqrt{\bar\alpha_t}\, m_j, V_t I\big)}",
                "the component's share forgotten",
            ),
            NearMiss(
                r"r_k = \frac{w_k\, \mathcal{N}\big(x_t; m_k, V_t I\big)}{\sum_{j=1}^{K} w_j\, \mathcal{N}\big(x_t; m_j, V_t I\big)}",
                "the components not shrunk",
            ),
            NearMiss(
                r"r_k = \frac{w_k\, \mathcal{N}\big(x_t; \sqrt{\bar\alpha_t}\, m_k, (1-\bar\alpha_t) I\big)}"
                r"{\sum_{j=1}^{K} w_j\, \mathcal{N}\big(x_t; \sqrt{\bar\alpha_t}\, m_j, (1-\bar\alpha_t) I\big)}",
                "the components taken for points",
            ),
        ),
        f"{EXACT}.GaussianMixture.responsibility",
    ),
    Claim(
        "eq-reverse-mixture",
        r"\begin{aligned}"
        r" &q(x_{t-1} \mid x_t) \\"
        r" &= \sum_{k=1}^{K} r_k\, \mathcal{N}\Big(x_{t-1}; \sqrt{\bar\alpha_{t-1}}\, m_k + \sqrt{\alpha_t}\, \frac{V_{t-1}}{V_t}\,"
        r" (x_t - \sqrt{\bar\alpha_t}\, m_k), \frac{V_{t-1}}{V_t}\, \beta_t I\Big)"
        r" \end{aligned}",
        "Bayes' rule for 1 and 2 components, each integrated",
        reverse_mixture,
        (
            NearMiss(
                r"\begin{aligned}"
                r" &q(x_{t-1} \mid x_t) \\"
                r" &= \sum_{k=1}^{K} w_k\, \mathcal{N}\Big(x_{t-1}; \sqrt{\bar\alpha_{t-1}}\, m_k + \sqrt{\alpha_t}\, \frac{V_{t-1}}{V_t}\,"
                r" (x_t - \sqrt{\bar\alpha_t}\, m_k), \frac{V_{t-1}}{V_t}\, \beta_t I\Big)"
                r" \end{aligned}",
                "the shares from before anybody has seen x_t",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" &q(x_{t-1} \mid x_t) \\"
                r" &= \sum_{k=1}^{K} r_k\, \mathcal{N}\Big(x_{t-1}; \sqrt{\bar\alpha_{t-1}}\, m_k + \sqrt{\alpha_t}\, \frac{V_{t-1}}{V_t}\,"
                r" (x_t - \sqrt{\bar\alpha_t}\, m_k), \beta_t I\Big)"
                r" \end{aligned}",
                "the variance of a step forwards",
            ),
        ),
        f"{EXACT}.GaussianMixture.reverse_conditional",
    ),
    Claim(
        "eq-reverse-mean",
        r"\mathbb{E}[x_{t-1} \mid x_t] = \tilde\mu_t\big(x_t, \mathbb{E}[x_0 \mid x_t]\big)",
        "averaged over three points anywhere, with any probabilities",
        reverse_mean,
        (
            NearMiss(r"\mathbb{E}[x_{t-1} \mid x_t] = \tilde\mu_t\big(\mathbb{E}[x_0 \mid x_t], x_t\big)", "the arguments exchanged"),
            NearMiss(r"\mathbb{E}[x_{t-1} \mid x_t] = \sqrt{\bar\alpha_{t-1}}\, \mathbb{E}[x_0 \mid x_t]", "the guess shrunk, x_t forgotten"),
        ),
        f"{EXACT}.ReverseConditional.moments",
    ),
    Claim(
        "eq-reverse-variance",
        r"\operatorname{Var}[x_{t-1} \mid x_t] = \tilde\beta_t"
        r" + \Big(\frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{1-\bar\alpha_t}\Big)^2 \operatorname{Var}[x_0 \mid x_t]",
        "averaged over three points anywhere, with any probabilities",
        reverse_variance,
        (
            NearMiss(
                r"\operatorname{Var}[x_{t-1} \mid x_t] = \tilde\beta_t"
                r" + \frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{1-\bar\alpha_t} \operatorname{Var}[x_0 \mid x_t]",
                "the factor not squared",
            ),
            NearMiss(r"\operatorname{Var}[x_{t-1} \mid x_t] = \tilde\beta_t", "as if x_0 were known"),
            NearMiss(r"\operatorname{Var}[x_{t-1} \mid x_t] = \tilde\beta_t + \operatorname{Var}[x_0 \mid x_t]", "the image's doubt in full"),
        ),
        f"{EXACT}.ReverseConditional.moments",
    ),
    Claim(
        "eq-separation",
        r"\frac{\big(\tilde\mu_t(x_t, 1) - \tilde\mu_t(x_t, -1)\big)^2}{\tilde\beta_t} = \frac{4\, \bar\alpha_{t-1}\, \beta_t}{(1-\bar\alpha_{t-1})(1-\bar\alpha_t)}",
        "the means and the variance found by conditioning",
        separation,
        (
            NearMiss(
                r"\frac{\big(\tilde\mu_t(x_t, 1) - \tilde\mu_t(x_t, -1)\big)^2}{\tilde\beta_t} = \frac{4\, \bar\alpha_{t-1}\, \beta_t^2}{(1-\bar\alpha_{t-1})(1-\bar\alpha_t)}",
                "β_t squared: forgetting that the bells shrink as well",
            ),
            NearMiss(
                r"\frac{\big(\tilde\mu_t(x_t, 1) - \tilde\mu_t(x_t, -1)\big)^2}{\tilde\beta_t} = \frac{2\, \bar\alpha_{t-1}\, \beta_t}{(1-\bar\alpha_{t-1})(1-\bar\alpha_t)}",
                "half: the points are 2 apart, and 2 squared is 4",
            ),
        ),
        f"{EXACT}.GaussianMixture.reverse_conditional",
    ),
)

CLAIMS: tuple[Claim, ...] = BACKWARDS + POSTERIOR + OTHER_WORDS + HOW_LARGE + THE_TRUTH

IN_TEXT: dict[str, Literal["true", "setting"]] = {
    r"\bar\alpha_t = \alpha_t \bar\alpha_{t-1}": "true",
    r"(1 + \mathbb{E}[x_0 \mid x_t])/2": "setting",
    r"(1-\bar\alpha_{t-1})(1-\bar\alpha_t)": "setting",
    r"(\bar\alpha_{t-1} - \bar\alpha_t)/(1-\bar\alpha_t)": "setting",
    r"(x_t - \sqrt{\bar\alpha_t}\, x_0)^2/(1-\bar\alpha_t)": "setting",
    r"+1": "setting",
    r"-2 \log": "setting",
    r"-\sqrt{1-\bar\alpha_t}": "setting",
    r"-\tfrac{1}{2}": "setting",
    r"1 - \alpha_t V_{t-1}/V_t": "setting",
    r"1 - \bar\alpha_{t-1} (1-\beta_t)": "setting",
    r"1-\bar\alpha_t - \alpha_t (1-\bar\alpha_{t-1})": "setting",
    r"1-\bar\alpha_t - \beta_t": "setting",
    r"1-\bar\alpha_t": "setting",
    r"1-\bar\alpha_{t-1}": "setting",
    r"V_t = 1-\bar\alpha_t": "setting",
    r"V_t = \alpha_t V_{t-1} + \beta_t": "setting",
    r"\bar\alpha_0 = 1": "setting",
    r"\beta_t (1-\bar\alpha_t)": "setting",
    r"\beta_t - \tilde\beta_t": "setting",
    r"\beta_t = 1-\alpha_t": "setting",
    r"\beta_t/V_t": "setting",
    r"\beta_t^{3/2}": "setting",
    r"\log(2 \pi \tilde\beta_t)": "setting",
    r"\sqrt{\alpha_t}": "setting",
    r"\sqrt{\bar\alpha_t}": "setting",
    r"\sqrt{\bar\alpha_{t-1}}": "setting",
    r"\sqrt{\bar\alpha_{t-1}}\, m": "setting",
    r"\sqrt{\bar\alpha_{t-1}}\, x_0": "setting",
    r"\sqrt{\beta_t}\, \epsilon_t": "setting",
    r"\tilde\mu_1(x_1, x_0) = x_0": "setting",
    r"\tilde\mu_t^2/\tilde\beta_t": "setting",
    r"a x^2 - 2 b x": "setting",
    r"b/a": "setting",
    r"c = 0": "setting",
    r"c = 1": "setting",
    r"m = 0": "setting",
    r"v = \sqrt{\bar\alpha_t}\, \epsilon - \sqrt{1-\bar\alpha_t}\, x_0": "setting",
    r"x_0 = (x_t - \sqrt{1-\bar\alpha_t}\, \epsilon)/\sqrt{\bar\alpha_t}": "setting",
    r"x_0 = \sqrt{\bar\alpha_t}\, x_t - \sqrt{1-\bar\alpha_t}\, v": "setting",
    r"x_t = 0": "setting",
    r"x_t = 1.5": "setting",
    r"x_{t-1}^2/\beta_t": "setting",
}
"""See `forward_process.IN_TEXT`."""
