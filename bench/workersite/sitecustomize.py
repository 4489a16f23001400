"""Python loads this at the start of every process that has this folder in PYTHONPATH: workers of some benchmarks."""

import os
import sys
import traceback

# `python -m worker` alone: not its supervisor, and no helper that it starts.
if {"CHATTERQUEUE_PACE", "CHATTERQUEUE_STOPWATCH"} & os.environ.keys() and sys.orig_argv[1:3] == ["-m", "worker"]:
    try:
        import worker  # noqa: F401 - before numpy is: it says with how many threads that works

        if "CHATTERQUEUE_PACE" in os.environ:
            from bench import pacedworker

            pacedworker.install()
        if "CHATTERQUEUE_STOPWATCH" in os.environ:
            from bench import stopwatch

            stopwatch.install()
    except BaseException:  # noqa: BLE001
        # Python would print this and go on, and the benchmark would measure another engine, or nothing.
        traceback.print_exc()
        os._exit(70)
