"""`make docs`, or `python -m tests.docs`: writes every generated part of README and docs/ anew."""

from tests.docs.blocks import ROOT, documents, filled
from tests.docs.plots import DRAWINGS


def main() -> None:
    """Rewrites what differs."""
    for path, draw in DRAWINGS.items():
        if not path.exists() or path.read_text(encoding="utf-8") != draw():
            path.write_text(draw(), encoding="utf-8")
            print(f"{path.relative_to(ROOT)} drawn")
    for path in documents():
        text = path.read_text(encoding="utf-8")
        if (new := filled(text)) != text:
            path.write_text(new, encoding="utf-8")
            print(f"{path.relative_to(ROOT)} written")


if __name__ == "__main__":
    main()
