"""The images of Label Studio's tasks: fetched where Label Studio holds them, or from the web."""

import json
import os
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

from iseg.errors import InputError, echo

LARGEST_IMAGE = 256 << 20  # bytes
SECONDS = 30


@dataclass(frozen=True)
class Server:
    """A Label Studio server: its address and an access token, which goes to that address only."""

    url: str
    key: str = field(default="", repr=False)

    def holds(self, address: str) -> bool:
        """Whether an address lies on this server."""
        return urlsplit(address)[:2] == urlsplit(self.url)[:2]

    def authorization(self) -> str:
        """A legacy token as it is; a personal access token (a JWT) buys a short-lived one."""
        if self.key.count(".") != 2:
            return f"Token {self.key}"
        body = json.dumps({"refresh": self.key}).encode()
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(urljoin(self.url, "/api/token/refresh"), body, kind)
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return f"Bearer {json.load(answer)['access']}"


class Images:
    """Fetches images by a task's address of them.

    Args:
        url, key: of Label Studio, as the user of the backend gave them; else it is believed what it says of itself.
    """

    def __init__(self, url: str = "", key: str = "") -> None:
        key = key or os.environ.get("LABEL_STUDIO_API_KEY", "")
        self._given, self._told = Server(url, key), Server("")

    @property
    def server(self) -> Server:
        """The server that is asked. A token that was given never goes to an address that somebody else told."""
        return self._given if self._given.url else self._told

    def told(self, request: dict[str, Any]) -> None:
        """Take what Label Studio says of itself when it is connected."""
        url, key = request.get("hostname") or "", request.get("access_token") or ""
        self._told = Server(str(url), str(key))

    def fetch(self, address: str) -> bytes:
        """The bytes of an image. Raises InputError for an address that cannot be read."""
        server = self.server
        whole = urljoin(server.url, address)
        if urlsplit(whole).scheme not in ("http", "https"):
            raise InputError(
                f"cannot be read from {echo(whole)}: expected http(s) or an address of Label Studio itself (see --url)"
            )
        request = urllib.request.Request(whole)
        try:
            if server.key and server.holds(whole):
                request.add_unredirected_header("Authorization", server.authorization())
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                data = answer.read(LARGEST_IMAGE + 1)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"cannot be fetched: {error}; see --url and --key") from None
        if len(data) > LARGEST_IMAGE:
            raise InputError(f"too large: expected at most {LARGEST_IMAGE:,} bytes")
        return data
