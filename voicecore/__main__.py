"""`python -m voicecore`: the same program as `voicecore`."""

from __future__ import annotations

import sys

from voicecore.cli.main import main

sys.exit(main())
