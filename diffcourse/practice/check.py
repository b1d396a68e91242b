"""The frame of every exercise: what becomes of an answer, whatever it is, and the comparison of tensors.

A check ends in one of three ways: "○ not attempted yet" for a stub, "✓" with what is now known to hold, "✗" with the
likely mistake. It never raises, so that a sheet without a single answer runs from top to bottom.
"""

import dis
import html
import linecache
import re
import textwrap
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

WIDTH = 76
"""Characters in a line of output that the book shows without scrolling."""

Examine = Callable[..., str]
"""Gets the student's answers; returns what is right about them, or raises `Mistake` or `NotAttempted`."""


class Mistake(Exception):
    """The answer is wrong. The message names the likely mistake and keeps the answer to itself."""


class NotAttempted(Exception):
    """The answer is still the stub."""


@dataclass(frozen=True)
class Exercise:
    """An exercise with a machine-checked answer.

    Args:
        name: as in `practice.check("name", answer)`.
        examine: see `Examine`.
        hints: from a nudge to nearly the whole way; plain text with `code`.
    """

    name: str
    examine: Examine
    hints: tuple[str, ...]

    def outcome(self, *answers: Any) -> str:
        """What the check says, in a few lines. Never raises."""
        try:
            if any(is_stub(answer) for answer in answers):
                raise NotAttempted
            mark, text = "✓", self.examine(*answers)
        except NotAttempted:
            mark, text = "○", "not attempted yet"
        except Mistake as mistake:
            mark, text = "✗", str(mistake)
        except Exception as problem:
            mark, text = "✗", f"the check cannot make sense of this answer ({type(problem).__name__})"
        return textwrap.fill(f"{mark} {self.name}: {text}", WIDTH, subsequent_indent="  ", break_long_words=False)


@dataclass(frozen=True)
class Hints:
    """Hints that open one by one; what `practice.hints("name")` shows below its cell, without a kernel as well."""

    texts: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join(f"Hint {n}: {text}" for n, text in enumerate(self.texts, start=1))

    def _repr_html_(self) -> str:
        def marked(text: str) -> str:
            return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))

        return "\n".join(
            f"<details><summary>Hint {n}</summary><p>{marked(text)}</p></details>"
            for n, text in enumerate(self.texts, start=1)
        )


def is_stub(answer: Any) -> bool:
    """Whether the place of an answer is still empty."""
    return answer is None or answer is Ellipsis


def one_number(answer: Any, wanted: str = "one number") -> float:
    """The answer as a float.

    Raises:
        Mistake: unless it can be one, asking for what is wanted.
    """
    try:
        return float(answer)
    except (TypeError, ValueError, OverflowError):
        raise Mistake(f"give {wanted}") from None


def wrong_number(
    value: float, truth: float, suspects: Mapping[str, float], tolerance: float, look_at: str, *, by: bool = False
) -> Mistake:
    """The mistake in a number that is not the right one.

    Args:
        suspects: what other numbers would mean; one counts if it is as near to the value as the tolerance.
        look_at: what to think about when none of them is it; the message also says whether the value is too small or too large.
        by: say by how much as well.
    """
    for sentence, wrong in suspects.items():
        if abs(value - wrong) <= tolerance:
            return Mistake(sentence)
    if value != value:
        return Mistake("give one number")
    how = "small" if value < truth else "large"
    off = f", by {abs(value - truth):.1g}" if by else ""
    return Mistake(f"too {how}{off}: {look_at}")


def call(function: Any, *arguments: Any) -> Any:
    """What the student's function returns for copies of these arguments.

    Raises:
        NotAttempted: if its body is empty, or it returns `...` or raises NotImplementedError.
        Mistake: if it is no function, raises, returns nothing, or changes a tensor that it was given.
    """
    if not callable(function):
        raise Mistake(f"give the function itself, without calling it; this is of type {type(function).__name__}")
    copies = [a.clone() if isinstance(a, Tensor) else a for a in arguments]
    try:
        result = function(*copies)
    except NotImplementedError:
        raise NotAttempted from None
    except Exception as problem:
        raise Mistake(_in_one_line(problem, function)) from None
    if result is Ellipsis or (result is None and _is_empty(function)):
        raise NotAttempted
    if result is None:
        raise Mistake("your function returns nothing: is there a `return`?")
    for given, copy in zip(arguments, copies):
        if isinstance(given, Tensor) and not torch.equal(given, copy):
            raise Mistake("the result may be right, but your function has changed a tensor that it was given, in place")
    return result


def _is_empty(function: Any) -> bool:
    """Whether a function touches no name at all, not even its own arguments."""
    if not isinstance(function, FunctionType):
        return False
    names = ("LOAD_FAST", "LOAD_GLOBAL", "LOAD_DEREF")
    return not any(instruction.opname.startswith(names) for instruction in dis.get_instructions(function))


def _in_one_line(problem: Exception, function: Any) -> str:
    """An exception as its type, the line of the student's code where it arose, and the beginning of its message."""
    where = ""
    if isinstance(function, FunctionType):
        file = function.__code__.co_filename
        lines = [frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == file]
        if lines:
            source = linecache.getline(file, lines[-1]).strip()
            where = f" in line {lines[-1]} of its cell" + (f", `{source}`" if source else "")
    message = (str(problem).strip().splitlines() or ["no message"])[0]
    return f"your function raises {type(problem).__name__}{where}: {textwrap.shorten(message, 160, placeholder=' …')}"


def compare(
    got: Any, expected: Tensor, where: str, suspects: dict[str, Tensor], *, rtol: float = 1e-5, atol: float = 1e-6
) -> None:
    """Accept what agrees with the reference; else say which known mistake it agrees with, or where it is off most.

    Args:
        got: the student's result.
        expected: the reference.
        where: the case in words, such as "for t = 3".
        suspects: results of known mistakes, each under the sentence that names it.

    Raises:
        Mistake: unless got and expected agree.
    """
    if not isinstance(got, Tensor):
        raise Mistake(f"{where} your function returns a {type(got).__name__}; return a tensor")
    if got.is_complex() or not got.isfinite().all():
        raise Mistake(f"{where} your result contains NaN, infinity or complex numbers")
    got = got.detach().double()

    def agrees(other: Tensor) -> bool:
        return other.shape == got.shape and torch.allclose(got, other.double(), rtol, atol)

    if agrees(expected):
        return
    for sentence, wrong in suspects.items():
        if agrees(wrong):
            raise Mistake(sentence)
    if got.shape != expected.shape:
        raise Mistake(f"{where} your result has the shape {list(got.shape)}; it should be {list(expected.shape)}")
    error = (got - expected).abs()
    at = tuple(int(i) for i in torch.unravel_index(error.argmax(), error.shape))
    place = f" at {list(at)}" if at else ""
    raise Mistake(f"{where} your result is off by {float(error[at]):.2g}{place}, where it is {float(got[at]):.4g}")


def require_type(got: Tensor, dtype: torch.dtype, because: str) -> None:
    """Accept a result of this type only.

    Raises:
        Mistake: with the reason.
    """
    if got.dtype != dtype:
        raise Mistake(f"the values are right, but their type is {got.dtype}; {because}")
