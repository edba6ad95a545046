"""A Ray cluster of two workers and an object store, both on this machine, started once for the tests of a file.

What they put into the environment ends with them: other tests start processes, too.
"""

import logging
import os
import sys
from typing import Any

import pytest

from iseg.label.engine import LOOPBACK, QUIET

ENVIRON = {
    **QUIET,
    **LOOPBACK,
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "OMP_NUM_THREADS": "1",
    # a machine whose port is closed is dead after five looks, one that is slow to answer only after 50 s, as ever
    "RAY_health_check_period_ms": "300",
    # processes that wait for work stay for the next test: to start one takes a core a second or two
    "RAY_idle_worker_killing_time_threshold_ms": "600000",
    "RAY_num_workers_soft_limit": "16",
    # Ray's workers step back for all others (nice 15): beside two more of pytest's they would hardly get on
    "RAY_worker_niceness": "0",
    "no_proxy": "localhost,127.0.0.1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture(scope="module")
def environment():
    """What the cluster's processes see."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRON.items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        yield patch


@pytest.fixture(scope="module")
def bucket(environment):
    """The URI of a bucket of an S3 server on loopback."""
    pytest.importorskip("moto", reason="the tests of object stores need moto[server]")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    boto3.client("s3").create_bucket(Bucket="images")
    yield "s3://images"
    server.stop()


@pytest.fixture(scope="module")
def cluster(bucket):
    """A Ray cluster of two nodes with two CPUs each, joined."""
    pytest.importorskip("ray.data", reason="the tests of iseg label need ray[data]")
    import label_fake
    import ray
    from ray.cluster_utils import Cluster

    memory: dict[str, Any] = {"num_cpus": 2, "object_store_memory": 80 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={**memory, "include_dashboard": False})
    cluster.add_node(**memory)
    ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    ray.cloudpickle.register_pickle_by_value(label_fake)
    yield cluster
    ray.shutdown()
    cluster.shutdown()
