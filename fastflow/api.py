"""The library in a few lines, for notebooks and other programs.

    from fastflow.api import arrange, evaluate, fit, predict

    arrange("photos", "bottle", good="ok/**", defects="ng/*/**", masks="*_gt.png")
    detector = fit("bottle/train/good")              # or files, arrays uint8 (H, W, 3), Pillow's images
    found = predict(detector, "bottle/test")         # the same
    found.plot()
    found.to_frame().sort_values("pred_score")
    found.region_table.query("area > 20")
    evaluate(detector, "bottle")["image_auroc"]
    detector.save("bottle.model")
    load("bottle.model")                             # or an export, or models:/fastflow-bottle@champion

The same training, score and threshold as the pipeline's, without its resuming, tracking and registry. For the
tensors, take `detector.model`, a `fastflow.model.FastFlow`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from fastflow.allowed import check, or_null, whole
from fastflow.bar import bar
from fastflow.detector import Detector
from fastflow.errors import BadData
from fastflow.evaluation import measure, score_images
from fastflow.explain import Explanation
from fastflow.explain import explain as explain_image
from fastflow.fit import Hooks, Progress
from fastflow.fit import fit as fit_features
from fastflow.folder import arrange as arrange_folder
from fastflow.found import Found, region_table
from fastflow.index import list_category
from fastflow.inputs import Images, One, contents_of, good_sources_of, sources_of
from fastflow.load import load
from fastflow.maps import OwnMaps
from fastflow.marks import MaskRule
from fastflow.metrics.rates import error_rates
from fastflow.mirror import mirrored_features
from fastflow.model import build_model
from fastflow.noise import AUTO
from fastflow.operating import operating_point
from fastflow.presets import DEFAULT
from fastflow.regions import RegionRule, check_rule, find_regions
from fastflow.sizes import config_for
from fastflow.sources import Sources
from fastflow.tiled import training_samples
from fastflow.train import MIN_STEPS, Epoch, epochs_for
from fastflow.trained import TrainedDetector
from fastflow.weights import IMAGENET

__all__ = ["Found", "arrange", "evaluate", "explain", "fit", "load", "predict"]
Globs = str | Sequence[str]
BATCH_SIZE = 16  # of inference: it changes no result
MOST_EPOCHS = 1_000_000
TRAINING_DEFAULTS: dict[str, Any] = {  # as params.yaml has it
    "batch_size": 8,
    "learning_rate": 0.004,
    "weight_decay": 0.0,
    "noise": AUTO,
    "precision": "auto",
}


def arrange(
    folder: str | Path,
    to: str | Path,
    *,
    good: Globs,
    defects: Globs = (),
    masks: Globs = (),
    test_good: Globs = (),
    ignore: Globs = (),
    masks_inverted: bool = False,
    mask_values: Globs = (),
    ignore_value: str | None = None,
    test_fraction: float = 0.2,
    page: int | None = None,
) -> Path:
    """Copies your own folder to a new one in MVTec AD's layout: `evaluate` takes it, and `fit` its train/good.

    The globs say what each image is (`fastflow.sources`); a mask belongs to the image of its stem (`fastflow.pairing`).
    Where no `test_good` are named, `test_fraction` of the good ones are set apart. `mask_values` are numbers or #rrggbb
    that mean defect, `ignore_value` one that is kept out of the evaluation (`fastflow.marks`).
    `page`: of images of several pages the one that counts; `fit` then needs it, too.

    Raises:
        BadData: a glob names nothing, an image is named by none, a mask belongs to no image or to several.
        FileExistsError: `to` is there already.
    """
    said = Sources(*map(_globs, (good, test_good, defects, masks, ignore)))
    rule = MaskRule(masks_inverted, _globs(mask_values), ignore_value)
    arrange_folder(Path(folder), Path(to), said, rule, test_fraction=test_fraction, page=page)
    return Path(to)


def _globs(globs: Globs) -> tuple[str, ...]:
    return (globs,) if isinstance(globs, str) else tuple(globs)


def fit(
    images: Images,
    *,
    backbone: str = DEFAULT,
    weights: str = IMAGENET,
    epochs: int | None = None,
    false_reject_rate: float = 0.01,
    folds: int | None = 2,
    seed: int = 0,
    device: str | torch.device = "cpu",
    on_epoch: Callable[[Epoch, int], None] = lambda epoch, fold: None,
    progress: bool | None = None,
    **config: Any,
) -> TrainedDetector:
    """Learns the appearance of good parts (FastFlow, section 3).

    `images`: good ones alone: a folder, files, or pictures in memory (`fastflow.inputs.Images`). `backbone`: a preset
    (`fastflow.presets`); `config`: image_size and image_area (`fastflow.sizes.config_for`; by default the images' own
    shape), tiles (`fastflow.tiles.TileSettings`, for small defects), value_range (black and white of files deeper than
    8 bits; by default what the images need), page, any field of `fastflow.config.FastFlowConfig`. `weights`: imagenet,
    random, or a .safetensors file.
    `epochs`: None is as many as the pipeline takes. `folds`: models that score the images they have not seen, for a
    threshold at `false_reject_rate` (0..1, of good images); None: the model's own scores, which promise nothing.
    `on_epoch` is called after each epoch with it and 0 for the model, 1 and so on for those of the folds, before it.
    `progress`: a bar; by default in a notebook alone.
    `device`: for a GPU, call `fastflow.precision.exact_float32()` first; its scores are then those of a CPU.

    Raises:
        ValueError: fewer than 2 images, or than 2 that differ; settings that do not fit, epochs below 1 among them.
        BadData: no image; or a folder that holds tests, defects or masks, too.
        BadImage: a picture that cannot be decoded, or is none of `Images`.
    """
    check("fit", "epochs", epochs, or_null(whole(1, MOST_EPOCHS)))
    sources = good_sources_of(images)
    if len(sources) < 2:
        raise ValueError(f"{len(sources)} images are too few to learn from; at least 2 are needed")
    model = build_model(config_for(sources, backbone, **config), weights=weights, seed=seed).to(device)
    samples = training_samples(model, sources, seed=seed, batch_size=BATCH_SIZE)
    mirrored = None if samples.tiled else mirrored_features(model, sources, batch_size=BATCH_SIZE)
    settings = _length(len(samples.features[0]), epochs) | TRAINING_DEFAULTS | {"folds": folds, "seed": seed}
    settings |= {"inference_batch": BATCH_SIZE, "contents": contents_of(sources), "mirrored": mirrored}
    with bar("training", shown=progress) as advance:

        def report(found: Progress) -> None:
            advance(found.seconds, found.seconds + found.seconds_left)
            on_epoch(found.epoch, found.fold)

        fitted = fit_features(model, samples.features, tiled=samples.tiled, hooks=Hooks(on_epoch=report), **settings)
    point = operating_point(fitted.normal, false_reject_rate=false_reject_rate, bounds=model.rule.bounds)
    return TrainedDetector(model=model, threshold=point)


def _length(count: int, epochs: int | None) -> dict[str, Any]:
    """Of a training on so many samples: `epochs`, or as long as the pipeline's."""
    if epochs is not None:
        return {"epochs": epochs, "min_steps": 0}
    return {"epochs": epochs_for(count, batch_size=TRAINING_DEFAULTS["batch_size"]), "min_steps": MIN_STEPS}


