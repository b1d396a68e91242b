"""The claims of chapter 6, normalising flows, in the order of the chapter.

A flow f leads from data x to noise z = f(x). Its formulas speak of vectors; the proofs take vectors of a few components, with layers
that bend, and differentiate them.
"""

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Literal

import sympy as sp
from sympy import Expr

from diffcourse.algebra.claim import Claim, NearMiss, Statement
from diffcourse.algebra.gaussians import equation, law, log_density, mapped, mean_of, require_density
from diffcourse.algebra.latex import Over, Rate, Slope
from diffcourse.algebra.notation import family, function, symbol
from diffcourse.algebra.proving import gaussian_density, integrate_gaussian, only, require, require_equal, require_positive

xs, ys, hs, factors, diagonal = (family(name) for name in ("x", "y", "h", "a", "u"))
x, a, b, u, v, z, mu, sigma, tau, delta = (symbol(name) for name in ("x", "a", "b", "u", "v", "z", r"\mu", r"\sigma", r"\tau", r"\delta"))
i, j, n, c, d, K, R = (symbol(name) for name in "ijncdKR")
W, P, L, U = (symbol(name) for name in "WPLU")
p, q, p_theta, f, J, N, E, det = (function(name) for name in ("p", "q", r"p_\theta", "f", "J", r"\mathcal{N}", r"\mathbb{E}", r"\det"))
a_theta, b_theta = function(r"a_\theta"), function(r"b_\theta")
FLOW = "diffcourse.families.flow"
half = sp.Rational(1, 2)
Map = Callable[[Sequence[Expr]], list[Expr]]
"""A layer on vectors: components in, components out."""


def places(size: int, name: str = "x") -> list[Expr]:
    """x_1 .. x_size."""
    return list(sp.symbols(f"{name}_1:{size + 1}", real=True))


def jacobian(outputs: Sequence[Expr], inputs: Sequence[Expr]) -> sp.Matrix:
    """How every output changes with every input: a row for each output."""
    return sp.Matrix(outputs).jacobian(list(inputs))


# A straight line


def line_loss(slope: Expr, shift: Expr) -> Expr:
    """-E[log p(x)] of the flow a x + b on data N(mu, sigma^2): log N(a x + b; 0, 1) + log a, averaged."""
    return -mean_of(log_density(slope * x + shift, sp.Integer(0), sp.Integer(1)) + sp.log(slope), x, mu, sigma)


LOSS = -E(sp.log(p_theta(x)), Over(q(x)))


def line(statement: Statement) -> None:
    require_equal(equation(statement, LOSS), line_loss(a, b), "the right side and the average")


def best_line(statement: Statement) -> None:
    require(len(statement) == 3, "slope, shift and loss, please")
    require([r.lhs for r in statement] == [a, b, LOSS] and all(r.ops == ("=",) for r in statement), "not a, b and the loss")
    slope, shift, least = (relation.rhs for relation in statement)
    loss = line_loss(a, b)
    at_best = {a: slope, b: shift}
    for variable in (a, b):
        require_equal(sp.diff(loss, variable).subs(at_best, simultaneous=True), 0, f"the loss's slope along {variable} and 0")
    bend = sp.hessian(loss, (a, b))
    require_positive(bend[1, 1], "the bend along b")
    require_equal(bend.det(), sigma**2 + 1 / a**2, "the determinant of the second derivatives and a positive number")
    require_equal(least, loss.subs(at_best, simultaneous=True), "the least loss")
    require_equal(least, -mean_of(log_density(x, mu, sigma), x, mu, sigma), "the least loss and the data's entropy")


