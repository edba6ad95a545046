"""Data-set evaluation: masks saved and resumable, scores from saved masks.

`python -m iseg.evaluate run --config wsss/voc [--key value ...]`
`python -m iseg.evaluate score --masks OUT/masks --truth FOLDER --classes voc20`
"""

from iseg.evaluate.config import Evaluation, load_evaluation
from iseg.evaluate.main import evaluate, main
from iseg.evaluate.score import score_masks

__all__ = ["Evaluation", "evaluate", "load_evaluation", "main", "score_masks"]
