"""`iseg page`: serve the interactive page."""

from dataclasses import fields

from iseg.errors import InputError
from iseg.extras import import_extra
from iseg.page.settings import LOOPBACK, UiSettings
from iseg.settings import find_config, make_parser, parsed


def settings_from(arguments: list[str]) -> UiSettings:
    """`configs/ui.yaml`, overridden by `--config FILE` and by command-line options. Raises InputError.

    A first argument that is no option is the folder.
    """
    parser = make_parser(
        prog="iseg page",
        usage="iseg page [FOLDER] [options]",
        description="The interactive page of iseg.",
        default_config_files=[str(find_config("ui"))],
    )
    parser.add_argument("--config", action="config", help="YAML file whose settings replace configs/ui.yaml")
    parser.add_class_arguments(UiSettings, None)
    given = ["--folder", *arguments] if arguments and not arguments[0].startswith("-") else arguments
    values = parsed(parser.parse_args, given, "")
    return UiSettings(**{entry.name: values[entry.name] for entry in fields(UiSettings) if entry.init})


def run(arguments: list[str]) -> int:
    """Serve until interrupted. Raises InputError for settings that cannot be used and a port that is taken."""
    settings = settings_from(arguments)
    shell = import_extra("iseg.page.shell", "page", "the page")  # takes seconds: a wrong option is told at once
    from iseg.page.api import Api
    from iseg.page.engine import Engine

    engine = Engine(settings)
    api = Api(engine)
    engine.start()
    blocks = shell.build(api)
    try:
        _, address, shared = shell.launch(blocks, api, prevent_thread_lock=True)
    except OSError as error:  # the port is taken
        raise InputError(str(error)) from None
    key = f"?key={settings.secret.key}" if settings.secret and not settings.secret.user else ""
    print(f"iSeg is at {shared or address}{key} (Ctrl+C ends it)", flush=True)
    if settings.host in LOOPBACK and not settings.share:
        port = address.rstrip("/").rsplit(":", 1)[-1]
        print(
            f"From another machine: ssh -L {port}:127.0.0.1:{port} USER@THIS-MACHINE, then open {address}", flush=True
        )
    try:
        blocks.block_thread()
    finally:
        api.close()
    return 0