LINE = (
    Claim(
        "eq-flow-line",
        r"-\mathbb{E}_{q(x)}[\log p_\theta(x)] = \frac{1}{2} \big((a \mu + b)^2 + a^2 \sigma^2\big) + \frac{1}{2} \log(2\pi) - \log a",
        "the logarithm of the density, averaged over the data",
        line,
        (
            NearMiss(
                r"-\mathbb{E}_{q(x)}[\log p_\theta(x)] = \frac{1}{2} \big((a \mu + b)^2 + a^2 \sigma^2\big) + \frac{1}{2} \log(2\pi)",
                "the stretching forgotten: the best flow would squeeze all data into one point",
            ),
            NearMiss(
                r"-\mathbb{E}_{q(x)}[\log p_\theta(x)] = \frac{1}{2} \big((a \mu + b)^2 + a^2 \sigma^2\big) + \frac{1}{2} \log(2\pi) + \log a",
                "the slope of the way back: squeezing is rewarded twice",
            ),
            NearMiss(
                r"-\mathbb{E}_{q(x)}[\log p_\theta(x)] = \frac{1}{2} (a \mu + b)^2 + \frac{1}{2} \log(2\pi) - \log a",
                "only the mean of the data, not their spread",
            ),
        ),
    ),
    Claim(
        "eq-flow-best-line",
        r"a = \frac{1}{\sigma}, \qquad b = -\frac{\mu}{\sigma}, \qquad"
        r" -\mathbb{E}_{q(x)}[\log p_\theta(x)] = \frac{1}{2} \log(2\pi\sigma^2) + \frac{1}{2}",
        "both slopes vanish, the loss bends upwards everywhere, and the value is the data's entropy",
        best_line,
        (
            NearMiss(
                r"a = \frac{1}{\sigma}, \qquad b = -\mu, \qquad"
                r" -\mathbb{E}_{q(x)}[\log p_\theta(x)] = \frac{1}{2} \log(2\pi\sigma^2) + \frac{1}{2}",
                "the mean taken away after the stretching, but not stretched itself",
            ),
            NearMiss(
                r"a = \frac{1}{\sigma^2}, \qquad b = -\frac{\mu}{\sigma^2}, \qquad"
                r" -\mathbb{E}_{q(x)}[\log p_\theta(x)] = \frac{1}{2} \log(2\pi\sigma^2) + \frac{1}{2}",
                "divided by the variance",
            ),
            NearMiss(
                r"a = \sigma, \qquad b = \mu, \qquad -\mathbb{E}_{q(x)}[\log p_\theta(x)] = \frac{1}{2} \log(2\pi\sigma^2) + \frac{1}{2}",
                "the way from noise to data",
            ),
            NearMiss(
                r"a = \frac{1}{\sigma}, \qquad b = -\frac{\mu}{\sigma}, \qquad"
                r" -\mathbb{E}_{q(x)}[\log p_\theta(x)] = \frac{1}{2} \log(2\pi) + \frac{1}{2}",
                "the entropy of the noise in place of that of the data",
            ),
        ),
    ),
)


# Change of variables


def flow_slope(statement: Statement) -> None:
    rhs = equation(statement, p_theta(x))
    y = sp.Symbol("y", real=True)
    gauss = (1 + sp.erf(y / sp.sqrt(2))) / 2
    for below in (1 / (1 + sp.exp(-y)), gauss):  # the chance that the noise stays below y
        for curve in (a * x + b, -a * x + b, x**3 + x, -sp.sinh(x)):
            rising = sp.diff(curve, x).subs({x: half, a: half}) > 0
            chance = below.subs(y, curve) if rising else 1 - below.subs(y, curve)  # that a sample stays below x
            said = rhs.replace(Slope, lambda e: sp.diff(curve, x).subs(x, e.args[0]))
            said = said.replace(f, lambda e: curve.subs(x, e)).replace(p, lambda e: sp.diff(below, y).subs(y, e))
            require_equal(said, sp.diff(chance, x), f"for f = {curve}, the formula and the slope of the chance")


def jacobian_matrix(statement: Statement) -> None:
    said = equation(statement, J(x))
    require(isinstance(said, sp.MatrixBase) and said.shape == (2, 2), "not a matrix of two rows and two columns")
    point, way, step = places(2), sp.symbols("w_1:3", real=True), sp.Symbol("step", real=True)
    outputs = bent(point)

    def rate(of: Expr, along: Expr) -> Expr:
        require(of.base == ys and along.base == xs, f"the rate of {of} along {along}, where y changes with x")
        return sp.diff(outputs[int(of.indices[0]) - 1], point[int(along.indices[0]) - 1])

    matrix = said.applyfunc(lambda entry: entry.replace(Rate, rate))
    moved = bent([place + step * w for place, w in zip(point, way)])
    for row, output in zip((matrix * sp.Matrix(way)), moved):
        require_equal(row, sp.diff(output, step).subs(step, 0), "the matrix times a small step and what the step changes")


def bent(point: Sequence[Expr]) -> list[Expr]:
    """An invertible layer in which both components matter to both: a coupling, then another the other way round."""
    first = point[0]
    second = point[1] * (2 + sp.sin(first)) + first**2
    return [first * (3 + second**2) - second, second]


