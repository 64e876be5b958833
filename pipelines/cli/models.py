"""What a trained model is for: score, export, sign, serve, compare, promote, rollback, threshold."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import complete, runner
from pipelines.cli.runner import every_category, require_project
from pipelines.cli.work import Category
from pipelines.core.percent import rate_of

MODEL_HELP = "a category, an export's folder, or models:/fastflow-bottle@champion"
Model = Annotated[str, typer.Option("--model", help=MODEL_HELP, show_default=False, autocompletion=complete.models)]
OtherModel = Annotated[
    str | None, typer.Option("--model", help=f"{MODEL_HELP}; default: models/<category>", show_default=False)
]
SHA256_HELP = "open the model only with this sha256 of its export.json or config.json"
Sha256 = Annotated[str, typer.Option("--sha256", help=SHA256_HELP, show_default=False)]
RECORD_HELP = "keep scores for fastflow drift --since, watch also pictures for fastflow review; default: in a project"
Record = Annotated[bool | None, typer.Option("--record/--no-record", help=RECORD_HELP, show_default=False)]
Threads = Annotated[int | None, typer.Option(help="CPU threads; default: all cores")]


def score(
    images: Annotated[list[str], typer.Argument(help="files, folders, or - for paths on stdin", show_default=False)],
    model: Model,
    to: Annotated[Path | None, typer.Option(help="a .csv or .jsonl file; default: CSV on stdout")] = None,
    overlays: Annotated[Path | None, typer.Option(help="a folder for pictures with heat maps")] = None,
    batch_size: Annotated[int | None, typer.Option(help="images per batch")] = None,
    threads: Threads = None,
    sha256: Sha256 = "",
    record: Record = None,
    regions: Annotated[Path | None, typer.Option(help="a .csv or .jsonl file with a line a region")] = None,
    coco: Annotated[Path | None, typer.Option(help="a .json file of the regions, as COCO's")] = None,
    min_area: Annotated[
        int | None, typer.Option(help="leave out regions of fewer pixels; default: params.yaml")
    ] = None,
    mm_per_pixel: Annotated[float | None, typer.Option(help="of the photographs; default: params.yaml")] = None,
) -> None:
    """Score photographs. The same command again resumes where it stopped.

    \b
    fastflow score photographs/ --model bottle --to scores.csv --regions regions.csv --overlays seen/
    find . -name '*.png' | fastflow score - --model exports/bottle/onnx-fp32
    """
    from pipelines.scoring.score import score

    score(
        images, model=model, to=to, overlays=overlays, batch_size=batch_size, threads=threads, sha256=sha256,
        record=record, regions=regions, coco=coco, min_area=min_area, mm_per_pixel=mm_per_pixel,
    )  # fmt: skip


def export(
    category: Category,
    formats: Annotated[list[str] | None, typer.Option("--format", help="onnx, openvino; default: both")] = None,
    precision: Annotated[str, typer.Option(help="fp32, bf16, int8")] = "fp32",
    model: OtherModel = None,
    to: Annotated[Path | None, typer.Option(help="default: exports/<category>")] = None,
    sha256: Sha256 = "",
) -> None:
    """Write the model for other runtimes.

    It is compared with the checkpoint first; one that scores differently is not written.

    \b
    fastflow export bottle
    fastflow export bottle --format openvino --precision int8
    """
    require_project(category)
    from pipelines.core.params import read_params
    from pipelines.scoring.export import export

    export(
        category, read_params(), formats=formats or (), precision=precision, model=model, to=to, sha256=sha256
    )  # fmt: skip


def sign(
    model: Annotated[
        str, typer.Argument(help="an export's folder, or models:/fastflow-bottle@champion", show_default=False)
    ],
    key: Annotated[Path, typer.Option(help="the private key, Ed25519 in PEM", show_default=False)],
) -> None:
    """Sign a model. Where FASTFLOW_SIGNED_BY names the public key, no other model opens.

    \b
    openssl genpkey -algorithm ed25519 -out line.key && openssl pkey -in line.key -pubout -out line.pem
    fastflow sign exports/bottle/onnx-fp32 --key line.key
    fastflow sign models:/fastflow-bottle@champion --key line.key
    """
    from pipelines.registry.sign import sign_model

    sign_model(model, key)


def serve(
    model: Annotated[list[str], typer.Option("--model", help=f"{MODEL_HELP}; may be repeated", show_default=False)],
    host: Annotated[str, typer.Option(help="address to listen on; others need FASTFLOW_TOKEN")] = "127.0.0.1",
    port: int = 8080,
    batch_size: Annotated[int, typer.Option(help="images per batch, at most")] = 8,
    queue: Annotated[int, typer.Option(help="requests at once; more are answered 429")] = 32,
    max_bytes: Annotated[int | None, typer.Option(help="of a request's body", min=1, show_default=False)] = None,
    max_pixels: Annotated[int | None, typer.Option(help="of an image", min=1, show_default=False)] = None,
    seconds: Annotated[float, typer.Option(help="until a request is answered 504")] = 30,
    watch: Annotated[float, typer.Option(help="seconds between two checks for a new champion")] = 15,
    threads: Threads = None,
    sha256: Annotated[
        list[str] | None, typer.Option("--sha256", help=f"{SHA256_HELP}; once for each --model", show_default=False)
    ] = None,
    record: Record = None,
) -> None:
    """Score images over HTTP, with a page to drop one on.

    \b
    fastflow serve --model models:/fastflow-bottle@champion
    fastflow serve --model exports/bottle/onnx-fp32 --port 9000
    """
    from pipelines.serving.serve import serve

    serve(
        model, host=host, port=port, batch_size=batch_size, queue=queue, max_bytes=max_bytes, max_pixels=max_pixels,
        seconds=seconds, watch=watch, threads=threads, sha256=sha256 or (), record=record,
    )  # fmt: skip


def compare(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help=f"categories: of each the champion and what was trained last; or two models, each {MODEL_HELP}",
            show_default=False,
            autocompletion=complete.models,
        ),
    ] = None,
    category: Annotated[
        list[str] | None, typer.Option(help="may be repeated; default: all", autocompletion=complete.categories)
    ] = None,
    to: Annotated[Path | None, typer.Option(help="default: compare.html")] = None,
    json: Annotated[bool, typer.Option("--json", help="the figures as JSON on stdout")] = False,
) -> None:
    """Two models side by side on the same images.

    compare.html shows what changed, and each image whose verdict flipped.

    \b
    fastflow compare bottle
    fastflow compare models:/fastflow-bottle/3 models:/fastflow-bottle/7 --category bottle
    """
    require_project(*category or ())
    categories, named = category or [], models or []
    if not categories and set(named) <= set(every_category()):
        categories, named = named, []  # a comparison of a model with itself says nothing
    from pipelines.core.params import read_params
    from pipelines.promotion.compare import write_comparison

    write_comparison(named, read_params(), categories=categories, to=to, as_json=json)


def promote(
    category: Category,
    version: Annotated[str | None, typer.Option(help="default: the version that models/<category> is")] = None,
    accept_inconclusive: Annotated[
        str | None, typer.Option(help="reason to take what the rules could not decide; recorded", metavar="WHY")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="even if a rule fails; needs --reason")] = False,
    reason: Annotated[str | None, typer.Option(help="why; it is recorded")] = None,
) -> None:
    """Ask the gate to make the challenger champion.

    Exit code 4: refused; 6: inconclusive, at a terminal you are asked. The champion stays.

    \b
    fastflow promote bottle --accept-inconclusive "looked at the report"
    fastflow promote bottle --force --reason "new camera, the old model is blind"
    """
    require_project(category)
    why = (reason or "").strip()
    if force != bool(why):
        raise ValueError("--force and --reason go together: say why the rules do not count")
    accept = (accept_inconclusive or "").strip()
    if accept_inconclusive is not None and not accept:
        raise ValueError("--accept-inconclusive needs a reason, which is recorded")
    from pipelines.core.params import read_params
    from pipelines.core.terminal import asker
    from pipelines.promotion.promote import Person, promote

    promote(category, read_params(), version=version, person=Person(why, accept, asker()))


def rollback(category: Category) -> None:
    """Make the previous champion champion again. Twice restores the present one.

    \b
    fastflow rollback bottle
    fastflow -C ~/fastflow rollback cable
    """
    require_project()
    from pipelines.promotion.rollback import rollback

    rollback(category)


def threshold(
    category: Category,
    max_false_reject: Annotated[str | None, typer.Option(help="of good parts, such as 1%")] = None,
    max_miss: Annotated[str | None, typer.Option(help="of defective parts, such as 5%")] = None,
    json: Annotated[bool, typer.Option("--json", help="the trade-off as JSON on stdout")] = False,
) -> None:
    """Show what thresholds cost, or take another one.

    Nothing is trained: the weights stay as they are.

    \b
    fastflow threshold bottle
    fastflow threshold bottle --max-false-reject 2%
    """
    require_project(category)
    if max_false_reject and max_miss:
        raise ValueError("--max-false-reject and --max-miss are two ways to choose; give one of them")
    limits = {"max_false_reject": rate_of(max_false_reject), "max_miss": rate_of(max_miss)}
    from pipelines.scoring.threshold import show_or_change

    show_or_change(category, **limits, as_json=json)


def add_commands(app: typer.Typer) -> None:
    runner.add_commands(app, score, export, sign, serve, compare, promote, rollback, threshold)
