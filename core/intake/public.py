"""The data sets of torchvision that can be had by name: what there is to say of them before anything is downloaded."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublicSet:
    """One data set. `name` is torchvision's class; `pictures` counts all parts; `megabytes` (10⁶ bytes) are downloaded.

    `licence` is what the publisher says at `source`, an address for people.
    """

    name: str
    title: str
    about: str
    classes: int
    pictures: int
    megabytes: int
    licence: str
    source: str


PUBLIC_SETS: dict[str, PublicSet] = {
    known.name: known
    for known in (
        PublicSet(
            name="CIFAR10",
            title="CIFAR-10",
            about="Vehicles and animals, 32 × 32 pixels",
            classes=10,
            pictures=60_000,
            megabytes=170,
            licence="none stated",
            source="https://www.cs.toronto.edu/~kriz/cifar.html",
        ),
        PublicSet(
            name="FashionMNIST",
            title="Fashion-MNIST",
            about="Clothes, shoes and bags in grey, 28 × 28 pixels",
            classes=10,
            pictures=70_000,
            megabytes=31,
            licence="MIT",
            source="https://github.com/zalandoresearch/fashion-mnist",
        ),
        PublicSet(
            name="Flowers102",
            title="Oxford Flowers 102",
            about="Photos of flowers that are common in the United Kingdom",
            classes=102,
            pictures=8_189,
            megabytes=345,
            licence="none stated",
            source="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
        ),
        PublicSet(
            name="OxfordIIITPet",
            title="Oxford-IIIT Pet",
            about="Photos of cats and dogs of 37 breeds",
            classes=37,
            pictures=7_349,
            megabytes=811,
            licence="CC BY-SA 4.0",
            source="https://www.robots.ox.ac.uk/~vgg/data/pets/",
        ),
        PublicSet(
            name="EuroSAT",
            title="EuroSAT",
            about="Land as the satellite Sentinel-2 sees it, 64 × 64 pixels",
            classes=10,
            pictures=27_000,
            megabytes=94,
            licence="MIT",
            source="https://github.com/phelber/EuroSAT",
        ),
        PublicSet(
            name="Food101",
            title="Food-101",
            about="Photos of dishes; some of those to train on are labelled wrongly",
            classes=101,
            pictures=101_000,
            megabytes=4_996,
            licence="scientific fair use; the pictures belong to their owners",
            source="https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
        ),
        PublicSet(
            name="DTD",
            title="Describable Textures",
            about="Photos of textures: banded, dotted, woven, wrinkled",
            classes=47,
            pictures=5_640,
            megabytes=625,
            licence="for research",
            source="https://www.robots.ox.ac.uk/~vgg/data/dtd/",
        ),
    )
}
"""By torchvision's name."""
