"""`python -m tests.support.pictures`: play both scenes, and write the pictures."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from tests.support.chromium import CHROMIUM
from tests.support.memory import MEMORY
from tests.support.pictures import FOLDER
from tests.support.pictures.report import page_of_the_story, pictures_of, seen
from tests.support.pictures.terminal import picture, rehearsal


def main() -> None:
    if CHROMIUM is None:
        raise SystemExit("Chromium is not installed (apt-get install chromium): the report has to be opened in it")
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder = Path(name)
        (folder / "rehearsal").mkdir()
        made = {"terminal.svg": picture(rehearsal(folder / "rehearsal")).encode()}
        page = folder / "report.html"
        page.write_text(page_of_the_story(folder / "l.db"), encoding="utf-8")
        made["report.txt"] = seen(page.read_text(encoding="utf-8")).encode()
        made |= {f"report-{part}.png": png for part, png in asyncio.run(pictures_of(page)).items()}
    for file, data in made.items():
        (FOLDER / file).write_bytes(data)
        print(f"{FOLDER / file}: {len(data):,} bytes")


if __name__ == "__main__":
    main()
