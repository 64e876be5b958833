"""The figure of what was found, the bar, and models by a registry's name: what a notebook shows."""

import sys
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import Polygon
from PIL import Image

from fastflow.api import load, predict
from fastflow.bar import bar
from fastflow.plot import DEFECT
from tests.registry.kit import NAME, checkpoint, register
from tests.scoring.region_kit import SHAPES, Brightness, write_photographs
from tests.stages import write_tiny_params


def test_a_figure_shows_the_highest_scores_their_outlines_and_one_scale(folder: Path) -> None:
    found = predict(Brightness(), write_photographs(folder / "line"))
    figure = found.plot(most=2)
    above, below = figure.axes[:2], figure.axes[2:4]
    titles = [axis.get_title() for axis in above]
    assert [title.split("\n")[0] for title in titles] == ["line/a_two.png", "line/=d_formula.png"]
    assert titles[0].endswith("defect, 1.000")
    drawn = []
    for patch in above[0].patches:
        assert isinstance(patch, Polygon)
        corners = np.array(patch.get_xy()) + 0.5
        (x, y), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        drawn.append((x, y, right - x, bottom - y))
    drawn.sort()
    assert drawn == sorted(shape[:4] for shape in SHAPES["a_two"])
    assert {tuple(axis.images[0].get_clim()) for axis in below} == {(0.2, 0.8)}  # from usual, as far beyond 0.5
    np.testing.assert_array_equal(below[0].images[0].get_array(), found.anomaly_maps[1])


def test_a_figure_draws_the_rows_that_are_named_and_pictures_in_memory(folder: Path) -> None:
    photographs = write_photographs(folder / "line")
    pixels = [np.asarray(Image.open(path)) for path in sorted(photographs.iterdir())]
    found = predict(Brightness(), pixels)
    figure = found.plot([2])
    assert figure.axes[0].get_title() == "image 2\ngood, 0.157"
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), pixels[2])
    shown = np.asarray(Image.open(BytesIO(figure._repr_png_())).convert("RGB"))  # type: ignore[attr-defined]
    defect = np.rint(255 * np.array(to_rgb(DEFECT)))
    assert not (np.abs(shown - defect).max(axis=2) < 8).any(), "a good picture has no outline"
    for rows, said in (([], "no image to draw"), ([4], "there are 4 images, from row 0 to row 3"), ([-1], "rows")):
        with pytest.raises(ValueError, match=said):
            found.plot(rows)


def test_without_matplotlib_and_tqdm_scores_come_and_a_figure_says_what_it_needs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs = write_photographs(folder / "line")
    monkeypatch.delitem(sys.modules, "fastflow.plot", raising=False)
    for name in ("matplotlib.axes", "tqdm.auto"):
        monkeypatch.setitem(sys.modules, name, None)  # an import of it fails from here on
    found = predict(Brightness(), photographs)
    assert len(found.to_frame()) == 4
    with pytest.raises(ImportError, match="a figure needs matplotlib, which is not installed"):
        found.plot()
    with pytest.raises(ImportError, match="a progress bar needs tqdm, which is not installed"):
        predict(Brightness(), photographs, progress=True)


def test_a_bar_is_shown_in_a_notebook_alone_or_where_it_is_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs = write_photographs(folder / "line")
    predict(Brightness(), photographs)
    assert capsys.readouterr() == ("", "")
    predict(Brightness(), photographs, progress=True)
    said = capsys.readouterr()
    assert said.out == ""
    assert "scoring: 100%" in said.err
    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(config={"IPKernelApp": {}}), version_info=(9,))
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    predict(Brightness(), photographs)
    said = capsys.readouterr()
    assert "scoring: 100%" in said.out
    assert said.err == "", "which a notebook shows in red"
    predict(Brightness(), photographs, progress=False)
    assert capsys.readouterr() == ("", "")


def test_a_bar_goes_on_where_the_work_turns_out_to_be_more(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("training", shown=True) as advance:
        advance(1, 2)
        advance(2, 8)
        advance(9, 8)
    assert "100%" in capsys.readouterr().err


def test_a_registered_version_opens_by_its_name_and_scores_as_its_checkpoint(folder: Path) -> None:
    from pipelines.tracking.sync import sync

    write_tiny_params(folder)
    made = checkpoint(folder / "one", 1)
    register(made)
    sync()
    photographs = write_photographs(folder / "line")
    found, expected = predict(load(f"models:/{NAME}/1"), photographs), predict(load(made), photographs)
    assert found.table.equals(expected.table)
    assert load(f"models:/{NAME}/1").version == f"{NAME}/1"
    with pytest.raises(ValueError, match="has no version with the alias 'champion'; train and promote one first"):
        load(f"models:/{NAME}@champion")


def test_where_the_pipeline_is_not_installed_a_registered_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastflow.load.entry_points", lambda **_: ())
    with pytest.raises(ImportError, match="models:/fastflow-bottle@champion is opened by the pipeline, which is not"):
        load("models:/fastflow-bottle@champion")
