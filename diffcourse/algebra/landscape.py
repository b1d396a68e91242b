"""The claims of chapter 1, the landscape, in the order of the chapter.

Pictures are counted here: there are K of them, the data draw picture k with the probability q(k), and a model with p(k). What holds
for any such laws is worked out for a few pictures with every probability a symbol.
"""

import itertools
from typing import Literal

import sympy as sp
from sympy import Expr

from diffcourse.algebra.claim import Claim, NearMiss, Statement
from diffcourse.algebra.elbo import slack
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.algebra.proving import at, only, require, require_equal

share = family("w")
a, k, n, r, K = (symbol(name) for name in ("a", "k", "n", "r", "K"))
p, q, P_new = (function(name) for name in ("p", "q", r"P_{\mathrm{new}}"))
half = sp.Rational(1, 2)


def law(name: str, size: int) -> list[Expr]:
    """Any probabilities of so many pictures: positive numbers over their sum."""
    weights = sp.symbols(f"{name}_1:{size + 1}", positive=True)
    return [weight / sum(weights) for weight in weights]


def of_few(expression: Expr, data: list[Expr], model: list[Expr] | None = None) -> Expr:
    """The expression where pictures 1, 2, .. have these probabilities and K is their number."""
    values = {q(number): value for number, value in enumerate(data, start=1)}
    if model is not None:
        values |= {p(number): value for number, value in enumerate(model, start=1)}
    return at(expression, K=sp.Integer(len(data))).subs(values)


# Learning by heart


def best_for_the_heap(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("<=",), "not an upper bound")
    require(relation.lhs == sp.Sum(share[k] * sp.log(p(k)), (k, 1, K)), "the left side is not the heap's mean log-probability")
    u = sp.Symbol("u", positive=True)
    require_equal(slack(u).subs(u, 1), 0, "the slack at 1 and 0")
    require_equal(sp.diff(slack(u), u), (u - 1) / u, "the slack's slope, which changes its sign at 1")
    for size in (1, 2, 3):
        shares, model = (sp.symbols(f"{name}_1:{size + 1}", positive=True) for name in "sm")
        gap = at(relation.rhs - relation.lhs, K=sp.Integer(size)).subs({p(i): value for i, value in enumerate(model, start=1)})
        gap = gap.subs({share[i]: value for i, value in enumerate(shares, start=1)})
        # Both laws add up to one, so that the first two sums cancel.
        average = sum(model) - sum(shares) + gap
        require_equal(average, sum(s * slack(m / s) for s, m in zip(shares, model)), f"the gap and an average slack, with K = {size},")


