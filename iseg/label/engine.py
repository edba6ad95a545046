"""Ray: started on this machine or joined, and how much of it the actors take."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from iseg.errors import InputError, printable

STARTS = 3  # of Ray on a busy machine
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray will do anyway, without its warning
}
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # off: Ray takes 127.0.0.1 for this machine, on Linux too


def prepare(address: str | None) -> None:
    """The environment that Ray reads when it is first imported: no reports of use; on this machine alone, loopback.

    Ray turns a `_node_ip_address` of 127.0.0.1 into one that others can reach, which needs a network.
    """
    for name, value in (QUIET | ({} if address else LOOPBACK)).items():
        os.environ.setdefault(name, value)


@contextmanager
def connected(address: str | None) -> Iterator[dict[str, float]]:
    """A block with Ray; gives what there is of CPU and GPU. Ray that runs already in this process is used and stays.

    address: of a cluster ("auto", "ray://..."); None starts Ray on this machine, which needs no network.

    Raises InputError for a cluster that cannot be reached.
    """
    prepare(address)
    import ray
    from ray.data import DataContext

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ours = not ray.is_initialized()
    if ours:
        _start(address)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    if hasattr(context, "use_datasource_v2"):  # Ray 2.60 would start a pool of actors to read the ends of a few files
        context.use_datasource_v2 = False
    try:
        yield ray.cluster_resources()
    finally:
        if ours:
            ray.shutdown()


def _start(address: str | None) -> None:
    """Start or join Ray, without its own prints. On a busy machine its parts may not find each other in time: again."""
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    for attempt in range(STARTS):
        try:
            if address is None:
                ray.init("local", include_dashboard=False, **quiet)
            else:
                ray.init(address, **quiet)
            return
        except Exception as error:  # Ray raises bare ones, too
            if address is None and "timed out during startup" in str(error) and attempt < STARTS - 1:
                ray.shutdown()
                continue
            what = "Ray cannot be started here" if address is None else f"--address {address}: Ray cannot be reached"
            raise InputError(f"{what}: {printable(error, 200)}") from None


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
