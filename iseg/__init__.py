"""Training-free segmentation from the attention maps of a text-to-image diffusion model (iSeg, arXiv 2409.03209)."""

from iseg.errors import InputError
from iseg.pipeline import ISeg, Segmentation
from iseg.prompt import ClassWord

__version__ = "0.1.0"
__all__ = ["ClassWord", "ISeg", "InputError", "Segmentation", "__version__"]