def flow_density(statement: Statement) -> None:
    rhs = equation(statement, p_theta(x))

    def formula(outputs: Sequence[Expr], point: Sequence[Expr]) -> Expr:
        noise = sp.exp(sum(log_density(output, sp.Integer(0), sp.Integer(1)) for output in outputs))
        return rhs.subs({p(f(x)): noise, det(J(x)): jacobian(outputs, point).det()})

    # One component after the other: p(x_1) p(x_2 | x_1), each by the chance to stay below, where a component may bend with those before it.
    for sign in (1, -1):
        point = places(2)
        outputs = [sign * (point[0] ** 3 + point[0]), (1 + point[0] ** 2) * point[1] + point[0]]
        truth = sp.Integer(1)
        for output, place in zip(outputs, point):
            chance = (1 + sp.erf(output / sp.sqrt(2))) / 2
            truth *= sp.diff(chance, place) * (sign if output is outputs[0] else 1)
        require_equal(formula(outputs, point), truth, "the formula and the product of the conditional densities")
    # All components at once, by a matrix: the result must be a density.
    for matrix in (sp.Matrix([[2, 1], [-1, 3]]), sp.Matrix([[1, 2], [3, 1]]), sp.Matrix([[1, 2, 0], [0, 1, -1], [2, 0, 3]])):
        point = places(matrix.rows)
        total = formula(list(matrix * sp.Matrix(point)), point)
        for place in point:
            total = integrate_gaussian(total, place)
        require_equal(total, 1, f"the integral for a matrix of determinant {matrix.det()} and 1")


def layers(statement: Statement) -> None:
    require(len(statement) == 3, "the sum, the start and the layers, please")
    relation, start, layer = statement
    require((start.lhs, start.ops, start.rhs) == (hs[0], ("=",), x), "the first layer does not start at x")
    require((layer.lhs, layer.ops, layer.rhs) == (hs[j], ("=",), f(j, hs[j - 1])), "the third relation is not that of a layer")
    require(relation.lhs == sp.log(sp.Abs(det(J(x)))) and relation.ops == ("=",), "the left side is not log|det J(x)|")
    # Layers that bend, so that it matters where they are differentiated; the second turns the plane over.
    maps: dict[int, Map] = {1: lambda h: [h[0], h[1] ** 3 + h[1] + h[0]], 2: lambda h: [-h[0] * (2 + h[1] ** 2), h[1]]}
    for length in (1, 2):
        point = places(2)
        states = {hs[0]: point, x: point}
        for m in range(1, length + 1):
            states[hs[m]] = maps[m](states[hs[m - 1]])

        def local(number: Expr, place: Expr) -> Expr:
            """The determinant of one layer's Jacobian, taken where the formula says."""
            require(place in states and number in maps, f"no layer {number} at {place}")
            inside = places(2, "y")
            found = jacobian(maps[int(number)](inside), inside).det()
            return found.subs(dict(zip(inside, states[place])), simultaneous=True)

        whole = jacobian(states[hs[length]], point).det()
        said = relation.rhs.subs(n, length).doit().replace(det, lambda e: local(*e.args))
        ratio = sp.exp(sp.expand_log(said, force=True)) / sp.Abs(whole)
        require_equal(sp.simplify(ratio**2), 1, f"the volume by layers over that of the whole, squared, for {length} layers and 1")


