"""The stdlib's `urllib`: its modules, green where they wait."""
