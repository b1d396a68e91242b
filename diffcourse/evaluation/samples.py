"""Three questions to samples: are they convincing, does every class appear, are they copies of the training images?

Every answer is a comparison with real images that the model has not seen, so that no number has to be believed alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from torch import Tensor

from diffcourse.data import ImageData
from diffcourse.errors import InputError
from diffcourse.evaluation.memorisation import as_bytes, check_shapes, memorisation


@dataclass(frozen=True)
class SampleReport:
    """What `evaluate` found. Print it."""

    n: int
    """How many samples were judged."""
    n_real: int
    """How many held-out real images they were compared with."""
    confidence: float
    """Mean probability that the classifier gives to the class it sees in a sample."""
    confidence_real: float
    """The same for held-out real images."""
    convincing: float
    """Share of samples of which the classifier is at least as sure as of all but the oddest 5 % of the real images;
    real images reach 0.95 by construction."""
    class_counts: dict[str, int]
    """How often each class was seen."""
    class_distance: float
    """Total variation distance between the shares of the classes in the samples and in the training set, 0 to 1."""
    nearest: float
    """Median distance from a sample to the nearest training image, as measured by `nearest_distance`."""
    nearest_real: float
    """The same for held-out real images."""
    copies: float
    """Share of samples nearer to a training image than all but the nearest 1 % of the real images; those reach 0.01."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The classes that no sample shows."""
        return tuple(name for name, count in self.class_counts.items() if count == 0)

    def __str__(self) -> str:
        counts = "  ".join(f"{name}: {count}" for name, count in self.class_counts.items())
        return (
            f"{self.n} samples against {self.n_real} held-out real images\n"
            f"convincing  {self.convincing:.3f} (real 0.950), mean confidence {self.confidence:.3f} "
            f"(real {self.confidence_real:.3f})\n"
            f"classes     {counts}\n"
            f"            missing: {', '.join(self.missing) or 'none'}, "
            f"distance from the training shares {self.class_distance:.3f}\n"
            f"copies      {self.copies:.3f} (real 0.010), median distance to the nearest training image "
            f"{self.nearest:.3f} (real {self.nearest_real:.3f})"
        )


def evaluate(samples: Tensor, train: ImageData, held_out: ImageData) -> SampleReport:
    """Judge samples by a classifier of the real images and by their distance to the training images.

    Args:
        samples: [N, C, H, W], uint8 or floats in [-1, 1].
        train: what the model was trained on; the classifier learns from it too.
        held_out: real images of the same kind that neither of them has seen.

    Raises:
        InputError: if the three do not have the same image shape, or samples are NaN or infinite.
    """
    samples = as_bytes(samples)
    check_shapes(samples, train.images, held_out.images)
    judge = fit_judge(train)
    seen = judge.predict_proba(_flat(samples))
    sure, sure_real = seen.max(1), judge.predict_proba(_flat(held_out.images)).max(1)
    counts = np.bincount(judge.classes_[seen.argmax(1)], minlength=len(train.classes))
    shares = np.bincount(train.labels.numpy(), minlength=len(train.classes)) / len(train)
    copied = memorisation(samples, train.images, held_out.images)
    return SampleReport(
        n=len(samples),
        n_real=len(held_out),
        confidence=float(sure.mean()),
        confidence_real=float(sure_real.mean()),
        convincing=float((sure >= np.quantile(sure_real, 0.05)).mean()),
        class_counts=dict(zip(train.classes, counts.tolist())),
        class_distance=float(np.abs(counts / len(samples) - shares).sum() / 2),
        nearest=copied.nearest,
        nearest_real=copied.nearest_real,
        copies=copied.copies,
    )


def fit_judge(train: ImageData, limit: int = 5_000) -> Pipeline:
    """A classifier of the real images that is unsure of what does not look like one of them.

    Logistic regression on a Gaussian kernel's features: far from every real image all features vanish, and the classes
    become equally likely. (A multilayer perceptron is quite sure of pure noise.) The kernel is half as wide as
    scikit-learn's "scale" for support vector machines. At most `limit` images are used.

    Raises:
        InputError: if the images belong to fewer than two classes.
    """
    step = -(-len(train) // limit)  # evenly spaced, since a folder's images come class by class
    x, y = _flat(train.images[::step]), train.labels[::step].numpy()
    if len(np.unique(y)) < 2:
        raise InputError(f"{train.name} has one class only: a classifier needs at least two")
    kernel = Nystroem(gamma=2 / (x.shape[1] * x.var()), n_components=min(1_000, len(x)), random_state=0)
    return make_pipeline(kernel, LogisticRegression(C=100, max_iter=1_000)).fit(x, y)


def _flat(images: Tensor) -> np.ndarray:
    return images.flatten(1).numpy() / 255
