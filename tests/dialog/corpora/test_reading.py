from pathlib import Path

import pytest

from dialog.corpora import read


@pytest.mark.parametrize("broken", ["{no json", "[1, 2]", '{"utterances": "x"}'])
def test_a_line_that_is_no_conversation_is_named_with_its_file(tmp_path: Path, broken: str) -> None:
    file = tmp_path / "test.jsonl"
    file.write_text('{"utterances": [{"speaker": "a", "text": "hi"}]}\n' + broken + "\n")
    with pytest.raises(ValueError, match=r"test\.jsonl, line 2: "):
        list(read(file))
