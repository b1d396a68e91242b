"""What a picture shows, in a few numbers: the features that the Frechet distance and precision and recall compare.

A small classifier was trained on the real images of a data set and then fixed for ever; the last numbers from which it
reads the class are its features. It had to redraw the image from them as well, so that they tell more than the class. Features
of another classifier give other distances, so quote their name with every figure.

Weights ship for the digits and for MNIST, each with a card (data, seed, steps, hardware, accuracy, command):
`python tools/train_features.py digits` made them. The same command makes those of Fashion-MNIST, which do not ship.
For photographs the field uses the Inception network; `InceptionFeatures` takes its weights from a file of yours.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from torch import Tensor, nn

from diffcourse.data import torchvision_datasets
from diffcourse.errors import InputError
from diffcourse.families.base import Progress, scale, unscale

FOLDER = Path(__file__).parent

FeatureExtractor = Callable[[Tensor], Tensor]
"""uint8 images [B, C, H, W] -> features [B, D]."""


class FeatureNet(nn.Module):
    """A classifier of small grey images that tells its features: three convolutions and two linear layers.

    Each feature has mean 0 and variance 1 over the training images (a batch normalisation without weights sees to it), so
    that the squared distance of a typical image from the mean image is the number of features.

    Args:
        image_shape: (C, H, W) of the images.
        classes: how many classes it tells apart.
        features: D, how many features it has.
    """

    def __init__(self, image_shape: tuple[int, int, int], classes: int = 10, features: int = 64) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.body = nn.Sequential(
            *_convolution(image_shape[0], 32, stride=1),
            *_convolution(32, 64, stride=2),
            *_convolution(64, 96, stride=2),
            nn.AdaptiveAvgPool2d(2),  # the quarters of the image, whatever its size
            nn.Flatten(),
            nn.Linear(4 * 96, features),
            nn.BatchNorm1d(features, affine=False),
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(features, classes))

    def forward(self, images: Tensor) -> Tensor:
        """Features, float [B, D], of uint8 images [B, C, H, W].

        Raises:
            InputError: for images of another shape or type.
        """
        if images.dtype != torch.uint8 or tuple(images.shape[1:]) != self.image_shape:
            raise InputError(
                f"images of type {images.dtype} and shape {list(images.shape[1:])}: these features are for uint8 images "
                f"of shape {list(self.image_shape)}"
            )
        return self.body(scale(images))

    def classify(self, images: Tensor) -> Tensor:
        """The logits of the classes, float [B, classes], of uint8 images [B, C, H, W]."""
        return self.head(self(images))


def _convolution(before: int, after: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]


def names() -> list[str]:
    """The data sets whose features come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def card(name: str) -> dict:
    """How the features of a data set were made, and how well their classifier does.

    Raises:
        InputError: if there are none for this data set.
    """
    if name not in names():
        raise InputError(
            f"no features come along for {name!r}, only for {', '.join(names())}: "
            "give Inception's weights (InceptionFeatures, --inception FILE)"
        )
    return json.loads((FOLDER / f"{name}.json").read_text())


def load(name: str, device: str | torch.device = "cpu") -> FeatureNet:
    """The fixed classifier of a data set, "digits" or "mnist", in eval mode.

    Raises:
        InputError: if there is none for this data set, or its files are damaged.
    """
    description = card(name)
    content = (FOLDER / f"{name}.safetensors").read_bytes()
    try:
        if hashlib.sha256(content).hexdigest() != description["sha256"]:
            raise SafetensorError
        tensors = read_tensors(content)
    except SafetensorError:
        raise InputError(f"the features {name!r} do not match their card: install diffcourse anew") from None
    net = FeatureNet(**description["model"])
    net.load_state_dict(tensors)
    return net.to(device).eval().requires_grad_(False)


class InceptionFeatures(nn.Module):
    """The 2048 features of the Inception network that the field's "FID" is computed from, for grey and colour images.

    The network and its way to resize images are torch-fidelity's, which agree with Heusel et al.'s (2017) original;
    torchmetrics uses the same. The weights are a file of yours; nothing is downloaded.

    Args:
        path: torch-fidelity's weights file, weights-inception-2015-12-05-6726825d.pth.

    Raises:
        InputError: if torch-fidelity or the file is missing, or the file is something else.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        if not Path(path).is_file():
            raise InputError(f"there is no file {str(path)!r}: give the Inception weights that torch-fidelity publishes")
        torchvision_datasets()  # torch-fidelity imports torchvision, which needs this beside a CPU-only torch
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError:
            raise InputError("Inception features need torch-fidelity: pip install torch-fidelity") from None
        try:
            torch.load(path, map_location="cpu", weights_only=True)  # torch-fidelity itself would run code in the file
            self.net = FeatureExtractorInceptionV3("", ["2048"], feature_extractor_weights_path=str(path))
        except (OSError, RuntimeError, ValueError, TypeError, EOFError, LookupError, AttributeError, pickle.UnpicklingError):
            raise InputError(f"{str(path)!r} does not hold torch-fidelity's Inception weights: fetch them anew") from None

    def forward(self, images: Tensor) -> Tensor:
        """Features, float [B, 2048], of uint8 images [B, C, H, W] with one or three channels."""
        return self.net(images.expand(-1, 3, -1, -1))[0]


@torch.no_grad()
def extract(extractor: FeatureExtractor, images: Tensor, batch: int = 250, progress: Progress | None = None) -> Tensor:
    """The features of all images, float64 [N, D] on the CPU, computed a batch at a time.

    Args:
        extractor: `load("digits")`, `InceptionFeatures(path)` or any function of yours from a batch to its features.
        images: [N, C, H, W], uint8 or floats in [-1, 1].
        progress: called after each batch with (images done, images in all).

    Raises:
        InputError: for no images, NaN, or images that the extractor does not take.
    """
    if len(images) == 0:
        raise InputError("there are no images to take features of: give at least one")
    if images.is_floating_point():
        if not images.isfinite().all():
            raise InputError("the images contain NaN or infinity: the model that made them is broken")
        images = unscale(images)
    weights = next(extractor.parameters(), images) if isinstance(extractor, nn.Module) else images
    done, found = 0, []
    for part in images.split(batch):
        found.append(extractor(part.to(weights.device)).double().cpu())
        done += len(part)
        if progress is not None:
            progress(done, len(images))
    return torch.cat(found)
