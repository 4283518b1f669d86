"""`liandong receipt k1.Zk9…`: finds the signal of a receipt in the log. For the operator, who has the keys."""

from __future__ import annotations

from typing import Annotated

import typer

from schemas.security import Keyring, PlaceCipher, ReceiptError
from stream_processors.runtime.settings import Settings


def register(app: typer.Typer) -> None:
    """Adds `liandong receipt`."""

    @app.command("receipt")
    def receipt(
        text: Annotated[str, typer.Argument(help="The `receipt` of a 202 response or of a raw topic.")],
        profile: Annotated[str, typer.Option(envvar="LIANDONG_PROFILE")] = "demo",
    ) -> None:
        """Print topic, partition, position and generation of a receipt, with the keys of LIANDONG_KEYS_FILE or the profile."""
        try:
            place = PlaceCipher(Keyring.load(Settings(profile=profile).keys_path)).open(text)
        except (ReceiptError, FileNotFoundError) as error:
            raise typer.BadParameter(str(error)) from None
        typer.echo(f"{place.topic} partition {place.partition} position {place.offset} generation {place.generation}")
