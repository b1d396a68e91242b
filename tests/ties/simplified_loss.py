"""Ties of chapter 10."""

import math
from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.latex import Norm
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.diffusion import bound, exact, loss, process
from diffcourse.diffusion.exact import GaussianMixture
from ties import ALPHA, BETA, MERGED, SOME, Pairs, Ties, X, number, rhs, tensor

t, x, eps = symbol("t"), family("x"), symbol(r"\epsilon")
network, E, SNR = function(r"\epsilon_\theta"), function(r"\mathbb{E}"), function(r"\operatorname{SNR}")
SAID = 0.7  # what the network takes the noise to be
BLURRED = GaussianMixture(
    torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64), torch.tensor([[-1.3], [0.2], [1.1]], dtype=torch.float64), std=0.3
)


def bar(n: int) -> float:
    return math.prod(ALPHA[:n])


def xt_of(n: int) -> float:
    """x_n from X[0] and the noise."""
    return math.sqrt(bar(n)) * X[0] + math.sqrt(1 - bar(n)) * MERGED


def turned(n: int, x0: float, noise: float) -> float:
    return math.sqrt(bar(n)) * noise - math.sqrt(1 - bar(n)) * x0


def snr(n: sp.Expr) -> sp.Expr:
    return sp.Float(bar(int(n)) / (1 - bar(int(n))), 30)


def tilde(n: int) -> float:
    return (1 - bar(n - 1)) / (1 - bar(n)) * BETA[n - 1]


def put_in(expression: sp.Expr, n: int, **at: float) -> float:
    """The expression at step n, for a network that always says SAID."""
    xt = xt_of(n)
    x0_hat = (xt - math.sqrt(1 - bar(n)) * SAID) / math.sqrt(bar(n))
    values = {
        network(x[t], t): SAID, family(r"\hat x")[0]: x0_hat, symbol(r"\hat v"): turned(n, x0_hat, SAID),
        symbol("v"): turned(n, X[0], MERGED), family(r"\tilde\beta")[t]: tilde(n),
    }
    expression = expression.subs(values).replace(Norm, sp.Abs).subs(t, n).replace(SNR, snr)
    return number(expression, x=[*X[:n], xt], **at)


def predicted(n: int) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """The same answer in the three languages, by the package's own conversions."""
    xt = tensor(xt_of(n))[:, None]
    x0_hat = process.predict_x0(SOME, xt, n, torch.full_like(xt, SAID))
    answers = {"eps": torch.full_like(xt, SAID), "x0": x0_hat, "v": process.velocity(SOME, x0_hat, n, torch.full_like(xt, SAID))}
    return {name: lambda x, n, answer=answer: answer for name, answer in answers.items()}


def losses(n: int, target: str, weights: Tensor | None = None) -> Tensor:
    steps, x0, noise = torch.tensor([n]), tensor(X[0])[:, None], tensor(MERGED)[:, None]
    return loss.weighted_loss(SOME, predicted(n)[target], x0, steps, noise, target=target, weights=weights)


def terms(label: str) -> tuple[sp.Expr, ...]:
    return CLAIMS[label].statement()[0].terms


# From the mean to the noise


def mean_of_the_model() -> Pairs:
    for n in (1, 5):
        yield put_in(rhs("eq-mu-theta"), n), process.predict_mean(SOME, tensor(xt_of(n)), n, tensor(SAID))


def mean_gap() -> Pairs:
    for n in (2, 5):
        xt = tensor(xt_of(n))
        gap = process.q_posterior(SOME, tensor(X[0]), xt, n).mean - process.predict_mean(SOME, xt, n, tensor(SAID))
        yield put_in(rhs("eq-mean-gap"), n), gap


def b_weight() -> Pairs:
    left, right = terms("eq-b-weight")
    variances = torch.tensor([0.05, 0.3, 0.2, 0.7, 0.1, 0.4, 0.6], dtype=torch.float64)
    for n in (2, 5):
        mean = rhs("eq-mu-theta")
        means = {
            function(r"\mu_\theta")(x[t], t): put_in(mean, n),
            function(r"\tilde\mu")(t, x[t], x[0]): put_in(mean.subs(network(x[t], t), MERGED), n),
        }
        for sigma, variance in (("posterior", tilde(n)), ("beta", BETA[n - 1]), (variances, variances[n - 1].item())):
            value = loss.weight(SOME, n, "bound", sigma=sigma) * (MERGED - SAID) ** 2
            for side in (left.subs(means), right):
                yield put_in(side.subs(family(r"\sigma")[t], math.sqrt(variance)), n), value
    # The first step has no posterior variance; sigma_1^2 is that of the second, as in the bound.
    first = right.subs(family(r"\sigma")[t], math.sqrt(tilde(2)))
    yield put_in(first, 1), loss.weight(SOME, 1, "bound") * (MERGED - SAID) ** 2


