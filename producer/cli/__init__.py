"""The `chatterqueue` command: parse, call the client, print, exit. It holds no logic of its own."""

from producer.cli.application import main

__all__ = ["main"]
