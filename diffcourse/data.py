"""Data sets: `load` gives images as one uint8 tensor in memory, `toy_2d` gives points in the plane.

Nothing is downloaded unless asked for. The digits come with scikit-learn and need neither a file nor a network.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from diffcourse.errors import InputError

Split = Literal["train", "test"]

TORCHVISION = {"mnist": "MNIST", "fashion": "FashionMNIST", "cifar10": "CIFAR10"}
SOURCES = ("digits", *TORCHVISION)
"""The data sets that `load` knows by name."""


@dataclass(frozen=True)
class ImageData:
    """Images with labels, all in memory.

    Args:
        images: uint8 [N, C, H, W], 0..255, with one or three channels.
        labels: int64 [N], each an index into `classes`.
        classes: the names of the classes.
        name: what the data set is called in logs and on model cards.

    Raises:
        InputError: if a type, a shape or a label is wrong, or there is no image.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8:
            raise InputError(f"images have type {self.images.dtype}: give uint8, or floats to ImageData.from_float")
        shape = list(self.images.shape)
        if len(shape) != 4 or shape[1] not in (1, 3):
            raise InputError(f"images have shape {shape}: give [N, C, H, W] with one or three channels")
        if 0 in shape:
            raise InputError(f"images have shape {shape}: give at least one image of at least one pixel")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise InputError(
                f"labels have type {self.labels.dtype} and shape {list(self.labels.shape)}: "
                f"give int64 [{len(self.images)}], one for each image"
            )
        if self.labels.min() < 0 or self.labels.max() >= len(self.classes):
            raise InputError(
                f"labels run from {self.labels.min()} to {self.labels.max()}: "
                f"they must be indices of the {len(self.classes)} classes"
            )

    @classmethod
    def from_float(
        cls, images: Tensor, labels: Tensor | None = None, classes: Sequence[str] = ("image",), name: str = "images"
    ) -> ImageData:
        """Images from floats in [-1, 1], [N, C, H, W]; without labels all belong to the one class "image".

        Raises:
            InputError: for integers, for NaN or infinity, and for values outside [-1, 1].
        """
        if not images.is_floating_point():
            raise InputError(f"images have type {images.dtype}: from_float takes floats in [-1, 1]")
        wrong = int((~images.isfinite()).sum())
        if wrong:
            raise InputError(f"{wrong} of {images.numel()} pixel values are NaN or infinite: clean the data first")
        if images.numel() and images.abs().max() > 1:
            raise InputError(f"pixel values run from {images.min():g} to {images.max():g}: scale them to [-1, 1] first")
        labels = torch.zeros(len(images), dtype=torch.int64) if labels is None else labels
        return cls(((images + 1) * 127.5).round().to(torch.uint8), labels, tuple(classes), name)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return tuple(self.images.shape[1:])


def load(
    source: str | Path,
    split: Split = "train",
    root: str | Path = "data",
    download: bool = False,
    size: int | None = None,
) -> ImageData:
    """A data set by name, or all images of a folder.

    Args:
        source: "digits" (1,797 handwritten digits of 8x8 pixels, from scikit-learn), "mnist", "fashion", "cifar10"
            (through torchvision), or the path of a folder. In a folder every image that Pillow can read counts,
            subfolders included; the first subfolder names the class. The data are grey if every image is, else RGB.
        split: "train" or "test". A folder has only "train".
        root: where torchvision's files lie or go.
        download: fetch missing files.
        size: for a folder: crop every image to the central square and resize it to size x size pixels.

    Raises:
        InputError: for an unknown name, missing or damaged files, or images of different sizes.
    """
    if split not in ("train", "test"):
        raise InputError(f"unknown split {split!r}; choose train or test")
    if source in SOURCES:
        if size is not None:
            raise InputError(f"size = {size} works on a folder of images; {source} has a size of its own")
        return _digits(split) if source == "digits" else _torchvision_set(str(source), split, Path(root), download)
    folder = Path(source)
    if not folder.is_dir():
        known = ", ".join(SOURCES)
        raise InputError(f"unknown data set {str(source)!r}; choose {known} or an existing folder of images")
    if split == "test":
        raise InputError(f"the folder {str(source)!r} has no test split; keep held-out images in another folder")
    return _folder(folder, size)


