"""The checkpoints that the service knows."""

from sqlalchemy import select

from service.api.access.principals import AnyResources, ModelReader
from service.api.admin.common import make_router
from service.api.payloads import ModelVersionPage, ModelVersionResponse
from service.db.rows import ModelVersionRow

router = make_router()


@router.get("/models", summary="List model versions")
def get_models(principal: ModelReader, resources: AnyResources) -> ModelVersionPage:
    """Return every registered checkpoint with its card; the active one answers."""
    with resources.sessions_for(principal).open() as session:
        rows = session.scalars(select(ModelVersionRow).order_by(ModelVersionRow.created_at.desc())).all()
    items = [
        ModelVersionResponse(
            id=row.id,
            name=row.name,
            version=row.version,
            sha256=row.sha256,
            active=row.active,
            created_at=row.created_at,
            card=row.card,
        )
        for row in rows
    ]
    return ModelVersionPage(items=items)
