"""Write the text (run once; the result is committed): ``python make_text.py``, by CPython 3.11.

The help topics of CPython (``pydoc_data.topics``) in pages of 4,096 characters, shuffled: 80 % to train on, 10 % that
improvers may look at, 10 % that nobody sees. Each Python carries another version of this text, hence the digest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import zlib
from pathlib import Path
from pydoc_data.topics import topics

HERE = Path(__file__).parent
DIGEST = "37d06970fc926e60c16dff401e441b84752446a36b6b64516c229fdec77e992c"
PAGE, CUT = 4096, 1337  # of five cuts tried, the one whose text repeats itself least


def main() -> None:
    text = "".join(topics.values())
    if hashlib.sha256(text.encode()).hexdigest() != DIGEST:
        raise SystemExit("another version of the text: these files are made by CPython 3.11")
    pages = [text[start : start + PAGE] for start in range(0, len(text), PAGE)]
    random.Random(CUT).shuffle(pages)
    first, second = int(0.8 * len(pages)), int(0.9 * len(pages))
    parts = {"train": pages[:first], "public": pages[first:second], "hidden": pages[second:]}
    data = HERE / "system" / "data"
    (data / "train.txt").write_text("".join(parts["train"]))
    (data / "public.txt").write_text("".join(parts["public"]))
    for name in ("public", "hidden"):
        print(f"{name}: {repeated(''.join(parts[name]), ''.join(parts['train'])):.0%} of its passages of 32 characters")
    print("stand in the text for training, too: topics repeat one another")
    (data / "symbols.json").write_text(json.dumps("".join(sorted(set(text)))) + "\n")
    packed = base64.b85encode(zlib.compress("".join(parts["hidden"]).encode(), 9)).decode()
    lines = "\n".join(f'    "{packed[at : at + 100]}"' for at in range(0, len(packed), 100))
    frame = (HERE / "vault" / "generator.py").read_text()
    head, tail = frame.split("HIDDEN = (\n")[0], frame.split("\n)\n", 1)[1]
    (HERE / "vault" / "generator.py").write_text(f"{head}HIDDEN = (\n{lines}\n)\n{tail}")


def repeated(text: str, known: str, size: int = 32) -> float:
    starts = range(0, len(text) - size, 7)
    return sum(text[start : start + size] in known for start in starts) / len(starts)


if __name__ == "__main__":
    main()
