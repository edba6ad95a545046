"""Runs in the notebook's environment: all cells of a notebook, as Jupyter runs them.

python notebook_run.py NOTEBOOK OUT.ipynb
"""

import sys

import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
nbformat.validate(notebook)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
