"""The claims of chapter 3, autoregressive models, in the order of the chapter.

What is claimed of probabilities is worked out in a finite world of a few pixels with random tables, without rounding. What is claimed of
masks is counted: which places a mask leaves open is written here once, in Python, and everything else is walked from there.
"""

import itertools
import math
import random
from fractions import Fraction
from typing import Literal

import sympy as sp
from sympy import Expr

from diffcourse.algebra.claim import Claim, NearMiss, Statement
from diffcourse.algebra.finite import VALUES, State, World
from diffcourse.algebra.latex import Grad, Int, Lim, Slope, Span
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.algebra.proving import at, only, require, require_equal

x, z, u, v, o, w, r, cut = (family(name) for name in ("x", "z", "u", "v", "o", "w", "r", "e"))
sides, means, scales, moved = family("k"), family(r"\mu"), family("b"), family("m")
a, b, c, d, i, j, k, n, K, R = (symbol(name) for name in ("a", "b", "c", "d", "i", "j", "k", "n", "K", "R"))
mu, tau = symbol(r"\mu"), symbol(r"\tau")
p, q, p_theta, E, KL, g = (function(name) for name in ("p", "q", r"p_\theta", r"\mathbb{E}", r"D_{\mathrm{KL}}", "g"))
PIXELCNN, DECODERS = "diffcourse.families.pixelcnn", "diffcourse.families.decoders"


# A finite world of pixels


class Pixels(World):
    """A few pixels of two levels each.

    The data have one random table for all pixels together, and nothing else is known of them. The model has a random table of
    its own for every conditional law; its law of several pixels is their product in the order of reading.
    """

    def __init__(self, size: int) -> None:
        self.T = size
        self.random = random.Random(size)
        images = [(0, *levels) for levels in itertools.product(VALUES, repeat=size)]  # what stands at 0 is no pixel
        self._joint = {"q": dict(zip(images, self.law(len(images))))}
        self._seen, self.tables = {}, {}

    def law(self, size: int) -> list[Fraction]:
        weights = self.random.sample(range(1, 4 * size), size)
        return [Fraction(weight, sum(weights)) for weight in weights]

    def _steps(self, variables: tuple[Expr, ...]) -> list[int]:
        pixels = super()._steps(variables)
        require(0 not in pixels, "pixels count from 1")
        return pixels

    def _density(self, density: Expr, state: State) -> Fraction:
        name, of, given = self._sides(density)
        if name == "q":
            return super()._density(density, state)
        for pixel in (*of, *given):
            require(pixel in state, f"x_{pixel} has no value in {density}")
        if len(of) == 1:
            return self.model(of[0], given, state)
        require(not given and of == list(range(1, len(of) + 1)), f"{density} is not the law of the first pixels")
        return math.prod((self.model(pixel, of[: pixel - 1], state) for pixel in of), start=Fraction(1))

    def model(self, pixel: int, given: list[int], state: State) -> Fraction:
        """The model's probability of this pixel's level, given the levels of the others."""
        row = (pixel, *((other, state[other]) for other in given))
        if row not in self.tables:
            self.tables[row] = self.law(len(VALUES))
        return self.tables[row][state[pixel]]


def agree(left: Expr, right: Expr, what: str, averaged: bool = False) -> None:
    """Require that both sides say the same in worlds of 1 to 4 pixels: for every image, or where images are averaged or summed over."""
    for size in (1, 2, 3, 4):
        free = () if averaged else tuple(range(1, size + 1))
        Pixels(size).require_equal(at(left, d=size), at(right, d=size), free, what)


ALL = Span(x, 1, d)


# One pixel after the other


def chain_rule(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == q(ALL) and relation.ops == ("=",), "the left side is not the law of all pixels")
    require(relation.rhs.has(sp.Product), "no product over the pixels")
    agree(relation.lhs, relation.rhs, "the law of all pixels and the product")


def table_size(statement: Statement) -> None:
    relation = only(statement)
    require(isinstance(relation.lhs, sp.Sum) and relation.ops == ("=",), "a sum, please")
    require(relation.lhs.limits == ((i, 1, d),), "not a sum over the pixels")
    for levels, pixel in itertools.product((2, 3, 17), (1, 2, 3)):
        rows = sum(1 for _ in itertools.product(range(levels), repeat=pixel - 1))
        free = rows * (levels - 1)  # the last number of a row is what is missing to one
        require_equal(relation.lhs.function.subs({K: levels, i: pixel}), free, f"the numbers in the table of pixel {pixel} and the count")
    step = relation.rhs - relation.rhs.subs(d, d - 1)
    require_equal(sp.expand(step), sp.expand(relation.lhs.function.subs(i, d)), "what a pixel more adds on both sides")
    require_equal(relation.rhs.subs(d, 1), K - 1, "both sides for one pixel")


def normalised(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs.func == Int, "not a sum over all images")
    require(relation.lhs.args[0].has(p_theta), "nothing is said about the model")
    agree(relation.lhs, relation.rhs, "the sum over all images and the right side", averaged=True)
    agree(relation.lhs.args[0], p_theta(ALL), "what is summed up and the model's law of all pixels")


