"""What the names of folders and files say: good, defective, masks, or a part of a data set."""

import re
from typing import NamedTuple

from fastflow.sources import plain, squashed

GOOD = (
    "good goods ok okay normal io pass passed accept accepted fine intact healthy flawless clean free defectfree "
    "nodefect nodefects golden undamaged acceptable conforming conform "
    "gut gute iordnung inordnung fehlerfrei gutteil gutteile bon bonne bonnes bueno buenos "
    "buena buenas boas buoni buone conforme conformes bom buono goed dobre 良品 正常 合格 良 ok品 合格品 正常品 无缺陷 "
    "無欠陥 欠陥なし キズなし 傷なし 異常なし"
)
BAD = (
    "bad ng nok nio ko notok notgood nogood defect defects defective anomaly anomalies anomalous abnormal fail failed "
    "fault faults faulty reject rejected rejects scrap damaged unacceptable nonconforming "
    "schlecht schlechtteil schlechtteile ausschuss fehler fehlerhaft "
    "defekt defekte kaputt mauvais mauvaise mauvaises malo mala malos malas rebut rebuts scarto scarti défaut défauts "
    "defecto defectos defectuoso defectuosos difetto difetti 不良 不良品 不合格 不合格品 次品 ng品 异常 異常 缺陷 欠陥"
)
DEFECTS = (
    "scratch scratches dent dents crack cracks cracked hole holes stain stains contamination contaminated cut cuts "
    "bent bend broken breakage chip chips chipped rust dirt missing misplaced fold folded poke scuff wear burr burrs "
    "blowhole break fray uneven inclusion pit pits bubble bubbles kratzer riss risse delle dellen fleck flecken loch "
    "bruch grat schmutz verschmutzung verunreinigung oelfleck ölfleck 傷 キズ 割れ 汚れ 欠け 打痕 划痕 裂纹 污渍"
)
MASKS = (
    "mask masks maske masken gt gts groundtruth groundtruths truth seg segs segm segmentation segmentations "
    "segmentationclass segmentationobject segmask segmasks mascara mascaras máscara máscaras masque masques maschera "
    "maschere マスク 掩膜 掩码 掩模 蒙版"
)
UNCLEAR = (  # made of other images, not sorted yet, or set aside by a person
    "production incoming unlabeled unlabelled unknown unsorted unclassified unsure inbox todo review misc pending "
    "thumbnail thumbnails thumb thumbs preview previews cache backup backups copy copies tmp temp trash augmented "
    "augmentation resized prediction predictions pred preds result results output outputs "
    "calibration calib background backgrounds unclear unbekannt unklar unsortiert crop crops cropped "
    "falseng falsereject falserejects falsealarm falsealarms falsepositive falsepositives pseudofehler overkill "
    "reference references referenz referenzen template templates screenshot screenshots duplicate duplicates "
    "newfolder neuerordner nouveaudossier nuevacarpeta 新建文件夹 新しいフォルダー old alt archive archiv "
    "donotuse dontuse nichtverwenden exclude excluded discarded deleted gelöscht aussortiert unscharf blurry unusable "
    "borderline grenzmuster grenzfall limitsample limitsamples 限度見本 retest recheck"
)
MAYBE_MASKS = "label labels annotation annotations annotated anno annos heatmap heatmaps overlay overlays binary"
FILLERS = (
    "image images img imgs picture pictures photo photos bild bilder foto fotos teil teile part parts sample samples "
    "data dataset datasets jpegimages jpeg jpg png bmp tif rgb original originals raw src source input inputs "
    "product products mt"
)
NOT = {"not", "no", "non", "nicht", "kein", "keine", "un", "without", "ohne", "sans", "sin", "sem", "senza"}
SPLITS = {
    "train": "train", "training": "train", "trainset": "train", "test": "test", "testing": "test", "testset": "test",
    "testpublic": "test", "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "testprivate": "private", "testprivatemixed": "private",
}  # fmt: skip
OTHER_SPLITS = {
    "train": "traindata trainingdata trainingsdaten trainimages trainingimages entrenamiento 训练 训练集 訓練 学習",
    "test": "eval evaluation holdout heldout testdata testdaten testbilder testimages prueba pruebas 测试 测试集 測試 "
    "テスト 評価",
    "validation": "validierung 验证 验证集 検証",
}
SPLITS |= {name: split for split, names in OTHER_SPLITS.items() for name in names.split()}


CLEAR_GOOD = (  # in a file's name: neither golden nor clean nor io, which products are called, too
    "good ok okay gut gute iordnung inordnung fehlerfrei gutteil pass passed normal bon bonne bueno buono 良品 正常 "
    "合格"
)
CLEAR_BAD = (
    "bad ng nok nio ko notok notgood nogood defect defects defective anomaly anomalies abnormal reject rejected "
    "schlecht schlechtteil ausschuss fehlerhaft defekt 不良 不良品 不合格 缺陷 欠陥"
)


