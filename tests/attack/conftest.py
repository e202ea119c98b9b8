"""The house of the bad inputs and the small project of the loader serve here too."""

from __future__ import annotations

import sys
from pathlib import Path

for name in ("bad_inputs", "project", "attack"):
    sys.path.insert(0, str(Path(__file__).parent.parent / name))
