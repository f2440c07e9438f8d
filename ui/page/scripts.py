"""What runs in the browser beside a tab: files of the assets, one after the other."""

from pathlib import Path

ASSETS = Path(__file__).parent / "assets"


def script(*names: str) -> str:
    """These files as one script; each sees what those before it define."""
    return "\n".join((ASSETS / name).read_text("utf-8") for name in names)
