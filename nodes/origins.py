"""Who may ask the label routes: the user's own page, under a name that is surely this machine's.

A page of another site gives itself away by Origin or Sec-Fetch-Site. A page whose name was first resolved to its own
server and then to this machine (DNS rebinding) does not: for the browser it is the same site. But it can't be called
by an IP address, by localhost, or by a name that only this machine's network knows; so no other Host is answered,
unless the server's owner has named it when starting ComfyUI.
"""

import ipaddress
import socket
from urllib.parse import urlsplit

from comfy.cli_args import args

SAME_SITE = ("same-origin", "none")
LOCAL_DOMAINS = ("", ".local", ".lan", ".home", ".home.arpa", ".internal", ".localdomain")  # which nobody can register
PORTS = {"http": 80, "https": 443}


def why_not(headers, scheme: str) -> str | None:
    """Why a request isn't answered, or None. headers: aiohttp's; scheme: http or https, as it came in here."""
    hosts, origins, sites = (headers.getall(name, []) for name in ("Host", "Origin", "Sec-Fetch-Site"))
    host = address_of(f"{scheme}://{hosts[0]}") if len(hosts) == 1 else None
    if host is None or not is_ours(host[1]):
        return (
            "it asks for a name that may be anybody's: open ComfyUI by its IP address or as localhost, or start it with"
            " --enable-cors-header and the page's address, such as https://ads.example.com."
        )
    if len(origins) > 1 or any(site not in SAME_SITE for site in sites):
        return "it comes from another site than ComfyUI's own page."
    origin = address_of(origins[0]) if origins else host
    if origin is None or origin not in (host, told()):
        return "it comes from another site than ComfyUI's own page, or from another port or scheme of it."
    return None


def address_of(url: str) -> tuple | None:
    """(scheme, name, port) of an address without path; None for what is none."""
    try:
        parts = urlsplit(url)
        name = parts.hostname
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in PORTS or not name or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return parts.scheme, name.removesuffix("."), PORTS[parts.scheme] if port is None else port


def told() -> tuple | None:
    """The page's address that the owner named with --enable-cors-header; "*" names none."""
    return address_of((args.enable_cors_header or "").rstrip("/"))


def is_ours(name: str) -> bool:
    """Whether a name can only mean this machine, or one that this machine's owner named."""
    try:
        ipaddress.ip_address(name)
        return True
    except ValueError:
        machine = socket.gethostname().lower()
        local = (machine.partition(".")[0] + domain for domain in LOCAL_DOMAINS)
        listening = (each.strip().lower() for each in args.listen.split(","))
        named = (told() or (None, None))[1]
        return name == "localhost" or name.endswith(".localhost") or name in (machine, named, *local, *listening)
