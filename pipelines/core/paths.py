"""Where each thing of a category lies, relative to the project's folder. Stages meet only through these files."""

from pathlib import Path

from pipelines.core.override import project_root

DEMO, OWN = Path("data/demo"), Path("data/own")  # drawn categories, and those of a person's photographs
REPORT, FLEET = Path("report.html"), Path("fleet.html")
ROIS = Path("data/roi")  # regions of interest
MASTER_PARTS, MASTERS = Path("data/masters"), Path("masters")  # photographs of known parts; their checks
DRIFT, PRODUCTION = Path("drift"), Path("production")  # a page and a record a category
REVIEW = Path("review")  # pictures that a person should look at, and what was said of them, a folder a category
# MLflow's data base and artifacts, where no server is named, and the journal: of the project, also while a stage runs
# in a folder of its own, which is deleted: of `dvc exp run --temp`, of a retraining with other values
STORE = project_root() / ".mlflow"
STATE = Path(".state")  # of work in progress: no stage's output, so DVC leaves it alone
DVC_CACHE = Path(".dvc/cache")
MODEL_ID = "model_id"  # the tag of a registered version with the name that score files and checks give it
RUN = "run.json"  # in the model's folder: the key of the MLflow run that made it
CHAMPION_MODEL = "models:/fastflow-{category}@champion"  # as checkpoint_of takes it
# in the report's folder, of the model that they name: an older one's stay until they are made anew
CERTIFICATE = ("certificate.json", "certificate.html")
REPEATABILITY = ("repeatability.json", "repeatability.html")
TOLERANCE = ("tolerance.json", "tolerance.html")
LEARNING = ("learning.json", "learning.html")
QUALIFICATION = (*CERTIFICATE, *REPEATABILITY, *TOLERANCE, *LEARNING)
NORMAL_SCORES = "normal_scores.json"  # in the model's folder: what its threshold comes from


def index_file(category: str) -> Path:
    return Path("data/prepared") / f"{category}.csv"


def findings_file(category: str) -> Path:
    return Path("data/prepared") / f"{category}.findings.json"


def pixels_file(category: str) -> Path:
    """How its files become pixels, as `prepare` has determined it."""
    return Path("data/prepared") / f"{category}.pixels.json"


def roi_file(category: str) -> Path:
    """Its region of interest, where it has one: params.yaml (pixels) then states the file's sha256."""
    return ROIS / f"{category}.png"


def model_folder(category: str) -> Path:
    return Path("models") / category


def report_folder(category: str) -> Path:
    return Path("reports") / category


def certificate_file(category: str) -> Path:
    """The figures of `fastflow certify`; its page lies beside it."""
    return report_folder(category) / CERTIFICATE[0]


def model_name(category: str) -> str:
    """What the category is called in the model registry."""
    return f"fastflow-{category}"
