"""What README says of the code is so."""

from pathlib import Path

from dialog.corpora.original import ORIGINS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_readme_says_where_every_corpus_is_published() -> None:
    for corpus, origin in ORIGINS.items():
        assert f"https://github.com/{origin.repository}) | `{origin.folder}`" in README, corpus