def _digits(split: Split) -> ImageData:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = torch.from_numpy(digits.images * 255 / 16).round().to(torch.uint8)[:, None]
    labels = torch.from_numpy(digits.target).long()
    # The same split for everybody and for ever: one quarter is held out, each class in its share.
    train, test = train_test_split(np.arange(len(labels)), test_size=0.25, random_state=0, stratify=digits.target)
    chosen = np.sort(train if split == "train" else test)
    return ImageData(images[chosen], labels[chosen], tuple("0123456789"), "digits")


_operators: list[torch.library.Library] = []  # kept alive: a library's declarations vanish with it


def torchvision_datasets() -> ModuleType:
    """`torchvision.datasets`, also beside a torch that cannot load torchvision's compiled operators.

    torchvision's wheels are linked against CUDA. Beside a CPU-only torch its C++ operators do not load, and the import
    fails with "operator torchvision::nms does not exist". Data sets need none of them, so declaring the two names that
    the import looks up is enough. Every use of torchvision in the package comes through here.
    """
    try:
        from torchvision import datasets
    except ImportError:
        raise InputError("this data set needs torchvision, which is not installed: pip install torchvision") from None
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _operators.append(library)
        from torchvision import datasets
    return datasets


def _torchvision_set(source: str, split: Split, root: Path, download: bool) -> ImageData:
    dataset = getattr(torchvision_datasets(), TORCHVISION[source])
    remedy = f"delete its folder under {str(root)!r} and fetch it anew with --download (download=True)"
    try:
        # torchvision verifies the checksum of what it downloads, and CIFAR-10's at every load.
        found = dataset(root, train=split == "train", download=download)
    except OSError as error:
        if download:
            raise InputError(
                f"cannot download {source} into {str(root)!r} ({error}): check the network and the disk"
            ) from None
        raise InputError(f"cannot read {source} in {str(root)!r} ({error}): {remedy}") from None
    except (RuntimeError, ValueError, AssertionError, LookupError, EOFError, pickle.UnpicklingError) as error:
        if "not found" in str(error):  # said of missing files, and of CIFAR-10's with a wrong checksum
            raise InputError(
                f"{source} is missing or damaged in {str(root)!r}: fetch it with --download (download=True), "
                "or point --root (root=) at its folder"
            ) from None
        raise InputError(f"{source} in {str(root)!r} is damaged, its files may be cut short: {remedy}") from None
    images = torch.as_tensor(found.data)
    images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()
    labels = torch.as_tensor(found.targets, dtype=torch.int64)
    if len(images) != len(labels):
        raise InputError(f"{source} in {str(root)!r} has {len(images)} images and {len(labels)} labels: {remedy}")
    return ImageData(images, labels, tuple(found.classes), source)


def _folder(folder: Path, size: int | None) -> ImageData:
    from PIL import Image

    if size is not None and size < 1:
        raise InputError(f"size = {size}: give at least one pixel")
    readable = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in readable and not path.name.startswith(".") and path.is_file()
    )
    if not paths:
        raise InputError(f"no image in the folder {str(folder)!r}: put PNG or JPEG files there, a subfolder per class")
    pictures = []
    for path in tqdm(paths, desc="reading images", leave=False, delay=2):
        picture = _picture(path, size)
        if pictures and picture.size != pictures[0].size:
            width, height = pictures[0].size
            raise InputError(
                f"{str(path)!r} has {picture.width}x{picture.height} pixels, the images before it {width}x{height}: "
                f"crop and resize all with --size {min(width, height)} (size=)"
            )
        pictures.append(picture)
    mode = "L" if all(picture.mode == "L" for picture in pictures) else "RGB"
    images = torch.from_numpy(np.stack([np.asarray(picture.convert(mode)) for picture in pictures]))
    images = images[:, None] if mode == "L" else images.permute(0, 3, 1, 2).contiguous()
    # An image outside every subfolder belongs to the class that bears the folder's own name.
    kinds = [path.relative_to(folder).parts[0] if path.parent != folder else folder.resolve().name for path in paths]
    classes = tuple(sorted(set(kinds)))
    return ImageData(images, torch.tensor([classes.index(kind) for kind in kinds]), classes, folder.resolve().name)