def predict(
    detector: Detector,
    images: Images,
    *,
    min_area: int = 0,
    mm_per_pixel: float | None = None,
    progress: bool | None = None,
) -> Found:
    """Scores, maps and regions of photographs: a folder, files, or pictures in memory (`fastflow.inputs.Images`).
    `min_area`: regions of fewer pixels are left out; `mm_per_pixel`: of the photographs, where it is known;
    `progress`: a bar; by default in a notebook alone.

    Raises:
        BadImage: a picture that cannot be decoded, or is none of `Images`. NotFinite: a score that is no number.
        ValueError: an area or a scale that is none.
    """
    rule, sources, done = check_rule(RegionRule(min_area, mm_per_pixel)), sources_of(images), 0
    with bar("scoring", shown=progress) as advance:

        def report(count: int) -> None:
            nonlocal done
            done += count
            advance(done, len(sources))

        found = score_images(detector, sources, batch_size=BATCH_SIZE, on_images=report)
    names = list(map(str, sources))
    label = (~(found.pred_score <= detector.threshold["image"])).astype(int)  # a threshold may have become NaN since
    table = pd.DataFrame({"image_path": names, "pred_score": found.pred_score, "pred_label": label})
    pixel = float(detector.threshold["pixel"])
    regions = [
        find_regions(one, shape, threshold=pixel, min_area=rule.min_area)
        for one, shape in zip(found.anomaly_maps, found.shapes, strict=True)
    ]
    return Found(
        table=table,
        anomaly_maps=OwnMaps(found.anomaly_maps, found.shapes),
        regions=regions,
        region_table=region_table(names, regions, rule),
        threshold=detector.threshold,
        sources=sources,
        rule=detector.frame.rule,
    )


def explain(detector: TrainedDetector, image: One, *, good: Images, normal: Images | None = None) -> Explanation:
    """Which scale and which term made an image's score, where, and which of the `good` images is most like it
    (`fastflow.explain`). `normal`: good images that say what is usual, best such as the model has not seen; by default
    `good`.

    Raises:
        BadData: a folder without images. BadImage: a file that cannot be decoded. NotFinite: a score that is no number.
    """
    usual = None if normal is None else sources_of(normal)
    return explain_image(detector, sources_of(image)[0], good=sources_of(good), normal=usual)


def evaluate(detector: Detector, folder: str | Path) -> dict[str, float | None]:
    """Metrics on the test images of a category folder in MVTec AD's layout (Bergmann et al., CVPR 2019), fractions by
    name; None where one is undefined. false_reject_rate and miss_rate are those of the detector's threshold; metrics
    named `_oracle` choose one on these very images.

    `arrange`, or `fastflow init`, makes such a folder of any other; its train/good is then what to fit on.

    Raises:
        BadData: no such folder, or no test image.
        BadImage: a file that cannot be decoded.
    """
    root = Path(folder)
    index = list_category(root)
    index = index[index["split"] == "test"].reset_index(drop=True)
    if index.empty:
        raise BadData(f"{root} holds no test image; expected {root}/test/good and {root}/test/<defect type>")
    paths = [root / path for path in index["image_path"]]
    scored = score_images(detector, paths, batch_size=BATCH_SIZE)
    metrics = {name: value.value for name, value in measure(index, scored, root).items()}
    return metrics | error_rates(index["gt_label"], ~(scored.pred_score <= detector.threshold["image"]))
