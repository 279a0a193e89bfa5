"""The parts that both FastAPI peers share: the engine, the session, the caller of a request."""

from collections.abc import AsyncIterator
from typing import Annotated

import shared
from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse
from models import Caller
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

engine = create_async_engine(f"sqlite+aiosqlite:///{shared.DATABASE}")
sessions = async_sessionmaker(engine, expire_on_commit=False)


async def get_session() -> AsyncIterator[AsyncSession]:
    """A session for one request."""
    async with sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]


async def get_claims(authorization: Annotated[str | None, Header()] = None) -> shared.Claims:
    """The claims of the bearer token, its call counted."""
    claims = shared.check_token(authorization)
    shared.spend(claims)
    return claims


Claims = Annotated[shared.Claims, Depends(get_claims)]


async def get_groups(claims: Claims, session: Session) -> shared.Groups:
    """The device groups of the caller: a user who has been removed is refused."""
    caller = await session.get(Caller, claims.object_id)
    if caller is None:
        raise shared.Refused(401, "The caller is not known.")
    return shared.groups_of(caller.device_groups)


Groups = Annotated[shared.Groups, Depends(get_groups)]


def make_app() -> FastAPI:
    """An application that answers refusals as JSON."""
    app = FastAPI()

    @app.exception_handler(shared.Refused)
    async def refuse(_request: Request, refused: shared.Refused) -> JSONResponse:
        return JSONResponse({"error": {"message": refused.message}}, status_code=refused.status)

    return app