class Word(NamedTuple):
    """`meaning`: good, bad (any defect), defect (a kind of it), masks, maybe_masks, unclear, split, filler, number
    (days, too), or "" for a name of its own; `exact` where the whole name says so, unlike good_2024."""

    meaning: str
    exact: bool = True
    split: str = ""


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CLEAR_GOOD, _CLEAR_BAD = map(_set, (CLEAR_GOOD, CLEAR_BAD))
_GOOD, _BAD, _DEFECTS, _MASKS = map(_set, (GOOD, BAD, DEFECTS, MASKS))
_MAYBE, _FILLERS, _UNCLEAR = map(_set, (MAYBE_MASKS, FILLERS, UNCLEAR))
_NOT_SORTED = _set("unknown unsorted unclassified unsure unclear review todo unbekannt unklar unsortiert")


def tokens(name: str) -> list[str]:
    """The words of a name, in lower case: GT_masks, SegmentationClass and Mask images are two words each."""
    case = r"(?<=[a-zäöüß])(?=[A-ZÄÖÜ])|(?<=[A-Z])(?=[A-Z][a-z])"
    number = r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_]+(?:[\W_]|$))"  # OK001, 001OK, but no letters amid digits
    apart = re.sub(f"{case}|{number}", " ", name)
    return [plain(token) for token in re.split(r"[\W_]+", apart) if token]


def word_of(name: str) -> Word:
    """What a folder's name says."""
    whole, words = squashed(name), tokens(name)
    if whole in SPLITS:
        return Word("split", split=SPLITS[whole])
    for meaning, known in (("masks", _MASKS), ("maybe_masks", _MAYBE), ("good", _GOOD), ("bad", _BAD)):
        if whole in known:
            return Word(meaning)
    if whole in _DEFECTS:
        return Word("defect")
    if whole in _UNCLEAR or whole.rstrip("0123456789") in _UNCLEAR or (not whole and "?" in name):
        return Word("unclear")
    if whole in _FILLERS:
        return Word("filler")
    if not whole.strip("0123456789"):
        return Word("number")
    return _of_words(words)


def _of_words(words: list[str]) -> Word:
    own = [word for word in words if word not in _FILLERS and not word.isdigit()]
    said = set(own)
    exact = len(own) == 1
    if said & _MASKS or "".join(own) in _MASKS or {"ground", "truth"} <= said:
        return Word("masks", exact=False)
    if said & _MAYBE:
        return Word("maybe_masks", exact=False)
    if denies(words):
        return Word("good", exact=False)
    if said & _BAD or ("".join(own) in _BAD) or (said & NOT and said & _GOOD):
        return Word("bad", exact=exact)
    if "".join(own) in _GOOD or said & _GOOD:
        return Word("good", exact=(exact or "".join(own) in _GOOD) and not any(word.isdigit() for word in words))
    if said & _DEFECTS:
        return Word("defect", exact=exact)
    if said & _NOT_SORTED:
        return Word("unclear", exact=False)
    return Word("" if own else "filler")


def denies(words: list[str]) -> bool:
    """Whether a name begins as no_crack or ohne Fehler do: crack_no_5 has a number, and not_good_crack is bad."""
    return len(words) > 1 and words[0] in NOT and words[1] in _BAD | _DEFECTS and not set(words) & _GOOD


def not_sorted(name: str) -> bool:
    """Whether a name says that nobody has looked yet: ?, unknown, to do."""
    said = {squashed(name), *tokens(name)}
    return word_of(name).meaning == "unclear" and bool(said & (_NOT_SORTED | {"", "pending"}))


def without_masks(name: str) -> str:
    """A name without a mask's words: mask_ok is ok."""
    return " ".join(token for token in tokens(name) if token not in _MASKS | _MAYBE)


def label_of(stem: str) -> str:
    """What a file's name says of its image: good, the bad word itself, or "" for neither: OK_001, NG_17."""
    words = tokens(stem)
    if denies(words):
        return "good"
    for word in words:
        if word in _BAD or word in _DEFECTS:
            return word
    letters = [word for word in words if not word.isdigit()]
    denied = "".join(word for word in letters if word not in NOT)  # nicht in Ordnung
    if "".join(letters) in _BAD or (set(words) & NOT and (set(words) & _GOOD or denied in _GOOD)):
        return "bad"
    return "good" if set(words) & _GOOD or "".join(letters) in _GOOD else ""


def clear_word(stem: str) -> tuple[str, str]:
    """good or bad, and the word that says so, where a file's name says one of them and nothing of the other: OK_001,
    NG_17, but not ok_scratch; ("", "") else."""
    words = tokens(stem)
    joined = "".join(word for word in words if not word.isdigit())
    if set(words) & NOT:
        return ("bad", joined) if joined in _CLEAR_BAD else ("", "")
    good = next((word for word in (*words, joined) if word in _CLEAR_GOOD), "")
    bad = next((word for word in (*words, joined) if word in _CLEAR_BAD), "")
    if good and not set(words) & (_BAD | _DEFECTS) and not bad:
        return "good", good
    return ("bad", bad) if bad and not set(words) & _GOOD else ("", "")
