"""The callback's URL as a router of FastAPI: ``app.include_router(callback_router(callback, on_notice))``."""

from typing import TYPE_CHECKING, Any

from kfstate.wecom.asgi import CallbackApp, OnNotice
from kfstate.wecom.callback import Callback

if TYPE_CHECKING:
    from fastapi import APIRouter, Request

__all__ = ["callback_router"]


def callback_router(callback: Callback, on_notice: OnNotice, *, path: str = "/wecom/callback") -> "APIRouter":
    """Return a router with one path; it is not in the OpenAPI document, for only WeCom calls it."""
    from fastapi import APIRouter  # noqa: PLC0415 (only who calls this has it)

    app = CallbackApp(callback, on_notice)

    async def answer(_request: "Request") -> Any:
        return app  # as a Response, it is called with the request

    router = APIRouter()
    methods = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]  # the application says 405 itself
    router.add_route(path, answer, methods=methods, include_in_schema=False)
    return router
