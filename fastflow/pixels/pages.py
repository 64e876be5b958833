"""Files of several pages: which one of them is read."""

from PIL import Image

from fastflow.errors import BadImage
from fastflow.pixels.meaning import PixelRule


def turn_to(image: Image.Image, rule: PixelRule, name: object) -> None:
    """Seeks the page of an open image that `PixelRule.page` means.

    Raises:
        BadImage: it has several, and none is named; or not so many.
    """
    page = rule.page
    if image.format == "MPO" or (image.format != "TIFF" and getattr(image, "n_frames", 1) == 1):
        return  # an MPO is a JPEG with its preview behind it
    if page is None and has_page(image, 2):
        say = "say which one counts (--page N of fastflow init, or pixels in params.yaml), or " * (rule.version > 1)
        raise BadImage(f"{name}: holds several pages or frames; {say}save the one that is meant as a file")
    if page is not None and not has_page(image, page):
        raise BadImage(f"{name}: has no page {page}; restore the file, or name another page")


def has_page(image: Image.Image, page: int) -> bool:
    """Whether an open image has a page of this number, from 1; if so, it is turned to, but for the check of a second.

    Asked, not counted: Pillow takes time that grows with the square of a TIFF's pages to count them.
    """
    try:
        image.seek(page - 1)
    except EOFError:
        return False
    return True
