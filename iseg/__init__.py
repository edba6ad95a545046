"""Training-free segmentation from the attention maps of a text-to-image diffusion model (iSeg, arXiv 2409.03209)."""

from iseg.errors import InputError
from iseg.pipeline import ISeg
from iseg.prompt import ClassWord
from iseg.results import Attended, Segmentation

__version__ = "0.1.0"
__all__ = ["Attended", "ClassWord", "ISeg", "InputError", "Segmentation", "__version__"]
