"""Python loads this at the start of every process that has this folder in PYTHONPATH: the worker of `bench.feeding`."""

import os
import sys
import traceback

# `python -m worker` alone: not its supervisor, and no helper that it starts.
if "CHATTERQUEUE_PACE" in os.environ and sys.orig_argv[1:3] == ["-m", "worker"]:
    try:
        import worker  # noqa: F401 - before numpy is: it says with how many threads that works
        from bench import pacedworker

        pacedworker.install()
    except BaseException:  # noqa: BLE001
        # Python would print this and go on, and the benchmark would measure another engine.
        traceback.print_exc()
        os._exit(70)
