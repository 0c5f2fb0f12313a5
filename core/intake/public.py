"""The data sets of torchvision that can be had by name: what there is to say of them before anything is downloaded.

Files and checksums are those of torchvision's own classes, in a table of our own: a test compares them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublicFile:
    """A file of a data set: its address, its MD5, and the folder that torchvision looks for it in, below its root.

    An archive is unpacked beside itself.
    """

    url: str
    md5: str
    folder: str = ""

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.url.rpartition("/")[2]

    @property
    def is_archive(self) -> bool:
        """Whether it is to be unpacked."""
        return self.name.endswith((".zip", ".gz", ".tgz"))


@dataclass(frozen=True)
class PublicSet:
    """One data set. `name` is torchvision's class; `pictures` and `megabytes` (10⁶ bytes) are of all splits.

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
    files: tuple[PublicFile, ...]


_OXFORD = "https://www.robots.ox.ac.uk/~vgg/data/"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
PUBLIC_SETS: dict[str, PublicSet] = {
    public.name: public
    for public in (
        PublicSet(
            name="CIFAR10",
            title="CIFAR-10",
            about="Vehicles and animals, 32 × 32 pixels",
            classes=10,
            pictures=60_000,
            megabytes=170,
            licence="none stated",
            source="https://www.cs.toronto.edu/~kriz/cifar.html",
            files=(
                PublicFile(
                    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"
                ),
            ),
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
            files=tuple(
                PublicFile(f"{_FASHION}{name}.gz", md5, "FashionMNIST/raw")
                for name, md5 in (
                    ("train-images-idx3-ubyte", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
                    ("train-labels-idx1-ubyte", "25c81989df183df01b3e8a0aad5dffbe"),
                    ("t10k-images-idx3-ubyte", "bef4ecab320f06d8554ea6380940ec79"),
                    ("t10k-labels-idx1-ubyte", "bb300cfdad3c16e7a12a480ee83cd310"),
                )
            ),
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
            files=(
                PublicFile(f"{_OXFORD}flowers/102/102flowers.tgz", "52808999861908f626f3c1f4e79d11fa", "flowers-102"),
                PublicFile(f"{_OXFORD}flowers/102/imagelabels.mat", "e0620be6f572b9609742df49c70aed4d", "flowers-102"),
                PublicFile(f"{_OXFORD}flowers/102/setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c", "flowers-102"),
            ),
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
            files=(
                PublicFile(f"{_OXFORD}pets/data/images.tar.gz", "5c4f3ee8e5d25df40f4fd59a7f44e54c", "oxford-iiit-pet"),
                PublicFile(
                    f"{_OXFORD}pets/data/annotations.tar.gz", "95a8c909bbe2e81eed6a22bccdf3f68f", "oxford-iiit-pet"
                ),
            ),
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
            files=(
                PublicFile(
                    "https://huggingface.co/datasets/torchgeo/eurosat/resolve/"
                    "c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip",
                    "c8fa014336c82ac7804f0398fcb19387",
                    "eurosat",
                ),
            ),
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
            files=(
                PublicFile("http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz", "85eeb15f3717b99a5da872d97d918f87"),
            ),
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
            files=(PublicFile(f"{_OXFORD}dtd/download/dtd-r1.0.1.tar.gz", "fff73e5086ae6bdbea199a49dfb8a4c1", "dtd"),),
        ),
    )
}
"""By torchvision's name."""
