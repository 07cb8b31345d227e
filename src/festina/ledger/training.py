"""Entry types of a tree that is trained once: its artifact answers in every side of every test.  # S-7, L-3

The files of an artifact lie in the content store. Its name is the sha256 over the canonical JSON of their digests by
name (``experiment.artifacts.artifact_digest``), and every side of a batch says which artifact answered.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from festina.ledger.base import Body, Count, Digest, Number, Oid, Short

FileName = Annotated[str, Field(min_length=1, max_length=4096)]


class ArtifactFile(BaseModel):
    """One file that training left."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    name: FileName
    size: Count  # bytes
    digest: Digest


class TrainingStarted(Body):
    """Intent: a tree is about to be trained, once; charged as one trial now."""

    kind: ClassVar[str] = "training-started"
    tree: Oid
    attempt: Count  # of this tree, from 1
    seed: Count  # the same for every tree of a record


class TrainingEnded(Body):
    """How it ended. ``artifact``: the name of what it left; None: it failed, and the tree scores worst from now on."""

    kind: ClassVar[str] = "training-ended"
    tree: Oid
    ended: Literal[
        "ok", "nonzero", "signal", "oom", "timeout_wall", "timeout_cpu", "output_limit", "pids_limit", "forbidden",
        "no_result",
    ]  # fmt: skip
    artifact: Digest | None
    files: tuple[ArtifactFile, ...]
    wall_s: Number
    cpu_s: Number
    denied: tuple[Short, ...]
    level: Count
    policy: Short
    box: Short
