"""From a manifest to the terms of an epoch: what counts, how it is run, what is protected.

Pure apart from the manifest's own types. The one place that knows both the manifest's words and the ledger's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from festina.experiment.batch import Scale
from festina.experiment.trial import Recipe
from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.sandbox.job import Limits
