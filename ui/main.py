"""Serve the interactive page: `sh run.sh`, or `python ui/main.py --help` for every setting."""

import sys
from dataclasses import fields

from jsonargparse import ArgumentError, ArgumentParser
from settings import UiSettings

from iseg.config import find_config
from iseg.errors import InputError


def settings_from(arguments: list[str] | None = None) -> UiSettings:
    """`configs/ui.yaml`, overridden by `--config FILE` and by command-line options. Raises InputError."""
    parser = ArgumentParser(
        prog="run.sh",
        description="The interactive page of iseg.",
        exit_on_error=False,
        default_config_files=[str(find_config("ui"))],
    )
    parser.add_argument("--config", action="config", help="YAML file whose settings replace configs/ui.yaml")
    parser.add_class_arguments(UiSettings, None)
    try:
        parsed = parser.parse_args(arguments).as_dict()
    except ArgumentError as error:
        raise InputError(" ".join(str(error).split())) from None
    return UiSettings(**{entry.name: parsed[entry.name] for entry in fields(UiSettings)})


def main() -> int:
    """Serve until interrupted."""
    try:
        settings = settings_from()
        import shell  # takes seconds: a wrong option is told at once
        from api import Api
        from engine import Engine

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