VARIABLES = (
    Claim(
        "eq-flow-1d",
        r"p_\theta(x) = p\big(f(x)\big)\, \lvert f'(x) \rvert",
        "the slope of the chance to stay below x, for rising and falling f and two laws of the noise",
        flow_slope,
        (
            NearMiss(r"p_\theta(x) = p\big(f(x)\big)", "the stretching forgotten: no density"),
            NearMiss(r"p_\theta(x) = \frac{p\big(f(x)\big)}{\lvert f'(x) \rvert}", "divided: right on the way from noise to data"),
            NearMiss(r"p_\theta(x) = p\big(f(x)\big)\, f'(x)", "a negative density where f falls"),
        ),
    ),
    Claim(
        "eq-jacobian",
        r"J(x) = \begin{pmatrix} \frac{\partial y_1}{\partial x_1} & \frac{\partial y_1}{\partial x_2} \\"
        r" \frac{\partial y_2}{\partial x_1} & \frac{\partial y_2}{\partial x_2} \end{pmatrix}",
        "times a small step it is what the step changes",
        jacobian_matrix,
        (
            NearMiss(
                r"J(x) = \begin{pmatrix} \frac{\partial y_1}{\partial x_1} & \frac{\partial y_2}{\partial x_1} \\"
                r" \frac{\partial y_1}{\partial x_2} & \frac{\partial y_2}{\partial x_2} \end{pmatrix}",
                "rows and columns exchanged",
            ),
            NearMiss(
                r"J(x) = \begin{pmatrix} \frac{\partial x_1}{\partial y_1} & \frac{\partial x_1}{\partial y_2} \\"
                r" \frac{\partial x_2}{\partial y_1} & \frac{\partial x_2}{\partial y_2} \end{pmatrix}",
                "the Jacobian of the way back",
            ),
            NearMiss(
                r"J(x) = \begin{pmatrix} \frac{\partial y_1}{\partial x_1} & 0 \\ 0 & \frac{\partial y_2}{\partial x_2} \end{pmatrix}",
                "as if each component minded its own business",
            ),
        ),
    ),
    Claim(
        "eq-flow-density",
        r"p_\theta(x) = p\big(f(x)\big)\, \lvert \det(J(x)) \rvert",
        "conditional densities one after the other; matrices that mix two or three components",
        flow_density,
        (
            NearMiss(r"p_\theta(x) = p\big(f(x)\big)\, \det(J(x))", "a negative density where f turns the plane over"),
            NearMiss(r"p_\theta(x) = \frac{p\big(f(x)\big)}{\lvert \det(J(x)) \rvert}", "divided: right on the way from noise to data"),
            NearMiss(r"p_\theta(x) = p\big(f(x)\big)\, \lvert \det(J(x)) \rvert^2", "areas for lengths"),
        ),
        f"{FLOW}.Flow.log_density",
    ),
    Claim(
        "eq-flow-layers",
        r"\begin{aligned}"
        r" \log \lvert \det(J(x)) \rvert &= \sum_{j=1}^{n} \log \lvert \det(J_j(h_{j-1})) \rvert \\"
        r" h_0 &= x, \qquad h_j = f_j(h_{j-1})"
        r" \end{aligned}",
        "one and two layers that bend the plane, against the Jacobian of the whole",
        layers,
        (
            NearMiss(
                r"\begin{aligned}"
                r" \log \lvert \det(J(x)) \rvert &= \sum_{j=1}^{n} \log \lvert \det(J_j(x)) \rvert \\"
                r" h_0 &= x, \qquad h_j = f_j(h_{j-1})"
                r" \end{aligned}",
                "every layer taken at the data, not at what reaches it",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" \log \lvert \det(J(x)) \rvert &= \sum_{j=1}^{n} \log \lvert \det(J_j(h_j)) \rvert \\"
                r" h_0 &= x, \qquad h_j = f_j(h_{j-1})"
                r" \end{aligned}",
                "every layer taken at what leaves it",
            ),
            NearMiss(
                r"\begin{aligned}"
                r" \log \lvert \det(J(x)) \rvert &= \prod_{j=1}^{n} \log \lvert \det(J_j(h_{j-1})) \rvert \\"
                r" h_0 &= x, \qquad h_j = f_j(h_{j-1})"
                r" \end{aligned}",
                "a product of logarithms: determinants multiply, their logarithms add up",
            ),
        ),
        f"{FLOW}.Chain.forward",
    ),
)


# Couplings


def coupled(statement: Statement) -> tuple[Expr, Expr]:
    """The two outputs of a coupling, from y_1 = .., y_2 = .. ."""
    require(len(statement) >= 2 and all(relation.ops == ("=",) for relation in statement), "both outputs, please")
    require([relation.lhs for relation in statement[:2]] == [ys[1], ys[2]], "not y_1 and y_2")
    return statement[0].rhs, statement[1].rhs


def with_rates(matrix: Expr, first: Expr, second: Expr) -> sp.Matrix:
    """A matrix in whose entries the rates of y_1 and y_2 are worked out."""
    require(isinstance(matrix, sp.MatrixBase), "not a matrix")
    outputs = {ys[1]: first, ys[2]: second}
    return matrix.applyfunc(lambda entry: entry.replace(Rate, lambda of, along: sp.diff(outputs.get(of, of), along)))


COUPLED = xs[1], a_theta(xs[1]) * xs[2] + b_theta(xs[1])


def coupling(statement: Statement) -> None:
    first, second = coupled(statement)
    require_equal(first, xs[1], "the half that stays and itself")
    require_equal(sp.diff(second, xs[2]), a_theta(xs[1]), "the slope of the other half and the network's factor")
    require_equal(second.subs(xs[2], 0), b_theta(xs[1]), "the other half where it starts from 0 and the network's shift")


def coupling_inverse(statement: Statement) -> None:
    require(len(statement) == 2 and all(relation.ops == ("=",) for relation in statement), "both halves, please")
    require([relation.lhs for relation in statement] == [xs[1], xs[2]], "not x_1 and x_2")
    outputs = {ys[1]: COUPLED[0], ys[2]: COUPLED[1]}
    for relation in statement:
        require(not relation.rhs.has(xs), f"{relation.rhs} needs what it is to find out")
        require_equal(relation.rhs.subs(outputs, simultaneous=True), relation.lhs, "what comes back and what went in")


def coupling_jacobian(statement: Statement) -> None:
    require(len(statement) == 2, "the matrix and its determinant, please")
    matrix, determinant = statement
    require(matrix.lhs == J(x) and determinant.lhs == det(J(x)), "not J(x) and its determinant")
    truth = jacobian(COUPLED, (xs[1], xs[2]))
    said = with_rates(matrix.rhs, *COUPLED)
    require(said.shape == truth.shape, "the matrix has another size")
    for one, other in zip(said, truth):
        require_equal(one, other, "an entry and the derivative")
    require_equal(determinant.rhs, truth.det(), "the determinant")


