"""Chapter 7's checks accept right answers in any form and name the mistake in wrong ones; and the frame of all checks."""

from collections.abc import Callable
from typing import Any

import pytest
import sympy as sp
import torch
from torch import Tensor

from diffcourse import practice
from diffcourse.diffusion import process
from diffcourse.diffusion.schedule import Schedule
from diffcourse.practice import forward_process
from diffcourse.practice.check import call
from sheets import outcome, raises, solution_lines

beta, bar_s, bar_t = sp.symbols("beta alpha_bar_s alpha_bar_t")  # without assumptions: names alone must do
kept, noise_s, noise_t = bar_t / bar_s, 1 - bar_s, 1 - bar_t
root = sp.sqrt


# Right answers in other forms


def alpha_bar_by_where(beta: Tensor, t: Tensor) -> Tensor:
    table = torch.cumprod(1 - beta, 0)
    return torch.where(t > 0, table[(t - 1).clamp(min=0)], torch.ones((), dtype=beta.dtype))


def alpha_bar_by_logarithms(beta: Tensor, t: Tensor) -> Tensor:
    return torch.stack([torch.log1p(-beta[: int(n)]).sum().exp() for n in t.flatten()]).reshape(t.shape)


def q_sample_by_none(schedule: Schedule, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    a = schedule.alpha_bar(t)[:, None, None, None]
    return (a**0.5 * x0 + (1 - a) ** 0.5 * eps).to(x0.dtype)


def q_sample_in_float32(schedule: Schedule, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    return torch.stack([process.q_sample(schedule, x0[i], int(t[i]), eps[i]) for i in range(len(x0))])


def noise_variance_by_logarithms(T: int) -> Tensor:
    return -torch.expm1(torch.cumsum(torch.log1p(-torch.linspace(1e-4, 0.02, T)), 0))


def noise_variance_cast_early(T: int) -> Tensor:
    return (1 - torch.cumprod(1 - torch.linspace(1e-4, 0.02, T).double(), 0)).to(torch.float32)


def trajectory_as_tensor(schedule: Schedule, x0: Tensor, steps: list[int], noises: list[Tensor]) -> Tensor:
    frames = [x0]
    for s, t, eps in zip([0, *steps], steps, noises):
        mean, variance = process.q_jump(schedule, frames[-1], s, t)
        frames.append(mean + variance.sqrt() * eps)
    return torch.stack(frames[1:])


def step_by_loop(schedule: Schedule, level: float) -> int:
    return next(t for t in range(1, schedule.T + 1) if schedule.snr(t) <= level)


def step_by_argmax(schedule: Schedule, level: float) -> Tensor:
    return torch.argmax((schedule.snr(schedule.steps) <= level).int()) + 1


UNPROVED = [sp.log(0.5) / sp.log(1 - beta)]

RIGHT = [
    ("half-life", sp.log(sp.Rational(1, 2), 1 - beta)),
    *(("half-life", answer) for answer in UNPROVED),
    ("half-life", sp.log(2) / sp.log(1 / (1 - beta))),
    ("lost-root", 1 / (2 - beta)),
    ("lost-root", -1 / (sp.Symbol("beta", real=True) - 2)),
    ("lost-root", 0.5 / (1 - 0.5 * beta)),
    ("covariance", root(bar_t) * (1 - bar_s) / root(bar_s)),
    ("covariance", root(bar_t / bar_s) - root(bar_s * bar_t)),
    ("covariance", root(noise_s * noise_t) * root(kept * noise_s / noise_t)),
    ("alpha-bar", alpha_bar_by_where),
    ("alpha-bar", alpha_bar_by_logarithms),
    ("q-sample", q_sample_by_none),
    ("q-sample", q_sample_in_float32),
    ("noise-variance", noise_variance_by_logarithms),
    ("noise-variance", noise_variance_cast_early),
    ("trajectory", trajectory_as_tensor),
    ("trajectory", lambda *a: tuple(trajectory_as_tensor(*a))),
    ("snr-step", step_by_loop),
    ("snr-step", step_by_argmax),
    ("ten-steps", 0.9),
    ("ten-steps", torch.tensor(0.904)),
    ("ten-steps", sp.Rational(9, 10)),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_in_other_forms(name: str, answer: Any) -> None:
    line = outcome(name, answer)
    assert line.startswith("✓")
    assert ("twelve digits" in line) == any(answer is form for form in UNPROVED)


# Wrong answers


def alpha_bar(rule: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """An answer that applies a rule to the table of products."""
    return lambda beta, t: rule(torch.cumprod(1 - beta, 0), t)


def with_one(table: Tensor) -> Tensor:
    return torch.cat([torch.ones(1, dtype=table.dtype), table])


def mix(signal: Callable, noise: Callable, axes: tuple[int, ...] = (-1, 1, 1, 1)) -> Callable:
    """A q_sample with these factors of x0 and eps, each computed from alpha_bar, placed on these axes."""

    def answer(schedule: Schedule, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        a = schedule.alpha_bar(t)
        return (signal(a).reshape(axes) * x0 + noise(a).reshape(axes) * eps).to(x0.dtype)

    return answer


def at_other_step(other: Callable[[Tensor], Tensor]) -> Callable:
    return lambda schedule, x0, t, eps: process.q_sample(schedule, x0, other(t), eps)


def with_alpha(schedule: Schedule, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    return process.q_step(schedule, x0, t, eps)


def one(a: Tensor) -> Tensor:
    return a


def rest(a: Tensor) -> Tensor:
    return 1 - a


def signal_root(a: Tensor) -> Tensor:
    return a.sqrt()


def noise_root(a: Tensor) -> Tensor:
    return (1 - a).sqrt()


def in_place(schedule: Schedule, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    a = schedule.alpha_bar(t).reshape(-1, 1, 1, 1)
    x0 *= a.sqrt().to(x0.dtype)
    return x0 + (1 - a).sqrt().to(x0.dtype) * eps


def in_float64(schedule: Schedule, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    return q_sample_by_none(schedule, x0.double(), t, eps.double())


def own_noise(schedule: Schedule, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    return process.q_sample(schedule, x0, t, torch.randn_like(x0))


def cast_late(T: int) -> Tensor:
    return (1 - torch.cumprod(1 - torch.linspace(1e-4, 0.02, T), 0).double()).float()


def cast_after_alpha(T: int) -> Tensor:
    return (1 - torch.cumprod((1 - torch.linspace(1e-4, 0.02, T)).double(), 0)).float()


def table(rule: Callable[[Tensor, Tensor], Tensor]) -> Callable[[int], Tensor]:
    """A noise_variance computed from beta and alpha_bar in float64."""

    def answer(T: int) -> Tensor:
        beta = torch.linspace(1e-4, 0.02, T, dtype=torch.float64)
        return rule(beta, torch.cumprod(1 - beta, 0)).float()

    return answer


def jumps(kept: Callable, added: Callable, moving: bool = True) -> Callable:
    """A trajectory with these factors, computed from (schedule, s, t); `moving` says whether s follows."""

    def answer(schedule: Schedule, x0: Tensor, steps: list[int], noises: list[Tensor]) -> list[Tensor]:
        x, s, frames = x0, 0, []
        for t, eps in zip(steps, noises):
            x = kept(schedule, s, t) * x + added(schedule, s, t) * eps
            s = t if moving else s
            frames.append(x)
        return frames

    return answer


def ratio(schedule: Schedule, s: int, t: int) -> Tensor:
    return schedule.alpha_bar(t) / schedule.alpha_bar(s)


def root_ratio(schedule: Schedule, s: int, t: int) -> Tensor:
    return ratio(schedule, s, t).sqrt()


def root_rest(schedule: Schedule, s: int, t: int) -> Tensor:
    return (1 - ratio(schedule, s, t)).sqrt()


def snr_by(rule: Callable[[Tensor, float], Tensor], offset: int = 1) -> Callable:
    return lambda schedule, level: int(rule(schedule.snr(schedule.steps), level).int().argmax()) + offset


WRONG = [
    ("half-life", sp.log(sp.Rational(1, 2)) * 2 / sp.log(1 - beta), "compares variances"),
    ("half-life", sp.log(2) / sp.log(1 - beta), "negative number"),
    ("half-life", sp.log(2) / beta, "not exact"),
    ("half-life", 1 / (2 * beta), "adds up t variances"),
    ("half-life", 1 / beta, "at beta = 1/10 your answer is off by 3.4"),
    ("half-life", sp.log(2) / sp.log(1 - sp.Symbol("beta_t")), "contains beta_t; it should need nothing but beta"),
    ("lost-root", 1, "the chain with the root"),
    ("lost-root", 0.5, "limit for small β"),
    ("lost-root", beta / (2 - beta), "the noise has the wrong variance"),
    ("lost-root", 1 / root(beta) / (2 - beta), "standard deviation"),
    ("lost-root", 0, "does not fade"),
    ("lost-root", beta, "one single step adds"),
    ("lost-root", (1 - beta) ** 2 + beta, "let the chain go on"),
    ("lost-root", beta**2, "at beta = 1/10 your answer is off by"),
    ("covariance", root(noise_s * noise_t), "one and the same noise"),
    ("covariance", 0, "not independent"),
    ("covariance", root(kept) * noise_t, "an index is exchanged"),
    ("covariance", kept * noise_s, "a root is missing"),
    ("covariance", root(kept), "random x_0"),
    ("covariance", root(kept * noise_s / noise_t), "correlation"),
    ("covariance", root(bar_t) * noise_s, "started at x_0"),
    ("covariance", noise_s, "has shrunk"),
    ("covariance", noise_s / root(kept), "upside down"),
    ("covariance", 1 - kept, "knows nothing of it"),
    ("covariance", bar_s, "at alpha_bar_s = 3/4, alpha_bar_t = 1/3 your answer is off by"),
    ("alpha-bar", alpha_bar(lambda table, t: table[t - 1]), "index -1"),
    ("alpha-bar", alpha_bar(lambda table, t: table[(t - 1).clamp(min=0)]), "one step has already been taken"),
    ("alpha-bar", alpha_bar(lambda table, t: table[t.clamp(max=999)]), "another index"),
    ("alpha-bar", alpha_bar(lambda table, t: with_one(table)[(t - 1).clamp(min=0)]), "last factor"),
    ("alpha-bar", lambda beta, t: with_one(1 - beta)[t], "α_t of one step"),
    ("alpha-bar", lambda beta, t: with_one(beta)[t], "straight from the table"),
    ("alpha-bar", alpha_bar(lambda table, t: 1 - with_one(table)[t]), "the noise"),
    ("alpha-bar", alpha_bar(lambda table, t: with_one(table).sqrt()[t]), "square root"),
    ("alpha-bar", lambda beta, t: with_one(torch.exp(-torch.cumsum(beta, 0)))[t], "upper bound"),
    ("alpha-bar", lambda beta, t: with_one(torch.cumsum(1 - beta, 0))[t], "a sum"),
    ("alpha-bar", alpha_bar(lambda table, t: with_one(table)), "has the shape [1001]; it should be [4]"),
    ("alpha-bar", alpha_bar(lambda table, t: with_one(table.float())[t].double()), "off by"),
    ("alpha-bar", alpha_bar(lambda table, t: with_one(table)[t.flatten()]), "has the shape [6]; it should be [2, 3]"),
    ("q-sample", mix(signal_root, noise_root, (-1,)), "went to the columns"),
    ("q-sample", mix(signal_root, noise_root, (-1, 1)), "went to the rows"),
    ("q-sample", mix(signal_root, noise_root, (-1, 1, 1)), "went to the channels"),
    ("q-sample", mix(signal_root, rest), "missing at the noise"),
    ("q-sample", mix(one, noise_root), "missing at the signal"),
    ("q-sample", mix(one, rest), "both roots"),
    ("q-sample", mix(noise_root, signal_root), "exchanged"),
    ("q-sample", mix(signal_root, torch.zeros_like), "no noise"),
    ("q-sample", mix(signal_root, lambda a: -noise_root(a)), "subtracted"),
    ("q-sample", mix(signal_root, torch.ones_like), "for 8 images of 8x8 pixels, your result is off by"),
    ("q-sample", with_alpha, "α_t is where ᾱ_t should be"),
    ("q-sample", at_other_step(lambda t: t - 1), "step t - 1"),
    ("q-sample", at_other_step(lambda t: t + 1), "step t + 1"),
    ("q-sample", at_other_step(lambda t: int(t[0])), "first image's t"),
    ("q-sample", own_noise, "draw none"),
    ("q-sample", in_place, "in place"),
    ("q-sample", in_float64, "float64"),
    ("noise-variance", cast_late, "digits are lost: only about 4 are correct at t = 1."),
    ("noise-variance", cast_after_alpha, "digits are lost: only about 4 are correct at t = 1."),
    ("noise-variance", table(lambda beta, bar: bar), "missing to one"),
    ("noise-variance", table(lambda beta, bar: (1 - bar).sqrt()), "standard deviation"),
    ("noise-variance", table(lambda beta, bar: beta), "each single step"),
    ("noise-variance", table(lambda beta, bar: 1 - with_one(bar)[:-1]), "not to t = 0"),
    ("noise-variance", lambda T: table(lambda beta, bar: 1 - bar)(T).double(), "float64; return float32"),
    ("noise-variance", lambda T: table(lambda beta, bar: 1 - bar)(T).tolist(), "returns a list"),
    ("noise-variance", table(lambda beta, bar: 1 - bar[:-1]), "has the shape [999]; it should be [1000]"),
    ("trajectory", lambda c, x, n, e: [process.q_sample(c, x, t, z) for t, z in zip(n, e)], "starts again from x_0"),
    ("trajectory", jumps(root_ratio, root_rest, moving=False), "began at step 0"),
    ("trajectory", jumps(root_ratio, lambda c, s, t: (c.alpha_bar(s) - c.alpha_bar(t)).sqrt()), "too weak"),
    ("trajectory", jumps(root_ratio, lambda c, s, t: 1 - ratio(c, s, t)), "missing at the noise"),
    ("trajectory", jumps(ratio, root_rest), "missing at the signal"),
    ("trajectory", jumps(lambda c, s, t: c.alpha(t).sqrt(), lambda c, s, t: c.beta(t).sqrt()), "one step long"),
    ("trajectory", jumps(lambda c, s, t: 1 / root_ratio(c, s, t), root_rest), "your result is off by"),
    ("trajectory", lambda c, x, n, e: [x, *trajectory_as_tensor(c, x, n, e)], "x_0 is not one of them"),
    ("trajectory", lambda c, x, n, e: list(trajectory_as_tensor(c, x, n, e)[:2]), "list of 5 tensors"),
    ("trajectory", jumps(root_ratio, lambda c, s, t: (ratio(c, s, t) - 1).sqrt()), "NaN"),
    ("snr-step", snr_by(lambda snr, level: snr <= level, offset=0), "off by one"),
    ("snr-step", snr_by(lambda snr, level: snr <= level, offset=2), "off by one"),
    ("snr-step", snr_by(lambda snr, level: snr.sqrt() <= level), "amplitudes"),
    ("snr-step", snr_by(lambda snr, level: 1 / snr >= level), "exchanged in the ratio"),
    ("snr-step", lambda c, level: int((c.alpha_bar(c.steps) > level).sum()) + 1, "ᾱ itself"),
    ("snr-step", lambda c, level: 10, "still above"),
    ("snr-step", lambda c, level: c.T, "below the level earlier"),
    ("snr-step", lambda c, level: 166.5, "whole number"),
    ("snr-step", lambda c, level: c.snr(c.steps) <= level, "return one step"),
    ("ten-steps", 0.096, "share of the noise"),
    ("ten-steps", 0.95, "factor in front"),
    ("ten-steps", 0, "1000 steps"),
    ("ten-steps", 0.5, "too small, by 0.4: ᾱ is a product; how many factors, and how small?"),
    ("ten-steps", 0.98, "too large, by 0.08: ᾱ is a product"),
    ("ten-steps", 90, "between 0 and 1"),
]


@pytest.mark.parametrize(("name", "answer", "fragment"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: Any, fragment: str) -> None:
    line = outcome(name, answer)
    assert line.startswith("✗")
    assert fragment in line
    assert [spoiler for spoiler in solution_lines(forward_process) | {"0.903", "0.904"} if spoiler in line] == []


def test_what_counts_as_a_solution_line() -> None:
    lines = solution_lines(forward_process)
    assert "sp.log(2) / -sp.log(1 - beta)" in lines and "signal * x0 + noise * eps" in lines
    assert len(lines) > 12


# The frame


def test_an_exception_becomes_one_line_with_its_type_and_place() -> None:
    namespace: dict[str, Any] = {}
    source = "def answer(beta, t):\n    y = 1\n    return beta[t] / missing"
    exec(compile(source, "<cell>", "exec"), namespace)
    line = practice.EXERCISES["alpha-bar"].outcome(namespace["answer"])
    assert "your function raises NameError in line 3 of its cell" in line
    assert "Traceback" not in line


def test_an_exception_shows_the_line_of_code_where_it_is_known() -> None:
    assert "`raise problem`: a" in outcome("alpha-bar", raises(ValueError("a\nb")))


def test_a_missing_return_is_not_a_stub() -> None:
    def answer(beta: Tensor, t: Tensor) -> None:
        beta[t]

    assert "is there a `return`?" in outcome("alpha-bar", answer)


def test_a_student_function_gets_copies() -> None:
    given = torch.ones(2)
    with pytest.raises(practice.Mistake, match="in place"):
        call(lambda x: x.zero_(), given)
    assert given.sum() == 2


def test_check_prints_and_an_unknown_name_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    practice.check("ten-steps", None)
    practice.check("nowhere", 1)
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert first == "○ ten-steps: not attempted yet"
    assert second.startswith("✗ there is no exercise 'nowhere'; there are ")
    assert "there is no exercise" in repr(practice.hints("nowhere"))


def test_the_same_answer_gets_the_same_words() -> None:
    for name, answer, _ in WRONG[::7]:
        assert outcome(name, answer) == outcome(name, answer)


def test_hints_escape_what_html_would_swallow() -> None:
    html = practice.Hints(("`a < b` & c",))._repr_html_()
    assert "<code>a &lt; b</code> &amp; c" in html
