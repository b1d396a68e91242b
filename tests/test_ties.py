"""Each formula of the book against the torch function that implements it, in float64.

A tie takes the claim's own expression, as read from its LaTeX, puts numbers in, and sets the result beside what the package
computes. Where the numbers come from a schedule they are worked out here, with plain Python, from the betas alone.
"""

import importlib
import math
import re
from collections.abc import Callable, Iterator

import pytest
import sympy as sp
import torch

from diffcourse.algebra import CLAIMS, Claim
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.algebra.proving import gaussian_density
from diffcourse.diffusion import exact, process, sample, schedule
from diffcourse.diffusion.loss import simple_loss as simple
from diffcourse.diffusion.schedule import Schedule

Pairs = Iterator[tuple[float, torch.Tensor]]
BETA = [0.01, 0.03, 0.1, 0.2, 0.15, 0.4, 0.3]
ALPHA = [1 - beta for beta in BETA]
EPS = [0.3, -1.2, 0.7, 1.9, -0.4, 0.05, -2.2]
X = [0.8, -0.6, 1.3, 0.2, -1.7, 0.4, 0.9, -0.1]
MERGED = 1.1  # any merged noise
SOME = Schedule(torch.tensor(BETA, dtype=torch.float64))
T, t = symbol("T"), symbol("t")


def number(expression: sp.Expr, x: list[float] = X, **at: float) -> float:
    """The expression's value for the numbers above; `at` names t, s, T and other symbols."""
    expression = expression.subs({symbol(name): value for name, value in at.items()}).doit()
    families: dict[sp.IndexedBase, Callable[[int], float]] = {
        family("x"): lambda n: x[n],
        family(r"\beta"): lambda n: BETA[n - 1],
        family(r"\alpha"): lambda n: ALPHA[n - 1],
        family(r"\bar\alpha"): lambda n: math.prod(ALPHA[:n]),
        family(r"\epsilon"): lambda n: EPS[n - 1],
        family(r"\bar\epsilon"): lambda n: MERGED,
    }
    values = {item: families[item.base](int(item.indices[0])) for item in expression.atoms(sp.Indexed)}
    return float(expression.subs(values).subs({symbol("I"): 1, symbol(r"\epsilon"): MERGED}).evalf())


def rhs(label: str, relation: int = 0) -> sp.Expr:
    return CLAIMS[label].statement()[relation].rhs


def gaussian(label: str) -> tuple[sp.Expr, sp.Expr]:
    """Mean and covariance of q(..) = N(..; mean, covariance)."""
    _, mean, covariance = rhs(label).args
    return mean, covariance


