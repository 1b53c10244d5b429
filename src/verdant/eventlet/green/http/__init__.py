"""The stdlib's `http`: its modules, green where they wait."""

from http import HTTPStatus

__all__ = ["HTTPStatus"]
