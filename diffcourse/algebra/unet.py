"""The claims of chapter 11, the U-Net.

Most of them are about counting and about what does not change. What a convolution sees, how many weights and multiplications a
layer has and what a mean is, is written here once, in Python; the formulas must follow from that.
"""

from itertools import permutations
from typing import Literal

import sympy as sp
from sympy import Expr

from diffcourse.algebra.claim import Claim, NearMiss, Statement
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.algebra.proving import at, only, require, require_equal

x, k, s, R, omega = (family(name) for name in ("x", "k", "s", "R", r"\omega"))
query, key, value, match, brought, share = (family(name) for name in ("u", "v", "y", "z", "o", "a"))
a, b, c, d, i, n, side = (symbol(name) for name in ("a", "b", "c", "d", "i", "n", "k"))
mu, sigma = symbol(r"\mu"), symbol(r"\sigma")
UNET = "diffcourse.nets.unet"


def count(*ranges: Expr) -> Expr:
    """How many turns loops of these lengths, one inside the other, take together."""
    turns: Expr = sp.Integer(1)
    for number, length in enumerate(ranges):
        turns = sp.Sum(turns, (sp.Symbol(f"loop_{number}", integer=True), 1, length))
    return turns.doit()


# What a pixel sees


def seen(layers: int) -> Expr:
    """The side of the square that one pixel behind this many convolutions sees, walked back layer by layer.

    Output pixel p of a convolution looks at the input pixels p s, ..., p s + k - 1. So w neighbouring pixels look at
    (w - 1) s + k.
    """
    width: Expr = sp.Integer(1)
    for layer in range(layers, 0, -1):
        width = sp.expand((width - 1) * s[layer] + k[layer])
    return width


def receptive_step(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == R[n] and relation.ops == ("=",), "the left side is not R_n")
    for layers in range(1, 5):
        grown = at(relation.rhs, n=layers).subs(R[layers - 1], seen(layers - 1))
        require_equal(grown, seen(layers), f"R_{layers} and what the loops see")


def receptive_field(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == R[n] and relation.ops == ("=",), "the left side is not R_n")
    for layers in range(5):
        require_equal(at(relation.rhs, n=layers), seen(layers), f"R_{layers} and what the loops see")


RECEPTIVE = (
    Claim(
        "eq-receptive-step",
        r"R_n = R_{n-1} + (k_n - 1) \prod_{i=1}^{n-1} s_i",
        "the square walked back through 1 to 4 layers",
        receptive_step,
        (
            NearMiss(r"R_n = R_{n-1} + (k_n - 1) \prod_{i=1}^{n} s_i", "the layer's own stride: it spreads only what comes later"),
            NearMiss(r"R_n = R_{n-1} + k_n \prod_{i=1}^{n-1} s_i", "k pixels more: one of them was seen before"),
            NearMiss(r"R_n = R_{n-1} + k_n - 1", "the strides forgotten"),
        ),
    ),
    Claim(
        "eq-receptive-field",
        r"R_n = 1 + \sum_{j=1}^{n} (k_j - 1) \prod_{i=1}^{j-1} s_i",
        "the square walked back through 0 to 4 layers",
        receptive_field,
        (
            NearMiss(r"R_n = \sum_{j=1}^{n} (k_j - 1) \prod_{i=1}^{j-1} s_i", "no layer at all would see nothing"),
            NearMiss(r"R_n = 1 + \sum_{j=1}^{n} (k_j - 1) \prod_{i=1}^{j} s_i", "each layer's own stride counted as well"),
            NearMiss(r"R_n = \prod_{j=1}^{n} k_j", "sides multiplied, as if neighbours never overlapped"),
        ),
    ),
)


# Weights and multiplications


def conv_parameters(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == function(r"P_{\mathrm{conv}}")(side, c, d) and relation.ops == ("=",), "the left side is not P(k, c, d)")
    kernel, bias = count(d, c, side, side), count(d)
    require_equal(relation.rhs, kernel + bias, "the formula and the count")


def conv_cost(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == function(r"M_{\mathrm{conv}}")(n) and relation.ops == ("=",), "the left side is not M(n)")
    require_equal(relation.rhs, count(n, d, c, side, side), "the formula and the count")


