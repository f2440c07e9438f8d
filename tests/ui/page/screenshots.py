"""What documents show of the page: `python -m tests.ui.page.screenshots ADDRESS`, of a service that runs.

The pictures go to `ui/page/assets`. Look at them before they are kept.
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.sync_api import Page, sync_playwright

from tests.ui.page.browsing import CHROMIUM, Visit
from ui.page.scripts import ASSETS

SIZE = {"width": 1280, "height": 720}
SAID = (
    "I finally got the job!!",
    "No way, that is wonderful news!",
    "I know, I was so scared they would say no.",
    "When do you start?",
    "In March. But I will miss you all so much...",
    "I hate that you never told me before!",
    "I am sorry, I really wanted to tell you first",
)
CHOSEN = 4
"""The message whose details are shown."""
ASKED = ("What shape is it?", "What color is it?", "Is there a circle?")


def chat(visit: Visit) -> None:
    """Two people in turn, and one message of theirs with its causes."""
    for text in SAID:
        visit.say(text)
    visit.page.click(f'#rp-log [data-n="{CHOSEN}"]')
    visit.page.wait_for_selector(".rp-details .rp-bars")
    settled(visit.page)
    visit.page.screenshot(path=ASSETS / "chat.png")


def picture(visit: Visit) -> None:
    """A drawing that is asked about, and one of the answers."""
    page = visit.page
    visit.tab("Picture")
    page.wait_for_selector("#rp-picture .rp-empty")
    drawing = Image.new("RGB", (640, 480), "#d9d9d9")
    ImageDraw.Draw(drawing).polygon([(280, 60), (150, 300), (410, 300)], fill="#e00000")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "drawing.png"
        drawing.save(file)
        with page.expect_file_chooser() as chooser:
            page.click("#rp-picture-upload")
        chooser.value.set_files(file)
        page.wait_for_selector("#rp-picture svg image")
    for n, question in enumerate(ASKED):
        page.fill("#rp-question textarea", question)
        page.press("#rp-question textarea", "Enter")
        page.wait_for_selector(f'#rp-rounds button[data-n="{n}"]')
    page.click('#rp-rounds button[data-n="1"]')
    page.wait_for_selector('#rp-rounds button[data-n="1"][aria-pressed="true"]')
    settled(page)
    page.screenshot(path=ASSETS / "picture.png")


def settled(page: Page) -> None:
    """Waits until fonts are there and nothing moves any more."""
    page.evaluate("document.fonts.ready")
    page.wait_for_function("document.getAnimations().every(one => one.playState === 'finished')")
    page.mouse.move(0, 0)


def main(address: str) -> None:
    """All pictures, of the page at that address."""
    with sync_playwright() as starter:
        browser = starter.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(address)
        page.wait_for_selector("#rp-message textarea", timeout=120_000)  # the first visitor waits for the longest
        visit = Visit(page, address)
        page.set_default_timeout(60_000)
        chat(visit)
        picture(visit)
        assert not visit.errors, visit.errors
        browser.close()
    for name in ("chat.png", "picture.png"):
        print(name, f"{(ASSETS / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
