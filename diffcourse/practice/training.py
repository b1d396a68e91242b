"""Checks and hints for the exercises of chapter 12, training.

Every reference value follows from the claims of the chapter or from `diffcourse.diffusion`; none is typed in.
"""

from functools import cache
from typing import Any

import sympy as sp
import torch
from sympy import Expr, Rational
from torch import Tensor

from diffcourse.algebra import CLAIMS
from diffcourse.algebra.training import kappa, n
from diffcourse.diffusion import exact, schedule
from diffcourse.practice.check import Exercise, Mistake, call, compare, one_number, require_type, wrong_number
from diffcourse.practice.expression import Domain, between_0_and_1, judge

Reference = tuple[Expr, dict[str, Expr]]
"""The truth, and known wrong answers under the sentences that name the mistake."""

KAPPA, N = sp.symbols("kappa n", positive=True)
DECAY = between_0_and_1("kappa", Rational(9, 10), Rational(1, 2), Rational(1, 7))
DECAY_AND_STEPS = Domain(
    ({KAPPA: Rational(9, 10), N: 1}, {KAPPA: Rational(1, 2), N: 4}, {KAPPA: Rational(4, 5), N: 3}),
    {KAPPA: KAPPA, N: N},  # no sign has to be known, and SymPy proves identities of powers faster so
)


# By hand


@cache
def other_batch_reference() -> Reference:
    (relation,) = CLAIMS["eq-ema-sum"].statement()
    share = sp.Symbol("share", positive=True)
    of_start = (1 - relation.rhs).subs({kappa: KAPPA})  # kappa^n
    # One step with the large batch forgets as much as two with the small one.
    (truth,) = sp.solve(of_start.subs(n, 2) - share, share)
    suspects = {
        "this is the other way round: for half the batch and twice the steps": sp.sqrt(KAPPA),
        "nothing changes this way: one step would forget as much as one step did": KAPPA,
        "this halves the window 1/(1-κ) and is close for κ near one; the shares can be made equal": 2 * KAPPA - 1,
        "this halves the share that is kept; ask what two of the old steps keep": KAPPA / 2,
        "this doubles the window; there are fewer steps now": (1 + KAPPA) / 2,
    }
    return truth, suspects


def other_batch(answer: Any) -> str:
    how = judge(answer, *other_batch_reference(), DECAY)
    return f"every image counts as much in the average as before ({how})"


@cache
def early_noise_reference() -> Reference:
    (relation,) = CLAIMS["eq-ema-sum"].statement()
    shares = relation.rhs.subs(n, N)  # what the shares add up to
    # (1-kappa)^2 times the sum of kappa^(2 (n-k))
    squares = (1 - kappa) ** 2 * (shares / (1 - kappa)).subs(kappa, kappa**2)
    (limit,) = CLAIMS["eq-ema-variance"].statement()
    late = limit.rhs / sp.Symbol("sigma", positive=True) ** 2
    truth = sp.simplify((squares / shares**2).subs(kappa, KAPPA))
    suspects = {
        "this is the variance of the average before it is divided": squares,
        "this is the limit for many steps; here n is any number": late,
        "the variance of x/c is that of x over c², not over c": squares / shares,
        "this is the variance of a plain average; here the newest counts most": 1 / N,
        "the shares must be squared before they are added up": 1 / shares,
        "the sum of squares goes on for ever here; it ends after n steps": late / shares**2,
    }
    return truth, {sentence: wrong.subs(kappa, KAPPA) for sentence, wrong in suspects.items()}


def early_noise(answer: Any) -> str:
    how = judge(answer, *early_noise_reference(), DECAY_AND_STEPS)
    return f"one for n = 1, and (1-κ)/(1+κ) for many steps ({how})"


# In code


