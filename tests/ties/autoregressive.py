"""Ties of chapter 3."""

import math

import sympy as sp
import torch
from torch import Tensor

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.config import PixelCNNConfig
from diffcourse.families import decoders
from diffcourse.families.base import from_levels, level_value
from diffcourse.families.pixelcnn import GatedStack, PixelCNN, PlainStack, conv_mask, gate, receptive_field
from ties import Pairs, Ties, rhs, tensor

a, b, c, d, j, k, n, K = (symbol(name) for name in ("a", "b", "c", "d", "j", "k", "n", "K"))
mu, p, g = symbol(r"\mu"), function("p"), function("g")
z, w, cut, means, scales = (family(name) for name in ("z", "w", "e", r"\mu", "b"))
LEVELS = 17  # their values are exact in float32, in which `level_value` is computed


def terms(label: str) -> tuple[sp.Expr, ...]:
    return CLAIMS[label].statement()[0].terms


def logistic(argument: sp.Expr) -> sp.Expr:
    return 1 / (1 + sp.exp(-argument))


# A model of three pixels


def model(output: str = "softmax", channels: int = 1) -> PixelCNN:
    torch.manual_seed(0)
    size = {"features": 2 * channels, "layers": 2, "first_kernel": 3, "head": 3 * channels, "mixtures": 2}
    return PixelCNN(PixelCNNConfig(channels=channels, height=1, width=3, levels=5, output=output, **size)).double()


CHOSEN = torch.tensor([[1, 4, 0], [3, 3, 1], [0, 2, 4]])  # the levels of each colour


def image(channels: int = 1) -> Tensor:
    return from_levels(CHOSEN[None, :channels, None], 5)


def outputs(net: PixelCNN, channels: int = 1) -> Tensor:
    """What the network puts out at each of the three pixels, [3, outputs]."""
    with torch.no_grad():
        return net.net(level_value(CHOSEN[None, :channels, None], 5).double())[0, :, 0].T


def chances(row: list[float]) -> list[float]:
    weights = [math.exp(logit) for logit in row]
    return [weight / sum(weights) for weight in weights]


def rate(conditionals: list[float]) -> float:
    """The chapter's formula for the bits, where each pixel has this probability given those before."""
    formula = rhs("eq-ar-bits").subs(d, len(conditionals)).doit()
    for number, conditional in enumerate(conditionals, start=1):
        factors = [e for e in formula.atoms(sp.Function) if e.func == function(r"p_\theta") and e.args[0] == family("x")[number]]
        formula = formula.subs({factor: conditional for factor in factors})
    return float(formula.evalf(30))


def mixture_of_colours(row: list[float], pixel: int) -> float:
    """The probability of a pixel's three colours, from two weights, then six means, six scales and six coefficients."""
    total = 0.0
    for number, share in enumerate(chances(row[:2])):
        centre, log_scale, raw = (row[first + 3 * number : first + 3 * number + 3] for first in (2, 8, 14))
        x = {family("x")[colour]: level_value(CHOSEN[colour - 1, pixel], 5).item() for colour in (1, 2, 3)}
        known = x | {means[colour]: centre[colour - 1] for colour in (2, 3)} | dict(zip((a, b, c), map(math.tanh, raw)))
        moved = [centre[0]] + [float(relation.rhs.subs(known)) for relation in CLAIMS["eq-colour-mean"].statement()]
        for colour, (mean, log) in enumerate(zip(moved, log_scale)):
            level = int(CHOSEN[colour, pixel])
            share *= float(piece(rhs("eq-logistic-level"), level, 5, **{r"\mu": mean, "b": math.exp(log)}).evalf(30))
        total += share
    return total


def bits() -> Pairs:
    for channels in (1, 3):
        net = model(channels=channels)
        rows = outputs(net, channels).unflatten(1, (5, channels)).movedim(1, 2)  # [pixel, colour, level]
        guesses = [
            chances(rows[pixel, colour].tolist())[CHOSEN[colour, pixel]] for pixel in range(3) for colour in range(channels)
        ]
        yield rate(guesses), net.bits_per_dim(image(channels))
    net = model("logistics", 3)
    pixels = [mixture_of_colours(row, pixel) for pixel, row in enumerate(outputs(net, 3).tolist())]
    yield rate([chance for pixel in pixels for chance in (pixel, 1.0, 1.0)]), net.bits_per_dim(image(3))


def softmax() -> Pairs:
    net = model()
    with torch.no_grad():
        values = net.log_prob(image()).exp().flatten()
    for pixel, row in enumerate(outputs(net).tolist()):
        formula = rhs("eq-softmax").subs(K, 5).subs(k, int(CHOSEN[0, pixel])).doit()
        yield float(formula.subs({z[level]: logit for level, logit in enumerate(row)}).evalf(30)), values[pixel]
    for output in ("softmax", "logistics"):
        colourful = model(output, 3)
        with torch.no_grad():
            total = colourful.log_prob(image(3)).sum() / (9 * math.log(2))
        yield -colourful.bits_per_dim(image(3)).item(), total


