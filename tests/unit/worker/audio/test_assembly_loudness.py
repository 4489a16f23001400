"""How loud finished audio is, measured by others than those who made it so."""

from __future__ import annotations

import io

import numpy as np
import pyloudnorm
import pytest
import soundfile
from assemblystore import MemoryStore, chaptered_plan, stored_take
from ebur128 import read_by_ffmpeg
from numpy.typing import NDArray

from producer.contract.loudness import TARGETS, LoudnessPreset, LoudnessTarget
from producer.contract.narration import AudioFormat
from worker.audio import Assembly, assemble
from worker.audio.forecast import MAX_MAKE_UP_DB
from worker.audio.loudness import MAX_GAIN_DB

RATE_HZ = 24_000


def assembled(
    pcm: list[NDArray[np.floating]],
    loudness: LoudnessTarget | None,
    *,
    pauses_s: tuple[float, ...] = (),
    earlier_gain_db: float | None = None,
) -> tuple[Assembly, NDArray[np.int16]]:
    store = MemoryStore()
    plan = chaptered_plan(1, len(pcm) - 1, pauses_s=pauses_s) if len(pcm) > 1 else chaptered_plan(1, pauses_s=pauses_s)
    takes = {index: stored_take(index, take, store) for index, take in enumerate(pcm)}
    assembly = assemble(
        plan,
        takes,
        {},
        {},
        store,
        audio_format=AudioFormat.WAV,
        loudness=loudness,
        earlier_gain_db=earlier_gain_db,
    )
    assert assembly.audio is not None
    assert max(store.num_gets.values()) == 2
    samples, _ = soundfile.read(io.BytesIO(store.objects[assembly.audio.key]), dtype="int16")
    return assembly, samples


def lufs(samples: NDArray[np.int16]) -> float:
    return float(pyloudnorm.Meter(RATE_HZ, filter_class="DeMan").integrated_loudness(samples / 32_768))


def peak_by_ffmpeg_dbtp(samples: NDArray[np.int16]) -> float:
    """Return the true peak as FFmpeg's meter reads it, at 192 kHz."""
    return float(20 * np.log10(float(read_by_ffmpeg(samples, RATE_HZ)["lavfi.r128.true_peak"])))


TARGETS_TRIED = [*TARGETS.values(), LoudnessTarget(-30.0, -3.0), LoudnessTarget(-14.0, -1.0)]


@pytest.mark.parametrize("target", TARGETS_TRIED)
def test_speech_ends_at_the_target_and_below_the_ceiling(spoken: list[NDArray[np.int16]], target: LoudnessTarget):
    assembly, samples = assembled([pcm / 32_767 for pcm in spoken], target)
    facts = assembly.loudness
    assert facts is not None
    assert lufs(samples) == pytest.approx(target.integrated_lufs, abs=0.3)
    assert peak_by_ffmpeg_dbtp(samples) <= target.max_true_peak_dbtp
    # And the manifest says so.
    assert facts.target_lufs == target.integrated_lufs
    assert facts.integrated_lufs == pytest.approx(lufs(samples), abs=0.05)
    assert facts.true_peak_dbtp == pytest.approx(peak_by_ffmpeg_dbtp(samples), abs=0.2)
    assert facts.measured_lufs is not None
    # What the limiter takes is made up for: a little for the presets, more for what is loud and near the ceiling.
    made_up_db = facts.measured_lufs + facts.gain_db - target.integrated_lufs
    assert -0.05 <= made_up_db < (1.0 if target in TARGETS.values() else 3.0)


def test_chapters_keep_their_relation(spoken: list[NDArray[np.int16]]):
    """Where no peak has to give way; a limiter would take a little of the louder one."""
    whisper, voice = spoken[4] / 32_767 * 0.3, spoken[4] / 32_767
    assembly, samples = assembled([whisper, voice], LoudnessTarget(-27.0, -1.0))
    parts = [samples[s.offset_samples :][: s.num_samples] for s in assembly.segments]
    assert lufs(parts[1]) - lufs(parts[0]) == pytest.approx(-20 * np.log10(0.3), abs=0.3)


