"""Serve the interactive page: `sh run.sh`, or `python ui/main.py --help` for every setting."""

import sys

import shell
from api import Api
from engine import Engine
from jsonargparse import ArgumentParser
from settings import UiSettings

from iseg.config import find_config, parse_settings, read_yaml
from iseg.errors import InputError


def settings_from(arguments: list[str] | None = None) -> UiSettings:
    """`configs/ui.yaml` (or `--config FILE`), overridden by command-line options."""
    parser = ArgumentParser(prog="run.sh", description="The interactive page of iseg.")
    parser.add_argument("--config", default="ui", help="YAML file with settings (default: configs/ui.yaml)")
    parser.add_class_arguments(UiSettings, None)
    given, _ = parser.parse_known_args(arguments)
    path = find_config(given.config)
    values = read_yaml(path)
    parse_settings(UiSettings, values, str(path))  # an unknown or wrong key is named with its file
    parser.set_defaults(values)
    parsed = parser.parse_args(arguments).as_dict()
    del parsed["config"]
    return parse_settings(UiSettings, parsed, "settings")


def main() -> int:
    """Serve until interrupted."""
    try:
        settings = settings_from()
        engine = Engine(settings)
        engine.start()
        blocks = shell.build(Api(engine))
        _, address, shared = shell.launch(blocks, settings, prevent_thread_lock=True)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # the port is taken
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(f"iSeg is at {shared or address} (Ctrl+C ends it)", flush=True)
    if settings.host in ("127.0.0.1", "localhost"):
        port = address.rstrip("/").rsplit(":", 1)[-1]
        print(
            f"From another machine: ssh -L {port}:127.0.0.1:{port} USER@THIS-MACHINE, then open {address}", flush=True
        )
    blocks.block_thread()
    return 0


if __name__ == "__main__":
    sys.exit(main())
