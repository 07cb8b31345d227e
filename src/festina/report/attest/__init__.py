"""What a release is made of, in forms that other tools check: in-toto attestations and bills of materials."""
