"""What tests of the generated pages share."""

PROVENANCE = {"machine": {"cpu": "A CPU"}, "commit": "0123456789", "date": "2026-01-02T03:04:05"}


def cells(page: str, *name: str) -> list[str]:
    """The rest of the first row that begins with these cells."""
    return (
        next(line for line in page.splitlines() if line.startswith(f"| {' | '.join(name)} |"))
        .strip("| ")
        .split(" | ")[len(name) :]
    )
