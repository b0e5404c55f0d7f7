"""`python -m voicecore.bench`."""

from __future__ import annotations

import sys

from voicecore.bench.main import main

sys.exit(main())
