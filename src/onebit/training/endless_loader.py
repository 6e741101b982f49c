"""The training batches of a whole run as one sequence."""

from collections.abc import Iterator

from onebit.data.loader import Batch, Loader


def endless_loader(loader: Loader, position: int = 0) -> Iterator[Batch]:
    """The batches of all epochs, one epoch after the other, from the one numbered ``position`` in the run on."""
    while True:
        epoch, batch = divmod(position, len(loader))
        loader.load_state_dict({**loader.state_dict(), "epoch": epoch, "position": batch})
        yield from loader
        position += len(loader) - batch
