"""What a command of ours tells the shell, also where it ends without an error."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the `chatterqueue` command returns to the shell."""

    OK = 0
    INTERNAL = 1  #: a bug: please report it
    USAGE = 2  #: wrong arguments on the command line
    INVALID_INPUT = 3  #: text, parameters, a manifest or a path were refused; nothing was queued
    NOT_FOUND = 4  #: no such narration or voice
    UNAVAILABLE = 5  #: Redis or S3 cannot be reached; try again
    NOT_SUCCEEDED = 6  #: the narration ended as partial, failed, cancelled or expired
    CONFLICT = 7  #: the idempotency key belongs to other content
    CONFIGURATION = 8  #: settings, credentials, models or the embedded stack are not usable
    TIMEOUT = 9  #: still running when the time to wait was over
    VIOLATED = 10  #: an audit found a promise broken
    INTERRUPTED = 130  #: Ctrl-C
