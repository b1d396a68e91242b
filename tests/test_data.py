"""Data sets: what a good file gives, and what a bad one says. Files are made here; nothing is downloaded."""

import gzip
import hashlib
import pickle
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from diffcourse import data
from diffcourse.data import TOYS, ImageData, load, toy_2d, toy_images, toy_points
from diffcourse.errors import InputError


def write_mnist(root: Path, n: int = 5) -> Path:
    """MNIST's four files with n random images each; returns their folder."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part in ("train", "t10k"):
        pixels = rng.integers(0, 256, n * 28 * 28, dtype=np.uint8).tobytes()
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, n, 28, 28) + pixels)
        labels = bytes(i % 10 for i in range(n))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, n) + labels)
    return folder


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-10's files with four images each, and torchvision told their checksums."""
    cifar10 = data.torchvision_datasets().CIFAR10
    folder = tmp_path / cifar10.base_folder
    folder.mkdir()

    def write(name: str, content: dict) -> list[str]:
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    batch = {"data": np.arange(4 * 3072, dtype=np.uint8).reshape(4, 3072), "labels": [0, 1, 2, 9]}
    train = [write(f"data_batch_{i}", batch) for i in range(1, 6)]
    names = write("batches.meta", {"label_names": list("abcdefghij")})
    monkeypatch.setattr(cifar10, "train_list", train)
    monkeypatch.setattr(cifar10, "test_list", [write("test_batch", batch)])
    monkeypatch.setattr(cifar10, "meta", {"filename": names[0], "key": "label_names", "md5": names[1]})
    return folder


def write_image(path: Path, size: tuple[int, int] = (6, 4), mode: str = "L", colour: object = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


# --- digits -----------------------------------------------------------------------------------------------------------


def test_digits_are_split_once_and_for_all():
    train, test = load("digits"), load("digits", "test")
    assert train.image_shape == (1, 8, 8) and len(train) + len(test) == 1797
    assert train.images.min() == 0 and train.images.max() == 255
    assert torch.equal(train.images, load("digits").images)
    for part in (train, test):
        assert part.classes == tuple("0123456789")
        shares = part.labels.bincount() / len(part)
        assert (shares - 0.1).abs().max() < 0.01  # stratified


def test_digits_keep_scikit_learns_grey_levels():
    from sklearn.datasets import load_digits

    both = torch.cat([load("digits").images, load("digits", "test").images]).flatten(1)
    levels = (both.float() * 16 / 255).round().to(torch.int64)
    theirs = torch.from_numpy(load_digits().data).to(torch.int64)
    assert sorted(levels.tolist()) == sorted(theirs.tolist())


def test_unknown_names_are_told_the_known_ones():
    with pytest.raises(InputError, match="unknown data set 'emnist'; choose digits, mnist, fashion, cifar10 or"):
        load("emnist")
    with pytest.raises(InputError, match="choose train or test"):
        load("digits", "validation")
    with pytest.raises(InputError, match="size of its own"):
        load("digits", size=16)


# --- torchvision ------------------------------------------------------------------------------------------------------


def test_mnist_from_files(tmp_path: Path):
    write_mnist(tmp_path)
    found = load("mnist", "test", root=tmp_path)
    assert found.images.shape == (5, 1, 28, 28) and found.labels.tolist() == [0, 1, 2, 3, 4]
    assert len(found.classes) == 10


def test_cifar10_from_files(cifar: Path):
    found = load("cifar10", root=cifar.parent)
    assert found.images.shape == (20, 3, 32, 32) and found.labels[:4].tolist() == [0, 1, 2, 9]
    assert found.images[0, 0, 0, :3].tolist() == [0, 1, 2]  # the file holds all of red first, row by row


def test_nothing_is_downloaded_unasked(tmp_path: Path):
    for source in ("mnist", "fashion", "cifar10"):
        with pytest.raises(InputError, match=f"{source} is missing or damaged .*--download"):
            load(source, root=tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("keep", [0, 3, 10, 100, -1])
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
def test_truncated_mnist_says_so(tmp_path: Path, file: str, keep: int):
    path = write_mnist(tmp_path, n=200) / file
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="mnist in .* is damaged.*--download"):
        load("mnist", root=tmp_path)


def test_mnist_with_fewer_labels_than_images_says_so(tmp_path: Path):
    labels = write_mnist(tmp_path) / "train-labels-idx1-ubyte"
    labels.write_bytes(struct.pack(">II", 0x801, 3) + bytes(3))
    with pytest.raises(InputError, match="5 images and 3 labels"):
        load("mnist", root=tmp_path)


def test_mnist_that_is_not_idx_at_all(tmp_path: Path):
    images = write_mnist(tmp_path) / "train-images-idx3-ubyte"
    images.write_bytes(gzip.compress(images.read_bytes()))
    with pytest.raises(InputError, match="damaged"):
        load("mnist", root=tmp_path)


def test_truncated_cifar10_says_so(cifar: Path):
    path = cifar / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="cifar10 is missing or damaged.*--download"):
        load("cifar10", root=cifar.parent)


def test_torchvision_that_is_not_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(InputError, match="pip install torchvision"):
        load("mnist")


# --- a folder of images -----------------------------------------------------------------------------------------------


def test_folder_with_classes(tmp_path: Path):
    write_image(tmp_path / "cat" / "a.png", colour=10)
    write_image(tmp_path / "cat" / "deep" / "b.png", colour=20)
    write_image(tmp_path / "dog" / "c.jpg", colour=30)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden.png").write_text("not an image")
    found = load(tmp_path)
    assert found.images.shape == (3, 1, 4, 6) and found.classes == ("cat", "dog") and found.labels.tolist() == [0, 0, 1]
    assert found.images[:2, 0, 0, 0].tolist() == [10, 20] and found.name == tmp_path.name


