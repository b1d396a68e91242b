"""Ties of chapter 6: what the layers say of themselves, the claims' formulas, and Jacobians that autograd fills."""

import math
from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor, nn

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.flows import J, K, a_theta, b_theta, c, d, delta, det, f, factors, hs, n, p, p_theta, u, v, x, xs, ys
from diffcourse.algebra.flows import diagonal as entries
from diffcourse.algebra.latex import Slope
from diffcourse.algebra.notation import symbol
from diffcourse.config import FlowConfig
from diffcourse.families import flow
from ties import Pairs, Ties, rhs


def seeded(layer: Callable[[], nn.Module]) -> nn.Module:
    """A layer in float64 whose weights say something: couplings start as the identity."""
    torch.manual_seed(3)
    made = layer().double()
    for weight in made.parameters():
        nn.init.normal_(weight, std=0.4)
    return made.eval()


def noise(*shape: int, seed: int = 4) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def determinant(layer: Callable[[Tensor], Tensor], point: Tensor) -> float:
    """Of the Jacobian at one image [1, C, H, W]."""
    matrix = torch.func.jacrev(lambda flat: layer(flat.view_as(point))[0].flatten())(point.flatten())
    return torch.linalg.det(matrix).item()


def value(expression: sp.Expr, at: dict) -> float:
    return float(expression.doit().subs(at).evalf(30))


def plane(**options: object) -> nn.Module:
    """A small flow of images of two pixels."""
    return seeded(lambda: flow.Flow(FlowConfig(height=1, width=2, levels=5, kind="realnvp", scales=0, couplings=2, hidden=4, **options)))


@torch.no_grad()
def flow_density() -> Pairs:
    model = plane()
    inside = noise(3, 1, 1, 2).sigmoid()
    for one, found in zip(inside.split(1), model.log_density(inside)):
        z, _ = model.layers(one)
        at = {p(f(x)): math.exp(-z.square().sum().item() / 2) / (2 * math.pi), det(J(x)): determinant(model.layers, one)}
        yield value(rhs("eq-flow-density"), at), found.exp()


@torch.no_grad()
def layers() -> Pairs:
    chain = plane().layers
    states = [noise(1, 1, 1, 2).sigmoid()]
    for layer in chain.layers:
        states.append(layer(states[-1])[0])
    dets = {det(J(j, hs[j - 1])): determinant(layer, states[j - 1]) for j, layer in enumerate(chain.layers, start=1)}
    found = chain(states[0])[1][0]
    relation = CLAIMS["eq-flow-layers"].statement()[0]
    yield value(relation.rhs.subs(n, len(chain.layers)), dets), found
    yield value(relation.lhs, {det(J(x)): determinant(chain, states[0])}), found


def coupling_layer(scale: bool = True) -> flow.AffineCoupling:
    return seeded(lambda: flow.AffineCoupling(2, 1, 1, hidden=4, scale=scale))


def said(layer: flow.AffineCoupling, half: float) -> tuple[float, float]:
    """The factor and the shift, read off from what becomes of 0 and of 1."""
    zero, one = (layer(torch.tensor([half, start], dtype=torch.float64).reshape(1, 2, 1, 1))[0].flatten()[1].item() for start in (0.0, 1.0))
    return one - zero, zero


@torch.no_grad()
def coupling() -> Pairs:
    layer, given = coupling_layer(), noise(1, 2, 1, 1)
    first, second = given.flatten().tolist()
    factor, shift = said(layer, first)
    at = {a_theta(xs[1]): factor, b_theta(xs[1]): shift, xs[1]: first, xs[2]: second}
    y = layer(given)[0].flatten()
    for relation in (0, 1):
        yield value(rhs("eq-coupling", relation), at), y[relation]


@torch.no_grad()
def coupling_inverse() -> Pairs:
    layer, given = coupling_layer(), noise(1, 2, 1, 1)
    first, second = given.flatten().tolist()
    factor, shift = said(layer, first)
    at = {a_theta(ys[1]): factor, b_theta(ys[1]): shift, ys[1]: first, ys[2]: second}
    back, log_det = layer.inverse(given)
    for relation in (0, 1):
        yield value(rhs("eq-coupling-inverse", relation), at), back.flatten()[relation]
    yield -math.log(factor), log_det[0]
    larger = seeded(lambda: flow.AffineCoupling(4, 2, 3, hidden=4))  # with pixels that all count
    back, there_and_back = larger.inverse(noise(2, 4, 2, 3))
    for one, other in zip(larger(back)[1].tolist(), there_and_back):
        yield -one, other