def attention_cost(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == function(r"M_{\mathrm{att}}")(n) and relation.ops == ("=",), "the left side is not M(n)")
    projections = 4 * count(n, c, c)  # query, key, value, and the way out
    matches, mixing = count(n, n, c), count(n, n, c)
    require_equal(relation.rhs, projections + matches + mixing, "the formula and the count")


COUNTS = (
    Claim(
        "eq-conv-parameters",
        r"P_{\mathrm{conv}}(k, c, d) = (k^2 c + 1)\, d",
        "a loop over outputs, inputs and the kernel's two sides, and one bias for each output",
        conv_parameters,
        (
            NearMiss(r"P_{\mathrm{conv}}(k, c, d) = k^2 c d", "the biases forgotten"),
            NearMiss(r"P_{\mathrm{conv}}(k, c, d) = (k^2 d + 1)\, c", "a bias for each channel that comes in"),
            NearMiss(r"P_{\mathrm{conv}}(k, c, d) = (k c + 1)\, d", "a kernel with one side only"),
        ),
    ),
    Claim(
        "eq-conv-cost",
        r"M_{\mathrm{conv}}(n) = n k^2 c d",
        "the same loops at each of n pixels",
        conv_cost,
        (
            NearMiss(r"M_{\mathrm{conv}}(n) = n^2 k^2 c d", "every pixel with every other, which is attention"),
            NearMiss(r"M_{\mathrm{conv}}(n) = n k^2 c", "one channel out"),
        ),
    ),
    Claim(
        "eq-attention-cost",
        r"M_{\mathrm{att}}(n) = 4 n c^2 + 2 n^2 c",
        "loops for the four projections, for the matches and for the mixing",
        attention_cost,
        (
            NearMiss(r"M_{\mathrm{att}}(n) = 4 n c^2 + 2 n c", "every pixel with itself alone"),
            NearMiss(r"M_{\mathrm{att}}(n) = 4 n c^2 + n^2 c", "the matches counted, the mixing forgotten"),
            NearMiss(r"M_{\mathrm{att}}(n) = 3 n c^2 + 2 n^2 c", "the projection on the way out forgotten"),
        ),
        f"{UNET}.SelfAttention.forward",
    ),
)


# Time


def frequency(statement: Statement) -> None:
    relation = only(statement)
    require(relation.lhs == omega[i] and relation.ops == ("=",), "the left side is not omega_i")
    require_equal(relation.rhs.subs(i, 1), 1, "the first frequency and 1")
    require_equal(relation.rhs.subs(i, d + 1), sp.Rational(1, 10_000), "the frequency after the last and 1/10000")
    ratio = sp.simplify(sp.log(relation.rhs.subs(i, i + 1)) - sp.log(relation.rhs))
    require_equal(sp.diff(sp.expand_log(ratio, force=True), i), 0, "the change of the ratio of neighbours and 0")


def embedding_product(statement: Statement) -> None:
    relation = only(statement)
    left, right = relation.lhs, relation.rhs
    require(relation.ops == ("=",) and left.func == right.func == sp.Sum, "not two sums")
    require(left.limits == right.limits == ((i, 1, d),), "the sums do not run over i = 1 .. d")
    t, earlier = symbol("t"), symbol("s")
    vectors = [sp.Matrix([sp.cos(omega[i] * time), sp.sin(omega[i] * time)]) for time in (t, earlier)]
    require_equal(left.function, vectors[0].dot(vectors[1]), "the terms on the left and the product of two pairs")
    require_equal(sp.expand(right.function, trig=True), sp.expand(left.function, trig=True), "the terms of both sides")
    later = sp.Symbol("delay", integer=True, nonnegative=True)
    moved = right.function.subs({t: t + later, earlier: earlier + later}, simultaneous=True)
    require_equal(sp.expand(moved.args[0]), sp.expand(right.function.args[0]), "the angle later and now")