def test_off_leaves_every_sample_as_it_is(spoken: list[NDArray[np.int16]]):
    assembly, samples = assembled([pcm / 32_767 for pcm in spoken], None)
    for segment, pcm in zip(assembly.segments, spoken, strict=True):
        own = samples[segment.offset_samples :][: segment.num_samples]
        heard = pcm[segment.trim_start_samples :][: segment.num_samples]
        np.testing.assert_array_equal(own[96:-96], heard[96:-96])
    facts = assembly.loudness
    assert facts is not None
    assert (facts.target_lufs, facts.measured_lufs, facts.gain_db) == (None, None, 0.0)
    assert facts.integrated_lufs == pytest.approx(lufs(samples), abs=0.05)


def test_silence_stays_silence_and_has_no_loudness():
    assembly, samples = assembled([np.zeros(12_000)], TARGETS[LoudnessPreset.AUDIOBOOK])
    facts = assembly.loudness
    assert facts is not None
    assert not samples.any()
    assert (facts.measured_lufs, facts.gain_db, facts.integrated_lufs, facts.true_peak_dbtp) == (None, 0.0, None, None)


def test_a_word_shorter_than_a_gating_block_is_as_loud_as_any_other():
    """A third of a second and half a second of pause: the standard would hear a mean of both, 2 LU too low."""
    tone = 0.05 * np.sin(2 * np.pi * 997 * np.arange(8_000) / RATE_HZ)
    assembly, samples = assembled([tone], TARGETS[LoudnessPreset.AUDIOBOOK])
    level_db = 20 * np.log10(np.sqrt(np.mean(samples[1_000:7_000].astype(float) ** 2)) / 32_768)
    assert level_db == pytest.approx(-19.0, abs=0.3)
    assert assembly.loudness is not None
    assert assembly.loudness.integrated_lufs == pytest.approx(-19.0, abs=0.3)


def test_a_single_sample_is_no_trouble():
    assembly, samples = assembled([np.full(1, 0.5)], TARGETS[LoudnessPreset.AUDIOBOOK], pauses_s=(0.0,))
    assert len(samples) == 1
    assert assembly.audio is not None
    assert assembly.audio.num_samples == 1


def test_what_cannot_reach_the_target_stays_below_it_and_the_manifest_says_so(spoken: list[NDArray[np.int16]]):
    hum = 1e-3 * np.sin(2 * np.pi * 300 * np.arange(48_000) / RATE_HZ)
    assembly, _ = assembled([hum], TARGETS[LoudnessPreset.PODCAST])
    assert assembly.loudness is not None
    assert assembly.loudness.gain_db == pytest.approx(MAX_GAIN_DB, abs=0.1)
    assembly, samples = assembled([pcm / 32_767 for pcm in spoken], LoudnessTarget(-9.0, -3.0))
    facts = assembly.loudness
    assert facts is not None
    assert facts.measured_lufs is not None
    assert facts.gain_db == pytest.approx(-9.0 - facts.measured_lufs + MAX_MAKE_UP_DB, abs=0.1)
    assert peak_by_ffmpeg_dbtp(samples) <= -3.0


def test_the_gain_of_before_is_kept_where_it_is_near_enough(spoken: list[NDArray[np.int16]]):
    """So that a new take changes its own span and no other sample."""
    pcm = [each / 32_767 for each in spoken]
    target = TARGETS[LoudnessPreset.AUDIOBOOK]
    first, _ = assembled(pcm, target)
    assert first.loudness is not None
    for off_db, is_kept in ((0.15, True), (-0.15, True), (0.5, False), (-6.0, False)):
        earlier_gain_db = round(first.loudness.gain_db + off_db, 2)
        again, samples = assembled(pcm, target, earlier_gain_db=earlier_gain_db)
        assert again.loudness is not None
        assert (again.loudness.gain_db == earlier_gain_db) == is_kept
        assert lufs(samples) == pytest.approx(target.integrated_lufs, abs=0.3)