ONE_AFTER_THE_OTHER = (
    Claim(
        "eq-chain-rule",
        r"q(x_{1:d}) = \prod_{i=1}^{d} q(x_i \mid x_{1:i-1})",
        "exactly true of random tables for 1 to 4 pixels",
        chain_rule,
        (
            NearMiss(r"q(x_{1:d}) = q(x_1) \prod_{i=2}^{d} q(x_i \mid x_{i-1})", "only the pixel before: images would be Markov chains"),
            NearMiss(r"q(x_{1:d}) = \prod_{i=1}^{d} q(x_i)", "pixels that know nothing of each other"),
            NearMiss(r"q(x_{1:d}) = \prod_{i=1}^{d} q(x_i \mid x_{1:i})", "each pixel given itself, which is certain"),
            NearMiss(r"q(x_{1:d}) = \prod_{i=2}^{d} q(x_i \mid x_{1:i-1})", "the first pixel left out"),
        ),
    ),
    Claim(
        "eq-chain-backwards",
        r"q(x_{1:d}) = \prod_{i=1}^{d} q(x_i \mid x_{i+1:d})",
        "exactly true of the same tables, read from the other end",
        chain_rule,
        (
            NearMiss(r"q(x_{1:d}) = \prod_{i=1}^{d} q(x_i \mid x_{i:d})", "each pixel given itself, which is certain"),
            NearMiss(r"q(x_{1:d}) = \prod_{i=1}^{d-1} q(x_i \mid x_{i+1:d})", "the last pixel left out, with which this order begins"),
            NearMiss(
                r"q(x_{1:d}) = q(x_1) \prod_{i=2}^{d} q(x_i \mid x_{i:d})", "two orders mixed: the first pixel waits for none, the others for later ones"
            ),
        ),
    ),
    Claim(
        "eq-table-size",
        r"\sum_{i=1}^{d} (K-1)\, K^{i-1} = K^d - 1",
        "rows counted one by one; and a pixel more adds the same on both sides",
        table_size,
        (
            NearMiss(r"\sum_{i=1}^{d} (K-1)\, K^i = K^d - 1", "the pixel's own levels counted among the rows"),
            NearMiss(r"\sum_{i=1}^{d} K^{i-1} = K^d - 1", "one number a row, whatever the number of levels"),
            NearMiss(r"\sum_{i=1}^{d} (K-1)\, K^{i-1} = K^d", "one number too many: they add up to one"),
        ),
    ),
    Claim(
        "eq-ar-normalised",
        r"\sum_{x_{1:d}} \prod_{i=1}^{d} p_\theta(x_i \mid x_{1:i-1}) = 1",
        "whatever the tables, as long as each row adds up to one",
        normalised,
        (
            NearMiss(
                r"\sum_{x_{1:d}} p_\theta(x_1 \mid x_d) \prod_{i=2}^{d} p_\theta(x_i \mid x_{1:i-1}) = 1",
                "a circle: the first pixel looks at the last, which looks at the first",
            ),
            NearMiss(r"\sum_{x_{1:d}} \prod_{i=2}^{d} p_\theta(x_i \mid x_{1:i-1}) = 1", "the first pixel's law left out"),
            NearMiss(r"\sum_{x_{1:d}} \prod_{i=1}^{d} p_\theta(x_i \mid x_{1:i-1}) = d", "one for each pixel: the rows are multiplied, not added"),
        ),
    ),
)


# The likelihood


def bits(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == R and relation.ops == ("=",), "the left side is not R")
    # An image of probability p is one of 1/p equally probable ones, 2^(R d).
    agree(relation.rhs * d * sp.log(2), -sp.log(p_theta(ALL)), "R d log 2 and minus the logarithm of the image's probability")


def floor(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == E(-sp.log(p_theta(ALL)), relation.lhs.args[-1]) and relation.ops == ("=",), "the left side is not the mean loss")
    require(relation.lhs.args[-1].args == (q(ALL),), "the mean is not over the data")
    require(relation.rhs.has(KL), "no divergence on the right")
    agree(relation.lhs, relation.rhs, "the mean loss and the right side", averaged=True)


def divergence_chain(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == KL(q(ALL), p_theta(ALL)) and relation.ops == ("=",), "the left side is not the divergence of the model from the data")
    require(isinstance(relation.rhs, sp.Sum), "not a sum over the pixels")
    agree(relation.lhs, relation.rhs, "the divergence and the sum", averaged=True)


LIKELIHOOD = (
    Claim(
        "eq-ar-bits",
        r"R = -\frac{1}{d \log 2} \sum_{i=1}^{d} \log p_\theta(x_i \mid x_{1:i-1})",
        "R d bits tell as many images apart as 1/p is, for 1 to 4 pixels",
        bits,
        (
            NearMiss(r"R = -\frac{1}{\log 2} \sum_{i=1}^{d} \log p_\theta(x_i \mid x_{1:i-1})", "bits of an image, not of a pixel"),
            NearMiss(r"R = -\frac{1}{d} \sum_{i=1}^{d} \log p_\theta(x_i \mid x_{1:i-1})", "nats, not bits"),
            NearMiss(r"R = -\frac{1}{d \log 2} \log \sum_{i=1}^{d} p_\theta(x_i \mid x_{1:i-1})", "logarithm and sum exchanged"),
        ),
        f"{PIXELCNN}.PixelCNN.bits_per_dim",
    ),
    Claim(
        "eq-ar-floor",
        r"\mathbb{E}_{q(x_{1:d})}\big[-\log p_\theta(x_{1:d})\big] ="
        r" \mathbb{E}_{q(x_{1:d})}\big[-\log q(x_{1:d})\big] + D_{\mathrm{KL}}\big(q(x_{1:d}) \,\big\|\, p_\theta(x_{1:d})\big)",
        "exactly true of random tables for 1 to 4 pixels",
        floor,
        (
            NearMiss(
                r"\mathbb{E}_{q(x_{1:d})}\big[-\log p_\theta(x_{1:d})\big] ="
                r" \mathbb{E}_{q(x_{1:d})}\big[-\log q(x_{1:d})\big] + D_{\mathrm{KL}}\big(p_\theta(x_{1:d}) \,\big\|\, q(x_{1:d})\big)",
                "the divergence the wrong way round",
            ),
            NearMiss(
                r"\mathbb{E}_{q(x_{1:d})}\big[-\log p_\theta(x_{1:d})\big] = D_{\mathrm{KL}}\big(q(x_{1:d}) \,\big\|\, p_\theta(x_{1:d})\big)",
                "as if the loss of the best model were zero",
            ),
        ),
    ),
    Claim(
        "eq-ar-kl",
        r"D_{\mathrm{KL}}\big(q(x_{1:d}) \,\big\|\, p_\theta(x_{1:d})\big) ="
        r" \sum_{i=1}^{d} \mathbb{E}_{q(x_{1:i})}\Big[\log \frac{q(x_i \mid x_{1:i-1})}{p_\theta(x_i \mid x_{1:i-1})}\Big]",
        "exactly true of random tables for 1 to 4 pixels",
        divergence_chain,
        (
            NearMiss(
                r"D_{\mathrm{KL}}\big(q(x_{1:d}) \,\big\|\, p_\theta(x_{1:d})\big) ="
                r" \sum_{i=1}^{d} \mathbb{E}_{p_\theta(x_{1:i})}\Big[\log \frac{q(x_i \mid x_{1:i-1})}{p_\theta(x_i \mid x_{1:i-1})}\Big]",
                "beginnings that the model has drawn; training shows it those of the data",
            ),
            NearMiss(
                r"D_{\mathrm{KL}}\big(q(x_{1:d}) \,\big\|\, p_\theta(x_{1:d})\big) ="
                r" \sum_{i=1}^{d} \mathbb{E}_{q(x_{1:i})}\Big[\log \frac{q(x_i)}{p_\theta(x_i \mid x_{1:i-1})}\Big]",
                "the data's pixels taken one by one",
            ),
            NearMiss(
                r"D_{\mathrm{KL}}\big(q(x_{1:d}) \,\big\|\, p_\theta(x_{1:d})\big) ="
                r" \sum_{i=2}^{d} \mathbb{E}_{q(x_{1:i})}\Big[\log \frac{q(x_i \mid x_{1:i-1})}{p_\theta(x_i \mid x_{1:i-1})}\Big]",
                "the first pixel can be wrong as well",
            ),
        ),
    ),
)


