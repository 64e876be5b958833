"""A JPEG's luminance alone, reduced while it is decoded: at half of the time, for whoever needs no more of it."""

from PIL import ExifTags, Image

REDUCED_FROM = "reduced_from"  # of the image's info: its mode, and its size (width, height)


def draft_luminance(image: Image.Image, least: int) -> None:
    """Has a JPEG that is opened, but not loaded, come as luminance, reduced by 2, 4 or 8 where no side falls below
    `least` pixels. Other files, and those that are shown turned, come as they are."""
    upright = image.getexif().get(ExifTags.Base.Orientation, 1) == 1
    if image.format == "JPEG" and image.mode in ("RGB", "L") and upright:
        image.info[REDUCED_FROM] = image.mode, image.size
        image.draft("L", (least, least))


def in_file(image: Image.Image) -> tuple[str, tuple[int, int]]:
    """The mode and the size (height, width) that an image has without that."""
    mode, (width, height) = image.info.get(REDUCED_FROM, (image.mode, image.size))
    return mode, (height, width)
