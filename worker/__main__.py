"""`python -m worker`: one worker process, as the supervisor starts it.

Knows nothing of other processes but its parent, without which it does not go on.
"""

from __future__ import annotations

import os
import sys

from worker.parent import PARENT_VARIABLE, die_with_parent

#: Options of Celery that have no setting: no chatter between workers (a second faster at start, nothing to reconnect),
#: and no banner.
OPTIONS = ["--quiet", "worker", "--without-gossip", "--without-mingle", "--without-heartbeat"]


def main() -> None:
    """Run until a signal ends it; further arguments are Celery's."""
    if PARENT_VARIABLE in os.environ:
        die_with_parent(int(os.environ[PARENT_VARIABLE]))
    # Imported here: from its first line on it reads settings and may end the process.
    from worker.app import app

    app.worker_main([*OPTIONS, *sys.argv[1:]])


if __name__ == "__main__":
    main()
