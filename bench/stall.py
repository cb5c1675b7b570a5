"""Measurement of how long this program's event loop stands still.

``python -m bench.stall FILE ARGUMENT…`` runs the program as ``python main.py ARGUMENT…`` does, and
writes its stalls to FILE.
"""

import sys

import main
from bench.loop_watch import watched

if __name__ == "__main__":
    with watched(sys.argv[1]):
        code = main.main(sys.argv[2:])
    sys.exit(code)
