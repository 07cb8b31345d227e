"""What the gate is for: the same system without one. Seconds; no engine needed.

By default the two most used sub-functions are adopted each time, untested. ``--after-gate`` does that from where a
gated chain ends (which takes 15 s to find), and ``--tasks 20`` adopts whatever solves more of 20 public tasks.
"""

from __future__ import annotations

import argparse

from chains import Chain, chain, public_tasks


def show(title: str, result: Chain) -> None:
    print(title)
    print("generation  held-out  public  primitives")
    for number, (share, public, size) in enumerate(result.generations):
        print(f"{number:10d}  {share:8.3f}  {public:6.3f}  {size:10d}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--after-gate", action="store_true")
    parser.add_argument("--tasks", type=int, default=0)
    parser.add_argument("--seed", type=int, default=4, help="of the public tasks; 4 are the committed ones")
    options = parser.parse_args()
    if options.tasks:
        few = public_tasks(options.seed, options.tasks)
        show(f"accepted on {options.tasks} public tasks", chain(few, gate="public"))
        return
    tasks, start = public_tasks(options.seed), None
    if options.after_gate:
        gated = chain(tasks)
        show("gated", gated)
        start = gated.library
    show("no gate: the two most used sub-functions are adopted each time", chain(tasks, arm="most-used", gate="none",
                                                                                steps=8, start=start))  # fmt: skip


if __name__ == "__main__":
    main()
