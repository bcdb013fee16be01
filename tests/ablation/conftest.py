"""Lets this room's tests import ablation_toys."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
