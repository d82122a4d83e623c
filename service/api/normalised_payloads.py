"""What REST gives of a scan that was brought into template space."""

from typing import Any, Literal

from pydantic import BaseModel, Field

FigureName = Literal["registration.png", "carpet.png"]


class FigureResponse(BaseModel):
    """A figure of how a scan was brought into template space."""

    name: FigureName
    width: int = Field(description="Pixels")
    height: int = Field(description="Pixels")
    size_bytes: int
    sha256: str
    link: str = Field(description="Where it is read")


class NormalisedResponse(BaseModel):
    """How a scan was brought into template space."""

    version: int = Field(description="Of RestNet's own normalisation")
    sha256: str = Field(description="Of the file in template space")
    size_bytes: int
    summary: dict[str, Any] = Field(description="As `normalisation` in the result")
    figures: list[FigureResponse] = Field(
        description="None of a scan that was brought there before there were any"
    )
    provenance: dict[str, Any] = Field(description="What was done, with which settings, to which scan")