# A choice among levels


def softmax_values(levels: int) -> list[Expr]:
    """exp(z_k) over their sum, for the levels 0 .. levels - 1."""
    weights = [sp.exp(z[level]) for level in range(levels)]
    return [weight / sp.Add(*weights) for weight in weights]


def softmax(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == p(k) and relation.ops == ("=",), "the left side is not p(k)")
    for levels in (2, 3, 4):
        values = [at(relation.rhs, K=levels).subs(k, level).doit() for level in range(levels)]
        require_equal(sp.Add(*values), 1, "the sum over all levels and 1")
        for level in range(1, levels):
            odds = sp.expand_log(sp.log(values[level] / values[0]), force=True)
            require_equal(odds, z[level] - z[0], "the logarithm of a ratio and the difference of the logits")


def softmax_gradient(statement: Statement) -> None:
    require(len(statement) == 2 and all(relation.ops == ("=",) for relation in statement), "two slopes, please")
    own, other = statement
    require(own.lhs == Grad(sp.log(p(k)), z[k]) and other.lhs == Grad(sp.log(p(k)), z[j]), "not the slopes of log p(k) along z_k and z_j")
    for levels, pairs in ((2, ((0, 1), (1, 0))), (3, ((0, 2), (2, 1)))):
        values = softmax_values(levels)

        def put_in(expression: Expr, here: int, there: int) -> Expr:
            return expression.subs({k: here, j: there}).replace(p, lambda level: values[int(level)])

        for here, there in pairs:
            require_equal(put_in(own.rhs, here, there), sp.diff(sp.log(values[here]), z[here]), "the slope along the level's own logit")
            require_equal(put_in(other.rhs, here, there), sp.diff(sp.log(values[here]), z[there]), "the slope along another level's logit")