def tensor(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


def constant(beta: float, T: int) -> Schedule:
    return Schedule(torch.full((T,), beta, dtype=torch.float64))


def two_steps(n: int) -> torch.Tensor:
    """x_n by two calls of q_step from x_{n-2}."""
    x = process.q_step(SOME, tensor(X[n - 2]), n - 1, tensor(EPS[n - 2]))
    return process.q_step(SOME, x, n, tensor(EPS[n - 1]))


def toy_step() -> Pairs:
    step = rhs("eq-toy-step").subs(symbol(r"\beta"), 0.1)
    yield number(step, t=5), process.q_step(constant(0.1, 7), tensor(X[4]), 5, tensor(EPS[4]))


def toy_moments() -> Pairs:
    moments = process.q_moments(constant(0.1, 7), tensor(X[0]), 5)
    for relation, value in enumerate(moments):
        yield number(rhs("eq-toy-moments", relation).subs(symbol(r"\beta"), 0.1), t=5), value


def forward_kernel() -> Pairs:
    for n in (2, 5):
        moments = process.q_step_moments(SOME, tensor(X[n - 1]), n)
        yield from ((number(formula, t=n), value) for formula, value in zip(gaussian("eq-forward-kernel"), moments))


def forward_chain() -> Pairs:
    path = [X[0]]
    for n in (1, 2, 3):
        path.append(process.q_step(SOME, tensor(path[-1]), n, tensor(EPS[n - 1])).item())

    def kernel(after: sp.Expr, given: sp.Tuple) -> sp.Expr:
        assert given == sp.Tuple(family("x")[after.indices[0] - 1])
        return gaussian_density(*rhs("eq-forward-kernel").subs(t, after.indices[0]).args)

    joint = rhs("eq-forward-chain").subs(T, 3).doit().replace(function("q"), kernel)
    noise = torch.distributions.Normal(0, 1).log_prob(torch.tensor(EPS[:3], dtype=torch.float64)).sum().exp()
    yield number(joint, x=path), noise / math.sqrt(math.prod(BETA[:3]))


def alpha() -> Pairs:
    yield from ((number(rhs("eq-alpha"), t=n), SOME.alpha(n)) for n in (1, 4, 7))


def forward_step() -> Pairs:
    yield number(rhs("eq-forward-step"), t=4), process.q_step(SOME, tensor(X[3]), 4, tensor(EPS[3]))


def two_steps_in_one() -> Pairs:
    yield number(rhs("eq-two-steps"), t=5), two_steps(5)


def complete_square() -> Pairs:
    a, b = (math.sqrt(v) for v in (ALPHA[4] * (1 - ALPHA[3]), 1 - ALPHA[4]))
    jump = process.q_jump(SOME, tensor(0.0), 3, 5)
    # At the square's centre only the remainder is left: the exponent of the jump's density.
    values = {"a": a, "b": b, "z": 1.7, "y": a**2 * 1.7 / (a**2 + b**2)}
    for side in CLAIMS["eq-complete-square"].statement()[0].terms:
        yield number(side, **values), 1.7**2 / jump.variance


def merge() -> Pairs:
    mean, covariance = rhs("eq-merge").args
    factors = {"a": math.sqrt(ALPHA[4] * (1 - ALPHA[3])), "b": math.sqrt(1 - ALPHA[4])}
    jump = process.q_jump(SOME, tensor(0.0), 3, 5)
    yield number(mean, **factors), jump.mean
    yield number(covariance, **factors), jump.variance


def merge_variance() -> Pairs:
    for side in CLAIMS["eq-merge-variance"].statement()[0].terms:
        yield number(side, t=5), process.q_jump(SOME, tensor(0.0), 3, 5).variance


def two_steps_merged() -> Pairs:
    mean, variance = process.q_jump(SOME, tensor(X[3]), 3, 5)
    yield number(rhs("eq-two-steps-merged"), t=5), mean + variance.sqrt() * MERGED


def alpha_bar() -> Pairs:
    yield from ((number(rhs("eq-alpha-bar"), t=n), SOME.alpha_bar(n)) for n in (1, 4, 7))


def induction() -> Pairs:
    before = process.q_sample(SOME, tensor(X[0]), 4, tensor(MERGED))
    after = process.q_step(SOME, before, 5, tensor(EPS[4]))
    _, first, second, third = CLAIMS["eq-induction"].statement()[0].terms
    yield number(first, x=[*X[:4], before.item()], t=5), after
    yield number(second, t=5), after
    yield number(third, t=5), after


def induction_variance() -> Pairs:
    for side in CLAIMS["eq-induction-variance"].statement()[0].terms:
        yield number(side, t=5), process.q_moments(SOME, tensor(X[0]), 5).variance


def closed_form() -> Pairs:
    for n in (1, 5):
        moments = process.q_moments(SOME, tensor(X[0]), n)
        yield from ((number(formula, t=n), value) for formula, value in zip(gaussian("eq-closed-form"), moments))


def one_jump() -> Pairs:
    yield from ((number(rhs("eq-sample"), t=n), process.q_sample(SOME, tensor(X[0]), n, tensor(MERGED))) for n in (1, 5))


def jump() -> Pairs:
    moments = process.q_jump(SOME, tensor(X[2]), 2, 6)
    yield from ((number(formula, s=2, t=6), value) for formula, value in zip(gaussian("eq-jump"), moments))


def variance() -> Pairs:
    formula = rhs("eq-variance").subs(function(r"\operatorname{Var}")(family("x")[0]), 0.4)
    yield number(formula, t=5), process.q_variance(SOME, 5, 0.4)


def snr() -> Pairs:
    yield from ((number(rhs("eq-snr"), t=n), SOME.snr(n)) for n in (1, 7))


def two_points() -> Pairs:
    density = rhs("eq-two-points").replace(function(r"\mathcal{N}"), gaussian_density)
    yield number(density, t=5), exact.two_points().log_prob(SOME, tensor(X[5])[:, None], 5).exp()


def which_point() -> Pairs:
    yield number(rhs("eq-which-point"), t=5), exact.two_points().posterior_mean(SOME, tensor(X[5])[:, None], 5)


def limit_bound() -> Pairs:
    _, product, bound = CLAIMS["eq-limit-bound"].statement()[0].terms
    yield number(product, T=7), SOME.alpha_bar(7)
    assert number(bound, T=7) >= SOME.alpha_bar(7) > 0.5 * number(bound, T=7)


def limit() -> Pairs:
    moments = process.q_moments(constant(0.05, 2000), tensor(X[0]), 2000)
    yield from ((number(formula), value) for formula, value in zip(gaussian("eq-limit"), moments))


def linear() -> Pairs:
    ends = {family(r"\beta")[1]: 0.002, family(r"\beta")[T]: 0.3}
    made = schedule.linear(7, 0.002, 0.3)
    yield from ((number(rhs("eq-linear").subs(ends), t=n, T=7), made.beta(n)) for n in (1, 3, 7))


def beta_from_alpha_bar() -> Pairs:
    curve = [math.prod(ALPHA[:n]) for n in range(8)]
    made = schedule.from_alpha_bar(lambda u: torch.tensor(curve, dtype=torch.float64)[(u * 7).round().long()], 7)
    yield from ((number(rhs("eq-beta-from-alpha-bar"), t=n), made.beta(n)) for n in (1, 3, 7))


def cosine() -> Pairs:
    ratio, f = CLAIMS["eq-cosine"].statement()
    curve = ratio.rhs.replace(function("f"), lambda u: f.rhs.subs(symbol("u"), u)).subs(symbol(r"\delta"), sp.Rational(8, 1000))
    yield from ((number(curve, t=n, T=7), schedule.cosine_alpha_bar(n / 7)) for n in (0, 3, 6))
    yield from ((number(curve, t=n, T=7), schedule.cosine(7).alpha_bar(n)) for n in (0, 3, 6))  # 7 is capped


def sigmoid() -> Pairs:
    ratio, g = CLAIMS["eq-sigmoid"].statement()
    curve = ratio.rhs.replace(function("g"), lambda z: g.rhs.subs(symbol("z"), z))
    for tau in (1.0, 0.6):
        values = {r"\ell": -3, "r": 3, r"\tau": tau, "T": 7}
        yield from ((number(curve, t=n, **values), schedule.sigmoid_alpha_bar(n / 7, tau=tau)) for n in (0, 3, 6))
    yield number(curve, t=3, **{r"\ell": -3, "r": 3, r"\tau": 1, "T": 7}), schedule.sigmoid(7).alpha_bar(3)


def simple_loss() -> Pairs:
    error = rhs("eq-l-simple").args[0].base.args[0]
    network = function(r"\epsilon_\theta")
    by_hand = error.replace(network, lambda x, n: sp.tanh(x) + n / 10)
    x0, eps = tensor(X[0]), tensor(MERGED)
    yield number(by_hand, t=5) ** 2, simple(SOME, lambda x, n: torch.tanh(x) + n / 10, x0[:, None], torch.tensor([5]), eps[:, None])


def best_noise() -> Pairs:
    toy, xt = exact.two_points(), tensor(X[5])[:, None]
    guess = function(r"\mathbb{E}")(family("x")[0], sp.Tuple(family("x")[t]))
    formula = rhs("eq-best-noise").subs(guess, toy.posterior_mean(SOME, xt, 5).item())
    yield number(formula, t=5), toy.predict_eps(SOME, xt, 5)


def guess_of_x0() -> Pairs:
    formula = rhs("eq-predict-x0").replace(function(r"\epsilon_\theta"), lambda x, n: sp.Float(0.7))
    yield number(formula, t=5), process.predict_x0(SOME, tensor(X[5]), 5, tensor(0.7))


def first_step(sampler: Callable[..., torch.Tensor], **options: float) -> torch.Tensor:
    """Where a sampler goes in its first step from X[7], with a network that always says 0.7 and noise drawn with seed 0."""
    states: list[torch.Tensor] = []
    generator = torch.Generator().manual_seed(0)
    sampler(
        SOME, lambda x, n: torch.full_like(x, 0.7), tensor(X[7]), generator=generator, clip=False,
        watch=lambda n, x, x0_hat: states.append(x), **options,
    )
    return states[0]


def sampler_step(label: str, sigma: float, s: int) -> float:
    z = torch.randn(1, generator=torch.Generator().manual_seed(0), dtype=torch.float64).item()
    guess = number(rhs("eq-predict-x0").replace(function(r"\epsilon_\theta"), lambda x, n: sp.Float(0.7)), t=7)
    formula = rhs(label).replace(function(r"\epsilon_\theta"), lambda x, n: sp.Float(0.7))
    formula = formula.subs({family(r"\sigma")[t]: sigma, family(r"\hat x")[0]: guess, symbol("z"): z})
    return number(formula, t=7, s=s)


def ddpm_step() -> Pairs:
    tilde = number(rhs("eq-sigma"), t=7)
    yield sampler_step("eq-ddpm-step", math.sqrt(tilde), 6), first_step(sample.sample_ddpm)
    yield sampler_step("eq-ddpm-step", math.sqrt(BETA[6]), 6), first_step(sample.sample_ddpm, sigma="beta")


def noise_of_a_step() -> Pairs:
    x = tensor(X[3])
    yield from ((number(rhs("eq-sigma"), t=n), process.q_posterior(SOME, x, x, n).variance) for n in (1, 5))


def ddim_step() -> Pairs:
    yield sampler_step("eq-ddim-step", 0.0, 6), first_step(sample.sample_ddim, steps=7)
    bar_t, bar_s = (math.prod(ALPHA[:n]) for n in (7, 4))
    sigma = 0.6 * math.sqrt((1 - bar_s) / (1 - bar_t) * (1 - bar_t / bar_s))
    yield sampler_step("eq-ddim-step", sigma, 4), first_step(sample.sample_ddim, steps=2, eta=0.6)


TIES: dict[str, Callable[[], Pairs]] = {
    "eq-toy-step": toy_step,
    "eq-toy-moments": toy_moments,
    "eq-forward-kernel": forward_kernel,
    "eq-forward-chain": forward_chain,
    "eq-alpha": alpha,
    "eq-forward-step": forward_step,
    "eq-two-steps": two_steps_in_one,
    "eq-complete-square": complete_square,
    "eq-merge": merge,
    "eq-merge-variance": merge_variance,
    "eq-two-steps-merged": two_steps_merged,
    "eq-alpha-bar": alpha_bar,
    "eq-induction": induction,
    "eq-induction-variance": induction_variance,
    "eq-closed-form": closed_form,
    "eq-sample": one_jump,
    "eq-jump": jump,
    "eq-variance": variance,
    "eq-snr": snr,
    "eq-two-points": two_points,
    "eq-which-point": which_point,
    "eq-limit-bound": limit_bound,
    "eq-limit": limit,
    "eq-linear": linear,
    "eq-beta-from-alpha-bar": beta_from_alpha_bar,
    "eq-cosine": cosine,
    "eq-sigmoid": sigmoid,
    "eq-l-simple": simple_loss,
    "eq-best-noise": best_noise,
    "eq-predict-x0": guess_of_x0,
    "eq-ddpm-step": ddpm_step,
    "eq-sigma": noise_of_a_step,
    "eq-ddim-step": ddim_step,
}


@pytest.mark.parametrize("label", TIES)
def test_formula_and_function_agree(label: str) -> None:
    pairs = list(TIES[label]())
    assert pairs
    for formula, value in pairs:
        assert value.dtype == torch.float64
        assert value.item() == pytest.approx(formula, rel=1e-12, abs=1e-13)


def test_every_implemented_claim_is_tied() -> None:
    assert set(TIES) == {label for label, claim in CLAIMS.items() if claim.implemented_by}


@pytest.mark.parametrize("claim", [c for c in CLAIMS.values() if c.implemented_by], ids=lambda c: c.label)
def test_the_function_names_the_equation(claim: Claim) -> None:
    module, _, name = claim.implemented_by.partition("diffusion.")[2].partition(".")
    thing = importlib.import_module(f"diffcourse.diffusion.{module}")
    for part in name.split("."):
        thing = getattr(thing, part)
    assert re.search(rf"{claim.label}(?![\w-])", thing.__doc__), f"{claim.implemented_by} does not name {claim.label}"