def zero_start(function: Any) -> str:
    generator = torch.Generator().manual_seed(3)
    for steps, decay in ((1, 0.9), (6, 0.9), (40, 0.5)):
        values = torch.randn(steps, 3, generator=generator, dtype=torch.float64)
        age = torch.arange(steps, dtype=torch.float64).flip(0)[:, None]
        shares = (1 - decay) * decay**age
        plain = (shares * values).sum(0)
        from_first = plain + decay**steps * values[0]
        suspects = {
            "the average starts at zero, and nothing makes up for it: divide by what the shares add up to": plain,
            "this starts at the first value, which so counts far more than its turn": from_first,
            "the oldest value counts most": (shares * values.flip(0)).sum(0) / (1 - decay**steps),
            "the correction has one step too many": plain / (1 - decay ** (steps + 1)),
            "all values count the same": values.mean(0),
            "the shares are exchanged: the decay is what is kept": _exchanged(values, decay),
        }
        if steps > 1:
            suspects["the correction has one step too few"] = plain / (1 - decay ** (steps - 1))
        expected = plain / shares.sum()
        got = call(function, values, decay)
        compare(got, expected, f"for {steps} values and decay {decay}", suspects, rtol=1e-9, atol=1e-12)
    return "an average from the first value on, without any start"


def _exchanged(values: Tensor, decay: float) -> Tensor:
    age = torch.arange(len(values), dtype=torch.float64).flip(0)[:, None]
    shares = decay * (1 - decay) ** age
    return (shares * values).sum(0) / shares.sum()


def tables(function: Any) -> str:
    linear = schedule.linear()
    beta = linear.beta(linear.steps)
    for given in (beta, beta.float()):
        got = call(function, given)
        if not isinstance(got, tuple) or len(got) != 2 or not all(isinstance(table, Tensor) for table in got):
            raise Mistake("return two tensors: alpha_bar and the SNR")
        alpha_bar = torch.cumprod(1 - given.double(), 0)
        late = torch.cumprod(1 - given.float(), 0).double()
        what = f"for {str(given.dtype)[6:]} betas the"
        if all(table.dtype == torch.float32 for table in got):
            raise Mistake(f"{what} tables are float32: that is where the digits go")
        expected = (alpha_bar, alpha_bar / (1 - alpha_bar))
        for name, table, truth, rounded in zip(("alpha_bar", "SNR"), got, expected, (late, late / (1 - late))):
            shifted = torch.cat([torch.ones_like(truth[:1]), truth[:-1]])
            suspects = {
                f"the {name} is cast after the product, when the digits are gone already; cast first": rounded,
                f"the {name} begins with t = 0; the first entry is for t = 1": shifted,
            }
            compare(table, truth, f"{what} {name}:", suspects, rtol=1e-9, atol=0.0)
            require_type(table, torch.float64, "keep the tables in float64 and cast where they are used")
    return "1 - alpha_bar_1 and the SNR have all their digits"


IMAGES = 7
PULL = 0.1


def go_on(function: Any) -> str:
    total = 3 * IMAGES
    whole = [_after(function, [steps]) for steps in range(total + 1)]
    shown, noise = _decode(whole)
    if any(sorted(shown[start : start + IMAGES]) != list(range(IMAGES)) for start in range(0, total, IMAGES)):
        raise Mistake("in a run without a stop, an epoch does not show every image exactly once")
    if torch.pdist(noise).min() < 1e-6 or not 0.5 < noise.std() < 1.5:
        raise Mistake("in a run without a stop, every step should have standard normal noise of its own")
    stops = [_after(function, [1] * steps) for steps in range(total + 1)]
    shown_again, noise_again = _decode(stops)
    if shown_again != shown:
        raise Mistake("after a stop the data begin anew: the position in the data is lost")
    if not torch.allclose(noise_again, noise):
        repeated = torch.allclose(noise_again, noise_again[:1].expand_as(noise_again))
        if repeated:
            raise Mistake("after a stop the same noise comes again: the random state is lost")
        raise Mistake("after a stop the noise is another one than without")
    for parts in ([4, 6], [IMAGES, IMAGES], [1, 2, 9]):
        if not torch.equal(_after(function, parts)[1], whole[sum(parts)][1]):
            sums = " + ".join(map(str, parts))
            raise Mistake(f"{sums} steps are close to {sum(parts)} in one go, and not the same to the last bit")
    return "stopped anywhere, the run ends with the same bits"