def temperature(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    for levels in (2, 3):
        values = softmax_values(levels)
        left, right = (
            [at(term, K=levels).subs(k, level).doit().replace(p, lambda number: values[int(number)]) for level in range(levels)]
            for term in relation.terms
        )
        for side in (left, right):
            for level in range(1, levels):
                odds = sp.expand_log(sp.log(side[level] / side[0]), force=True)
                require_equal(sp.expand(odds), (z[level] - z[0]) / tau, "the logarithm of a ratio and the logits' difference over the temperature")
            require_equal(sp.cancel(sp.Add(*side)), 1, "the sum over all levels and 1")


CHOICE = (
    Claim(
        "eq-softmax",
        r"p(k) = \frac{\exp(z_k)}{\sum_{j=0}^{K-1} \exp(z_j)}",
        "adds up to one, and the odds of two levels are the difference of their logits",
        softmax,
        (
            NearMiss(r"p(k) = \frac{z_k}{\sum_{j=0}^{K-1} z_j}", "the logits themselves, which may be negative"),
            NearMiss(r"p(k) = \frac{\exp(z_k)}{\sum_{j=1}^{K} \exp(z_j)}", "levels counted from 1 below and from 0 above"),
            NearMiss(r"p(k) = \frac{\exp(z_k)}{1 + \exp(z_k)}", "each level decided on its own: the sum is not one"),
        ),
        f"{PIXELCNN}.PixelCNN.log_prob",
    ),
    Claim(
        "eq-softmax-gradient",
        r"\nabla_{z_k} \log p(k) = 1 - p(k), \qquad \nabla_{z_j} \log p(k) = -p(j)",
        "differentiated for two and three levels; j is a level other than k",
        softmax_gradient,
        (
            NearMiss(r"\nabla_{z_k} \log p(k) = 1 - p(k), \qquad \nabla_{z_j} \log p(k) = -p(k)", "every other level pushed down alike"),
            NearMiss(r"\nabla_{z_k} \log p(k) = 1, \qquad \nabla_{z_j} \log p(k) = -p(j)", "pulled up for ever, even when certain"),
            NearMiss(r"\nabla_{z_k} \log p(k) = 1 - p(k), \qquad \nabla_{z_j} \log p(k) = 0", "the sum below forgotten: all levels share it"),
        ),
        f"{PIXELCNN}.PixelCNN.log_prob",
    ),
)


# Masks

Places = set[tuple[int, int]]
"""Places in an image, as (rows down, columns to the right) of where one stands."""


def open_places(kind: str, kernel: int) -> Places:
    """What a mask leaves open of a kernel with this side: what is read before the middle, and for B the middle itself."""
    half = kernel // 2
    square = itertools.product(range(-half, half + 1), repeat=2)
    return {place for place in square if place < (0, 0) or (kind == "B" and place == (0, 0))}


def walk(layers: list[Places]) -> Places:
    """The pixels that are seen through these layers, the first of which looks at the image."""
    seen = {(0, 0)}
    for layer in reversed(layers):
        seen = {(row + down, column + right) for row, column in seen for down, right in layer}
    return seen


def plain_stack(kernels: list[int]) -> Places:
    """What a pixel sees through masked convolutions of these sides, one of mask A and then B."""
    return walk([open_places("B" if number else "A", kernel) for number, kernel in enumerate(kernels)])


def window(n: int) -> Places:
    """What is read before a pixel and lies at most n rows and n columns away."""
    return open_places("A", 2 * n + 1)


def two_stacks(n: int) -> tuple[Places, Places]:
    """What a pixel is told by the vertical and by the horizontal stack, through n layers of side three each.

    The vertical stack looks at its own row and the one above. What it finds is handed over one row lower. The horizontal stack looks to
    its left, and from the second layer on at itself.
    """
    own_row = {(0, column) for column in (-1, 0, 1)}
    over = {(-1, 0)}
    above = walk([own_row | {(-1, column) for column in (-1, 0, 1)}] * n + [over])
    return above, walk([{(0, -1)}] + [{(0, -1), (0, 0)}] * (n - 1))


def mask_taps(statement: Statement) -> None:
    require(len(statement) == 2 and all(relation.ops == ("=",) for relation in statement), "two counts, please")
    for kind, relation in zip("AB", statement):
        require(relation.lhs == function(rf"n_{{\mathrm{{{kind}}}}}")(k), f"not the count of mask {kind}")
        for kernel in (1, 3, 5, 7, 9):
            require_equal(relation.rhs.subs(k, kernel), len(open_places(kind, kernel)), f"mask {kind} for side {kernel} and the count")


def mask_colours(statement: Statement) -> None:
    require(len(statement) == 2 and all(relation.ops == ("=",) for relation in statement), "two counts, please")
    for kind, relation in zip("AB", statement):
        require(relation.lhs == function(rf"n_{{\mathrm{{{kind}}}}}")(k, c), f"not the count of mask {kind}")
        for kernel, colours in itertools.product((1, 3, 5), (1, 2, 3, 4)):
            pairs = itertools.product(range(colours), repeat=2)  # from a colour of what comes in to one of what comes out
            middle = sum(1 for source, goal in pairs if source < goal or (kind == "B" and source == goal))
            counted = colours**2 * len(window(kernel // 2)) + middle
            require_equal(relation.rhs.subs({k: kernel, c: colours}), counted, f"mask {kind} for {colours} colours and the count")


def masked_reach(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == r[n] and relation.ops == ("=",), "the left side is not r_n")
    for kernels in ([3], [7], [3, 5], [7, 3, 3], [5, 3, 7, 3]):
        seen = plain_stack(kernels)
        formula = at(relation.rhs, n=len(kernels)).subs({sides[number]: kernel for number, kernel in enumerate(kernels, start=1)})
        for what, furthest in (("rows up", -min(row for row, _ in seen)), ("columns left", -min(column for _, column in seen))):
            require_equal(formula, furthest, f"r_n and how many {what} are seen")


def blind_count(statement: Statement) -> None:
    relation = only(statement)
    require(isinstance(relation.lhs, sp.Sum) and relation.ops == ("=",) and relation.lhs.limits == ((j, 1, n),), "a sum over n rows, please")
    for layers in range(1, 7):
        unseen = window(layers) - plain_stack([3] * layers)
        for row in range(1, layers + 1):
            hidden = sum(1 for up, _ in unseen if up == -row)
            require_equal(relation.lhs.function.subs({n: layers, j: row}), hidden, f"row {row} above, behind {layers} layers, and the count")
        require_equal(relation.rhs.subs(n, layers), len(unseen), f"what is hidden behind {layers} layers and the count")
    require_equal(relation.lhs.doit(), relation.rhs)


def blind_share(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs.func == Lim and relation.lhs.args[1:] == (n, sp.oo) and relation.ops == ("=",), "not a limit of many layers")
    share = relation.lhs.args[0]
    for layers in range(1, 7):
        whole = window(layers)
        hidden = sp.Rational(len(whole - plain_stack([3] * layers)), len(whole))
        require_equal(share.subs(n, layers), hidden, f"the share behind {layers} layers and the count")
    require_equal(sp.limit(share, n, sp.oo), relation.rhs, "the limit and the right side")


def stacks_seen(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    require(isinstance(relation.lhs, sp.Add) and len(relation.lhs.args) == 2, "the left side is not what two stacks see")
    for layers in range(1, 7):
        above, beside = two_stacks(layers)
        whole = {(-row, column) for row in range(1, layers + 2) for column in range(-layers, layers + 1)}
        require(above == whole and beside == {(0, -column) for column in range(1, layers + 1)}, "something within reach is hidden")
        counts = sorted(part.subs(n, layers) for part in relation.lhs.args)
        require(counts == sorted((len(above), len(beside))), f"the terms for {layers} layers are {counts}, not {len(above)} and {len(beside)}")
        require_equal(relation.rhs.subs(n, layers), len(above | beside), f"the right side and all that is seen behind {layers} layers")
    require_equal(relation.lhs, relation.rhs)


MASKS = (
    Claim(
        "eq-mask-taps",
        r"n_{\mathrm{A}}(k) = \frac{k^2 - 1}{2}, \qquad n_{\mathrm{B}}(k) = \frac{k^2 + 1}{2}",
        "counted for kernels of side 1, 3, 5, 7 and 9",
        mask_taps,
        (
            NearMiss(r"n_{\mathrm{A}}(k) = \frac{k^2 + 1}{2}, \qquad n_{\mathrm{B}}(k) = \frac{k^2 - 1}{2}", "A and B exchanged"),
            NearMiss(r"n_{\mathrm{A}}(k) = \frac{k^2 - 1}{2}, \qquad n_{\mathrm{B}}(k) = \frac{k^2}{2}", "half a pixel: the side is odd"),
            NearMiss(r"n_{\mathrm{A}}(k) = \frac{k (k-1)}{2}, \qquad n_{\mathrm{B}}(k) = \frac{k (k-1)}{2} + 1", "the rows above only, without what lies to the left"),
        ),
        f"{PIXELCNN}.conv_mask",
    ),
    Claim(
        "eq-masked-reach",
        r"r_n = \sum_{j=1}^{n} \frac{k_j - 1}{2}",
        "walked back through one to four layers of sides 3, 5 and 7",
        masked_reach,
        (
            NearMiss(r"r_n = \sum_{j=1}^{n} (k_j - 1)", "both sides of the kernel counted: one of them is masked"),
            NearMiss(r"r_n = 1 + \sum_{j=1}^{n} \frac{k_j - 1}{2}", "the pixel itself counted"),
            NearMiss(r"r_n = \sum_{j=2}^{n} \frac{k_j - 1}{2}", "the first layer forgotten"),
        ),
        f"{PIXELCNN}.PlainStack.forward",
    ),
    Claim(
        "eq-blind-count",
        r"\sum_{j=1}^{n} (n - j) = \frac{n (n-1)}{2}",
        "row by row what a walk through 1 to 6 masked layers misses of its window, and then the sum",
        blind_count,
        (
            NearMiss(r"\sum_{j=1}^{n} j = \frac{n (n+1)}{2}", "the rows turned upside down: it is the near ones that hide most"),
            NearMiss(r"\sum_{j=1}^{n} (n - j) = \frac{n (n+1)}{2}", "the sum off by one row"),
            NearMiss(r"\sum_{j=1}^{n} (n - j) = n (n-1)", "hidden on both sides: to the left all is seen"),
        ),
        f"{PIXELCNN}.PlainStack.forward",
    ),
    Claim(
        "eq-blind-share",
        r"\lim_{n \to \infty} \frac{n (n-1)}{4 n (n+1)} = \frac{1}{4}",
        "the counted share behind 1 to 6 layers, and its limit",
        blind_share,
        (
            NearMiss(r"\lim_{n \to \infty} \frac{n (n-1)}{4 n (n+1)} = 0", "as if more layers closed the blind spot"),
            NearMiss(r"\lim_{n \to \infty} \frac{n (n-1)}{2 (2 n + 1)^2} = \frac{1}{8}", "a share of the whole square, half of which must not be seen"),
            NearMiss(r"\lim_{n \to \infty} \frac{n (n-1)}{2 n (n+1)} = \frac{1}{2}", "a factor of one half lost"),
        ),
    ),
    Claim(
        "eq-stacks-seen",
        r"(n + 1)(2 n + 1) + n = 2 n^2 + 4 n + 1",
        "a walk through both stacks of 1 to 6 layers: they share the window out, and nothing in it is hidden",
        stacks_seen,
        (
            NearMiss(r"n (2 n + 1) + n = 2 n^2 + 2 n", "the step from one stack to the other forgotten: it goes one row higher"),
            NearMiss(r"(n + 1)(2 n + 1) + 2 n = 2 n^2 + 5 n + 1", "the pixels to the right counted, which must not be seen"),
            NearMiss(r"(n + 1)^2 + n = n^2 + 3 n + 1", "rows that reach to one side only, as behind a mask"),
        ),
        f"{PIXELCNN}.GatedLayer.forward",
    ),
)



# The gate


def logistic(number: Expr) -> Expr:
    return 1 / (1 + sp.exp(-number))


def gate(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == o[i] and relation.ops == ("=",), "the left side is not o_i")
    let_through, opening = sp.symbols("u v", real=True)
    formula = relation.rhs.replace(g, logistic).subs({u[i]: let_through, v[i]: opening})
    require(formula.free_symbols == {let_through, opening}, "not a gate of two numbers")
    wave = sp.tanh(let_through).rewrite(sp.exp)
    require_equal(sp.limit(formula, opening, sp.oo).rewrite(sp.exp), wave, "an open gate and tanh(u)")
    require_equal(sp.limit(formula, opening, -sp.oo), 0, "a closed gate and 0")
    require_equal(formula.subs(opening, 0), sp.tanh(let_through) / 2, "a gate half open and half of tanh(u)")
    share = formula / sp.tanh(let_through)
    require_equal(sp.diff(share, let_through), 0, "how much the share depends on what is let through, and 0")
    require_equal(sp.diff(share, opening), share * (1 - share), "the slope of the share and that of the logistic function")


GATE = (
    Claim(
        "eq-gate",
        r"o_i = \tanh(u_i)\, g(v_i)",
        "nothing when closed, tanh(u) when open, and in between a share that does not depend on u",
        gate,
        (
            NearMiss(r"o_i = \tanh(u_i)\, \tanh(v_i)", "a gate that can turn the sign around"),
            NearMiss(r"o_i = g(u_i)\, g(v_i)", "nothing negative can get through"),
            NearMiss(r"o_i = \tanh(u_i) + g(v_i)", "added: it cannot be shut"),
            NearMiss(r"o_i = \tanh(u_i)\, g(u_i)", "one number decides on itself"),
        ),
        f"{PIXELCNN}.gate",
    ),
)


# What sampling costs


def sampling_cost(statement: Statement) -> None:
    require(len(statement) == 2 and all(relation.ops == ("=",) for relation in statement), "two counts, please")
    naive, cached = statement
    require((naive.lhs, cached.lhs) == (function(r"M_{\mathrm{naive}}")(d), function(r"M_{\mathrm{cached}}")(d)), "not M_naive(d) and M_cached(d)")
    for size, kernel, channels in ((4, 3, 2), (9, 1, 3), (6, 5, 1)):
        at_a_pixel = sum(1 for _ in itertools.product(range(channels), range(channels), range(kernel), range(kernel)))
        everywhere = sum(at_a_pixel for _drawn in range(size) for _pixel in range(size))
        numbers = {d: size, k: kernel, c: channels}
        require_equal(naive.rhs.subs(numbers), everywhere, "the formula and a loop over all pixels inside a loop over those drawn")
        require_equal(cached.rhs.subs(numbers), size * at_a_pixel, "the formula and one loop over the pixels")


SAMPLING = (
    Claim(
        "eq-sampling-cost",
        r"M_{\mathrm{naive}}(d) = d^2 k^2 c^2, \qquad M_{\mathrm{cached}}(d) = d k^2 c^2",
        "loops over channels, places and pixels, with and without another around them",
        sampling_cost,
        (
            NearMiss(r"M_{\mathrm{naive}}(d) = d^2 k^2 c^2, \qquad M_{\mathrm{cached}}(d) = k^2 c^2", "one pixel only"),
            NearMiss(r"M_{\mathrm{naive}}(d) = d k^2 c^2, \qquad M_{\mathrm{cached}}(d) = d k^2 c^2", "the network run once: that is training"),
            NearMiss(r"M_{\mathrm{naive}}(d) = d^2 k^2 c, \qquad M_{\mathrm{cached}}(d) = d k^2 c", "one channel out"),
        ),
    ),
    Claim(
        "eq-softmax-temperature",
        r"\frac{p(k)^{1/\tau}}{\sum_{j=0}^{K-1} p(j)^{1/\tau}} = \frac{\exp(z_k/\tau)}{\sum_{j=0}^{K-1} \exp(z_j/\tau)}",
        "on both sides the odds of two levels are what they were, to the power 1/τ",
        temperature,
        (
            NearMiss(
                r"\frac{p(k)^{1/\tau}}{\sum_{j=0}^{K-1} p(j)^{1/\tau}} = \frac{\exp(\tau z_k)}{\sum_{j=0}^{K-1} \exp(\tau z_j)}",
                "hot and cold exchanged",
            ),
            NearMiss(
                r"\frac{p(k)^{1/\tau}}{\sum_{j=0}^{K-1} p(j)^{1/\tau}} = \frac{\exp(z_k)/\tau}{\sum_{j=0}^{K-1} \exp(z_j)/\tau}",
                "divided outside the exponential, where it cancels",
            ),
            NearMiss(
                r"\frac{p(k)^{1/\tau}}{\sum_{j=0}^{K-1} p(j)^{1/\tau}} = \frac{\exp(z_k/\tau)}{\sum_{j=0}^{K-1} \exp(z_j)}",
                "the sum left at temperature one",
            ),
        ),
    ),
)


# Levels that have an order


def logistic_slope(statement: Statement) -> None:
    relation = only(statement)
    number = symbol("z")
    require(relation.lhs == Slope(g(number)) and set(relation.ops) == {"="}, "the left side is not the slope of g")
    for term in relation.terms[1:]:
        require_equal(term.replace(g, logistic), sp.diff(logistic(number), number), "this and the derivative")


def level_cuts(statement: Statement) -> None:
    require(len(statement) == 3 and all(relation.ops == ("=",) for relation in statement), "e_k, e_0 and e_K, please")
    inner, first, last = statement
    require([relation.lhs for relation in statement] == [cut[k], cut[0], cut[K]], "e_k, e_0 and e_K, please")
    lowest, step = -1, 2 / (K - 1)  # K levels from -1 to 1 in equal steps
    require_equal(inner.rhs, lowest + step * (2 * k - 1) / 2, "the cut and the middle between two levels")
    require(first.rhs == -sp.oo and last.rhs == sp.oo, "the outer levels leave something over")


def logistic_level(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == p(k) and relation.ops == ("=",), "the left side is not p(k)")
    # The formula is F(e_{k+1}) - F(e_k); F must have the density as its slope: a standard logistic number, stretched by b and moved by mu.
    place = sp.Symbol("place", real=True)
    standard = (place - mu) / b
    density = logistic(standard) * logistic(-standard) / b
    for end, sign in ((cut[k + 1], 1), (cut[k], -1)):
        here = relation.rhs.replace(g, logistic).subs(end, place)
        require_equal(sp.diff(here, place), sign * density, f"the slope at {end} and the density")
    require_equal(relation.rhs.subs(cut[k + 1], cut[k]), 0, "an empty piece's probability and 0")


def with_outer_cuts(expression: Expr, levels: int) -> Expr:
    """Each g((e - mu)/b) with the outer cuts at infinity: 0 at e_0 and 1 at e_K."""

    def value(argument: Expr) -> Expr:
        ends = {cut[0]: sp.Integer(0), cut[levels]: sp.Integer(1)}
        found = [limit for end, limit in ends.items() if argument.has(end)]
        return found[0] if found else g(argument)

    return expression.replace(g, value)


def logistic_sum(statement: Statement) -> None:
    relation = only(statement)
    require(isinstance(relation.lhs, sp.Sum) and relation.ops == ("=",), "a sum, please")
    (index, first, last) = relation.lhs.limits[0]
    require(index == k, "not a sum over the levels")
    for levels in (2, 3, 17):
        numbers = range(first, last.subs(K, levels) + 1)
        total = with_outer_cuts(sp.Add(*(relation.lhs.function.subs(k, level) for level in numbers)), levels)
        require(not total.has(cut[0], cut[levels]), "an outer cut outside g")
        require_equal(total, relation.rhs, f"the sum over {levels} levels and the right side")


def logistic_difference(statement: Statement) -> None:
    relation = only(statement)
    first, second = symbol("x"), symbol("y")
    require(relation.lhs == g(first) - g(second) and relation.ops == ("=",), "the left side is not g(x) - g(y)")
    factors = sp.Mul.make_args(relation.rhs)
    require(all(not isinstance(factor, sp.Add) or factor.has(sp.exp) for factor in factors), "not a product that has a logarithm")
    require_equal(relation.rhs.replace(g, logistic), (logistic(first) - logistic(second)))


def logistic_mixture(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == p(k) and relation.ops == ("=",), "the left side is not p(k)")
    for parts in (1, 2, 3):
        shares = {w[part]: sp.Rational(part, parts * (parts + 1) // 2) for part in range(1, parts + 1)}
        formula = at(relation.rhs, n=parts)
        for levels in (2, 3):
            total = sp.Add(*(with_outer_cuts(formula.subs(k, level), levels) for level in range(levels)))
            require_equal(total.subs(shares), 1, f"the sum over {levels} levels, of {parts} logistics, and 1")
        for part in range(1, parts + 1):
            # How much of the probability is this component's: all the others with their means far away.
            alone = g((cut[k + 1] - means[part]) / scales[part]) - g((cut[k] - means[part]) / scales[part])
            require_equal(sp.diff(formula, w[part]), alone, "what a share counts and its logistic's piece")


def colour_mean(statement: Statement) -> None:
    require(len(statement) == 2 and all(relation.ops == ("=",) for relation in statement), "two means, please")
    for number, (relation, earlier, coefficients) in enumerate(zip(statement, ([1], [1, 2]), ([a], [b, c])), start=2):
        require(relation.lhs == moved[number], f"the left side is not m_{number}")
        require_equal(sp.diff(relation.rhs, means[number]), 1, f"the slope of m_{number} along its own mean and 1")
        require_equal(relation.rhs.subs({x[colour]: 0 for colour in (1, 2, 3)}), means[number], "the mean where the other colours are 0")
        for colour in (1, 2, 3):
            slope = coefficients[earlier.index(colour)] if colour in earlier else 0
            require_equal(sp.diff(relation.rhs, x[colour]), slope, f"how far x_{colour} moves m_{number}")


ORDER = (
    Claim(
        "eq-logistic-slope",
        r"g'(z) = g(z)\, (1 - g(z)) = g(z)\, g(-z)",
        "differentiated",
        logistic_slope,
        (
            NearMiss(r"g'(z) = g(z)\, (1 + g(z)) = g(z)\, g(-z)", "the sign in the bracket"),
            NearMiss(r"g'(z) = g(z)\, (1 - g(z)) = g(z)\, g(z)", "g(-z) is what is missing to one"),
            NearMiss(r"g'(z) = 1 - g(z)^2 = g(z)\, g(-z)", "the rule of the hyperbolic tangent"),
        ),
    ),
    Claim(
        "eq-level-cuts",
        r"e_k = \frac{2 k - 1}{K - 1} - 1, \qquad e_0 = -\infty, \qquad e_K = \infty",
        "half way between neighbours of K levels from -1 to 1, and nothing left over outside",
        level_cuts,
        (
            NearMiss(r"e_k = \frac{2 k}{K - 1} - 1, \qquad e_0 = -\infty, \qquad e_K = \infty", "the levels themselves"),
            NearMiss(r"e_k = \frac{2 k - 1}{K} - 1, \qquad e_0 = -\infty, \qquad e_K = \infty", "K gaps between K levels"),
            NearMiss(r"e_k = \frac{2 k - 1}{K - 1} - 1, \qquad e_0 = -1, \qquad e_K = 1", "the tails cut off: the sum is less than one"),
        ),
        f"{DECODERS}.discretised_logistic_log_prob",
    ),
    Claim(
        "eq-logistic-level",
        r"p(k) = g\Big(\frac{e_{k+1} - \mu}{b}\Big) - g\Big(\frac{e_k - \mu}{b}\Big)",
        "g has the logistic density as its slope at both ends",
        logistic_level,
        (
            NearMiss(r"p(k) = g\Big(\frac{e_k - \mu}{b}\Big) - g\Big(\frac{e_{k+1} - \mu}{b}\Big)", "a negative probability"),
            NearMiss(r"p(k) = g\Big(\frac{e_{k+1} - \mu}{b^2}\Big) - g\Big(\frac{e_k - \mu}{b^2}\Big)", "the scale squared, as in a Gaussian's exponent"),
            NearMiss(r"p(k) = g\Big(\frac{e_k - \mu}{b}\Big) - g\Big(\frac{e_{k-1} - \mu}{b}\Big)", "the piece of the level below"),
        ),
        f"{DECODERS}.discretised_logistic_log_prob",
    ),
    Claim(
        "eq-logistic-sum",
        r"\sum_{k=0}^{K-1} \Big(g\Big(\frac{e_{k+1} - \mu}{b}\Big) - g\Big(\frac{e_k - \mu}{b}\Big)\Big) = 1",
        "2, 3 and 17 levels: each cut ends one piece and begins the next",
        logistic_sum,
        (
            NearMiss(r"\sum_{k=1}^{K-1} \Big(g\Big(\frac{e_{k+1} - \mu}{b}\Big) - g\Big(\frac{e_k - \mu}{b}\Big)\Big) = 1", "black left out"),
            NearMiss(r"\sum_{k=0}^{K-2} \Big(g\Big(\frac{e_{k+1} - \mu}{b}\Big) - g\Big(\frac{e_k - \mu}{b}\Big)\Big) = 1", "white left out"),
            NearMiss(
                r"\sum_{k=0}^{K-1} \Big(g\Big(\frac{e_{k+1} - \mu}{b}\Big) + g\Big(\frac{e_k - \mu}{b}\Big)\Big) = 1", "a sum where a difference belongs"
            ),
        ),
        f"{DECODERS}.discretised_logistic_log_prob",
    ),
    Claim(
        "eq-logistic-mixture",
        r"p(k) = \sum_{j=1}^{n} w_j\, \Big(g\Big(\frac{e_{k+1} - \mu_j}{b_j}\Big) - g\Big(\frac{e_k - \mu_j}{b_j}\Big)\Big)",
        "adds up to one when the shares do, and each share counts its own logistic's piece",
        logistic_mixture,
        (
            NearMiss(
                r"p(k) = \sum_{j=1}^{n} \Big(g\Big(\frac{e_{k+1} - \mu_j}{b_j}\Big) - g\Big(\frac{e_k - \mu_j}{b_j}\Big)\Big)", "the shares forgotten: n in all"
            ),
            NearMiss(
                r"p(k) = \sum_{j=1}^{n} w_j\, \Big(g\Big(\frac{e_{k+1} - \mu_j}{b_j}\Big) - g\Big(\frac{e_k - \mu_1}{b_1}\Big)\Big)",
                "pieces that begin with one logistic and end with another",
            ),
            NearMiss(
                r"p(k) = \prod_{j=1}^{n} w_j\, \Big(g\Big(\frac{e_{k+1} - \mu_j}{b_j}\Big) - g\Big(\frac{e_k - \mu_j}{b_j}\Big)\Big)",
                "multiplied: all components would have to agree",
            ),
        ),
        f"{DECODERS}.logistic_mixture_log_prob",
    ),
)

COLOURS = (
    Claim(
        "eq-mask-colours",
        r"\begin{aligned}"
        r" n_{\mathrm{A}}(k, c) &= c^2\, \frac{k^2 - 1}{2} + \frac{c (c-1)}{2} \\"
        r" n_{\mathrm{B}}(k, c) &= c^2\, \frac{k^2 - 1}{2} + \frac{c (c+1)}{2}"
        r" \end{aligned}",
        "pairs of colours counted, in the middle and everywhere else, for up to four colours",
        mask_colours,
        (
            NearMiss(
                r"\begin{aligned}"
                r" n_{\mathrm{A}}(k, c) &= c^2\, \frac{k^2 - 1}{2} \\"
                r" n_{\mathrm{B}}(k, c) &= c^2\, \frac{k^2 - 1}{2} + c^2"
                r" \end{aligned}",
                "the middle all shut or all open: blue would not see red, or red would see blue",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" n_{\mathrm{A}}(k, c) &= c\, \frac{k^2 - 1}{2} + \frac{c (c-1)}{2} \\"
                r" n_{\mathrm{B}}(k, c) &= c\, \frac{k^2 - 1}{2} + \frac{c (c+1)}{2}"
                r" \end{aligned}",
                "each colour of the neighbours seen by itself only",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" n_{\mathrm{A}}(k, c) &= c^2\, \frac{k^2 - 1}{2} + \frac{c (c+1)}{2} \\"
                r" n_{\mathrm{B}}(k, c) &= c^2\, \frac{k^2 - 1}{2} + \frac{c (c-1)}{2}"
                r" \end{aligned}",
                "A and B exchanged",
            ),
        ),
        f"{PIXELCNN}.conv_mask",
    ),
    Claim(
        "eq-colour-mean",
        r"m_2 = \mu_2 + a x_1, \qquad m_3 = \mu_3 + b x_1 + c x_2",
        "each colour is moved by the earlier ones, in proportion, and by no later one",
        colour_mean,
        (
            NearMiss(r"m_2 = \mu_2 + a x_2, \qquad m_3 = \mu_3 + b x_1 + c x_2", "green moved by itself"),
            NearMiss(r"m_2 = \mu_2 + a x_1, \qquad m_3 = \mu_3 + b x_1", "blue does not see green"),
            NearMiss(r"m_2 = \mu_2 + a x_3, \qquad m_3 = \mu_3 + b x_1 + c x_2", "a circle: green waits for blue, and blue for green"),
        ),
        f"{DECODERS}.colour_mean",
    ),
)

IN_LOGARITHMS = (
    Claim(
        "eq-logistic-difference",
        r"g(x) - g(y) = g(x)\, g(-y)\, \big(1 - \exp(y - x)\big)",
        "written out, both sides are the same fraction",
        logistic_difference,
        (
            NearMiss(r"g(x) - g(y) = g(x)\, g(y)\, \big(1 - \exp(y - x)\big)", "g(y) where what is missing to one belongs"),
            NearMiss(r"g(x) - g(y) = g(x)\, g(-y)\, \big(1 - \exp(x - y)\big)", "the exponent's sign: it would overflow"),
            NearMiss(r"g(x) - g(y) = g(x)\, g(-y)", "the width of the piece forgotten"),
        ),
        f"{DECODERS}.discretised_logistic_log_prob",
    ),
)


CLAIMS: tuple[Claim, ...] = ONE_AFTER_THE_OTHER + LIKELIHOOD + CHOICE + MASKS + GATE + SAMPLING + ORDER + COLOURS + IN_LOGARITHMS
"""The chapter's claims in the order in which it shows them."""

IN_TEXT: dict[str, Literal["true", "setting"]] = {
    r"1/\tau": "setting",
    r"2n + 1": "setting",
    r"2n(n+1)": "setting",
    r"\log p(k)": "setting",
    r"g(z) = 1/(1 + \exp(-z))": "setting",
    r"i = 1": "setting",
    r"k_j - 1": "setting",
    r"n - j": "setting",
}
"""Formulas in the chapter's running text that are no part of a claim, pinned here word for word."""