def coupled_vectors(kept: int, moved: int, slopes: Sequence[Expr] | None = None) -> tuple[list[Expr], list[Expr]]:
    """Inputs and outputs of a coupling on vectors: every factor and every shift is a function of all that is kept."""
    point = places(kept + moved)
    stay, move = point[:kept], point[kept:]
    given = slopes or [sp.Function(f"a_{m + 1}", positive=True)(*stay) for m in range(moved)]
    return point, [*stay, *(factor * place + sp.Function(f"b_{m}", real=True)(*stay) for m, (factor, place) in enumerate(zip(given, move)))]


def coupling_log_det(statement: Statement) -> None:
    rhs = equation(statement, sp.log(sp.Abs(det(J(x)))))
    for kept, moved in ((1, 1), (2, 2), (1, 3)):
        point, outputs = coupled_vectors(kept, moved)
        slopes = {factors[m]: sp.diff(outputs[kept + m - 1], point[kept + m - 1]) for m in range(1, moved + 1)}
        truth = sp.log(jacobian(outputs, point).det())
        said = rhs.subs(d, moved).doit().subs(slopes)
        # Functions become letters: nothing more is to be differentiated, and numbers can be put in.
        letters = {slope: sp.Symbol(f"a_{m}", positive=True) for m, slope in enumerate(slopes.values())}
        require_equal(said.subs(letters), truth.subs(letters), f"the sum and the logarithm of the determinant for {moved} of {kept + moved}")


def additive(statement: Statement) -> None:
    require(len(statement) == 3, "two outputs and the determinant, please")
    first, second = coupled(statement)
    require_equal(first, xs[1], "the half that stays and itself")
    require_equal(second - xs[2], b_theta(xs[1]), "what is added and the network's shift")
    volume = statement[2]
    require(volume.lhs == det(J(x)) and volume.ops == ("=",), "not the determinant")
    require_equal(volume.rhs, jacobian((first, second), (xs[1], xs[2])).det(), "the determinant")


COUPLING = (
    Claim(
        "eq-coupling",
        r"y_1 = x_1, \qquad y_2 = a_\theta(x_1)\, x_2 + b_\theta(x_1)",
        "one half stays, the other is a straight line in itself, with the network's slope and shift",
        coupling,
        (
            NearMiss(r"y_1 = x_1, \qquad y_2 = a_\theta(x_2)\, x_2 + b_\theta(x_1)", "the factor taken from the half that it changes"),
            NearMiss(r"y_1 = x_1, \qquad y_2 = a_\theta(x_1)\, \big(x_2 + b_\theta(x_1)\big)", "the shift stretched as well"),
            NearMiss(r"y_1 = x_2, \qquad y_2 = a_\theta(x_1)\, x_2 + b_\theta(x_1)", "x_1 lost: there is no way back"),
        ),
        f"{FLOW}.AffineCoupling.forward",
    ),
    Claim(
        "eq-coupling-inverse",
        r"x_1 = y_1, \qquad x_2 = \frac{y_2 - b_\theta(y_1)}{a_\theta(y_1)}",
        "put in what the coupling puts out",
        coupling_inverse,
        (
            NearMiss(r"x_1 = y_1, \qquad x_2 = \frac{y_2}{a_\theta(y_1)} - b_\theta(y_1)", "undone in the wrong order"),
            NearMiss(r"x_1 = y_1, \qquad x_2 = \frac{y_2 - b_\theta(y_2)}{a_\theta(y_2)}", "the networks asked about the wrong half"),
            NearMiss(r"x_1 = y_1, \qquad x_2 = \frac{y_2 - b_\theta(x_1)}{a_\theta(x_1)}", "true: y_1 is x_1, but the way back starts from y alone"),
        ),
        f"{FLOW}.AffineCoupling.inverse",
    ),
    Claim(
        "eq-coupling-jacobian",
        r"J(x) = \begin{pmatrix} 1 & 0 \\ \frac{\partial y_2}{\partial x_1} & a_\theta(x_1) \end{pmatrix}, \qquad \det(J(x)) = a_\theta(x_1)",
        "differentiated, for any two functions",
        coupling_jacobian,
        (
            NearMiss(
                r"J(x) = \begin{pmatrix} 1 & 0 \\ 0 & a_\theta(x_1) \end{pmatrix}, \qquad \det(J(x)) = a_\theta(x_1)",
                "as if the networks did not look at x_1: the right determinant of the wrong matrix",
            ),
            NearMiss(
                r"J(x) = \begin{pmatrix} 1 & \frac{\partial y_2}{\partial x_1} \\ 0 & a_\theta(x_1) \end{pmatrix}, \qquad \det(J(x)) = a_\theta(x_1)",
                "rows and columns exchanged",
            ),
            NearMiss(
                r"J(x) = \begin{pmatrix} 1 & 0 \\ \frac{\partial y_2}{\partial x_1} & a_\theta(x_1) \end{pmatrix}, \qquad \det(J(x)) = 1 + a_\theta(x_1)",
                "the sum of the diagonal, which is the trace",
            ),
        ),
    ),
    Claim(
        "eq-coupling-log-det",
        r"\log \lvert \det(J(x)) \rvert = \sum_{i=1}^{d} \log a_i",
        "the Jacobian of vectors of two and of four, for any functions",
        coupling_log_det,
        (
            NearMiss(r"\log \lvert \det(J(x)) \rvert = -\sum_{i=1}^{d} \log a_i", "that of the way back"),
            NearMiss(r"\log \lvert \det(J(x)) \rvert = \frac{1}{d} \sum_{i=1}^{d} \log a_i", "a mean, where the volume is a product"),
            NearMiss(r"\log \lvert \det(J(x)) \rvert = \log \sum_{i=1}^{d} a_i", "the logarithm of a sum"),
        ),
        f"{FLOW}.AffineCoupling.forward",
    ),
    Claim(
        "eq-additive",
        r"y_1 = x_1, \qquad y_2 = x_2 + b_\theta(x_1), \qquad \det(J(x)) = 1",
        "differentiated, for any function",
        additive,
        (
            NearMiss(r"y_1 = x_1, \qquad y_2 = x_2 + b_\theta(x_1), \qquad \det(J(x)) = 0", "the logarithm of the determinant"),
            NearMiss(r"y_1 = x_1, \qquad y_2 = x_2 + b_\theta(x_2), \qquad \det(J(x)) = 1", "a half shifted by what it says itself"),
        ),
        f"{FLOW}.AffineCoupling.forward",
    ),
)