def bound_gradient() -> Pairs:
    # The derivative of the bound by the one number that this network knows, for one draw of the noise, the same in each step.
    variances = bound.reverse_variance(SOME, SOME.steps)
    slope = 2 * (SAID - MERGED)
    inside = rhs("eq-bound-gradient").function
    (gradient,) = [e for e in inside.atoms(sp.Function) if str(e.func) == "Grad"]
    by_hand = sum(
        put_in((inside / gradient).subs(family(r"\sigma")[t], math.sqrt(variances[n - 1].item())), n) * slope for n in range(1, 8)
    )
    yield by_hand, (loss.weight(SOME, SOME.steps, "bound") * slope).sum()
    said = tensor(SAID).requires_grad_()
    x0, noise = tensor(X[0])[:, None], tensor(MERGED)[:, None]
    total = bound.prior_term(SOME, x0) + bound.reconstruction_term(SOME, lambda xt, n: said.expand(xt.shape), x0, noise)
    total = total + sum(bound.denoising_term(SOME, lambda xt, n: said.expand(xt.shape), x0, n, noise) for n in range(2, 8))
    yield by_hand, torch.autograd.grad(total.sum(), said)[0]


def x0_loss() -> Pairs:
    left, right = terms("eq-x0-loss")
    for n in (1, 5):
        by_hand = {"eps": put_in(left, n), "x0": put_in(right, n)}
        image = (X[0] - predicted(n)["x0"](None, None)).square().squeeze()
        yield by_hand["eps"], loss.error_scale(SOME, n, "eps") * (MERGED - SAID) ** 2
        yield by_hand["x0"], loss.error_scale(SOME, n, "x0") * image


def weight_snr() -> Pairs:
    for n in (2, 5, 7):
        yield from ((put_in(term, n), loss.weight(SOME, n, "bound")) for term in terms("eq-weight-snr"))


def b_snr() -> Pairs:
    inside = rhs("eq-b-snr").args[0]
    for n in (2, 5):
        yield put_in(inside, n), losses(n, "x0", loss.weight(SOME, torch.tensor([n]), "bound"))


def snr_sum() -> Pairs:
    steps = SOME.steps[1:]
    value = (2 * loss.weight(SOME, steps, "bound") * loss.error_scale(SOME, steps, "x0")).sum()
    for side in terms("eq-snr-sum"):
        yield float(side.subs(symbol("T"), 7).doit().replace(SNR, snr)), value


# Three targets


def velocity() -> Pairs:
    yield number(rhs("eq-velocity"), t=5), process.velocity(SOME, tensor(X[0]), 5, tensor(MERGED))


def x0_from_v() -> Pairs:
    yield number(rhs("eq-x0-from-v"), t=5, v=0.6), process.x0_from_v(SOME, tensor(X[5]), 5, tensor(0.6))


def eps_from_v() -> Pairs:
    yield number(rhs("eq-eps-from-v"), t=5, v=0.6), process.eps_from_v(SOME, tensor(X[5]), 5, tensor(0.6))


def v_loss() -> Pairs:
    for n in (1, 5):
        value = losses(n, "v") / loss.error_scale(SOME, n, "v")
        yield from ((put_in(term, n), value) for term in terms("eq-v-loss"))


def three_weights() -> Pairs:
    _, *rest = terms("eq-eps-weights")
    for n in (2, 5):
        steps, x0, noise = torch.tensor([n]), tensor(X[0])[:, None], tensor(MERGED)[:, None]
        draw = bound.denoising_term(SOME, predicted(n)["eps"], x0, steps, noise)
        for target, term in zip(("x0", "eps", "v"), rest):
            yield put_in(term, n), draw
            yield put_in(term, n), losses(n, target, loss.weight(SOME, steps, "bound"))


def min_snr() -> Pairs:
    for n in (2, 7):
        for gamma in (5.0, 2.0):
            for target, term in zip(("x0", "eps", "v"), terms("eq-min-snr")):
                weights = loss.weight(SOME, torch.tensor([n]), "min_snr", gamma=gamma)
                yield put_in(term.subs(symbol(r"\gamma"), gamma), n), losses(n, target, weights)


# Without the weight


def simple_loss() -> Pairs:
    error = rhs("eq-l-simple").args[0].base.args[0]
    by_hand = number(error.replace(network, lambda x, n: sp.tanh(x) + n / 10), t=5) ** 2

    def net(x: Tensor, n: Tensor) -> Tensor:
        return torch.tanh(x) + n / 10

    given = tensor(X[0])[:, None], torch.tensor([5]), tensor(MERGED)[:, None]
    yield by_hand, loss.simple_loss(SOME, net, *given)
    yield by_hand, loss.weighted_loss(SOME, net, *given, weights=loss.weight(SOME, given[1], "simple"))


