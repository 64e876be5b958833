"""Why does a picture get its verdict: which scale and which term, where, and which good picture is most like it?

Run as: fastflow explain bottle photograph.png --html why.html

What is usual, good test pictures say, which the model has not seen; where there are fewer than ten, good
training pictures do. Nothing is chosen here, and nothing written but the page that is asked for.
"""

import base64
import json
from datetime import date
from pathlib import Path
from typing import Any

from fastflow.errors import BadData
from fastflow.explain import Explanation
from fastflow.explain import explain as explain_image
from fastflow.files import file_sha256, write_text
from fastflow.regions import Region, find_regions
from pipelines.core.device import choose_device
from pipelines.core.params import Params
from pipelines.core.progress import progress
from pipelines.core.revision import project_version
from pipelines.core.stage import log
from pipelines.qualification.explain_page import render
from pipelines.registry.checkpoints import checkpoint_of, require_own
from pipelines.reporting.explain_words import sentences
from pipelines.reporting.pictures import webp_of
from pipelines.reporting.why import Compared, good_pictures, why


def explain(
    category: str, image: Path, params: Params, *, model: str | None = None, html: Path | None = None, as_json: bool
) -> None:
    """Prints why, and writes the page.

    Raises:
        BadData: the picture, or those of the index, cannot be used.
    """
    if not image.is_file():
        raise BadData(f"{image} is no file; name a photograph, such as one that was rejected")
    compared = compared_with(category, image, params)
    with checkpoint_of(model or category) as named:
        require_own(named.category, category, params.data.categories, model=model or category)
        detector = named.open().to(choose_device(params.device))
        with progress("good pictures compared", len(compared.good) + len(compared.normal), unit="image") as advance:
            found = explain_image(detector, image, good=compared.good, normal=compared.normal, on_images=advance)
        regions = find_regions(found.anomaly_map, found.shape, threshold=float(detector.threshold["pixel"]))
        if html:
            about = {"category": category, "model": named.version, "made on": date.today().isoformat()}
            page = render(found, regions, detector=detector, unseen=compared.unseen, about=about | project_version())
            write_text(html, page)
            log.info("see %s", html)
    if as_json:
        print(json.dumps(as_record(found, regions, unseen=compared.unseen), indent=2))
        return
    for text in sentences(found, unseen=compared.unseen):
        print(text)


def answer(category: str, image: Path, params: Params, *, model: str) -> dict[str, Any]:
    """What the server says of a photograph, JSON-able. Raises as `explain`."""
    compared = compared_with(category, image, params)
    with checkpoint_of(model) as named:
        require_own(named.category, category, params.data.categories, model=model)
        detector = named.open().to(choose_device(params.device))
        (found,) = why(detector, [image], compared)
    pictures = {name: base64.b64encode(webp_of(getattr(found, name))).decode() for name in ("place", "similar")}
    return {"model": named.version, "said": found.said, "nearest": Path(found.nearest).name} | pictures


def compared_with(category: str, image: Path, params: Params) -> Compared:
    """Good pictures but for the very same. Raises BadData where they are not those that were checked."""
    root, own = Path(params.data.root) / category, file_sha256(image)
    train, test = (good_pictures(category, split, root, without=own) for split in ("train", "test"))
    if not train:
        raise BadData(f"{category} has no other good training picture to compare with")
    return Compared.of(train, test)


def as_record(found: Explanation, regions: list[Region], *, unseen: bool) -> dict[str, Any]:
    """JSON-able: bits per dimension, pixels of the picture."""
    scales = [
        {name: list(value) if name == "patch" else value for name, value in scale._asdict().items()}
        | {f"normal_{name}": getattr(scale, f"normal_{name}")._asdict() for name in ("share", "latent", "log_det")}
        | {"excess": dict(zip(("share", "latent", "log_det"), scale.excess, strict=True))}
        for scale in found.scales
    ]
    boxes = [
        {name: getattr(region, name) for name in ("x", "y", "width", "height", "area", "peak")} for region in regions
    ]
    kept = {name: getattr(found, name) for name in ("image_path", "pred_score", "threshold", "pred_label")}
    return kept | {
        "scales": scales,
        "place": found.place._asdict(),
        "regions": boxes,
        "normal": {"images": found.num_normal, "unseen": unseen},
        "nearest": {"image_path": found.nearest, "distance": found.distance},
    }
