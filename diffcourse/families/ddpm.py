"""The denoising diffusion probabilistic model: a U-Net, a schedule, a loss, samplers. Ho et al. (2020)."""

from inspect import signature
from typing import get_args

import torch
from torch import Tensor

from diffcourse.config import DDPMConfig
from diffcourse.diffusion import Schedule
from diffcourse.diffusion.bound import Bound, bits_per_dim, variational_bound
from diffcourse.diffusion.loss import Target, Weighting, draw_steps, hybrid_loss, weight, weighted_loss
from diffcourse.diffusion.process import Prediction, eps_from_v, predict_eps, standard_normal_like
from diffcourse.diffusion.sample import SAMPLERS, Denoiser, Watch, even_in_log_snr, subsequence
from diffcourse.diffusion.schedule import SCHEDULES
from diffcourse.errors import InputError
from diffcourse.families import checks
from diffcourse.families.base import GenerativeModel, Losses, Progress, level_value, scale, to_levels
from diffcourse.nets import UNet


class DDPM(GenerativeModel):
    """A network that guesses the noise in x_t, with the schedule it belongs to.

    Raises:
        InputError: if a name is unknown, a number out of range, or the image cannot be halved as often as the network asks.
    """

    family = "ddpm"
    config_type = DDPMConfig

    def __init__(self, config: DDPMConfig) -> None:
        super().__init__(config)
        _check(config)
        self.classes = config.classes
        self.schedule: Schedule = SCHEDULES[config.schedule](config.T)
        self.net = UNet(
            channels=config.channels,
            width=config.base_width,
            multipliers=config.multipliers,
            blocks=config.blocks,
            attention=config.attention,
            heads=config.heads,
            dropout=config.dropout,
            groups=config.groups,
            scale_shift=config.scale_shift,
            out_channels=config.channels * (2 if config.learned_variance else 1),
            classes=config.classes,
            patch=config.patch,
        )

    def forward(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        part: slice = slice(None),
    ) -> Losses:
        """Ho et al. (2020), algorithm 1, lines 2 to 5, for uint8 images [B, C, H, W]: L_simple unless configured otherwise."""
        config, schedule = self.config, self.schedule
        x0 = scale(images).to(next(self.parameters()).dtype)
        t = draw_steps(schedule, len(x0), generator)
        eps = standard_normal_like(x0, generator)
        y = self._training_labels(labels, len(x0), generator)
        x0, t, eps, y = x0[part], t[part], eps[part], None if y is None else y[part]

        if config.learned_variance:
            losses = hybrid_loss(schedule, self.denoiser(y), x0, t, eps, levels=config.levels)
        else:
            weights = weight(schedule, t, config.weighting) if config.weighting != "simple" else None
            losses = weighted_loss(
                schedule, lambda xt, t: self.net(xt, t, y), x0, t, eps, target=config.target, weights=weights
            )
        return Losses(losses, t / schedule.T)

    def _training_labels(self, labels: Tensor | None, n: int, generator: torch.Generator) -> Tensor | None:
        """The labels, some replaced by "no class"; None for a model without classes."""
        if not self.classes:
            return None
        if labels is None:
            raise InputError(f"this model knows {self.classes} classes: its training needs labels")
        hidden = torch.rand(n, generator=generator, device=generator.device) < self.config.label_dropout
        return labels.masked_fill(hidden, self.classes)

    def denoiser(self, labels: Tensor | None = None, guidance: float = 1.0) -> Denoiser:
        """The network as the samplers and the bound ask for it: eps(x_t, t), whatever it was trained to predict.

        Args:
            labels: int64 [B]; no class in particular when left out.
            guidance: classifier-free guidance, Ho and Salimans (2022), equation 6, with guidance = 1 + w: the prediction moves
                from the one without a class towards, and for more than 1 beyond, the one with it. 1 is no guidance.

        Raises:
            InputError: for labels or guidance that the model cannot follow.
        """
        if labels is not None and not self.classes:
            raise InputError("this model knows no classes: leave the labels out, or train with --classes")
        if guidance != 1 and labels is None:
            raise InputError(f"guidance = {guidance:g} needs labels, of a model that knows classes")

        def predict(xt: Tensor, t: Tensor) -> Tensor | Prediction:
            if guidance == 1:
                return self._prediction(xt, t, labels)
            both = self._prediction(torch.cat([xt, xt]), t.repeat(2), torch.cat([labels, torch.full_like(labels, self.classes)]))
            if isinstance(both, Prediction):
                return Prediction(_guide(both.eps, guidance), both.fraction.chunk(2)[0])
            return _guide(both, guidance)

        return predict

    def _prediction(self, xt: Tensor, t: Tensor, labels: Tensor | None) -> Tensor | Prediction:
        out = self.net(xt, t, labels)
        if self.config.learned_variance:
            out, fraction = out.chunk(2, dim=1)
            fraction = (fraction + 1) / 2
        if self.config.target == "v":
            out = eps_from_v(self.schedule, xt, t, out)
        elif self.config.target == "x0":
            out = predict_eps(self.schedule, xt, t, out)
        return Prediction(out, fraction) if self.config.learned_variance else out

    @torch.no_grad()
    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        sampler: str = "ddpm",
        steps: int | None = None,
        eta: float | None = None,
        guidance: float = 1.0,
        x_T: Tensor | None = None,
        watch: Watch | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        """n new images, float [n, C, H, W] in [-1, 1].

        Args:
            labels: the classes to draw, int64 [n]; left out, no class in particular.
            sampler: one of `diffusion.sample.SAMPLERS`; "ddpm" is Ho et al.'s algorithm 2.
            steps: how many steps: T for ddpm and the sampler's own default when left out. Even in t for ddpm and ddim; even in
                the log-SNR for the two of second order, for which those that fall together count once.
            eta: how much fresh noise ddim, dpm-solver and sde-dpm-solver add, 0 none and 1 as much as DDPM; left out, 1 for
                sde-dpm-solver and 0 for the other two. The other samplers have no such choice.
            guidance: see `denoiser`.
            x_T: the starting noise, [n, C, H, W]; drawn from the generator when left out.
            watch: called after each step, see `diffusion.sample.Watch`.
            progress: called after each step with (steps done, steps in all).

        Raises:
            InputError: for n < 1, an unknown sampler, steps outside 1..T, an eta that the sampler does not take, or labels that
                the model does not know.
        """
        checks.at_least_one(n)
        steps = self.steps_of(sampler, steps)
        walk, _, log_snr = SAMPLERS[sampler]
        even = even_in_log_snr(self.schedule, steps) if log_snr else subsequence(self.schedule.T, steps)
        like = next(self.parameters())
        if x_T is None:
            x_T = standard_normal_like(like.new_empty(n, *self.image_shape), generator)
        elif x_T.shape != (n, *self.image_shape):
            raise InputError(f"x_T has shape {list(x_T.shape)}; n = {n} images need {[n, *self.image_shape]}")
        if labels is not None:
            labels = self._known_labels(labels, n).to(like.device)
        done = 0

        def watch_and_count(s: int, x: Tensor, x0_hat: Tensor) -> None:
            nonlocal done
            done += 1
            if watch is not None:
                watch(s, x, x0_hat)
            if progress is not None:
                progress(done, len(even))

        predict = self.denoiser(labels, guidance)
        extra = {"sigma": "learned"} if self.config.learned_variance and sampler == "ddpm" else {}
        if eta is not None:
            if "eta" not in signature(walk).parameters:
                raise InputError(f"eta = {eta:g}: the sampler {sampler} has no choice of it; take ddim, dpm-solver or sde-dpm-solver")
            extra["eta"] = eta
        x = walk(self.schedule, predict, x_T, generator=generator, steps=even, watch=watch_and_count, **extra)
        return x.clamp(-1, 1)

    def steps_of(self, sampler: str, steps: int | None = None) -> int:
        """How many steps `sample` takes: those given, else T for ddpm and the sampler's own default for the others.

        Raises:
            InputError: for an unknown sampler, or steps outside 1..T.
        """
        if sampler not in SAMPLERS:
            raise InputError(f"unknown sampler {sampler!r}; choose one of {', '.join(SAMPLERS)}")
        T = self.schedule.T
        if steps is None:
            return min(SAMPLERS[sampler].steps or T, T)
        if not 1 <= steps <= T:
            raise InputError(f"steps = {steps}: choose a number between 1 and T = {T}")
        return steps

    def _known_labels(self, labels: Tensor, n: int) -> Tensor:
        if labels.shape != (n,) or labels.is_floating_point():
            raise InputError(f"labels of shape {list(labels.shape)} and type {labels.dtype}: give {n} whole numbers")
        if self.classes and not (0 <= labels.min() and labels.max() < self.classes):
            raise InputError(f"class {labels.max()} is unknown: this model knows 0 to {self.classes - 1}")
        return labels

    @torch.no_grad()
    def bound(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        progress: Progress | None = None,
    ) -> Bound:
        """The terms A, B_t and C of the bound in nats: Ho et al. (2020), equation 5.

        uint8 images [B, C, H, W], whose values are grey levels (256, or as configured); T network calls. The reverse steps are those of the sampler "ddpm".
        """
        sigma = "learned" if self.config.learned_variance else "posterior"
        return variational_bound(
            self.schedule,
            in_double(self.denoiser(labels), next(self.parameters()).dtype),
            level_value(to_levels(images, self.config.levels), self.config.levels).double(),
            generator=generator,
            sigma=sigma,
            decoder="grey levels",
            clip=True,
            levels=self.config.levels,
            progress=progress,
        )

    def bits_per_dim(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        progress: Progress | None = None,
    ) -> Tensor:
        """The bound A + sum of B_t + C in bits for each of the image's values, [B]; see `bound`."""
        return bits_per_dim(self.bound(images, labels, generator=generator, progress=progress).total, images)


def _guide(both: Tensor, guidance: float) -> Tensor:
    with_class, without = both.chunk(2)
    return without + guidance * (with_class - without)


def in_double(predict: Denoiser, dtype: torch.dtype) -> Denoiser:
    """The network computes in its own type, the bound in float64: its terms are small differences."""

    def predict_in_double(xt: Tensor, t: Tensor) -> Tensor | Prediction:
        out = predict(xt.to(dtype), t)
        return Prediction(*(part.double() for part in out)) if isinstance(out, Prediction) else out.double()

    return predict_in_double


def _check(config: DDPMConfig) -> None:
    checks.known(config, "schedule", SCHEDULES)
    checks.known(config, "target", get_args(Target))
    checks.known(config, "weighting", get_args(Weighting))
    if config.learned_variance and (config.target, config.weighting) != ("eps", "simple"):
        raise InputError("a learned variance goes with target eps and weighting simple")
    checks.below_one(config, "dropout", "label_dropout")
    checks.can_be_halved(config, len(config.multipliers) - 1, config.patch)
