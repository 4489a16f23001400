"""Python loads this at the start of every process that has this folder in PYTHONPATH: the workers of `bench.chaos`."""

import os
import sys
import traceback

# `python -m worker` alone: not its supervisor, and no helper that it starts.
if "CHATTERQUEUE_CHAOS" in os.environ and sys.orig_argv[1:3] == ["-m", "worker"]:
    try:
        from bench.chaos import inside

        inside.install()
    except BaseException:  # noqa: BLE001
        # Python would print this and go on, and a row would measure a worker without its fault.
        traceback.print_exc()
        os._exit(70)