def test_loose_images_belong_to_the_folders_own_class(tmp_path: Path):
    write_image(tmp_path / "faces" / "a.png")
    assert load(tmp_path / "faces").classes == ("faces",)


def test_one_colour_image_makes_all_rgb(tmp_path: Path):
    write_image(tmp_path / "a.png", colour=7)
    write_image(tmp_path / "b.png", mode="RGB", colour=(1, 2, 3))
    assert load(tmp_path).images[:, :, 0, 0].tolist() == [[7, 7, 7], [1, 2, 3]]


def test_transparent_pixels_become_white(tmp_path: Path):
    write_image(tmp_path / "a.png", mode="LA", colour=(50, 0))
    write_image(tmp_path / "b.png", mode="L", colour=50)
    assert load(tmp_path).images[:, :, 0, 0].tolist() == [[255], [50]]


def test_odd_size_names_file_sizes_and_remedy(tmp_path: Path):
    write_image(tmp_path / "a.png")
    write_image(tmp_path / "b.png", size=(9, 7))
    with pytest.raises(InputError, match=r"b\.png' has 9x7 pixels, the images before it 6x4: .*--size 4"):
        load(tmp_path)
    assert load(tmp_path, size=4).images.shape == (2, 1, 4, 4)


def test_size_crops_the_centre(tmp_path: Path):
    picture = Image.new("L", (12, 4), 0)
    picture.paste(200, (4, 0, 8, 4))
    picture.save(tmp_path / "a.png")
    assert (load(tmp_path, size=4).images == 200).all()


@pytest.mark.parametrize("damage", ["empty", "cut", "text"])
def test_broken_image_is_named(tmp_path: Path, damage: str):
    for name in ("a", "b", "c"):
        Image.effect_noise((40, 40), 50).save(tmp_path / f"{name}.png")
    path = tmp_path / "b.png"
    path.write_bytes({"empty": b"", "cut": path.read_bytes()[:300], "text": b"hello"}[damage])
    with pytest.raises(InputError, match=r"b\.png' \(.*\): repair or remove the file") as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


def test_more_than_eight_bits_are_refused(tmp_path: Path):
    Image.fromarray(np.full((4, 4), 60_000, dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(InputError, match=r"deep\.png' has pixels of mode I.*not 8 bits"):
        load(tmp_path)


def test_folders_without_images_or_split(tmp_path: Path):
    with pytest.raises(InputError, match="no image in the folder"):
        load(tmp_path)
    with pytest.raises(InputError, match="no test split"):
        load(tmp_path, "test")
    with pytest.raises(InputError, match="size = 0"):
        load(tmp_path, size=0)


# --- tensors ----------------------------------------------------------------------------------------------------------


def test_from_float_is_the_inverse_of_scale():
    from diffcourse.families.base import scale

    images = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(ImageData.from_float(scale(images)).images, images)


@pytest.mark.parametrize(
    "value, message", [(float("nan"), "1 of 32"), (float("inf"), "1 of 32"), (1.5, "run from 0 to 1.5")]
)
def test_from_float_refuses_bad_values(value: float, message: str):
    images = torch.zeros(2, 1, 4, 4)
    images[1, 0, 2, 3] = value
    with pytest.raises(InputError, match=message):
        ImageData.from_float(images)


def test_image_data_checks_types_and_shapes():
    images, labels = torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)
    for wrong_images, wrong_labels in [
        (images.float(), labels),
        (images[:, 0], labels),
        (images.expand(2, 2, 4, 4), labels),
        (images[:0], labels[:0]),
        (images, labels[:1]),
        (images, labels.float()),
        (images, labels + 1),
        (images, labels - 1),
    ]:
        with pytest.raises(InputError):
            ImageData(wrong_images, wrong_labels, ("one",), "x")
    with pytest.raises(InputError, match="floats in"):
        ImageData.from_float(images)


# --- toys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", data.TOYS)
def test_toys_are_standardised_and_follow_the_generator(name: str):
    points = toy_2d(name, 20_000, torch.Generator().manual_seed(0))
    assert points.shape == (20_000, 2) and points.dtype == torch.float32
    assert points.mean(0).abs().max() < 0.05 and abs(points.var(0).mean() - 1) < 0.05
    assert torch.equal(points, toy_2d(name, 20_000, torch.Generator().manual_seed(0)))
    assert not torch.equal(points, toy_2d(name, 20_000, torch.Generator().manual_seed(1)))


def test_bad_toys():
    with pytest.raises(InputError, match="choose one of moons"):
        toy_2d("spiral", 3, torch.Generator())
    with pytest.raises(InputError, match="at least one point"):
        toy_2d("moons", 0, torch.Generator())


# Toys as images of two pixels


@pytest.mark.parametrize("name", TOYS)
def test_toy_images_are_the_points_to_half_a_cell(name: str) -> None:
    points = toy_2d(name, 500, torch.Generator().manual_seed(3))
    images = toy_images(name, 500, torch.Generator().manual_seed(3))
    assert images.images.shape == (500, 1, 1, 2) and images.image_shape == (1, 1, 2)
    inside = (points.abs() < 3).all(1)
    assert inside.float().mean() > 0.99
    assert (toy_points(images.images) - points)[inside].abs().max() <= 3 / 256 + 1e-6
