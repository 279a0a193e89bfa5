"""Forms as `multipart/form-data`, encoded by a library that reads none of ours."""

from collections.abc import Mapping

import httpx2

from tests.support.house import Answer, RunningHouse


def post_multipart(running: RunningHouse, path: str, form: Mapping[str, str | None]) -> Answer:
    """Send a form the way `curl -F` does; a field that is None is left out."""
    parts = {name: (None, value.encode()) for name, value in form.items() if value is not None}
    request = httpx2.Request("POST", running.url + path, files=parts)
    headers = [("Content-Type", request.headers["content-type"])]
    return running.request("POST", path, headers, body=request.read())
