"""`iseg label-studio`: an ML backend of Label Studio: words, key points and rectangles in, brush masks out."""

from dataclasses import dataclass, fields

from iseg.errors import InputError, echo
from iseg.settings import make_parser, parsed

LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Backend:
    """Settings of the backend.

    Attributes:
        host, port: where to listen.
        auth: USER:PASSWORD that Label Studio has to give (Basic authentication); needed on another host than this one.
        url: address of Label Studio, for images that it holds; by default what it says of itself.
        key: its access token, sent to `url` only; by default $LABEL_STUDIO_API_KEY. Without `url`, what it says.
        model: tiny, sd21-base, a folder, file or hub id; by default sd21-base if its weights are at hand, else tiny.
        recipe: "wsss/voc" or a YAML file with a section `recipe:`.
        device: auto, cpu, cuda or mps.
        dtype: auto, float32, float16, bfloat16 or mixed.
    """

    host: str = "127.0.0.1"
    port: int = 9090
    auth: str = ""
    url: str = ""
    key: str = ""
    model: str | None = None
    recipe: str | None = None
    device: str = "auto"
    dtype: str = "auto"

    def __post_init__(self) -> None:
        user, _, password = self.auth.partition(":")
        if self.auth and not (user and password):
            raise InputError("--auth is not USER:PASSWORD: expected both, with a colon between them")
        if self.host not in LOCAL and not self.auth:
            raise InputError(f"--host is {echo(self.host)} without --auth: expected --auth USER:PASSWORD beside it")
        if self.key and not self.url:
            raise InputError("--key was given without --url: expected the address of Label Studio that it is for")
        if not 0 <= self.port <= 65535:
            raise InputError(f"--port is {self.port}: expected 0..65535")


def settings_from(arguments: list[str]) -> Backend:
    """The command line's settings. Raises InputError."""
    parser = make_parser(prog="iseg label-studio", description="An ML backend of Label Studio.", allow_abbrev=False)
    parser.add_class_arguments(Backend, None)
    values = parsed(parser.parse_args, arguments, "")
    return Backend(**{entry.name: values[entry.name] for entry in fields(Backend)})


def run(arguments: list[str]) -> int:
    """Serve until interrupted. Raises InputError for settings that cannot be used and a port that is taken."""
    settings = settings_from(arguments)
    from iseg.integrations.label_studio.annotator import Annotator
    from iseg.integrations.label_studio.images import Images
    from iseg.integrations.label_studio.server import Server
    from iseg.integrations.models import load_model

    model = load_model(settings.model, settings.recipe, settings.device, settings.dtype)
    annotator = Annotator(model, Images(settings.url, settings.key))
    try:
        server = Server((settings.host, settings.port), annotator, settings.auth)
    except OSError as error:
        raise InputError(f"cannot listen at {settings.host}:{settings.port}: {error.strerror or error}") from None
    with server:
        print(f"iSeg's backend is at http://{settings.host}:{server.server_port} (Ctrl+C ends it)", flush=True)
        server.serve_forever()
    return 0
