"""Arguments and options that several commands have, declared once.

Typer reads a command's options from its signature, so each command still names those that it has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from producer.contract.loudness import LoudnessPreset
from producer.contract.narration import DEFAULT_VOICE, AudioFormat, EngineName, ModelName, QualityGate

#: `main` has looked for the flag already, as errors on the command line itself must be JSON too.
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document; errors too, to standard error.")]

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of narrations.")]

# What is not given is left to the contract, which also checks what is, so that every fault is named at once.
Voice = Annotated[str | None, typer.Option(help=f"Name of a voice; default: `{DEFAULT_VOICE}`, the engine's own.")]
Language = Annotated[str | None, typer.Option(help="Language of the text, by its code of two letters; default: en.")]
Engine = Annotated[str | None, typer.Option(help=f"One of {', '.join(EngineName)}.")]
Model = Annotated[str | None, typer.Option(help=f"Chatterbox model: one of {', '.join(ModelName)}.")]
Format = Annotated[
    str | None, typer.Option(help=f"One of {', '.join(AudioFormat)}; default: mp3, or as the file's name says.")
]
Seed = Annotated[int | None, typer.Option(help="Same seed, same text, same engine: same audio; default: 0.")]
Title = Annotated[str | None, typer.Option(help="Title, kept in the manifest and in the audio file.")]

Author = Annotated[str | None, typer.Option(help="Author, kept in the manifest and in the audio file.")]
Cover = Annotated[
    Path | None, typer.Option(metavar="FILE", help="JPEG or PNG for the audio file; default: the book's own.")
]
Dictionary = Annotated[str | None, typer.Option(help="Name of a pronunciation dictionary.")]
Normalize = Annotated[
    bool | None, typer.Option("--normalize/--no-normalize", help="Write numbers, dates and units out before speaking.")
]
Loudness = Annotated[str | None, typer.Option(help=f"One of {', '.join(LoudnessPreset)}; default: audiobook.")]
LoudnessLufs = Annotated[float | None, typer.Option(help="Integrated loudness in LUFS, instead of the preset's.")]
Quality = Annotated[
    str | None, typer.Option(help=f"How takes are checked: one of {', '.join(QualityGate)}; default: signal.")
]
ChapterFiles = Annotated[bool | None, typer.Option("--chapter-files", help="Also one audio file for each chapter.")]
AllFiles = Annotated[
    bool, typer.Option("--all", help="Also subtitles, timings and chapter files, beside the audio under its name.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say how much speech it will be, chapter by chapter; queue nothing.")
]

DataDir = Annotated[Path, typer.Option(help="Folder of the embedded stack.")]
DEFAULT_DATA_DIR: Final = Path(".chatterqueue")


def given(**fields: object) -> dict[str, object]:
    """Return the options that were given."""
    return {name: value for name, value in fields.items() if value is not None}
