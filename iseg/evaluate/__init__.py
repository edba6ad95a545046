"""Data-set evaluation: masks saved and resumable, scores from saved masks.

`python -m iseg.evaluate run --config wsss/voc [--key value ...]`
`python -m iseg.evaluate score --masks OUT/masks --truth FOLDER --classes voc20`
"""

from iseg.evaluate.config import Evaluation
from iseg.evaluate.job import evaluate
from iseg.evaluate.main import exit_code, main
from iseg.evaluate.opening import open_run
from iseg.evaluate.read_config import load_evaluation
from iseg.evaluate.score import score_masks

__all__ = ["Evaluation", "evaluate", "exit_code", "load_evaluation", "main", "open_run", "score_masks"]
