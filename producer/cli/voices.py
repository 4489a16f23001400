"""The commands `voices add`, `voices list`, `voices show` and `voices remove`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from producer.cli import options, output
from producer.client import Client
from producer.contract.keys import voice_audio_key
from producer.recording import MAX_RECORDING_BYTES, read_recording
from producer.textfile import read_bytes
from producer.voices import check_voice

Name = Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits, `-` and `_`.")]


def add(
    name: Name,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="A recording of the voice, 3 to 10 seconds: WAV (or FLAC, Ogg, MP3 with soundfile)."
        ),
    ],
    consent: Annotated[str, typer.Option(help="Who agreed to the use of their voice, and when; kept with it.")],
    json: options.Json = False,
) -> None:
    """Add a voice, or replace the one of this name. Only with the speaker's consent.

    What would make it worse than it could be is a warning; docs/voices.md has every check and its limit.
    """
    del json
    check_voice(name, consent)
    recording = read_recording(read_bytes(file, MAX_RECORDING_BYTES))
    with Client() as client:
        voice = client.voices.add(name, recording, consent=consent)
    for warning in recording.warnings:
        output.print_progress_note(f"warning: it {warning.message} [{warning.code}]")
    warnings = [{"code": warning.code, "message": warning.message} for warning in recording.warnings]
    document = {**voice.model_dump(mode="json"), "warnings": warnings}
    output.print_lines(document, [f"{voice.name}: {voice.duration_s:.1f} s at {voice.sample_rate_hz} Hz"])


def list_voices(json: options.Json = False) -> None:
    """List the voices."""
    del json
    with Client() as client:
        voices = client.voices.list()
    table = Table(box=None, pad_edge=False, header_style="")
    for heading in ("name", "length", "rate", "added", "consent"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for voice in voices:
        table.add_row(
            voice.name,
            f"{voice.duration_s:.1f} s",
            f"{voice.sample_rate_hz} Hz",
            f"{voice.added_at:%Y-%m-%d}",
            voice.consent,
        )
    output.print_result([voice.model_dump(mode="json") for voice in voices], table)


def show(name: Name, json: options.Json = False) -> None:
    """Show a voice: its hash, where its recording lies, and who agreed to its use."""
    del json
    with Client() as client:
        voice = client.voices.get(name)
    key = voice_audio_key(voice.sha256)
    lines = {
        "name": voice.name,
        "sha256": voice.sha256,
        "recording": key,
        "length": f"{voice.duration_s:.1f} s at {voice.sample_rate_hz} Hz",
        "added": f"{voice.added_at:%Y-%m-%d %H:%M} UTC",
        "warnings": ", ".join(voice.warnings) or "none",
        "consent": voice.consent,
    }
    output.print_lines(
        {**voice.model_dump(mode="json"), "key": key}, [f"{title:<10} {value}" for title, value in lines.items()]
    )


def remove(name: Name, json: options.Json = False) -> None:
    """Remove a voice. Narrations that were accepted with it are still spoken; its recording stays in the bucket."""
    del json
    with Client() as client:
        client.voices.remove(name)
    output.print_lines({"name": name, "is_removed": True}, [f"{name} removed"])