TIME = (
    Claim(
        "eq-frequency",
        r"\omega_i = 10000^{-(i-1)/d}",
        "starts at 1, falls by the same factor each time, and would reach 1/10000 one pair after the last",
        frequency,
        (
            NearMiss(r"\omega_i = 10000^{-i/d}", "counting from 0: the first frequency is not 1"),
            NearMiss(r"\omega_i = 10000^{(i-1)/d}", "rising: neighbouring steps would look unrelated"),
            NearMiss(r"\omega_i = \frac{1}{10000} \cdot \frac{i-1}{d}", "equal distances in place of equal ratios"),
        ),
        f"{UNET}.timestep_embedding",
    ),
    Claim(
        "eq-embedding-product",
        r"\sum_{i=1}^{d} \big(\cos(\omega_i t) \cos(\omega_i s) + \sin(\omega_i t) \sin(\omega_i s)\big) = \sum_{i=1}^{d} \cos(\omega_i (t-s))",
        "the addition theorem of the cosine, term by term",
        embedding_product,
        (
            NearMiss(
                r"\sum_{i=1}^{d} \big(\cos(\omega_i t) \cos(\omega_i s) + \sin(\omega_i t) \sin(\omega_i s)\big) = \sum_{i=1}^{d} \cos(\omega_i (t+s))",
                "the sum of the times in place of their difference",
            ),
            NearMiss(
                r"\sum_{i=1}^{d} \big(\cos(\omega_i t) \cos(\omega_i s) - \sin(\omega_i t) \sin(\omega_i s)\big) = \sum_{i=1}^{d} \cos(\omega_i (t-s))",
                "the sines subtracted",
            ),
            NearMiss(
                r"\sum_{i=1}^{d} \big(\cos(\omega_i t) \cos(\omega_i s) + \sin(\omega_i t) \sin(\omega_i s)\big) = \cos(t-s)",
                "one frequency only",
            ),
        ),
        f"{UNET}.timestep_embedding",
    ),
)


# Norm


def mean_and_deviation(numbers: list[Expr]) -> tuple[Expr, Expr]:
    mean = sp.Add(*numbers) / len(numbers)
    return mean, sp.sqrt(sp.factor(sp.expand(sp.Add(*((number - mean) ** 2 for number in numbers)) / len(numbers))))


def norm_invariance(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "no equality")
    for size in (2, 3, 4):
        numbers = [x[j] for j in range(1, size + 1)]
        mean, deviation = mean_and_deviation(numbers)
        new_mean, new_deviation = mean_and_deviation([a * number + b for number in numbers])
        for j in (1, size):
            left, right = (at(term, i=j).subs({mu: mean, sigma: deviation}) for term in relation.terms)
            require_equal(left, (a * x[j] + b - new_mean) / new_deviation, f"the left side and the norm of a x_{j} + b")
            require_equal(right, (x[j] - mean) / deviation, f"the right side and the norm of x_{j}")
            require_equal(left, right)


NORM = (
    Claim(
        "eq-norm-invariant",
        r"\frac{(a x_i + b) - (a \mu + b)}{a \sigma} = \frac{x_i - \mu}{\sigma}",
        "mean and deviation of two, three and four numbers, before and after",
        norm_invariance,
        (
            NearMiss(r"\frac{(a x_i + b) - (a \mu + b)}{a^2 \sigma} = \frac{x_i - \mu}{\sigma}", "the deviation grows like the variance"),
            NearMiss(r"\frac{(a x_i + b) - a \mu}{a \sigma} = \frac{x_i - \mu}{\sigma}", "a mean that does not shift"),
            NearMiss(r"\frac{(a x_i + b) - (a \mu + b)}{a \sigma} = x_i", "the numbers themselves come back"),
        ),
    ),
)


# Attention


def expectation(polynomial: Expr) -> Expr:
    """Of a polynomial in independent standard Gaussian numbers: odd powers vanish, and the mean of z^2m is (2m - 1)!!."""
    terms = sp.Poly(polynomial, *sorted(polynomial.atoms(sp.Indexed), key=str)).terms()
    means = [factor * sp.prod([sp.factorial2(p - 1) for p in powers]) for powers, factor in terms if not any(p % 2 for p in powers)]
    return sp.Add(*means)


