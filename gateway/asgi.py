"""The ASGI app: `uvicorn gateway.asgi:app`. The only module of the gateway with an effect at import."""

from gateway.app import create_app
from gateway.settings import GatewaySettings

app = create_app(GatewaySettings())
