"""Chapter 20: every known slip is stopped, every right form is proved, and the numbers of the chapter are what it says."""

from pathlib import Path

import pytest
import torch

from diffcourse import algebra
from diffcourse.algebra import CLAIMS, ClaimError, UnreadableError, errata
from diffcourse.algebra.claim import Refuted
from diffcourse.algebra.errata import SLIPS, Slip, letters, plain
from diffcourse.algebra.latex import read
from diffcourse.diffusion import exact, process, schedule
from diffcourse.diffusion.sample import sample_ddpm

CHAPTER = (Path(__file__).parents[1] / "book" / "20-errata.md").read_text(encoding="utf-8")

# What the texts printed: where, what in a few words, the claim that says it right, and a piece of the printed form.
KNOWN = [
    ("a blog post", "condition and bracket of the chain", "eq-forward-chain", r"q(x_{1:T} = \prod_{t=1}^{T} q(x_t \mid x_{t_1}))"),
    ("lecture notes", "q(x_0) although x_0 is given", "eq-erratum-joint", r"q(x_{0:T} \mid x_0) = q(x_0) \prod"),
    ("lecture notes", "root without its index", "eq-closed-form", r"\sqrt{\bar\alpha}_t"),
    ("lecture notes", "betas from 0", "eq-linear", r"\beta_0"),
    ("an article", "all noise removed", "eq-ddpm-step", r"x_t - \epsilon_\theta(x_t, t)"),
    ("lecture slides", "algorithm 2", "eq-ddpm-step", r"\frac{1-\alpha_t}{\sqrt{1-\alpha_t}}"),
    ("lecture slides", "log-determinants at the data", "eq-erratum-flow", r"f'_j(h_0)"),
    ("lecture slides", "integral over x_0", "eq-erratum-given", r"\mathrm{d}x_0 = 1"),
    ("lecture slides", "integral over x_0, in the bound", "eq-marginalise", r"\mathrm{d}x_0"),
    ("lecture slides", "from t = 0, in the bound", "eq-bound-terms", r"\sum_{t=0}^{T}"),
    ("lecture slides", "summed and averaged, in the loss", "eq-l-simple", r"\sum_{t=2}^{T} \mathbb{E}_{t, x_0, \epsilon}"),
    ("lecture slides", "from t = 0", "eq-erratum-backwards", r"\prod_{t=0}^{T}"),
    ("lecture slides", "summed and averaged", "eq-erratum-average", r"\sum_{t=2}^{T} \mathbb{E}_{t}"),
    ("lecture slides", "approximately normal", "eq-sample", r"\epsilon \approx \mathcal{N}(0, I)"),
    ("a bug", "alpha for alpha-bar in training", "eq-sample", r"\sqrt{\alpha_t}\, x_0"),
]
IN_WORDS = ["a diffusion model is a U-Net", "nice property"]  # slips without a formula


@pytest.mark.parametrize(("source", "what", "label", "piece"), KNOWN, ids=[row[1] for row in KNOWN])
def test_each_known_slip_is_stopped_and_its_right_form_proved(source: str, what: str, label: str, piece: str) -> None:
    (slip,) = [s for s in SLIPS if s.label == label and s.source.startswith(source) and piece in s.latex and "mended" not in s.source]
    claim = CLAIMS[label]
    claim.proof(claim.statement())
    with pytest.raises((UnreadableError, Refuted)):
        claim.proof(read(slip.latex))
    assert slip.verdict(claim).startswith(("the reader stops: ", "the proof stops: "))


def test_every_slip_is_one_of_the_known_ones_and_shown_in_the_chapter() -> None:
    assert len(SLIPS) == len(KNOWN) + 1  # one of them is shown mended as well
    for slip in SLIPS:
        assert f'reject("{slip.label}")' in CHAPTER
        assert f"{{eq}}`{slip.label}`" in CHAPTER
    for words in IN_WORDS:
        assert words in CHAPTER


@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: plain(slip.latex))
def test_a_slip_that_can_be_read_is_a_near_miss_of_its_claim(slip: Slip) -> None:
    try:
        read(slip.latex)
    except UnreadableError:
        return
    assert slip.latex in [miss.latex for miss in CLAIMS[slip.label].near_misses]


