"""What a server waits for before it is ready: today's check of master parts, where params.yaml requires it."""

from collections.abc import Mapping

from fastflow.detector import Detector
from pipelines.core.params import PARAMS_FILE, Masters, read_params
from pipelines.core.stage import log
from pipelines.qualification.masters_record import why_not_ready


def required_checks(detectors: Mapping[str, Detector]) -> dict[str, Masters]:
    """The rules of those categories that params.yaml, where this folder has one, requires a check of; logs which lack
    it now.

    Raises:
        ValueError: a params.yaml that cannot be used.
    """
    stated = read_params().masters if PARAMS_FILE.is_file() else {}
    required = {
        category: stated[category] for category in detectors if category in stated and stated[category].required
    }
    for category, why in not_checked(detectors, required).items():
        log.warning("%s: not ready: %s", category, why)
    return required


def not_checked(detectors: Mapping[str, Detector], masters: Mapping[str, Masters]) -> dict[str, str]:
    """Why each category may not judge parts now; those that may are left out."""
    found = {}
    for category, rule in masters.items():
        detector = detectors[category]
        threshold = float(detector.threshold["image"])
        if why := why_not_ready(category, rule, model=detector.version, threshold=threshold):
            found[category] = why
    return found
