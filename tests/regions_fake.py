"""Evaluation of regions with a stand-in for the diffusion model, in a process of its own."""

import sys

from fake_model import install

from ovs.regions import main

if __name__ == "__main__":
    install()
    sys.exit(main(sys.argv[1:]))
