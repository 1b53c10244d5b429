"""Green modules under Eventlet's names for them, for programs that do not patch."""
