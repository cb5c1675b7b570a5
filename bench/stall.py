"""For how long does this program's event loop stand still?

``python -m bench.stall FILE ARGUMENT…`` runs the program as ``python main.py ARGUMENT…`` does, and
writes its stalls to FILE. Must not know what the program does.
"""

import sys

import main
from bench.loop_watch import watched

if __name__ == "__main__":
    with watched(sys.argv[1]):
        code = main.main(sys.argv[2:])
    sys.exit(code)
