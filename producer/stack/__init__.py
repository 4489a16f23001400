"""The embedded stack: Valkey and an S3 server from wheels, on this machine, in one folder, for one process.

Knows nothing of narrations; it hands out an environment that the rest of the project is pointed at.
"""

from producer.stack.embedded import EmbeddedStack
from producer.stack.process import GuardedProcess, worker_command

__all__ = ["EmbeddedStack", "GuardedProcess", "worker_command"]
