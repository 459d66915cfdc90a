"""A balancer that is controlled by an HTTP call for each host."""

from __future__ import annotations

import urllib.error
from http.client import HTTPException
from urllib.parse import quote

from cartwheel.balance.hooks import Hook
from cartwheel.errors import HostError
from cartwheel.hidden import Hidden
from cartwheel.host.system import http_request
from cartwheel.plan.balancing import Member, filled
from cartwheel.settings.toml_tables import Balancer


def http_hook(settings: Balancer, app: str, secret: Hidden | None) -> Hook:
    """Calls the settings' URL; 2xx means success. No message shows the URL or a header."""
    # A redirect counts as a failure: the secret must not be sent to another server.
    opener = http_request.opener(follow=False)

    def hook(action: str, member: Member) -> None:
        values = {
            "action": action,
            "app": app,
            "host": member.name,
            "name": member.server,
            "address": member.address,
        }
        plain = {key: quote(value, safe="") for key, value in values.items()}
        request = http_request.request(
            filled(settings.url or "", plain),
            method=settings.method,
            data=b"" if settings.method in ("POST", "PUT", "PATCH") else None,
            headers={
                name: filled(text, {**values, "secret": secret.reveal() if secret else ""})
                for name, text in (settings.headers or {}).items()
            },
        )
        try:
            with opener.open(request, timeout=settings.timeout_seconds):
                return
        except urllib.error.HTTPError as error:
            with error:
                raise HostError(
                    "balancer", f"the balancer answered {error.code}", host=member.name
                ) from None
        except (OSError, HTTPException) as error:
            why = f"the balancer cannot be called: {http_request.reason(error)}"
            raise HostError("balancer", why, host=member.name) from None

    return hook