def test_reject_reports_slips_and_the_right_form(capsys: pytest.CaptureFixture[str]) -> None:
    algebra.reject("eq-ddpm-step")
    lines = capsys.readouterr().out.splitlines()
    assert [line[0] for line in lines if not line.startswith(" ")] == ["✗", "✗", "✓"]
    assert lines[3] == "✗ lecture slides: x_{t-1} = 1/√α_t (x_t - (1-α_t)/√(1-α_t) ε_θ(x_t, t)) + σ_t z"
    assert lines[-1] == "✓ proved: x_{t-1} = 1/√α_t (x_t - (1-α_t)/√(1-ᾱ_t) ε_θ(x_t, t)) + σ_t z"


def test_reject_wants_a_slip() -> None:
    with pytest.raises(ClaimError, match="no slip is known"):
        algebra.reject("eq-snr")
    with pytest.raises(KeyError):
        algebra.reject("eq-nowhere")


def test_a_slip_that_is_right_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errata, "SLIPS", (Slip("eq-alpha", "nobody", CLAIMS["eq-alpha"].latex, "none"),))
    with pytest.raises(ClaimError, match="passes the proof"):
        algebra.reject("eq-alpha")


# Formulas as plain text


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"\sqrt{\bar\alpha_t}\, x_0", "√ᾱ_t x_0"),
        (r"\sqrt{\bar\alpha}_t\, x_0", "(√ᾱ)_t x_0"),  # the index outside must stay outside
        (r"\sqrt{1-\bar\alpha_{t-1}}", "√(1-ᾱ_{t-1})"),
        (r"\frac{1-\alpha_t}{\sqrt{1-\alpha_t}}", "(1-α_t)/√(1-α_t)"),
        (r"\big\lVert \epsilon \big\rVert^2", "‖ε‖^2"),
        (r"\log \lvert f'_j(h_0) \rvert", "log |f'_j(h_0)|"),
    ],
)
def test_plain_letters(latex: str, expected: str) -> None:
    assert plain(latex) == expected


def test_plain_letters_are_complete() -> None:
    with pytest.raises(UnreadableError, match="no plain letters"):
        plain(r"x \foo y")
    assert letters("alphabar_{t} at x[t - 1] = 1/2") == "ᾱ_t at x_{t - 1} = 1/2"


# What the chapter says happens


LINEAR = schedule.linear()


def drawn(data: exact.GaussianMixture, bar: bool, n: int = 1000) -> torch.Tensor:
    """Algorithm 2 with the root of 1 - alpha_bar_t, or with that of 1 - alpha_t."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    for t in range(LINEAR.T, 0, -1):
        below = 1 - (LINEAR.alpha_bar(t) if bar else LINEAR.alpha(t))
        x = (x - (1 - LINEAR.alpha(t)) / below.sqrt() * data.predict_eps(LINEAR, x, t)) / LINEAR.alpha(t).sqrt()
        x = x + process.q_posterior(LINEAR, x, x, t).variance.sqrt() * torch.randn(n, 1, generator=generator, dtype=torch.float64)
    return x


def humps() -> exact.GaussianMixture:
    weight = torch.tensor([0.2, 0.8], dtype=torch.float64)
    return exact.GaussianMixture(weight, torch.tensor([[-1.0], [1.0]], dtype=torch.float64), 0.3)


def test_without_the_bar_the_rare_hump_is_never_drawn() -> None:
    right, wrong = drawn(humps(), bar=True), drawn(humps(), bar=False)
    assert (right < 0).double().mean().item() == pytest.approx(0.2, abs=4 * (0.16 / 1000) ** 0.5)
    assert not (wrong < 0).any()
    assert wrong.std() < 0.5 * 0.3


def test_the_chapters_step_is_the_packages_sampler() -> None:
    data, generator = humps(), torch.Generator().manual_seed(0)
    x_T = torch.randn(50, 1, generator=generator, dtype=torch.float64)
    x = sample_ddpm(LINEAR, lambda x, t: data.predict_eps(LINEAR, x, t), x_T, generator=generator, clip=False)
    ours = drawn(data, bar=True, n=50)
    torch.testing.assert_close(x, ours, rtol=1e-6, atol=1e-6)
