"""What of a category's anomaly maps is reported as a region: what params.yaml states, or a command's options."""

from fastflow.regions import RegionRule, check_rule
from pipelines.core.params import PARAMS_FILE, Params, Regions, read_params


def stated_regions(params: Params, category: str) -> RegionRule:
    """That of params.yaml, section regions; every region, in pixels, where it says nothing of the category."""
    stated = params.regions.get(category, Regions())
    return RegionRule(stated.min_area, stated.mm_per_pixel)


def region_rule(category: str, *, min_area: int | None = None, mm_per_pixel: float | None = None) -> RegionRule:
    """What is asked for; of the rest, what params.yaml states where this folder has one.

    Raises:
        ValueError: an area or a scale that is none, or a params.yaml that cannot be used.
    """
    rule = stated_regions(read_params(), category) if PARAMS_FILE.is_file() else RegionRule()
    if min_area is not None:
        rule = rule._replace(min_area=min_area)
    if mm_per_pixel is not None:
        rule = rule._replace(mm_per_pixel=mm_per_pixel)
    return check_rule(rule)
