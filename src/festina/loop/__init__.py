"""The loop: ``state`` folds the ledger, ``next`` decides purely, ``engine`` and ``steps`` act."""