def softmax_gradient() -> Pairs:
    own, other = (relation.rhs for relation in CLAIMS["eq-softmax-gradient"].statement())
    net = model()
    for pixel, row in enumerate(outputs(net).tolist()):
        net.zero_grad()
        net.log_prob(image())[0, 0, 0, pixel].backward()  # the bias of the last layer moves the logits and nothing else
        guess, chosen = chances(row), int(CHOSEN[0, pixel])
        for level in range(5):
            formula = (own if level == chosen else other).subs({k: chosen, j: level})
            yield float(formula.replace(p, lambda number: sp.Float(guess[int(number)], 30))), net.net.last.bias.grad[level]


# Masks and what is seen through them


def mask_taps() -> Pairs:
    for kind, relation in zip("AB", CLAIMS["eq-mask-taps"].statement()):
        for kernel in (1, 3, 7):
            yield float(relation.rhs.subs(k, kernel)), conv_mask(kind, kernel, 1, 1).double().sum()


def mask_colours() -> Pairs:
    for kind, relation in zip("AB", CLAIMS["eq-mask-colours"].statement()):
        for kernel, colours in ((1, 3), (3, 3), (5, 2), (3, 1)):
            yield float(relation.rhs.subs({k: kernel, c: colours})), conv_mask(kind, kernel, colours, colours, colours).double().sum()


SIDE, MIDDLE = 15, 7


def seen(network: torch.nn.Module) -> Tensor:
    """What the middle of an image of 15 x 15 pixels depends on, as ones and zeros."""
    return receptive_field(network, MIDDLE, MIDDLE).double()


def plain(layers: int, kernel: int = 3) -> Tensor:
    return seen(PlainStack((1, SIDE, SIDE), features=2, layers=layers, kernel=kernel))


def gated(layers: int, first_kernel: int = 3) -> Tensor:
    return seen(GatedStack((1, SIDE, SIDE), outputs=2, features=2, layers=layers, first_kernel=first_kernel, head=2))


def masked_reach() -> Pairs:
    sides = family("k")
    for field, kernels in ((plain(3), (3, 3, 3)), (plain(2, kernel=5), (5, 5)), (gated(3, first_kernel=7), (7, 3, 3))):
        formula = rhs("eq-masked-reach").subs(n, len(kernels)).doit()
        reach = float(formula.subs({sides[number]: side for number, side in enumerate(kernels, start=1)}))
        yield reach, field[MIDDLE].sum()  # to the left; all of them are seen


def blind_count() -> Pairs:
    for layers in (1, 3, 5):
        field = plain(layers)
        window = field[MIDDLE - layers : MIDDLE + 1, MIDDLE - layers : MIDDLE + layers + 1]
        for row in range(1, layers + 1):
            hidden = terms("eq-blind-count")[0].function.subs({n: layers, j: row})
            yield float(hidden), (1 - window[layers - row]).sum()
        yield float(rhs("eq-blind-count").subs(n, layers)), (1 - window[:-1]).sum()


def stacks_seen() -> Pairs:
    for layers in (1, 3, 5):
        field = gated(layers)
        for term in terms("eq-stacks-seen"):
            yield float(term.subs(n, layers)), field.sum()
        yield 0.0, field[MIDDLE, MIDDLE:].sum()


def the_gate() -> Pairs:
    for let_through, opening in ((0.7, -1.2), (-2.0, 3.0), (0.1, 0.0)):
        formula = rhs("eq-gate").replace(g, logistic)
        numbers = {family("u")[symbol("i")]: let_through, family("v")[symbol("i")]: opening}
        yield float(formula.subs(numbers).evalf(30)), gate(torch.tensor([[let_through, opening]], dtype=torch.float64))


# Logistics


def edges(level: int, levels: int) -> tuple[sp.Expr, sp.Expr]:
    """The cuts below and above a level, by the chapter's formula."""
    inner, *outer = CLAIMS["eq-level-cuts"].statement()
    known = {relation.lhs.subs(K, levels): relation.rhs for relation in outer}
    return tuple(known.get(cut[number], inner.rhs.subs({k: number, K: levels})) for number in (level, level + 1))


def piece(expression: sp.Expr, level: int, levels: int, **numbers: float) -> sp.Expr:
    """An expression in e_k and e_{k+1}, in numbers."""
    low, high = edges(level, levels)
    expression = expression.subs({cut[k]: low, cut[k + 1]: high}).subs({symbol(name): sp.Float(str(v), 30) for name, v in numbers.items()})
    return expression.replace(g, logistic)