def reweighting() -> Pairs:
    divergence = [e for e in rhs("eq-reweighting").atoms(sp.Function) if e.func == function(r"D_{\mathrm{KL}}")]
    factor = rhs("eq-reweighting").subs(divergence[0], 1)
    yield from ((1 / put_in(factor, n), loss.weight(SOME, n, "bound")) for n in (2, 5))


# What the best network says


def slope(toy: GaussianMixture, xt: Tensor, n: int) -> float:
    """The derivative of log q(x_n), by autograd."""
    xt = xt.clone().requires_grad_()
    return torch.autograd.grad(toy.log_prob(SOME, xt, n).sum(), xt)[0].item()


def best_noise() -> Pairs:
    toy, xt = exact.two_points(), tensor(X[5])[:, None]
    formula = rhs("eq-best-noise").subs(E(x[0], sp.Tuple(x[t])), toy.posterior_mean(SOME, xt, 5).item())
    yield number(formula, t=5), toy.predict_eps(SOME, xt, 5)


def tweedie() -> Pairs:
    (gradient,) = [e for e in rhs("eq-tweedie").atoms(sp.Function) if str(e.func) == "Grad"]
    for toy in (exact.two_points(), BLURRED):
        for n in (1, 5):
            xt = tensor(X[n])[:, None]
            yield number(rhs("eq-tweedie").subs(gradient, slope(toy, xt, n)), t=n), toy.posterior_mean(SOME, xt, n)


def score_noise() -> Pairs:
    for n in (2, 5):
        xt = tensor(X[n])[:, None]
        best = BLURRED.predict_eps(SOME, xt, n)
        value = process.score(SOME, n, best)
        yield number(rhs("eq-score-noise").subs(E(eps, sp.Tuple(x[t])), best.item()), t=n), value
        yield slope(BLURRED, xt, n), value


def smallest_loss() -> Pairs:
    left, right = terms("eq-smallest-loss")
    guess = E(eps, sp.Tuple(x[t]))
    grid = torch.linspace(-12, 12, 6001, dtype=torch.float64)
    width = grid[1] - grid[0]
    for toy in (exact.two_points(), BLURRED):
        density = toy.log_prob(SOME, grid[:, None], 5).exp() * width
        explained = (density * toy.predict_eps(SOME, grid[:, None], 5)[:, 0] ** 2).sum().item()
        yield float(right.subs(E(guess**2), explained)), toy.smallest_loss(SOME, 5)
    # The left side as it stands, for two points: over both of them and a grid of noises.
    toy, error = exact.two_points(), 0.0
    normal = torch.distributions.Normal(tensor(0.0), tensor(1.0)).log_prob(grid).exp() * width
    for point in (-1.0, 1.0):
        xt = process.q_sample(SOME, torch.full_like(grid, point), 5, grid)[:, None]
        error += (normal * (grid - toy.predict_eps(SOME, xt, 5)[:, 0]) ** 2).sum().item() / 2
    assert left == E((eps - guess) ** 2)
    yield error, toy.smallest_loss(SOME, 5)


def gauss_loss() -> Pairs:
    for width in (0.4, 1.7):
        bell = GaussianMixture(torch.ones(1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64), std=width)
        steps = torch.tensor([1, 5, 7])
        values = bell.smallest_loss(SOME, steps)
        yield from ((number(rhs("eq-gauss-loss"), t=int(n), a=width), value) for n, value in zip(steps, values))


TIES: Ties = {
    "eq-mu-theta": mean_of_the_model,
    "eq-mean-gap": mean_gap,
    "eq-b-weight": b_weight,
    "eq-bound-gradient": bound_gradient,
    "eq-x0-loss": x0_loss,
    "eq-weight-snr": weight_snr,
    "eq-b-snr": b_snr,
    "eq-snr-sum": snr_sum,
    "eq-velocity": velocity,
    "eq-x0-from-v": x0_from_v,
    "eq-eps-from-v": eps_from_v,
    "eq-v-loss": v_loss,
    "eq-eps-weights": three_weights,
    "eq-min-snr": min_snr,
    "eq-l-simple": simple_loss,
    "eq-reweighting": reweighting,
    "eq-best-noise": best_noise,
    "eq-tweedie": tweedie,
    "eq-score-noise": score_noise,
    "eq-smallest-loss": smallest_loss,
    "eq-gauss-loss": gauss_loss,
}
