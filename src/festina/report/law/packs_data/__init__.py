"""Law packs: data, one file a regime."""