# Layers without a network


def image_jacobian(layer: Callable[[sp.Matrix], sp.Matrix], channels: int, pixels: int) -> Expr:
    """The determinant of a layer that does the same at every pixel, for an image [channels, pixels]."""
    point = places(channels * pixels)
    image = sp.Matrix(channels, pixels, point)
    return jacobian(list(layer(image)), point).det(method="berkowitz")


def actnorm(statement: Statement) -> None:
    rhs = equation(statement, sp.log(sp.Abs(det(J(x)))))
    for channels, pixels in ((1, 1), (2, 3), (3, 2)):
        letters = sp.symbols(f"a_1:{channels + 1}", positive=True)
        scale = sp.diag(*letters)
        shift = sp.Matrix(channels, 1, sp.symbols(f"b_1:{channels + 1}", real=True)) * sp.ones(1, pixels)
        truth = image_jacobian(lambda image: scale * image + shift, channels, pixels)
        said = rhs.subs({c: channels, n: pixels}).doit()
        said = said.subs({factors[m]: letter for m, letter in enumerate(letters, start=1)})
        require_equal(said, sp.log(truth), f"the formula and the determinant for {channels} channels of {pixels} pixels")


def conv1x1(statement: Statement) -> None:
    rhs = equation(statement, sp.log(sp.Abs(det(J(x)))))
    for channels, pixels in ((1, 2), (2, 1), (2, 2), (2, 3), (3, 2)):
        for weights in (sp.Matrix([[2, 1, 1], [1, 3, -1], [0, 2, 1]]), sp.Matrix([[-3, 1, 1], [1, 2, 4], [3, 1, 1]])):
            part = weights[:channels, :channels]
            truth = image_jacobian(lambda image: part * image, channels, pixels)
            said = rhs.subs(n, pixels).subs(det(W), part.det())
            require_equal(sp.exp(said), abs(truth), f"the volume for {channels} channels of {pixels} pixels")


def lower_upper(statement: Statement) -> None:
    require(len(statement) == 2, "the factors and the determinant, please")
    product, relation = statement
    require((product.lhs, product.ops, product.rhs) == (W, ("=",), P * L * U), "not W = P L U")
    require(relation.lhs == sp.log(sp.Abs(det(W))) and relation.ops == ("=",), "the left side is not log|det W|")
    for size in (1, 2, 3):
        lower = sp.Matrix(size, size, lambda r, k: 1 if r == k else (sp.Symbol(f"l_{r}{k}", real=True) if r > k else 0))
        entries = [(-1) ** m * sp.Symbol(f"u_{m}", positive=True) for m in range(1, size + 1)]
        upper = sp.Matrix(size, size, lambda r, k: entries[r] if r == k else (sp.Symbol(f"r_{r}{k}", real=True) if r < k else 0))
        said = relation.rhs.subs(c, size).doit().subs({diagonal[m]: entries[m - 1] for m in range(1, size + 1)})
        for order in permutations(range(size)):
            swap = sp.Matrix(size, size, lambda r, k: int(order[r] == k))
            truth = sp.Abs(sp.expand((swap * lower * upper).det()))
            require_equal(sp.exp(said), truth, f"the volume in {size} dimensions, order {order}")