@torch.no_grad()
def coupling_log_det() -> Pairs:
    for mask in ("channel", "checkerboard"):
        layer = seeded(lambda: flow.AffineCoupling(2, 2, 2, mask=mask, flip=True, hidden=4))
        given = noise(1, 2, 2, 2)
        y, log_det = layer(given)
        slopes = []
        for place in range(8):
            step = torch.zeros(8, dtype=torch.float64)
            step[place] = 1
            moved = layer(given + step.view_as(given))[0] - y
            slopes.append(moved.flatten()[place].item())
        stays = torch.tensor([False] * 4 + [True] * 4) if mask == "channel" else layer.stays.expand(1, 2, 2, 2).flatten().bool()
        at = {factors[i]: slope for i, slope in enumerate((s for s, k in zip(slopes, stays) if not k), start=1)}
        yield value(rhs("eq-coupling-log-det").subs(d, 4), at), log_det[0]


@torch.no_grad()
def additive() -> Pairs:
    layer, given = coupling_layer(scale=False), noise(1, 2, 1, 1)
    first, second = given.flatten().tolist()
    _, shift = said(layer, first)
    y, log_det = layer(given)
    at = {b_theta(xs[1]): shift, xs[1]: first, xs[2]: second}
    for relation in (0, 1):
        yield value(rhs("eq-additive", relation), at), y.flatten()[relation]
    yield value(rhs("eq-additive", 2), {}), log_det[0].exp()


@torch.no_grad()
def actnorm() -> Pairs:
    layer, given = seeded(lambda: flow.ActNorm((3, 1, 1))), noise(2, 3, 2, 4)
    y, log_det = layer(given)
    steps = (layer(given + 1)[0] - y)[0, :, 0, 0].tolist()  # what the factor makes of a step of one
    at = {factors[i]: step for i, step in enumerate(steps, start=1)}
    for shift, found in zip(layer.shift.flatten().tolist(), layer(torch.zeros_like(given))[0][0, :, 0, 0]):
        yield shift, found
    for found in log_det:
        yield value(rhs("eq-actnorm").subs({c: 3, n: 8}), at), found


def mixing() -> tuple[nn.Module, Tensor, Tensor]:
    """A 1x1 convolution, an image, and its matrix, read off from what becomes of the unit vectors."""
    layer = seeded(lambda: flow.InvertibleConv1x1(3))
    unit = torch.eye(3, dtype=torch.float64)[:, :, None, None]
    return layer, noise(1, 3, 2, 2), layer(unit)[0].flatten(1).T


@torch.no_grad()
def conv_1x1() -> Pairs:
    layer, given, matrix = mixing()
    yield value(rhs("eq-conv-1x1"), {n: 4, det(symbol("W")): torch.linalg.det(matrix).item()}), layer(given)[1][0]


@torch.no_grad()
def conv_lu() -> Pairs:
    layer, given, matrix = mixing()
    P, L, U = layer.factors()
    assert torch.allclose(P @ L @ U, matrix, atol=1e-14)
    at = {entries[i]: entry for i, entry in enumerate(U.diagonal().tolist(), start=1)}
    yield value(rhs("eq-conv-lu", 1).subs(c, 3), at), torch.linalg.det(matrix).abs().log()
    yield value(rhs("eq-conv-lu", 1).subs(c, 3), at), layer(given)[1][0] / 4


@torch.no_grad()
def logit() -> Pairs:
    layer = flow.Logit(0.05)
    for grey in (0.0, 0.3, 1.0):
        y, log_det = layer(torch.full((1, 1, 1, 1), grey, dtype=torch.float64))
        moved = value(rhs("eq-logit", 1), {delta: sp.Rational(1, 20), u: grey})
        yield value(rhs("eq-logit", 0), {v: moved}), y[0, 0, 0, 0]
        assert CLAIMS["eq-logit"].statement()[2].lhs == Slope(f(u))
        yield value(rhs("eq-logit", 2), {v: moved, delta: sp.Rational(1, 20)}), log_det[0].exp()


@torch.no_grad()
def bits() -> Pairs:
    """One draw and three, whose noise is drawn a second time: the density is the mean of theirs."""
    model = plane()
    two = torch.tensor([[0.0, 3.0], [4.0, 1.0]], dtype=torch.float64).reshape(2, 1, 1, 2)
    for draws, k in ((1, two), (3, two[:1])):
        images = (k * 255 / 4).round().to(torch.uint8)
        generator = torch.Generator().manual_seed(5)
        drawn = [torch.rand(k.shape, generator=generator, dtype=torch.float64) for _ in range(draws)]
        density = sum(model.log_density((k + one) / 5).exp() for one in drawn) / draws
        found = model.bits_per_dim(images, generator=torch.Generator().manual_seed(5), draws=draws)
        for one, told in zip(density, found):
            yield value(rhs("eq-flow-bits"), {p_theta(u): one.item(), K: 5, d: 2}), told


TIES: Ties = {
    "eq-flow-density": flow_density,
    "eq-flow-layers": layers,
    "eq-coupling": coupling,
    "eq-coupling-inverse": coupling_inverse,
    "eq-coupling-log-det": coupling_log_det,
    "eq-additive": additive,
    "eq-actnorm": actnorm,
    "eq-conv-1x1": conv_1x1,
    "eq-conv-lu": conv_lu,
    "eq-logit": logit,
    "eq-flow-bits": bits,
}
