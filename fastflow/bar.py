"""Progress bars in notebooks, by tqdm where it is installed; in a program the library shows nothing."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Advance(Protocol):
    """Sets the bar to `done` of `total`, in seconds or images."""

    def __call__(self, done: float, total: float, /) -> None: ...


@contextmanager
def bar(what: str, *, shown: bool | None) -> Iterator[Advance]:
    """Yields a function to call as work proceeds. `shown`: None is in a notebook alone.

    Raises:
        ImportError: a bar is asked for, and tqdm is not installed.
    """
    drawn = _open(what, asked=bool(shown)) if (_in_notebook() if shown is None else shown) else None

    def advance(done: float, total: float, /) -> None:
        if drawn is not None:
            drawn.total = max(total, done)
            drawn.update(done - drawn.n)

    try:
        yield advance
    finally:
        if drawn is not None:
            drawn.close()


def _open(what: str, *, asked: bool) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # without ipywidgets it draws in text, and warns of it
            from tqdm.auto import tqdm
    except ImportError as error:
        if asked:
            raise ImportError("a progress bar needs tqdm, which is not installed: pip install tqdm") from error
        return None
    where = sys.stdout if _in_notebook() else sys.stderr  # a notebook shows the latter as errors
    return tqdm(total=1, desc=what, bar_format="{l_bar}{bar}| {elapsed} < {remaining}", file=where)


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")  # where nothing has imported it, this is none
    current = shell.get_ipython() if shell else None
    return "IPKernelApp" in getattr(current, "config", {})
