"""The ``.obn`` file: its graph, and the bytes of it (docs/file-format.md). numpy only."""