def _after(function: Any, parts: list[int]) -> tuple[Tensor, Tensor]:
    """theta after these numbers of steps: for images that are all zero, and for the rows of the identity matrix."""
    found = []
    for images in (torch.zeros(IMAGES, IMAGES, dtype=torch.float64), torch.eye(IMAGES, dtype=torch.float64)):
        state = {"theta": torch.zeros(IMAGES, dtype=torch.float64), "step": 0}
        for done, steps in enumerate(parts):
            before = state["theta"].clone()
            after = call(function, state, images, steps)
            if not isinstance(after, dict) or not isinstance(after.get("theta"), Tensor) or "step" not in after:
                raise Mistake('return a dict with "theta" and "step", and what else the next call needs')
            if not torch.equal(before, state["theta"]):
                raise Mistake("your function changes the state that it was given")
            if after["step"] != sum(parts[: done + 1]):
                raise Mistake(f'after {sum(parts[: done + 1])} steps the state says "step": {after["step"]}')
            if after["theta"].shape != (IMAGES,) or not after["theta"].isfinite().all():
                raise Mistake("theta must keep its shape and be finite")
            state = after
        found.append(state["theta"])
    return found[0], found[1]


def _decode(after: list[tuple[Tensor, Tensor]]) -> tuple[list[int], Tensor]:
    """Which image each step saw, and its noise [steps, IMAGES], from theta after 0, 1, 2, .. steps."""
    shown, noise = [], []
    for (zero, one), (next_zero, next_one) in zip(after, after[1:]):
        noise.append((next_zero - (1 - PULL) * zero) / PULL)
        image = ((next_one - next_zero) - (1 - PULL) * (one - zero)) / PULL
        if not torch.allclose(image, torch.eye(IMAGES, dtype=torch.float64)[image.argmax()], atol=1e-6):
            raise Mistake("a step should be theta + 0.1 (image + noise - theta), for one of the images")
        shown.append(int(image.argmax()))
    return shown, torch.stack(noise)


# To think about


def silent_quarter(guess: Any) -> str:
    value = one_number(guess)
    linear = schedule.linear()
    t, floor = linear.steps, exact.two_points().smallest_loss(linear, linear.steps)

    def silent(where: Tensor) -> float:
        return torch.where(where, torch.ones_like(floor), floor).mean().item()

    truth = silent(t > 750)
    if abs(value - truth) < 2e-3:
        return "by the loss this is the worse of the two networks; now look at the samples"
    suspects = {
        "this is the loss of the other one, which is silent for t up to 250": silent(t <= 250),
        "this is the loss of the perfect network": floor.mean().item(),
        "this is what the silent quarter adds; the other three have a floor": 0.25,
        "this is the loss within the quarter; the loss of the network is the mean over all t": 1.0,
    }
    look_at = "it is a mean over all t; which quarter is silent, and how high is the floor elsewhere?"
    raise wrong_number(value, truth, suspects, 2e-3, look_at)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "other-batch",
        other_batch,
        (
            "Two steps of the small batch have become one of the large batch.",
            "After the same images, the start should have the same share in the average.",
            "Which share of the old does the average keep over two of the old steps?",
        ),
    ),
    Exercise(
        "early-noise",
        early_noise,
        (
            "Independent numbers: square the share of each, add up, and multiply by their variance, which is one.",
            "The squared shares are again a geometric row, with κ² in place of κ. What do they add up to?",
            "Dividing by a number divides the variance by its square. Then much cancels: 1 - κ^(2n) is a product.",
        ),
    ),
    Exercise(
        "zero-start",
        zero_start,
        (
            "Go through the rows and update a running average that begins at zero.",
            "What would come out if all values were one? It should be one.",
            "After n values the shares add up to 1 minus the n-th power of the decay.",
        ),
    ),
    Exercise(
        "tables",
        tables,
        (
            "Where does the code leave float64?",
            "A product of a thousand factors should be taken with all digits, and so should the difference from one.",
            "Whatever type the betas have: make them `double()` first.",
        ),
    ),
    Exercise(
        "go-on",
        go_on,
        (
            "Two things begin anew with each call: which images come, and which noise.",
            "The state says how many steps have been taken. That is enough for the position in the data.",
            "For the noise: put the generator's state into the dict, or seed a generator with the step's number.",
        ),
    ),
    Exercise(
        "silent-quarter",
        silent_quarter,
        (
            "A silent network has a loss of one at each step: the noise's variance.",
            "`smallest_loss` gives the loss at every other step.",
            "The loss of the whole is the mean over the thousand steps.",
        ),
    ),
)
"""The exercises of chapter 12 in the order of the sheet."""
