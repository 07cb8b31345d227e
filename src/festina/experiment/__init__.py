"""Trials: seeds drawn after the commitment, paired and interleaved runs, one unit of evidence a process."""
