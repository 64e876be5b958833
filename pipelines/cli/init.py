"""fastflow init: a folder of one's own photographs, or a public data set, becomes a category."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.runner import require_project

Range = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LOW HIGH", help="values that are black and white, in files of more than 8 bits"),
]
Page = Annotated[int | None, typer.Option(min=1, help="the page to read of files with several, from 1")]
Values = Annotated[
    list[str] | None, typer.Option(metavar="VALUE", help="label number, grey level or '#rrggbb' that marks a defect")
]


def init(
    source: Annotated[
        Path, typer.Argument(help="photographs in any usual layout; or mvtec_ad, visa: downloaded", show_default=False)
    ],
    name: Annotated[
        str, typer.Option("--name", help="the category's name; of a public data set, also: all", show_default=False)
    ],
    root: Annotated[Path | None, typer.Option(help="where categories lie; default: data/own")] = None,
    good: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="good images: 'ok/**'")] = None,
    defects: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="defects; their folder is the kind")] = None,
    masks: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="masks, paired with images by stem: '*_gt.png'")
    ] = None,
    test_good: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="good images that are never trained on")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="what is left out")] = None,
    masks_inverted: Annotated[bool, typer.Option("--masks-inverted", help="masks mark what is good")] = False,
    mask_values: Values = None,
    ignore_value: Annotated[
        str | None, typer.Option(help="mask value to leave out of the evaluation, often 255")
    ] = None,
    value_range: Range = None,
    page: Page = None,
    test_fraction: Annotated[float, typer.Option(help="of the good images, for the test where none are")] = 0.2,
    yes: Annotated[bool, typer.Option("--yes", help="accept all as the table shows it, doubts too")] = False,
    again: Annotated[bool, typer.Option("--again", help="read the folder again, replace the copy")] = False,
    weights: Annotated[str | None, typer.Option(help="imagenet, random, or a file; default: unchanged")] = None,
) -> None:
    """Make a folder of your own photographs a category.

    It is shown first: a table, and a page of pictures. A doubt ends with
    code 3, and names the option that settles it. Then all is copied
    and checked, and params.yaml names it. GLOB options may be repeated.

    \b
    fastflow init ~/photos/bracket --name bracket
    fastflow init ~/photos --name lid --good 'ok*/**' --masks '*_gt.png'
    """
    require_project()
    from fastflow.marks import MaskRule
    from fastflow.pixels.meaning import PixelRule
    from fastflow.sources import Sources
    from pipelines.data.add_category import init
    from pipelines.data.layouts.reading import ReadingOptions

    named = (tuple(globs or ()) for globs in (good, test_good, defects, masks, ignore))
    rule = MaskRule(masks_inverted, tuple(mask_values or ()), ignore_value)
    how = ReadingOptions(Sources(*named), rule, test_fraction, PixelRule(value_range, page))
    init(source, name, root=root, how=how, weights=weights, yes=yes, again=again)