def log_probability(level: int, levels: int, mean: float, scale: float) -> Tensor:
    return decoders.discretised_logistic_log_prob(torch.tensor(level), tensor(mean), tensor(scale).log(), levels)


def level_cuts() -> Pairs:
    # With a very small scale all probability changes hands at a cut; at the cut itself each side has one half.
    for levels, level in ((LEVELS, 4), (3, 1)):
        low, high = (float(edge) for edge in edges(level, levels))
        for edge in (low, high):
            yield 0.5, log_probability(level, levels, edge, 1e-4).exp()
    yield 0.5, log_probability(0, LEVELS, float(edges(0, LEVELS)[1]), 3.0).exp()
    yield 0.5, log_probability(LEVELS - 1, LEVELS, float(edges(LEVELS - 1, LEVELS)[0]), 3.0).exp()


def logistic_level() -> Pairs:
    for level in (0, 7, LEVELS - 1):
        for mean, scale in ((0.1, 0.3), (-0.8, 0.05)):
            yield float(piece(rhs("eq-logistic-level"), level, LEVELS, **{r"\mu": mean, "b": scale}).evalf(30)), log_probability(level, LEVELS, mean, scale).exp()


def logistic_sum() -> Pairs:
    term = terms("eq-logistic-sum")[0].function
    pieces = [piece(term, level, LEVELS, **{r"\mu": 0.3, "b": 0.2}) for level in range(LEVELS)]
    values = torch.cat([log_probability(level, LEVELS, 0.3, 0.2) for level in range(LEVELS)]).exp()
    yield float(rhs("eq-logistic-sum")), values.sum()
    yield float(sp.Add(*pieces).evalf(30)), values.sum()


def logistic_difference() -> Pairs:
    # Far out in a tail, where the difference itself has no digit left in float64.
    for level, mean, scale in ((7, 0.1, 0.3), (14, -1.0, 0.02), (2, 1.0, 0.015)):
        low, high = edges(level, LEVELS)
        numbers = {symbol(name): (edge - sp.Float(str(mean), 60)) / sp.Float(str(scale), 60) for name, edge in (("x", high), ("y", low))}
        for term in terms("eq-logistic-difference"):
            probability = term.replace(g, logistic).subs(numbers)
            yield float(sp.log(probability).evalf(30)), log_probability(level, LEVELS, mean, scale)


def logistic_mixture() -> Pairs:
    shares, centres, widths = (0.2, 0.5, 0.3), (-0.5, 0.1, 0.9), (0.05, 0.3, 0.1)
    formula = rhs("eq-logistic-mixture").subs(n, 3).doit()
    for family_, numbers in ((w, shares), (means, centres), (scales, widths)):
        formula = formula.subs({family_[number]: sp.Float(str(value), 30) for number, value in enumerate(numbers, start=1)})
    weights, centre, width = (torch.tensor(numbers, dtype=torch.float64) for numbers in (shares, centres, widths))
    for level in (0, 4, 9, LEVELS - 1):
        chosen = torch.tensor([[level], [0]])[None]  # [1, 2, 1], so that no axis has the same number from both ends
        parameters = [part.expand(1, 2, *part.shape) for part in (weights.log(), centre[:, None], width.log()[:, None])]
        value = decoders.logistic_mixture_log_prob(chosen, *parameters, LEVELS).exp()
        yield float(piece(formula, level, LEVELS).evalf(30)), value[0, 0]
        yield float(piece(formula, 0, LEVELS).evalf(30)), value[0, 1]


def colour_mean() -> Pairs:
    x, moved = [0.3, -0.7, 0.9], decoders.colour_mean(*(torch.tensor(v, dtype=torch.float64) for v in ([0.1, 0.2, 0.4], [0.5, -0.6, 0.8], [0.3, -0.7, 0.9])))
    numbers = {means[2]: 0.2, means[3]: 0.4, a: 0.5, b: -0.6, c: 0.8} | {family("x")[colour]: x[colour - 1] for colour in (1, 2, 3)}
    yield 0.1, moved[0]
    for relation, value in zip(CLAIMS["eq-colour-mean"].statement(), moved[1:]):
        yield float(relation.rhs.subs(numbers)), value


TIES: Ties = {
    "eq-ar-bits": bits,
    "eq-softmax": softmax,
    "eq-softmax-gradient": softmax_gradient,
    "eq-mask-taps": mask_taps,
    "eq-masked-reach": masked_reach,
    "eq-blind-count": blind_count,
    "eq-stacks-seen": stacks_seen,
    "eq-mask-colours": mask_colours,
    "eq-gate": the_gate,
    "eq-level-cuts": level_cuts,
    "eq-logistic-level": logistic_level,
    "eq-logistic-sum": logistic_sum,
    "eq-logistic-difference": logistic_difference,
    "eq-logistic-mixture": logistic_mixture,
    "eq-colour-mean": colour_mean,
}
