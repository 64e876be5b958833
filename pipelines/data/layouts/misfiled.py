"""Images whose own name says another thing than the folder that classified them: good/NG_3.png, bad/OK_5.png."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from fastflow.index import GOOD
from pipelines.core.names import counted
from pipelines.data.layouts.places import Places
from pipelines.data.layouts.reading import Doubt, glob_of, pattern_of, quoted, some
from pipelines.data.words import clear_word

NEARLY_ALL_FRACTION = 0.9
NAMED = 3  # globs that an option lists


def misfiled(of: Mapping[Path, str], places: Places, said: Collection[Path]) -> Iterator[Doubt]:
    """One doubt about good images called bad and one about the others; `of` is each image's class by its folders, and
    `said` are images whose class an option gave. A word in nearly all names of both classes is the product's."""
    words = {path: clear_word(path.stem) for path in of}
    good = {path for path in of if of[path] == GOOD}
    shared = _in_nearly_all(words, good) & _in_nearly_all(words, set(of) - good)
    for files, other in ((good, "bad"), (set(of) - good, "good")):
        wrong = sorted(p for p in files - set(said) if words[p][0] == other and words[p][1] not in shared)
        if wrong:
            is_good = other == "bad"
            listed = ", ".join(sorted({words[path][1] for path in wrong})[:NAMED])
            taken = "in folders of good ones, taken as good" if is_good else "in folders of defects, taken as defective"
            message = f"{counted(len(wrong), 'image')} called {listed} {taken}: {some(wrong, places.folder)}"
            yield Doubt(message, _options(wrong, good, files, places.folder, is_good=is_good))


def _in_nearly_all(words: Mapping[Path, tuple[str, str]], paths: set[Path]) -> set[str]:
    """Words that nearly all of these names hold."""
    found = [words[path][1] for path in paths]
    return {word for word in set(found) if word and found.count(word) >= NEARLY_ALL_FRACTION * len(found)}


def _options(wrong: list[Path], good: set[Path], files: set[Path], folder: Path, *, is_good: bool) -> tuple[str, ...]:
    """What turns them, what leaves them out, and what keeps them: --good names every good one, as a folder's name says
    good no longer where it is given."""
    globs = sorted({quoted((p.relative_to(folder).parent / pattern_of(p.name)).as_posix()) for p in wrong})
    if len(globs) > NAMED:
        globs = sorted({glob_of(folder, path.parent) for path in wrong})
    goods = [glob_of(folder, place, {p.parent for p in good}) for place in sorted({path.parent for path in good})]
    own = [glob_of(folder, place, {p.parent for p in files}) for place in sorted({path.parent for path in wrong})]
    turned = [f"--defects {glob}" for glob in globs] if is_good else [f"--good {glob}" for glob in (*globs, *goods)]
    kept = [f"--good {glob}" for glob in goods] if is_good else [f"--defects {glob}" for glob in own]
    return tuple(" ".join(option) for option in (turned, [f"--ignore {glob}" for glob in globs], kept))
