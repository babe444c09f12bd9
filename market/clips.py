"""`make clips`: record every clip that a counter speaks with, anew. Needs the Debian packages espeak-ng, sox, libsox-fmt-mp3
and lame; the clips are committed, so nobody needs them to run the service.

What    Each word is spoken by espeak-ng's Vietnamese voice, cut to what can be heard, brought to one loudness, and
        written as MP3, which every browser plays. The chime is two tones that sox makes.
"""

import subprocess
import tempfile
from pathlib import Path
from typing import Final

from market import speech

FOLDER: Final = Path(__file__).parent / "web" / "static" / "clips"

_VOICE: Final = ("espeak-ng", "-v", "vi", "-s", "145", "-p", "55", "-a", "180")
# Cut silence at both ends; a fade of 4 ms, so that joints do not click; then the loudest sample at -2 dB.
_CUT: Final = ("silence", "1", "0.005", "0.3%", "reverse", "silence", "1", "0.005", "0.3%", "fade", "0.004", "reverse")
_FINISH: Final = ("fade", "0.004", "pad", "0", "0.02", "norm", "-2")
_CHIME: Final = ("synth", "0.16", "sine", "880", "fade", "0.01", "0.16", "0.08")
_CHIME_HIGH: Final = ("synth", "0.30", "sine", "1318.5", "fade", "0.01", "0.30", "0.2")
_ENCODE: Final = ("lame", "--quiet", "-m", "m", "--resample", "22.05", "--abr", "40", "--noreplaygain")


def main() -> int:
    """Record all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        spoken, cut = Path(folder) / "spoken.wav", Path(folder) / "cut.wav"
        for name, words in speech.WORDS.items():
            _run(*_VOICE, "-w", str(spoken), words)
            _run("sox", "-D", str(spoken), str(cut), *_CUT, *_FINISH)
            _encode(cut, name)
        _chime(Path(folder), cut)
        _encode(cut, speech.CHIME)
    size = sum(file.stat().st_size for file in FOLDER.glob(f"*{speech.SUFFIX}"))
    print(f"{len(speech.CLIPS)} clips, {size} bytes, in {FOLDER}")
    return 0


def _chime(folder: Path, to: Path) -> None:
    low, high = folder / "low.wav", folder / "high.wav"
    for path, tone in ((low, _CHIME), (high, _CHIME_HIGH)):
        _run("sox", "-D", "-n", "-r", "22050", "-b", "16", str(path), *tone)
    _run("sox", "-D", str(low), str(high), str(to), "pad", "0", "0.05", "norm", "-6")


def _encode(sound: Path, name: str) -> None:
    _run(*_ENCODE, str(sound), str(FOLDER / (name + speech.SUFFIX)))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    raise SystemExit(main())
