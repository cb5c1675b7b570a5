"""Entry of the installed command: this folder goes first on the path, as in a checkout."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from main import console

if __name__ == "__main__":
    console()
