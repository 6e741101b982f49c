"""A made-up CORe50: tiny images in the published folders, and lists in the published form."""

from pathlib import Path

from PIL import Image

from onebit.data.core50 import OBJECTS, SESSIONS


def core50_folder(root: Path, frames: int = 1) -> Path:
    """``core50_128x128`` with ``frames`` images a session and object, of 2×2 pixels in a colour of their own."""
    folder = root / "core50_128x128"
    for session in SESSIONS:
        for number in OBJECTS:
            place = folder / f"s{session}" / f"o{number}"
            place.mkdir(parents=True)
            for frame in range(frames):
                image = Image.new("RGB", (2, 2), (session, number, frame))
                image.save(place / f"C_{session:02}_{number:02}_{frame:03}.png")
    return folder


def write_lists(run: Path, batches: list[list[str]], test: list[str]) -> Path:
    run.mkdir(parents=True)
    for number, lines in enumerate(batches):
        (run / f"train_batch_{number:02}_filelist.txt").write_text("\n".join(lines) + "\n")
    (run / "test_filelist.txt").write_text("\n".join(test) + "\n")
    return run