PIXELS = (
    Claim(
        "eq-actnorm",
        r"\log \lvert \det(J(x)) \rvert = n \sum_{i=1}^{c} \log a_i",
        "the Jacobian of up to three channels and three pixels",
        actnorm,
        (
            NearMiss(r"\log \lvert \det(J(x)) \rvert = \sum_{i=1}^{c} \log a_i", "as if the image were one pixel"),
            NearMiss(r"\log \lvert \det(J(x)) \rvert = c \sum_{i=1}^{n} \log a_i", "channels and pixels exchanged"),
            NearMiss(r"\log \lvert \det(J(x)) \rvert = n \sum_{i=1}^{c} a_i", "no logarithm"),
        ),
        f"{FLOW}.ActNorm.forward",
    ),
    Claim(
        "eq-conv-1x1",
        r"\log \lvert \det(J(x)) \rvert = n \log \lvert \det(W) \rvert",
        "the Jacobian of up to three channels and three pixels, for matrices of either sign",
        conv1x1,
        (
            NearMiss(r"\log \lvert \det(J(x)) \rvert = \log \lvert \det(W) \rvert", "as if the image were one pixel"),
            NearMiss(r"\log \lvert \det(J(x)) \rvert = n \log \det(W)", "no number where W turns a space over"),
            NearMiss(r"\log \lvert \det(J(x)) \rvert = n c \log \lvert \det(W) \rvert", "every channel counted, where the determinant has done so"),
        ),
        f"{FLOW}.InvertibleConv1x1.forward",
    ),
    Claim(
        "eq-conv-lu",
        r"W = P L U, \qquad \log \lvert \det(W) \rvert = \sum_{i=1}^{c} \log \lvert u_i \rvert",
        "multiplied out for up to three channels and every permutation",
        lower_upper,
        (
            NearMiss(r"W = P L U, \qquad \log \lvert \det(W) \rvert = \log \Big\lvert \sum_{i=1}^{c} u_i \Big\rvert", "the trace of U"),
            NearMiss(r"W = P L U, \qquad \log \lvert \det(W) \rvert = \sum_{i=1}^{c} \log u_i", "no number where an entry is negative"),
            NearMiss(r"W = P L U, \qquad \log \lvert \det(W) \rvert = c \sum_{i=1}^{c} \log \lvert u_i \rvert", "every entry counted c times"),
        ),
        f"{FLOW}.InvertibleConv1x1.forward",
    ),
)


# From densities to bits, and from noise to images


def bits(statement: Statement) -> None:
    rhs = equation(statement, R)
    density = sp.Symbol("density", positive=True)
    for size in (1, 2, 3):
        point = places(size, "u")
        stretch = jacobian([K * place for place in point], point).det()  # from the unit cube to cells of side one
        probability = density / stretch
        said = rhs.subs(d, size).subs(p_theta(u), density)
        require_equal(said, -sp.log(probability) / (size * sp.log(2)), f"the bits of each of {size} components")


def logit(statement: Statement) -> None:
    require(len(statement) == 3 and all(relation.ops == ("=",) for relation in statement), "the curve, its argument, its slope, please")
    curve, inside, slope = statement
    require([curve.lhs, inside.lhs, slope.lhs] == [f(u), v, Slope(f(u))], "not f(u), v and f'(u)")
    require_equal(inside.rhs.subs(u, 0), delta, "v at u = 0 and the margin")
    require_equal(inside.rhs.subs(u, 1), 1 - delta, "v at u = 1 and one less the margin")
    require_equal(sp.diff(inside.rhs, u, 2), 0, "the bend of v and 0")
    require_equal(1 / (1 + sp.exp(-curve.rhs)), v, "the logistic function of the curve and v")
    require_equal(slope.rhs.subs(v, inside.rhs), sp.diff(curve.rhs.subs(v, inside.rhs), u), "the slope")


def temperature(statement: Statement) -> None:
    relation = only(statement)
    require(relation.ops == ("=",), "not an equation")
    y = symbol("y")
    require(relation.lhs == sp.log(N(x, 0, tau**2) / N(y, 0, tau**2)), "the left side does not compare two places at temperature tau")
    left, right = (sp.expand_log(side.replace(N, gaussian_density), force=True) for side in relation.terms)
    require_equal(left, right, "the logarithms of the ratios")


