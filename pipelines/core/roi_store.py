"""A category's region of interest as it is stored: a PNG, whose sha256 stands in params.yaml (pixels)."""

import hashlib

from fastflow.decode import NamedBytes, read_mask
from fastflow.errors import BadData
from fastflow.roi import Roi, roi_of
from pipelines.core.params import Params, Pixels
from pipelines.core.paths import roi_file


def stated_roi(params: Params, category: str) -> Roi | None:
    """The region that params.yaml states; None where it states none.

    Raises:
        BadData: the file is not there, or not the one that is stated.
    """
    stated, path = params.pixels.get(category, Pixels()).roi, roi_file(category)
    if stated is None:
        return None
    if not path.is_file():
        raise BadData(f"{path}, the region of interest, is not there; restore it, or fastflow roi {category} --remove")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != stated:
        raise BadData(
            f"{path} is not the region of interest that params.yaml states (pixels.{category}.roi); restore it, or to "
            f"take this one: fastflow roi {category} {path}"
        )
    return roi_of(read_mask(NamedBytes(content, str(path))))
