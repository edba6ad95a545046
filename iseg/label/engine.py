"""Ray: started on this machine or joined, and how much of it the actors take."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from iseg.errors import InputError, printable

LOOPBACK = "127.0.0.1"


@contextmanager
def connected(address: str | None) -> Iterator[dict[str, float]]:
    """A block with Ray; gives what there is of CPU and GPU. Ray that runs already in this process is used and stays.

    address: of a cluster ("auto", "ray://..."); None starts Ray on this machine, which needs no network.

    Raises InputError for a cluster that cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what Ray will do anyway, without its warning
    import ray
    from ray.data import DataContext

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ours = not ray.is_initialized()
    if ours:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        try:
            if address is None:
                ray.init("local", include_dashboard=False, _node_ip_address=LOOPBACK, **quiet)
            else:
                ray.init(address, **quiet)
        except Exception as error:  # Ray raises bare ones, too
            what = "Ray cannot be started here" if address is None else f"--address {address}: Ray cannot be reached"
            raise InputError(f"{what}: {printable(error, 200)}") from None
    DataContext.get_current().enable_progress_bars = False
    try:
        yield ray.cluster_resources()
    finally:
        if ours:
            ray.shutdown()


def share(resources: dict[str, float], actors: int, cpus: float | None, gpus: float | None) -> tuple[float, float]:
    """CPUs and GPUs of each actor: what was asked for, else all GPUs, and CPUs so that one is left to read and write.

    Raises InputError for actors that would take every CPU (the job would wait for ever) or more GPUs than there are.
    """
    cores, cards = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    if gpus is None:
        gpus = min(1.0, int(1000 * cards / actors) / 1000)
    if gpus * actors > cards:
        raise InputError(f"{actors} actors with {gpus:g} GPUs each: expected at most {cards:g} GPUs in all: give fewer "
                         "--actors or a smaller --gpus")  # fmt: skip
    if cpus is None:
        return max(0.0, min(1.0, int(1000 * (cores - 1) / actors) / 1000)), gpus
    if cpus * actors > cores - 1:
        raise InputError(
            f"{actors} actors with {cpus:g} CPUs each leave less than one of {cores:g} CPUs to read and write, and the "
            "job would wait for ever: give fewer --actors or a smaller --cpus"
        )
    return cpus, gpus