def attention(statement: Statement) -> None:
    require(len(statement) == 3 and all(relation.ops == ("=",) for relation in statement), "three definitions, please")
    output, weight, score = statement
    j = symbol("j")
    named = (output.lhs, weight.lhs, score.lhs) == (brought[i], share[i, j], match[i, j])
    require(named, "not what is brought, the share and the match")

    def matches(of: int, to: int, size: int) -> Expr:
        return at(score.rhs, i=of, j=to, d=size)

    # A match of independent standard Gaussian components has mean zero and variance one, however many there are.
    for size in (1, 2, 3):
        a_match = matches(1, 2, size)
        require_equal(expectation(a_match), 0, f"the mean of a match of {size} components and 0")
        require_equal(expectation(a_match**2), 1, f"the variance of a match of {size} components and 1")

    pixels = (1, 2, 3)
    shares = {(p, q): at(weight.rhs, i=p, j=q, n=3) for p in pixels for q in pixels}
    results = {p: at(output.rhs, i=p, n=3).subs({share[p, q]: shares[p, q] for q in pixels}) for p in pixels}
    for p in pixels:
        require_equal(sp.Add(*(shares[p, q] for q in pixels)), 1, "the sum of a pixel's shares and 1")
        for one, other in permutations(pixels, 2):
            odds = sp.expand_log(sp.log(shares[p, one] / shares[p, other]), force=True)
            require_equal(odds, match[p, one] - match[p, other], "the logarithm of two shares' ratio and their matches' difference")
        for q in pixels:
            require_equal(sp.diff(results[p], value[q]), shares[p, q], "the influence of a value and its share")
        require_equal(results[p].subs({value[q]: 0 for q in pixels}), 0, "what values of zero bring and 0")
    # Pixels in another order: the answers come in that order, and are otherwise the same.
    for order in permutations(pixels):
        moved = dict(zip(pixels, order))
        renamed = {match[p, q]: match[moved[p], moved[q]] for p in pixels for q in pixels}
        renamed |= {value[p]: value[moved[p]] for p in pixels}
        for p in pixels:
            answer = results[p].subs(renamed, simultaneous=True)
            require_equal(answer, results[moved[p]], "the answer in the place to which a pixel has moved and its answer")


ATTENTION = (
    Claim(
        "eq-attention",
        r"\begin{aligned}"
        r" o_i &= \sum_{j=1}^{n} a_{i,j}\, y_j \\"
        r" a_{i,j} &= \frac{\exp(z_{i,j})}{\sum_{k=1}^{n} \exp(z_{i,k})} \\"
        r" z_{i,j} &= \frac{1}{\sqrt{d}} \sum_{k=1}^{d} u_{i,k} v_{j,k}"
        r" \end{aligned}",
        "three pixels: shares add up to one, their odds are the matches, whose variance is one, and no order of pixels is special",
        attention,
        (
            NearMiss(
                r"\begin{aligned}"
                r" o_i &= \sum_{j=1}^{n} a_{i,j}\, y_j \\"
                r" a_{i,j} &= \frac{\exp(z_{i,j})}{\sum_{k=1}^{n} \exp(z_{k,j})} \\"
                r" z_{i,j} &= \frac{1}{\sqrt{d}} \sum_{k=1}^{d} u_{i,k} v_{j,k}"
                r" \end{aligned}",
                "the sum taken over those who ask: a pixel's shares no longer add up to one",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" o_i &= \sum_{j=1}^{n} a_{i,j}\, y_j \\"
                r" a_{i,j} &= \frac{\exp(z_{i,j})}{\sum_{k=1}^{n} \exp(z_{i,k})} \\"
                r" z_{i,j} &= \frac{1}{d} \sum_{k=1}^{d} u_{i,k} v_{j,k}"
                r" \end{aligned}",
                "the root missing: with many components all matches are nearly zero and attention is a plain average",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" o_i &= \sum_{j=1}^{n} a_{i,j}\, y_j \\"
                r" a_{i,j} &= \frac{\exp(z_{i,j})}{\sum_{k=1}^{n} \exp(z_{i,k})} \\"
                r" z_{i,j} &= \sum_{k=1}^{d} u_{i,k} v_{j,k}"
                r" \end{aligned}",
                "not scaled: with many components one pixel takes everything",
            ),
        ),
        f"{UNET}.SelfAttention.forward",
    ),
)

CLAIMS: tuple[Claim, ...] = RECEPTIVE + COUNTS + TIME + NORM + ATTENTION

IN_TEXT: dict[str, Literal["true", "setting"]] = {
    "R_0 = 1": "setting",
}
"""See `forward_process.IN_TEXT`."""