def warm_line(statement: Statement) -> None:
    require(len(statement) == 2, "the law of the noise and that of the samples, please")
    noise, samples = statement
    require(noise.lhs == z and law(noise) == (0, tau**2), "the noise is not N(0, tau^2)")
    require_equal(samples.lhs, mu + sigma * z, "the sample and the straight line back to N(mu, sigma^2)")
    require_density(samples, mapped(samples, z, sp.Integer(0), tau**2))


IMAGES = (
    Claim(
        "eq-logit",
        r"f(u) = \log \frac{v}{1-v}, \qquad v = \delta + (1-2\delta)\, u, \qquad f'(u) = \frac{1-2\delta}{v\, (1-v)}",
        "differentiated; the logistic function undoes it",
        logit,
        (
            NearMiss(
                r"f(u) = \log \frac{v}{1-v}, \qquad v = \delta + (1-2\delta)\, u, \qquad f'(u) = \frac{1}{v\, (1-v)}",
                "the slope of v forgotten",
            ),
            NearMiss(
                r"f(u) = \log \frac{v}{1-v}, \qquad v = \delta + (1-\delta)\, u, \qquad f'(u) = \frac{1-\delta}{v\, (1-v)}",
                "a margin at black and none at white",
            ),
            NearMiss(
                r"f(u) = \log \frac{v}{1-v}, \qquad v = \delta + (1-2\delta)\, u, \qquad f'(u) = (1-2\delta)\, v\, (1-v)",
                "the slope of the logistic function, which is the way back",
            ),
        ),
        f"{FLOW}.Logit.forward",
    ),
    Claim(
        "eq-flow-bits",
        r"R = \frac{\log K}{\log 2} - \frac{\log p_\theta(u)}{d \log 2}",
        "the density after every component has been stretched by K, for one to three components",
        bits,
        (
            NearMiss(r"R = -\frac{\log p_\theta(u)}{d \log 2}", "bits of a density on the unit cube: better, the more levels there are"),
            NearMiss(r"R = -\frac{\log K}{\log 2} - \frac{\log p_\theta(u)}{d \log 2}", "the cells made smaller in place of larger"),
            NearMiss(r"R = \frac{\log K}{d \log 2} - \frac{\log p_\theta(u)}{d \log 2}", "the cells' size counted once for the whole image"),
        ),
        f"{FLOW}.Flow.bits_per_dim",
    ),
    Claim(
        "eq-temperature",
        r"\log \frac{\mathcal{N}(x; 0, \tau^2)}{\mathcal{N}(y; 0, \tau^2)} = \frac{1}{\tau^2} \log \frac{\mathcal{N}(x; 0, 1)}{\mathcal{N}(y; 0, 1)}",
        "both ratios written out",
        temperature,
        (
            NearMiss(
                r"\log \frac{\mathcal{N}(x; 0, \tau^2)}{\mathcal{N}(y; 0, \tau^2)} = \tau^2 \log \frac{\mathcal{N}(x; 0, 1)}{\mathcal{N}(y; 0, 1)}",
                "the exponent upside down: cooling would flatten the density",
            ),
            NearMiss(
                r"\log \frac{\mathcal{N}(x; 0, \tau^2)}{\mathcal{N}(y; 0, \tau^2)} = \frac{1}{\tau} \log \frac{\mathcal{N}(x; 0, 1)}{\mathcal{N}(y; 0, 1)}",
                "a square lost",
            ),
        ),
    ),
    Claim(
        "eq-warm-line",
        r"z \sim \mathcal{N}(0, \tau^2), \qquad \mu + \sigma z \sim \mathcal{N}(\mu, \tau^2 \sigma^2)",
        "the change of variables",
        warm_line,
        (
            NearMiss(r"z \sim \mathcal{N}(0, \tau^2), \qquad \mu + \sigma z \sim \mathcal{N}(\tau \mu, \tau^2 \sigma^2)", "the mean cooled as well"),
            NearMiss(r"z \sim \mathcal{N}(0, \tau^2), \qquad \mu + \sigma z \sim \mathcal{N}(\mu, \tau \sigma^2)", "the temperature taken for a variance"),
            NearMiss(r"z \sim \mathcal{N}(0, \tau), \qquad \mu + \sigma z \sim \mathcal{N}(\mu, \tau \sigma^2)", "true, but tau is a standard deviation here"),
        ),
    ),
)

CLAIMS: tuple[Claim, ...] = LINE + VARIABLES + COUPLING + PIXELS + IMAGES

IN_TEXT: dict[str, Literal["true", "setting"]] = {
    r"\log p_\theta(x)": "setting",
    r"\log_2 K": "setting",
    r"a x + b": "setting",
    r"f(x) = a x + b": "setting",
    r"f(x) = z": "setting",
    r"x \sim \mathcal{N}(\mu, \sigma^2)": "setting",
    r"y = f(x)": "setting",
}
"""See `forward_process.IN_TEXT`."""