def new_picture(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",) and relation.lhs == P_new(n), "the left side is not the chance of a new picture")
    for size, drawn in ((1, 1), (2, 1), (2, 2), (2, 4), (3, 3)):
        data = law("q", size)
        news = [heap for heap in itertools.product(range(size), repeat=drawn) if heap[-1] not in heap[:-1]]
        counted = sum(sp.prod([data[picture] for picture in heap]) for heap in news)
        require_equal(of_few(relation.rhs.subs(n, drawn), data), counted, f"the formula and all heaps of {drawn} with K = {size}")


HEAP = (
    Claim(
        "eq-heap",
        r"\sum_{k=1}^{K} w_k \log p(k) \le \sum_{k=1}^{K} w_k \log w_k",
        "the gap is an average of z - 1 - log z, which is never negative, for K = 1, 2 and 3",
        best_for_the_heap,
        (
            NearMiss(r"\sum_{k=1}^{K} w_k \log p(k) \ge \sum_{k=1}^{K} w_k \log w_k", "the wrong way round: as if the heap itself were the worst law"),
            NearMiss(r"\sum_{k=1}^{K} w_k \log p(k) \le \sum_{k=1}^{K} p(k) \log p(k)", "averaged over what the model draws, not over the heap"),
            NearMiss(r"\sum_{k=1}^{K} w_k \log p(k) \le \sum_{k=1}^{K} \log w_k", "every kind of picture counted once, however often it lies in the heap"),
        ),
    ),
    Claim(
        "eq-new",
        r"P_{\mathrm{new}}(n) = \sum_{k=1}^{K} q(k)\, (1 - q(k))^{n-1}",
        "counted over all heaps of up to four pictures",
        new_picture,
        (
            NearMiss(r"P_{\mathrm{new}}(n) = \sum_{k=1}^{K} q(k)\, (1 - q(k))^n", "true of the picture after the n-th"),
            NearMiss(r"P_{\mathrm{new}}(n) = \sum_{k=1}^{K} (1 - q(k))^{n-1}", "pictures not yet seen, however rare, all count the same"),
            NearMiss(r"P_{\mathrm{new}}(n) = \sum_{k=1}^{K} q(k)\, (1 - q(k)^{n-1})", "not seen every time, where it should be never seen"),
            NearMiss(r"P_{\mathrm{new}}(n) = 1 - \sum_{k=1}^{K} q(k)\, (1 - q(k))^{n-1}", "the chance of a picture that has been seen"),
        ),
    ),
)


# What a model leaves out, and what gives it away


def neglect(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "an equation, please")
    require(relation.lhs == sp.Sum(q(k) * sp.log(q(k) / p(k)), (k, 1, K)), "the left side is not what the model loses")
    odds = sp.Symbol("odds", positive=True)  # a = 1 / (1 + odds) lies between 0 and 1
    favour = 1 / (1 + odds)
    for favoured, size in ((1, 2), (1, 3), (2, 3), (2, 4)):
        data = law("q", size)
        kept = sp.cancel(sum(data[:favoured]))
        model = [sp.cancel(favour / kept * value) for value in data[:favoured]]
        model += [sp.cancel((1 - favour) / (1 - kept) * value) for value in data[favoured:]]
        require_equal(sum(model), 1, "the model's probabilities and 1")
        lost = sum(d * sp.log(sp.cancel(d / m)) for d, m in zip(data, model))
        said = relation.rhs.subs({a: favour, r: kept}).replace(sp.log, lambda z: sp.log(sp.cancel(z)))
        require_equal(said, lost, f"the formula and the loss, with {favoured} of {size} pictures favoured,")


def larger(first: Expr, second: Expr) -> Expr:
    return (first + second + sp.Abs(first - second)) / 2


def told_apart(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "an equation, please")
    less, more = sp.symbols("less more", positive=True)
    for pair in ((less, less + more), (less + more, less)):
        require_equal(larger(*pair), less + more, "the larger of two numbers and half of sum and distance")
    for size in (1, 2, 3):
        data, model = law("q", size), law("p", size)
        # One of the two is laid before you with equal chances, and you name the one that draws it more often.
        right = sum(larger(half * d, half * m) for d, m in zip(data, model))
        left, said = (of_few(side, data, model).replace(sp.Max, larger) for side in relation.terms)
        require_equal(left, right, "the left side and how often you are right")
        # Behind the distances the rest must cancel, as both laws add up to one.
        require_equal(said, right, f"the right side and how often you are right, with K = {size},")


APART = (
    Claim(
        "eq-neglect",
        r"\sum_{k=1}^{K} q(k) \log \frac{q(k)}{p(k)} = r \log \frac{r}{a} + (1-r) \log \frac{1-r}{1-a}",
        "for any law of up to four pictures, whichever of them are favoured",
        neglect,
        (
            NearMiss(
                r"\sum_{k=1}^{K} q(k) \log \frac{q(k)}{p(k)} = a \log \frac{a}{r} + (1-a) \log \frac{1-a}{1-r}",
                "averaged over the model's pictures: the divergence the other way round",
            ),
            NearMiss(r"\sum_{k=1}^{K} q(k) \log \frac{q(k)}{p(k)} = r \log \frac{r}{a}", "the neglected pictures forgotten, which cost the most"),
            NearMiss(r"\sum_{k=1}^{K} q(k) \log \frac{q(k)}{p(k)} = \log \frac{r}{a} + \log \frac{1-r}{1-a}", "both kinds counted alike, however common"),
            NearMiss(
                r"\sum_{k=1}^{K} q(k) \log \frac{q(k)}{p(k)} = r \log \frac{a}{r} + (1-r) \log \frac{1-a}{1-r}",
                "fractions upside down: never positive",
            ),
        ),
    ),
    Claim(
        "eq-tell-apart",
        r"\sum_{k=1}^{K} \max\big(\tfrac{1}{2}\, q(k), \tfrac{1}{2}\, p(k)\big) = \frac{1}{2} + \frac{1}{4} \sum_{k=1}^{K} \lvert q(k) - p(k) \rvert",
        "the larger of two numbers is half of their sum and their distance, for K = 1, 2 and 3",
        told_apart,
        (
            NearMiss(
                r"\sum_{k=1}^{K} \max\big(\tfrac{1}{2}\, q(k), \tfrac{1}{2}\, p(k)\big) = \frac{1}{2} + \frac{1}{2} \sum_{k=1}^{K} \lvert q(k) - p(k) \rvert",
                "laws without a common picture would be told apart more often than always",
            ),
            NearMiss(
                r"\sum_{k=1}^{K} \max\big(\tfrac{1}{2}\, q(k), \tfrac{1}{2}\, p(k)\big) = \frac{1}{2} - \frac{1}{4} \sum_{k=1}^{K} \lvert q(k) - p(k) \rvert",
                "how often you are wrong",
            ),
            NearMiss(
                r"\sum_{k=1}^{K} \max\big(\tfrac{1}{2}\, q(k), \tfrac{1}{2}\, p(k)\big) = \frac{1}{4} \sum_{k=1}^{K} \lvert q(k) - p(k) \rvert",
                "even a coin is right half of the time",
            ),
            NearMiss(
                r"\sum_{k=1}^{K} \min\big(\tfrac{1}{2}\, q(k), \tfrac{1}{2}\, p(k)\big) = \frac{1}{2} + \frac{1}{4} \sum_{k=1}^{K} \lvert q(k) - p(k) \rvert",
                "naming the one that draws the picture less often",
            ),
        ),
    ),
)

CLAIMS: tuple[Claim, ...] = HEAP + APART

IN_TEXT: dict[str, Literal["true", "setting"]] = {
    r"(1-r)/(1-a)": "setting",
    r"-\log_2 p": "setting",
    r"1 - 1 = 0": "true",
    r"\log z \le z - 1": "setting",
    r"\log_2 17": "setting",
    r"\log_2(100)/64": "setting",
    r"p = 1/4": "setting",
    r"p = 1/8": "setting",
    r"p(k)/w_k": "setting",
    r"r/a": "setting",
    r"w_k = 0": "setting",
}
"""See `forward_process.IN_TEXT`."""
