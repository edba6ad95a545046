"""`accelerate launch` that ends as the processes it starts: with their exit code, and without a trace of its own.

python scripts/launch.py launch --num_processes 4 wsss/main.py --config wsss/voc
"""

import logging
import signal
import subprocess
import sys


def main(arguments: list[str]) -> int:
    """Start the processes and wait for them; Ctrl-C reaches them too, and they say what becomes of the work."""
    # a handler, which they do not inherit: a signal that is ignored would be ignored by them
    signal.signal(signal.SIGINT, lambda *_: None)
    from accelerate.commands.accelerate_cli import main as accelerate
    from torch.distributed.elastic.agent.server import api as agent
    from torch.distributed.elastic.multiprocessing import api as workers
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    for module in (agent, workers):  # they warn of every signal that they pass on
        logging.getLogger(module.__name__).setLevel(logging.ERROR)
    sys.argv = ["accelerate", *arguments]
    try:
        accelerate()
    except subprocess.CalledProcessError as error:
        code = error.returncode
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
    except workers.SignalException as error:
        code = -error.sigval
    else:
        return 0
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while libraries load leaves no trace
    sys.exit(main(sys.argv[1:]))