def _picture(path: Path, size: int | None):
    """One file as a Pillow image in mode L or RGB: turned upright, transparent pixels white, resized where asked."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file)
            picture.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow names the path in some messages and not in others.
        reason = "it is cut short or no image" if "identify" in str(error) else error
        raise InputError(f"cannot read the image {str(path)!r} ({reason}): repair or remove the file") from None
    if picture.mode.startswith(("I", "F")):
        raise InputError(f"{str(path)!r} has pixels of mode {picture.mode}, not 8 bits: save it as 8-bit grey or RGB")
    mode = "L" if picture.mode in ("1", "L", "LA") else "RGB"
    if picture.has_transparency_data:
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
    picture = picture.convert(mode)
    return picture if size is None else ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)


def toy_2d(name: str, n: int, generator: torch.Generator) -> Tensor:
    """n points of a toy distribution in the plane, float32 [n, 2], centred and of about unit variance.

    Args:
        name: "moons", "swiss_roll", "checkerboard" or "eight_gaussians".

    Raises:
        InputError: for an unknown name or n < 1.
    """
    if name not in TOYS:
        raise InputError(f"unknown toy {name!r}; choose one of {', '.join(TOYS)}")
    if n < 1:
        raise InputError(f"n = {n}: ask for at least one point")
    return TOYS[name](n, generator)


PLANE = 3.0
"""Toys lie in the square from -PLANE to PLANE."""


def toy_images(name: str, n: int, generator: torch.Generator) -> ImageData:
    """n points of a toy as images of two pixels, [n, 1, 1, 2]: what every family of models can be trained on.

    The square from -3 to 3 is cut into 256 x 256 cells, and a point's two pixels are the numbers of its cell; the few points
    outside go to the border. So a probability can be summed over all 65,536 images that there are.

    Raises:
        InputError: as `toy_2d`.
    """
    cells = ((toy_2d(name, n, generator) + PLANE) / (2 * PLANE) * 256).floor().clamp(0, 255).to(torch.uint8)
    return ImageData(cells[:, None, None], torch.zeros(n, dtype=torch.int64), (name,), name)


def toy_points(images: Tensor) -> Tensor:
    """The centres of the cells that images of two pixels name, float32 [N, 2]; near inverse of `toy_images`."""
    return (images.flatten(1).float() + 0.5) / 256 * (2 * PLANE) - PLANE


def _moons(n: int, generator: torch.Generator) -> Tensor:
    from sklearn.datasets import make_moons

    points, _ = make_moons(n, noise=0.06, random_state=_seed(generator))
    return ((torch.from_numpy(points) - torch.tensor([0.5, 0.25])) / 0.71).float()


def _swiss_roll(n: int, generator: torch.Generator) -> Tensor:
    from sklearn.datasets import make_swiss_roll

    points, _ = make_swiss_roll(n, noise=0.3, random_state=_seed(generator))
    return ((torch.from_numpy(points[:, [0, 2]]) - torch.tensor([2.1, 0.1])) / 6.8).float()


def _checkerboard(n: int, generator: torch.Generator) -> Tensor:
    """The dark fields of a 4 x 4 board of side 3.46, which makes a uniform coordinate's variance one."""
    column = torch.randint(4, (n,), generator=generator)
    row = 2 * torch.randint(2, (n,), generator=generator) + column % 2
    corner = torch.stack([column, row], 1)
    return (corner + torch.rand(n, 2, generator=generator) - 2) * 12**0.5 / 4


RING_SPREAD = 0.1
"""Standard deviation of each bell of "eight_gaussians", in either direction."""


def ring_centres() -> Tensor:
    """Where the bells of "eight_gaussians" stand: [8, 2], on a circle of radius 1.4."""
    angle = torch.arange(8) * torch.pi / 4
    return 1.4 * torch.stack([angle.cos(), angle.sin()], 1)


def _eight_gaussians(n: int, generator: torch.Generator) -> Tensor:
    """Eight narrow bells on a circle."""
    which = torch.randint(8, (n,), generator=generator)
    return ring_centres()[which] + RING_SPREAD * torch.randn(n, 2, generator=generator)


def _seed(generator: torch.Generator) -> int:
    """A seed for scikit-learn, drawn from torch's generator."""
    return int(torch.randint(2**31 - 1, (1,), generator=generator))


TOYS = {
    "moons": _moons,
    "swiss_roll": _swiss_roll,
    "checkerboard": _checkerboard,
    "eight_gaussians": _eight_gaussians,
}
