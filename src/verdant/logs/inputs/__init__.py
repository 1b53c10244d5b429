"""Log inputs: other protocols' lines, into the same store."""

from verdant.logs.inputs.opening import Inputs

__all__ = ["Inputs"]
